package faults

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
)

// ends are the ways in which `latchkey up` ends. How it ended, it is started again.
var ends = []struct {
	name string
	end  func(*house)
}{
	{"killed", func(h *house) {
		h.kill(upPart)
		h.until("its PostgreSQL has ended with it", 20*time.Second, func() bool { return len(h.postgres()) == 0 })
	}},
	{"left without its PostgreSQL", func(h *house) {
		h.killPostmaster()
		select {
		case <-h.parts[upPart].ended:
		case <-time.After(30 * time.Second):
			h.t.Fatal("it goes on without its PostgreSQL")
		}
		h.forgive(`"msg":"request failed"`) // those under way had no database
	}},
	{"stopped", func(h *house) { h.parts[upPart].stop(h.t) }},
	{"killed and started at once", func(h *house) { h.kill(upPart) }},
}

// TestUpEnds: `latchkey up` ends in one way or another while people sign in, and is started
// again. Members, devices and challenges are as they were, who waits for a text or holds a
// code goes on with it, and nothing of the dead one runs on.
func TestUpEnds(t *testing.T) {
	t.Parallel()
	t.Logf("seed %d", *seed)
	h := newHouse(t, rand.New(rand.NewPCG(*seed, 1)), true)
	for round := range size(1, 5) {
		for _, e := range ends {
			took := h.survives(t, e.end)
			if t.Failed() {
				t.Fatalf("%s, round %d", e.name, round+1)
			}
			t.Logf("%s: 0 of %d people noticed more than a pause; ready again after %v", e.name, 3*size(5, 20), took.Round(time.Millisecond))
		}
	}
	h.parts[upPart].stop(t)
	if left := h.postgres(); len(left) > 0 {
		t.Errorf("after a stop %v run on", left)
	}
}

// survives ends it while people sign in, and returns how long it took to be ready again.
func (h *house) survives(t *testing.T, end func(*house)) time.Duration {
	n := size(5, 20)
	settled, holding, caught := h.crowd(n), h.crowd(n), h.crowd(n)
	h.all(settled, func(ctx context.Context, l *life) error { return l.run(ctx) })
	h.all(holding, func(ctx context.Context, l *life) error {
		if err := l.ask(ctx); err != nil {
			return err
		}
		_, err := l.text(ctx, 1)
		return err
	})
	h.until("the texts are recorded", 10*time.Second, func() bool {
		return h.count("SELECT count(*) FROM attempt WHERE due_at IS NOT NULL") == 0
	})
	calm := append(settled, holding...)
	before := h.picture(calm)
	var lives sync.WaitGroup
	lives.Go(func() { h.all(caught, func(ctx context.Context, l *life) error { return l.run(ctx) }) })
	time.Sleep(time.Duration(h.dice.Int64N(int64(400 * time.Millisecond))))
	end(h)
	begun := time.Now()
	h.start(upPart)
	h.ready(upPart)
	took := time.Since(begun)
	h.connect()
	for what, is := range h.picture(calm) {
		if was := before[what]; is != was {
			t.Errorf("%s are not as they were: %s, and were %s", what, is, was)
		}
	}
	h.all(settled, func(ctx context.Context, l *life) error { return l.known(ctx) })
	h.all(holding, func(ctx context.Context, l *life) error {
		if err := l.finish(ctx); err != nil {
			return err
		}
		return l.known(ctx)
	})
	lives.Wait()
	h.sound(t, tolerance{texts: 2})
	return took
}

// picture is what the tables hold of people, in a few words.
func (h *house) picture(people []*life) map[string]string {
	h.t.Helper()
	ids := make([]uuid.UUID, len(people))
	for i, l := range people {
		ids[i] = l.member
	}
	out := map[string]string{}
	for what, sql := range map[string]string{
		// but for the hints of lists, which are looked after all the time
		"members":    "SELECT count(*), coalesce(md5(string_agg((to_jsonb(m) - ARRAY['may_lack_device', 'may_be_capped'])::text, '' ORDER BY id)), '') FROM member m WHERE id = ANY($1)",
		"devices":    "SELECT count(*), coalesce(md5(string_agg(d::text, '' ORDER BY id)), '') FROM device d WHERE member_id = ANY($1)",
		"challenges": "SELECT count(*), coalesce(md5(string_agg(c::text, '' ORDER BY id)), '') FROM challenge c WHERE member_id = ANY($1)",
	} {
		var count int
		var digest string
		if err := h.db.QueryRow(context.Background(), sql, ids).Scan(&count, &digest); err != nil {
			h.t.Fatalf("reading %s: %v", what, err)
		}
		out[what] = fmt.Sprintf("%d, %s", count, digest)
	}
	return out
}

// postgres returns the processes of the installation's PostgreSQL.
func (h *house) postgres() []string {
	h.t.Helper()
	all, err := running(filepath.Join(h.data, "postgres"))
	if err != nil {
		h.t.Fatal(err)
	}
	return all
}

// killPostmaster ends PostgreSQL as a crash would.
func (h *house) killPostmaster() {
	h.t.Helper()
	b, err := os.ReadFile(filepath.Join(h.data, "postgres", "data", "postmaster.pid"))
	if err != nil {
		h.t.Fatal(err)
	}
	first, _, _ := strings.Cut(string(b), "\n")
	pid, err := strconv.Atoi(first)
	if err == nil {
		err = syscall.Kill(pid, syscall.SIGKILL)
	}
	if err != nil {
		h.t.Fatalf("killing PostgreSQL: %v", err)
	}
}
