package faults

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"latchkey.dev/services/e2e/needle"
	"latchkey.dev/services/sms/carriers"
)

// controls is how many sets of numbers that were never sent are looked for beside the codes.
const controls = 20

// testSecrecy: after a run of lives, and all that was broken before it, every byte that the
// installation keeps or wrote is searched. No code is found more often than numbers that
// were never sent, no phone number and no password at all; what was planted is found.
func (h *house) testSecrecy(t *testing.T) {
	h.liveCarelessly(t)
	h.sound(t, tolerance{})
	codes := map[string]bool{}
	for _, text := range h.journal(0) {
		codes[codeOf(text)] = true
	}
	k := h.look(codes)
	h.plant(t, k)
	h.scrapeAll(t)
	rows, keys := h.rows(t), fmt.Sprint(h.count("SELECT oid::int FROM pg_database WHERE datname = $1", databases[keysStore]))
	for _, part := range []string{auditorPart, verifierPart, dispatcherPart, loginPart, upPart, carriersPart, busPart} {
		h.parts[part].stop(t)
	}
	h.plantInLogs(t, k)
	set, err := needle.New(k.all)
	if err != nil {
		t.Fatal(err)
	}
	s := &sought{k: k, set: set, where: map[finding]map[int]string{}, keys: keys}
	for store, text := range rows {
		s.search(store, store, text)
	}
	s.folder(t, h.data)
	s.folder(t, h.logs)
	s.report(t)
}

// liveCarelessly is the run of lives: some with passwords, some who mistype, some whose
// carrier fails, and some whose requests are refused, since errors are where secrets slip out.
func (h *house) liveCarelessly(t *testing.T) {
	h.behave(carriers.Vonage, carriers.Behaviour{Mode: carriers.DropAfterAccept, Fraction: 0.1, Seed: *seed})
	defer h.behave(carriers.Vonage, carriers.Behaviour{})
	for left := size(100, 1000); left > 0; {
		people := make([]*life, min(left, 50))
		for i := range people {
			people[i] = h.person(i%10 == 0)
		}
		left -= len(people)
		h.all(people, func(ctx context.Context, l *life) error {
			n := slices.Index(people, l)
			if n == 0 { // seldom: an address has a limit of wrong passwords
				right := l.password
				l.password += "x"
				status, _, err := l.check(ctx)
				if l.password = right; err != nil || status != http.StatusUnauthorized {
					return fmt.Errorf("a wrong password: %d %w", status, err)
				}
			}
			if err := l.ask(ctx); err != nil {
				return err
			}
			text, err := l.text(ctx, 1)
			if err != nil {
				return err
			}
			switch n % 5 {
			case 1: // too long by one: no code at all
				status, _, err := l.device(ctx, "POST", "/v1/challenges/"+l.challenge().String()+"/entries", l.challenge(), map[string]any{"code": codeOf(text) + "0"})
				if err != nil || status != http.StatusBadRequest {
					return fmt.Errorf("a code that is too long: %d %w", status, err)
				}
			case 2: // another's
				wrong := []byte(codeOf(text))
				wrong[0] = '0' + (wrong[0]-'0'+1)%10
				if ok, err := l.enter(ctx, string(wrong)); err != nil || ok {
					return fmt.Errorf("a wrong code: %v %w", ok, err)
				}
			case 3: // a body that is none
				if _, _, err := l.device(ctx, "POST", "/v1/challenges/"+l.challenge().String()+"/entries", l.challenge(), "{\"code\":\""+codeOf(text)); err != nil {
					return err
				}
			case 4: // a number that cannot be
				status, _, err := l.send(ctx, "PUT", "/v1/members/"+uuid.NewString(), map[string]any{"role": "provider", "phone": l.number + "99"}, http.Header{"Authorization": {"Bearer " + h.apiKey}})
				if err != nil || status != http.StatusUnprocessableEntity {
					return fmt.Errorf("a wrong number: %d %w", status, err)
				}
			}
			if err := l.finish(ctx); err != nil {
				return err
			}
			return l.known(ctx)
		})
	}
}

// kinds is everything that is looked for, by index: first the codes, then the controls.
type kinds struct {
	all      []string
	codes    int
	canaries map[string]map[string]int // by store and form
	private  int                       // index of the first phone number; passwords follow
}

// look draws the controls and the canaries.
func (h *house) look(codes map[string]bool) *kinds {
	k := &kinds{all: slices.Sorted(maps.Keys(codes)), codes: len(codes), canaries: map[string]map[string]int{}}
	taken := maps.Clone(codes)
	draw := func() int {
		for {
			n := fmt.Sprintf("%0*d", digits, h.dice.IntN(int(math.Pow10(digits))))
			if !taken[n] {
				taken[n] = true
				k.all = append(k.all, n)
				return len(k.all) - 1
			}
		}
	}
	for range controls * len(codes) {
		draw()
	}
	for _, store := range []string{mainStore, keysStore, busStore, logStore, metricStore} {
		k.canaries[store] = map[string]int{}
		for form := range forms {
			k.canaries[store][form] = draw()
		}
	}
	for _, store := range []string{mainStore, keysStore} {
		k.canaries[store][inRow], k.canaries[store][outOfRow] = draw(), draw()
	}
	k.private = len(k.all)
	for _, l := range h.folks {
		k.all = append(k.all, strings.TrimPrefix(l.number, "+1"))
		if l.password != "" {
			k.all = append(k.all, l.password)
		}
	}
	return k
}

