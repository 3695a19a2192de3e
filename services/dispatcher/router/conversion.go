package router

import (
	"math"
	"time"
)

const (
	sample       = 60     // of the newest texts of a provider in a country are judged
	enough       = 20     // of them say something
	newest       = 10_000 // texts of all providers are looked at
	assumed      = 0.7    // is the usual share where nothing is known
	collapse     = 0.6    // of what is usual: a provider surely below it loses its place
	recovered    = 0.8    // of what others have: a provider that has it gets its place back
	usualWeight  = 0.01   // of a measure in what is usual
	shortest     = 2 * time.Minute
	longest      = 64 * time.Minute
	forget       = 24 * time.Hour // after it a demotion is past
	confidence   = 1.96           // standard deviations: 95 %
	arrivedLeast = 10             // texts that surely arrived say whether a provider reports
	unlearnt     = 30 * time.Second
	silenceLeast = 5 * time.Second
	silenceMost  = time.Minute
	slower       = 1.5 // times what nearly all receipts take is late
)

// Health is what is known of a provider in a country.
type Health struct {
	Accepted, Typed int     // of the newest texts old enough to have been typed
	Usual           float64 // share that is usual; -1: not known

	DemotedAt, DemotedUntil time.Time // zero: it has its place
	Demotions               int       // lately
	JudgedSince             time.Time // older texts count no more

	Reports *bool         // nil: not known
	Receipt time.Duration // that nearly all receipts take; 0: not known
}

func (h Health) demoted() bool { return !h.DemotedAt.IsZero() }

func (h Health) share() float64 {
	if h.Accepted == 0 {
		return 0
	}
	return float64(h.Typed) / float64(h.Accepted)
}

// silence is how long after it took a text a provider's receipt is overdue. ok is false
// where it is known to send none.
func (h Health) silence() (after time.Duration, ok bool) {
	switch {
	case h.Reports != nil && !*h.Reports:
		return 0, false
	case h.Receipt == 0:
		return unlearnt, true
	}
	return min(max(time.Duration(float64(h.Receipt)*slower), silenceLeast), silenceMost), true
}

// judge decides on a provider's place by the texts of its own and of the others that may
// be asked for the country. It moves only on a difference that chance hardly makes, stays
// for a time that doubles with each fall, and comes back by texts sent since: a provider
// at the edge does not flap.
func judge(h Health, others []Health, now time.Time) Health {
	if h.Demotions > 0 && now.Sub(h.DemotedUntil) > forget && !h.demoted() {
		h.Demotions = 0
	}
	reference, better := standard(h, others)
	switch {
	case h.demoted():
		if now.Before(h.DemotedUntil) {
			return h
		}
		if now.Sub(h.DemotedAt) > forget || h.Accepted >= enough && h.share() >= recovered*reference {
			h.DemotedAt = time.Time{}
		}
	case h.Accepted < enough:
	case better && highest(h.Typed, h.Accepted) < collapse*reference:
		h.DemotedAt, h.JudgedSince = now, now
		h.DemotedUntil = now.Add(min(shortest<<min(h.Demotions, 10), longest))
		h.Demotions++
	case h.Usual < 0:
		h.Usual = h.share()
	default:
		h.Usual += (h.share() - h.Usual) * usualWeight
	}
	return h
}

// standard is the share that a provider should have: the best that another has now, else
// what is usual for it. better is false where there is nobody to take its place.
func standard(h Health, others []Health) (reference float64, better bool) {
	for _, o := range others {
		if o.demoted() {
			continue
		}
		better = true
		if o.Accepted >= enough {
			reference = max(reference, o.share())
		}
	}
	switch {
	case reference > 0:
	case h.Usual >= 0:
		reference = h.Usual
	default:
		reference = assumed
	}
	return reference, better
}

// highest is the upper end of Wilson's interval for a share: with n texts of which k were
// typed, the true share is hardly above it.
func highest(k, n int) float64 {
	z, count := confidence, float64(n)
	p := float64(k) / count
	return (p + z*z/(2*count) + z*math.Sqrt(p*(1-p)/count+z*z/(4*count*count))) / (1 + z*z/count)
}
