package login

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	signIns *prometheus.CounterVec
	limits  *prometheus.CounterVec
	waits   prometheus.Histogram
	clock   prometheus.Gauge
}

// outcomes is the closed set of the outcome label.
var outcomes = []string{string(registered), string(notRequired), string(asked), string(noNumber), string(refused), "bad_credentials"}

func newMetrics(r prometheus.Registerer) *metrics {
	m := &metrics{
		signIns: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "latchkey_sign_ins_total",
			Help: "Sign-ins and device checks by outcome. A sudden rise of refused or bad_credentials is somebody guessing."}, []string{"origin", "outcome"}),
		limits: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "latchkey_text_limits_hit_total",
			Help: "Texts that were not asked for since a limit was full, by its scope. A rise of member or number is one person; of network or account it is somebody who makes texts for money."}, []string{"scope"}),
		waits: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "latchkey_verdict_wait_seconds",
			Help: "Time from a typed code to its verdict, as the person waits for it. Wake someone over 1 s.", Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2}}),
		clock: prometheus.NewGauge(prometheus.GaugeOpts{Name: "latchkey_login_clock_ahead_seconds",
			Help: "How far this machine's clock is ahead of the database's. Sign-ins bear any difference; events are dated wrongly by it. Look after it over 1 s."}),
	}
	for _, o := range outcomes {
		m.signIns.WithLabelValues(originSignIn, o)
		m.signIns.WithLabelValues(originDeviceCheck, o)
	}
	for _, scope := range limitScopes {
		m.limits.WithLabelValues(scope)
		m.limits.WithLabelValues(scope + "_day")
	}
	r.MustRegister(m.signIns, m.limits, m.waits, m.clock)
	return m
}
