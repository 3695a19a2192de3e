package router

import (
	"sync"
	"time"

	"golang.org/x/time/rate"
)

const (
	// maxDelay is how long a text waits for its provider's rate before the next one is asked.
	maxDelay = 200 * time.Millisecond
	// maxPause bounds how long a provider that asks to be left alone is.
	maxPause = time.Minute
	// After a throttled answer the pace falls to cut of what it was, and grows back by grow a
	// second. A pace of our own finding is given up after calm without another.
	cut, grow, calm = 0.7, 0.03, time.Minute
)

// pace keeps a provider's texts to what its vendor takes: the configured rate, shared by
// all instances, and less for a while after the vendor throttled.
type pace struct {
	mu      sync.Mutex
	whole   float64 // texts a second for all instances; 0: as many as come
	share   float64 // of this instance; 0: as many as come
	now     float64 // the pace in force; 0: none
	limiter *rate.Limiter
	cutAt   time.Time
	paused  time.Time

	second   int64 // in which count were accepted, and last in the one before
	count    int
	last     int
	instance int
}

func newPace(whole float64) *pace {
	p := &pace{whole: whole, share: whole, limiter: rate.NewLimiter(rate.Inf, 1), instance: 1}
	p.set(whole)
	return p
}

// set puts a pace in force. A burst is a tenth of a second's texts. The lock is held, or nobody has p.
func (p *pace) set(perSecond float64) {
	p.now = perSecond
	if perSecond == 0 {
		p.limiter.SetLimit(rate.Inf)
		return
	}
	p.limiter.SetLimit(rate.Limit(perSecond))
	p.limiter.SetBurst(max(1, int(perSecond/10)))
}

// take takes one text's place. ok is false, and nothing is taken, where it would have to
// wait longer than most; delay is then how long.
func (p *pace) take(now time.Time, most time.Duration) (delay time.Duration, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	r := p.limiter.ReserveN(now, 1)
	if delay = r.DelayFrom(now); delay > most {
		r.CancelAt(now)
		return delay, false
	}
	return delay, true
}

func (p *pace) pausedUntil(now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.paused.After(now)
}

// accepted counts, so that a vendor without a known rate shows what it takes.
func (p *pace) accepted(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.turn(now)
	p.count++
}

func (p *pace) turn(now time.Time) {
	switch s := now.Unix(); {
	case s == p.second:
	case s == p.second+1:
		p.last, p.count, p.second = p.count, 0, s
	default:
		p.last, p.count, p.second = 0, 0, s
	}
}

// throttled slows down. Answers of one second are one sign.
func (p *pace) throttled(now time.Time, retryAfter time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if retryAfter > 0 {
		p.paused = now.Add(min(retryAfter, maxPause))
	}
	if now.Sub(p.cutAt) < time.Second {
		return
	}
	p.cutAt = now
	p.turn(now)
	// What it took in a second is nearer to its rate than a pace that is set far too high.
	took := float64(max(p.last, p.count))
	if p.now == 0 || took > 0 && took < p.now {
		p.now = took
	}
	p.set(max(1, p.now*cut))
}

// tick follows the number of instances, and lets the pace grow back.
func (p *pace) tick(now time.Time, instances int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if instances != p.instance {
		p.now *= float64(p.instance) / float64(instances)
		p.share, p.instance = p.whole/float64(instances), instances
		p.set(p.now)
	}
	switch since := now.Sub(p.cutAt); {
	case p.now == 0 || p.now == p.share || since < 2*time.Second:
	case p.whole > 0:
		p.set(min(p.share, p.now+max(p.now*grow, 0.5)))
	case since > calm:
		p.set(0)
	default:
		p.set(p.now * (1 + grow))
	}
}
