package carriers

import (
	"context"
	"slices"
	"sync"
	"time"
)

// Text is one text that reached a phone.
type Text struct {
	Seq       uint64    `json:"seq"` // 1 and up, without gaps; starts again after a reset
	At        time.Time `json:"at"`
	Carrier   Carrier   `json:"carrier"`
	To        string    `json:"to"` // E.164 with its +
	From      string    `json:"from"`
	Body      string    `json:"body"`
	Reference string    `json:"reference"`            // the carrier's id of the text
	ClientRef string    `json:"client_ref,omitempty"` // the sender's own, when the request had one
	UserAgent string    `json:"user_agent"`
}

// Code reports whether the text carries a code: it begins with one. Others tell people of
// their sign-in.
func (t Text) Code() bool { return codeDigits.MatchString(t.Body) }

// place is where a reader of the journal stands: after a seq, in one life of it.
type place struct{ resets, seq uint64 }

// journal keeps the latest texts, found by place and by number. Its lock is held for
// moments only, never during I/O.
type journal struct {
	mu      sync.Mutex
	ring    []Text // text seq lies at (seq-1) % len
	next    uint64 // the seq of the next text
	resets  uint64
	threads map[string]*thread
	grown   chan struct{} // closed at the next text; nil while nobody waits
}

// thread is what one number got, and who waits for more of it. Of texts that fell out of
// the ring only the count is kept, and that as long as a later one is in it.
type thread struct {
	dropped int
	seqs    []uint64
	waiters int
	grown   chan struct{}
}

func newJournal(capacity int) *journal {
	return &journal{ring: make([]Text, capacity), next: 1, threads: map[string]*thread{}}
}

// add keeps a text and gives it its seq.
func (j *journal) add(t Text) uint64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	slot := &j.ring[(j.next-1)%uint64(len(j.ring))]
	if slot.Seq != 0 { // the oldest text makes room; it is the first of its thread
		old := j.threads[slot.To]
		old.seqs, old.dropped = old.seqs[1:], old.dropped+1
		j.tidy(slot.To, old)
	}
	t.Seq = j.next
	*slot = t
	j.next++
	own := j.thread(t.To)
	own.seqs = append(own.seqs, t.Seq)
	wake(&own.grown)
	wake(&j.grown)
	return t.Seq
}

func (j *journal) thread(to string) *thread {
	t := j.threads[to]
	if t == nil {
		t = new(thread)
		j.threads[to] = t
	}
	return t
}

// tidy forgets a thread that has no texts and nobody who waits for one.
func (j *journal) tidy(to string, t *thread) {
	if len(t.seqs) == 0 && t.waiters == 0 && j.threads[to] == t {
		delete(j.threads, to)
	}
}

func wake(c *chan struct{}) {
	if *c != nil {
		close(*c)
		*c = nil
	}
}

func waitOn(c *chan struct{}) <-chan struct{} {
	if *c == nil {
		*c = make(chan struct{})
	}
	return *c
}

// since returns up to limit texts after seq, oldest first, of one number or of all ("").
func (j *journal) since(seq uint64, to string, limit int) []Text {
	j.mu.Lock()
	defer j.mu.Unlock()
	texts := []Text{}
	if to != "" {
		if t := j.threads[to]; t != nil {
			i, _ := slices.BinarySearch(t.seqs, seq+1)
			for _, s := range t.seqs[i:min(len(t.seqs), i+limit)] {
				texts = append(texts, j.at(s))
			}
		}
		return texts
	}
	for s := max(seq+1, j.oldest()); s < j.next && len(texts) < limit; s++ {
		texts = append(texts, j.at(s))
	}
	return texts
}

// latest returns up to limit texts to a number, or to all (""), that came after a place,
// newest first, and the place after the last text of all. Where the journal was reset
// since, the texts are those of its new life. grown is closed when there is another
// text or a reset.
func (j *journal) latest(after place, to string, limit int) (texts []Text, now place, grown <-chan struct{}) {
	j.mu.Lock()
	defer j.mu.Unlock()
	now = place{j.resets, j.next - 1}
	if after.resets != now.resets {
		after.seq = 0
	}
	seqs := []uint64(nil)
	if t := j.threads[to]; t != nil {
		seqs = t.seqs
	}
	for s := now.seq; to == "" && s > after.seq && s >= j.oldest() && len(texts) < limit; s-- {
		texts = append(texts, j.at(s))
	}
	for i := len(seqs) - 1; i >= 0 && seqs[i] > after.seq && len(texts) < limit; i-- {
		texts = append(texts, j.at(seqs[i]))
	}
	return texts, now, waitOn(&j.grown)
}

func (j *journal) at(seq uint64) Text { return j.ring[(seq-1)%uint64(len(j.ring))] }

// oldest is the seq of the oldest text that is kept.
func (j *journal) oldest() uint64 {
	if size := uint64(len(j.ring)); j.next > size {
		return j.next - size
	}
	return 1
}

// wait returns the nth text to a number, counted from 1, once it is there.
func (j *journal) wait(ctx context.Context, to string, n int) (Text, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for {
		t := j.thread(to)
		if i := n - 1 - t.dropped; i < 0 {
			return Text{}, errForgotten
		} else if i < len(t.seqs) {
			return j.at(t.seqs[i]), nil
		}
		grown := waitOn(&t.grown)
		t.waiters++
		j.mu.Unlock()
		var err error
		select {
		case <-ctx.Done():
			err = ctx.Err()
		case <-grown:
		}
		j.mu.Lock()
		t.waiters--
		if err != nil {
			j.tidy(to, t)
			return Text{}, err
		}
	}
}

// reset forgets every text and wakes who waits.
func (j *journal) reset() {
	j.mu.Lock()
	defer j.mu.Unlock()
	clear(j.ring)
	for _, t := range j.threads {
		wake(&t.grown)
	}
	j.threads = map[string]*thread{}
	j.next = 1
	j.resets++
	wake(&j.grown)
}
