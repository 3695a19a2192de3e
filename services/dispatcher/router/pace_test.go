package router

import (
	"testing"
	"time"

	"golang.org/x/time/rate"
)

// offered plays texts at a rate for a while against a vendor that takes a rate, and returns
// texts taken and throttled by the vendor each second, and those the pace sent elsewhere.
func offered(start time.Time, p *pace, vendor *rate.Limiter, perSecond, seconds int) (taken, throttled, elsewhere int) {
	at := start // of the vendor: a limiter whose time goes back counts twice
	for i := range perSecond * seconds {
		now := start.Add(time.Duration(i) * time.Second / time.Duration(perSecond))
		if i%perSecond == 0 {
			p.tick(now, 1)
		}
		delay, ok := p.take(now, maxDelay)
		if ok && now.Add(delay).After(at) {
			at = now.Add(delay)
		}
		switch {
		case !ok:
			elsewhere++
		case vendor.AllowN(at, 1):
			taken++
			p.accepted(now)
		default:
			throttled++
			p.throttled(now, 0)
		}
	}
	return taken, throttled, elsewhere
}

// F15: a vendor that takes 30 a second is offered 60. It keeps 25 to 30 of them, the rest
// goes elsewhere, and it has to throttle at most 2 %.
func TestPaceKeepsToTheVendorsRate(t *testing.T) {
	t.Parallel()
	for name, configured := range map[string]float64{"a known rate": 27, "a rate that is too high": 40, "a rate that is far too high": 10_000, "no known rate": 0} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, vendor := newPace(configured), rate.NewLimiter(30, 30)
			start := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
			offered(start, p, vendor, 60, 20) // until a pace is found
			const seconds = 120
			taken, throttled, elsewhere := offered(start.Add(20*time.Second), p, vendor, 60, seconds)
			if got := float64(taken) / seconds; got < 22 || got > 30.5 || configured == 27 && got < 25 {
				t.Errorf("%.1f texts a second, want 25 to 30 (22 at least where the rate is not known)", got)
			}
			if share := float64(throttled) / float64(taken+throttled); share > 0.02 {
				t.Errorf("%.3f of the texts were throttled, want 0.02 at most", share)
			}
			if taken+throttled+elsewhere != 60*seconds {
				t.Errorf("%d texts are missing", 60*seconds-taken-throttled-elsewhere)
			}
		})
	}
}

// The rate is the vendor's, however many instances share it.
func TestPaceIsSharedByAllInstances(t *testing.T) {
	t.Parallel()
	now := time.Now()
	p := newPace(30)
	p.tick(now, 3)
	if p.now != 10 {
		t.Errorf("one of three instances sends %.1f a second, want 10", p.now)
	}
	p.tick(now, 1)
	if p.now != 30 {
		t.Errorf("the last instance sends %.1f a second, want 30", p.now)
	}
}

// A pace that was found, not configured, is given up when the vendor has been calm.
func TestAFoundPaceIsGivenUp(t *testing.T) {
	t.Parallel()
	now := time.Now()
	p := newPace(0)
	for range 10 {
		p.accepted(now)
	}
	p.throttled(now, 0)
	if p.now != 7 {
		t.Errorf("the pace is %.1f after 10 texts in a second, want 7", p.now)
	}
	p.tick(now.Add(calm+time.Second), 1)
	if _, ok := p.take(now.Add(calm+time.Second), 0); !ok || p.now != 0 {
		t.Errorf("the pace is still %.1f after a minute of calm", p.now)
	}
}
