package verifier

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	verdicts, ends, work   *prometheus.CounterVec
	mismatches, registered prometheus.Counter
	seconds                prometheus.Histogram
}

// tell counts a batch that was committed. A challenge that a batch ended counts once,
// however many of its entries were there.
func (m *metrics) tell(from Source, judged []verdict, took time.Duration) {
	if len(judged) == 0 {
		return
	}
	m.work.WithLabelValues(string(from)).Add(float64(len(judged)))
	m.seconds.Observe(took.Seconds())
	ended := map[*challenge]bool{}
	for _, d := range judged {
		m.verdicts.WithLabelValues(string(d.result)).Inc()
		switch d.result {
		case Registered:
			m.registered.Inc()
		case Unreadable:
			m.mismatches.Inc()
		}
		if c := d.challenge; c.ended != "" && !ended[c] {
			ended[c] = true
			m.ends.WithLabelValues(string(c.ended)).Inc()
		}
	}
}

func newMetrics(r prometheus.Registerer) *metrics {
	vec := func(name, help, label string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, []string{label})
	}
	m := &metrics{
		verdicts: vec("latchkey_verdicts_total", "Typed codes by verdict. Many wrong or locked: somebody guesses.", "result"),
		ends:     vec("latchkey_challenges_closed_total", "Challenges by how they ended. Many expired: texts do not arrive.", "end"),
		work: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "latchkey_work_total",
			Help: "Work done, by what brought it. Much from the sweep: the bus does not deliver."}, []string{"source"}),
		registered: prometheus.NewCounter(prometheus.CounterOpts{Name: "latchkey_devices_registered_total", Help: "Devices registered by a right code."}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "latchkey_verifier_batch_seconds",
			Help: "Time to judge a batch and commit it. Over 0.25 s people wait for their answer.", Buckets: []float64{.002, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5}}),
		mismatches: prometheus.NewCounter(prometheus.CounterOpts{Name: "latchkey_entry_seal_mismatches_total",
			Help: "Entries whose seal was not made for their challenge, member and device. Any at all: somebody copies entries."}),
	}
	for _, x := range Results {
		m.verdicts.WithLabelValues(string(x))
	}
	for _, x := range []string{string(endRegistered), string(endProved), string(endTries), string(endLocked), "expired"} {
		m.ends.WithLabelValues(x)
	}
	m.work.WithLabelValues(string(Stream))
	m.work.WithLabelValues(string(Sweep))
	r.MustRegister(m.verdicts, m.ends, m.work, m.mismatches, m.registered, m.seconds)
	return m
}
