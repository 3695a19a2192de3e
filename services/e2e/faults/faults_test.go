// Package faults breaks a Latchkey of separate processes while people sign in, and looks
// whether anybody noticed: nothing lost, nothing done twice, no code left lying about.
//
// One installation bears everything in turn, and what it left behind is searched last.
// In `make test` the numbers are small; `make chaos` has the full ones.
package faults

import (
	"flag"
	"math/rand/v2"
	"testing"
	"time"
)

var (
	chaos = flag.Bool("chaos", false, "the full numbers of faults and lives")
	seed  = flag.Uint64("seed", uint64(time.Now().UnixNano()), "of everything that is drawn")
)

// size is small in `make test` and large in `make chaos`.
func size(small, large int) int {
	if *chaos {
		return large
	}
	return small
}

func TestFaults(t *testing.T) {
	t.Parallel()
	t.Logf("seed %d", *seed)
	h := newHouse(t, rand.New(rand.NewPCG(*seed, 0)), false)
	h.bear(t, []fault{
		{"carriers", (*house).testCarriers},
		{"dispatcher_killed", (*house).testDispatcherKilled},
		{"killed_midway", (*house).testKilledMidway},
		{"random_kills", (*house).testRandomKills},
		{"bus_down", (*house).testBusDown},
		{"bus_wiped", (*house).testBusWiped},
		{"secrecy", (*house).testSecrecy},
	})
}

// fault is what a house bears.
type fault struct {
	name string
	test func(*house, *testing.T)
}

// bear tests one fault after the other, until one was not borne.
func (h *house) bear(t *testing.T, faults []fault) {
	for _, fault := range faults {
		ok := t.Run(fault.name, func(t *testing.T) {
			outer := h.t
			h.t = t
			defer func() { h.t = outer }()
			begun := time.Now()
			fault.test(h, t)
			t.Logf("took %v", time.Since(begun).Round(100*time.Millisecond))
		})
		if !ok {
			t.Fatalf("after %s failed, the rest would tell little", fault.name)
		}
	}
}
