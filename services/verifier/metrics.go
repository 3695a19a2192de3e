package verifier

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	verdicts, ends, work *prometheus.CounterVec
	mismatches           prometheus.Counter
}

func newMetrics(r prometheus.Registerer) *metrics {
	vec := func(name, help, label string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, []string{label})
	}
	m := &metrics{
		verdicts: vec("latchkey_verdicts_total", "Typed codes by verdict. Many wrong or locked: somebody guesses.", "result"),
		ends:     vec("latchkey_challenges_closed_total", "Challenges by how they ended. Many expired: texts do not arrive.", "end"),
		work: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "latchkey_verifier_work_total",
			Help: "Entries judged, by what brought them. Much from the sweep: the bus does not deliver."}, []string{"source"}),
		mismatches: prometheus.NewCounter(prometheus.CounterOpts{Name: "latchkey_entry_seal_mismatches_total",
			Help: "Entries whose seal was not made for their challenge, member and device. Any at all: somebody copies entries."}),
	}
	for _, x := range Results {
		m.verdicts.WithLabelValues(string(x))
	}
	for _, x := range []string{string(endRegistered), string(endTries), string(endLocked), "expired"} {
		m.ends.WithLabelValues(x)
	}
	m.work.WithLabelValues(string(Stream))
	m.work.WithLabelValues(string(Sweep))
	r.MustRegister(m.verdicts, m.ends, m.work, m.mismatches)
	return m
}
