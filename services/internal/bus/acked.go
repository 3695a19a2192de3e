package bus

import (
	"sync"
	"time"

	"github.com/google/uuid"
)

const (
	rememberFor  = 10 * time.Minute
	rememberMost = 1 << 20 // ids; some 40 MB when full
	generations  = 5
)

// acked is a set of ids that forgets by age and by number: ids go into the youngest of
// a few generations, and the oldest is dropped whole. An id is kept for at least its
// time, or until half as many others again came as are kept at most.
type acked struct {
	now  func() time.Time
	span time.Duration // of a generation
	size int           // of a generation

	mu   sync.Mutex
	gens [generations]map[uuid.UUID]struct{} // the youngest first
	born time.Time                           // of the youngest
}

func newAcked(now func() time.Time, keep time.Duration, most int) *acked {
	return &acked{now: now, span: keep / (generations - 1), size: max(1, most/generations),
		gens: [generations]map[uuid.UUID]struct{}{{}}, born: now()}
}

func (a *acked) add(id uuid.UUID) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.forget()
	if len(a.gens[0]) >= a.size {
		a.age()
	}
	a.gens[0][id] = struct{}{}
}

func (a *acked) has(id uuid.UUID) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.forget()
	for _, gen := range a.gens {
		if _, ok := gen[id]; ok {
			return true
		}
	}
	return false
}

// forget begins the generations that are due.
func (a *acked) forget() {
	due := int(a.now().Sub(a.born) / a.span)
	for range min(due, generations) {
		a.age()
	}
}

func (a *acked) age() {
	copy(a.gens[1:], a.gens[:generations-1])
	a.gens[0], a.born = map[uuid.UUID]struct{}{}, a.now()
}
