package router

import (
	"cmp"
	"encoding/binary"
	"hash/fnv"
	"slices"
	"time"

	"github.com/google/uuid"
)

// Why says for what reason a provider was chosen. The set is closed: it is a metric label,
// and part of an event.
type Why string

const (
	Order    Why = "order"    // it is the first of those in health
	Pin      Why = "pin"      // an operator says so
	Failover Why = "failover" // others were asked for this challenge already
	Overflow Why = "overflow" // those before it have all they may get for now
	Trial    Why = "trial"    // it lost its place, and a few texts show whether it may have it back
	Probe    Why = "probe"    // it does not answer, and one text shows whether it does again
	Reserve  Why = "reserve"  // it is in bad health, and nobody is in better
)

// Whys is the closed set of reasons, in the order of the constants.
var Whys = []Why{Order, Pin, Failover, Overflow, Trial, Probe, Reserve}

const (
	trialShare    = 0.05 // of a country's texts go to a demoted provider
	halfOpenShare = 0.2  // of its texts go to a provider that just began to answer again
)

// candidate is a provider that may be asked.
type candidate struct {
	provider string
	why      Why
	turns    int
	tier     int // of its health: lower is better
}

// The tiers of health.
const (
	pinned = iota
	tried  // a trial goes before the others
	healthy
	demoted
	recovering // half-open, beyond its share
)

// rank returns who may be asked, the best first, and which open breakers a probe might close.
func (r *Router) rank(w Want, now time.Time) (all []candidate, probes []key) {
	r.mu.Lock()
	defer r.mu.Unlock()
	pin := r.plan.Pinned(w.Country)
	order, _, _ := r.plan.Order(w.Country)
	for _, p := range order {
		if r.plan.Drained(p, w.Country) {
			continue
		}
		c := candidate{provider: p, why: Order, turns: w.Turns[p], tier: healthy}
		state, worst := r.stateOf(p, w.Country)
		draw := lot(w.Challenge, p)
		switch {
		case p == pin:
			c.why, c.tier = Pin, pinned
		case r.paces[p].pausedUntil(now):
			continue
		case state == open:
			probes = append(probes, worst)
			continue
		case state == halfOpen && draw >= halfOpenShare:
			c.why, c.tier = Reserve, recovering
		case r.health[key{p, w.Country}].demoted() && len(w.Turns) == 0 && draw < trialShare:
			c.why, c.tier = Trial, tried
		case r.health[key{p, w.Country}].demoted():
			c.why, c.tier = Reserve, demoted
		}
		all = append(all, c)
	}
	slices.SortStableFunc(all, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(a.turns, b.turns), cmp.Compare(a.tier, b.tier))
	})
	for i := range all {
		switch {
		case len(w.Turns) > 0:
			all[i].why = Failover
		case i > 0 && all[i].why == Order:
			all[i].why = Overflow
		}
	}
	return all, probes
}

// lot draws a number from 0 to 1 for a challenge and a provider, the same every time.
func lot(challenge uuid.UUID, provider string) float64 {
	h := fnv.New64a()
	h.Write(challenge[:])
	h.Write([]byte(provider))
	// FNV's high bits are poor for inputs that differ in their last bytes: mix once more.
	x := h.Sum64()
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], x)
	return float64(x>>11) / (1 << 53)
}