// finding is where something was found, and how it was written.
type finding struct {
	what, store string
	guise       needle.Guise
}

// sought is what was found of a set.
type sought struct {
	k     *kinds
	set   *needle.Set
	where map[finding]map[int]string // each secret once, with the place of the first
	bytes int64
	files int
	lz4   int
	keys  string // the folder of the key database
}

// The kinds of what is found. A code that stands alone was written as one; digits within a
// longer number, time or identifier may be chance.
const (
	codeAlone  = "codes standing alone"
	codeWithin = "codes within something longer"
	control    = "controls"
	canary     = "canaries"
	private    = "phone numbers and passwords"
)

func (s *sought) search(store, file string, data []byte) {
	s.files++
	s.bytes += int64(len(data))
	s.scan(store, file, data)
	if store == mainStore || store == keysStore || store == walStore {
		s.lz4 += needle.Compressed(data, func(raw []byte) { s.scan(store, file+" (compressed)", raw) })
	}
}

func (s *sought) scan(store, file string, data []byte) {
	s.set.Search(data, func(h needle.Hit) {
		what := canary
		switch {
		case h.Secret >= s.k.private:
			what = private
		case h.Secret < s.k.codes && (h.Guise != needle.Plain || needle.Alone(data, h, digits)):
			what = codeAlone
		case h.Secret < s.k.codes:
			what = codeWithin
		case h.Secret < (1+controls)*s.k.codes:
			what = control
		}
		f := finding{what, store, h.Guise}
		if s.where[f] == nil {
			s.where[f] = map[int]string{}
		}
		if _, ok := s.where[f][h.Secret]; !ok {
			around := data[max(0, h.Offset-40):min(len(data), h.Offset+60)]
			s.where[f][h.Secret] = fmt.Sprintf("%s at %d: %q", file, h.Offset, around)
		}
	})
}

// folder searches every file below a folder.
func (s *sought) folder(t *testing.T, top string) {
	t.Helper()
	err := filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		store := storeOf(path, s.keys)
		if store == busStore && bytes.HasPrefix(data, []byte("cmp")) {
			return fmt.Errorf("%s is compressed, and was not read", path)
		}
		s.search(store, path, data)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// found is how many different secrets of a kind were found in any store and guise.
func (s *sought) found(what string) map[int]string {
	all := map[int]string{}
	for f, secrets := range s.where {
		if f.what == what {
			maps.Copy(all, secrets)
		}
	}
	return all
}

func (s *sought) report(t *testing.T) {
	t.Helper()
	if s.lz4 > 0 {
		t.Errorf("%d values may be compressed with LZ4, and were not read", s.lz4)
	}
	for store, forms := range s.k.canaries {
		for form, secret := range forms {
			place := false
			for f, secrets := range s.where {
				_, here := secrets[secret]
				place = place || here && f.what == canary && (f.store == store || form == outOfRow && f.store == store+rowsOf)
			}
			if !place {
				t.Errorf("the canary in %s as %s was not found: the search is blind there", store, form)
			}
		}
	}
	tell := func(what string, places map[int]string) {
		told := 0
		for _, place := range places {
			if told++; told <= 5 {
				t.Errorf("%s: %s", what, place)
			}
		}
	}
	tell(private, s.found(private))
	tell(codeAlone, s.found(codeAlone))
	within, controlled := s.found(codeWithin), s.found(control)
	expected := float64(len(controlled)) / controls
	if most := unlikely(expected); len(within) > most {
		t.Errorf("%d of %d codes lie within something longer, and %.2f of as many numbers never sent: more than chance (%d at most)", len(within), s.k.codes, expected, most)
		tell(codeWithin, within)
	}
	t.Logf("searched %d MB in %d files for %d codes: %d stand alone, %d lie within something longer (%.2f of as many numbers never sent); 0 of %d phone numbers and passwords; all canaries found",
		s.bytes>>20, s.files, s.k.codes, len(s.found(codeAlone)), len(within), expected, len(s.k.all)-s.k.private)
}

// unlikely is the count that chance exceeds once in a million runs where it makes expected
// on average; the average itself is of a sample.
func unlikely(expected float64) int {
	mean := expected + 3*math.Sqrt(expected/controls) + 1.0/controls
	rest, term := 1.0, math.Exp(-mean)
	for k := 0; ; k++ {
		if rest -= term; rest < 1e-6 {
			return k
		}
		term *= mean / float64(k+1)
	}
}
