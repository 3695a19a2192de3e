package auditor

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	ordered, alarms        *prometheus.CounterVec
	active, open, age, lag prometheus.Gauge
	waiting                prometheus.Gauge
	seconds                prometheus.Histogram
}

func newMetrics(r prometheus.Registerer) *metrics {
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help})
	}
	m := &metrics{
		ordered: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "latchkey_audit_ordered_total",
			Help: "Events that got their place, by the road they came. Any from the table has an alarm of its own."}, []string{"source"}),
		alarms: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "latchkey_audit_alarms_total",
			Help: "Alarms raised, by kind. Any not_in_table or bytes_differ: somebody altered a table or speaks on the bus with a stolen right. Wake someone. " +
				"Any not_in_stream: a service that died between commit and publishing, a stream that lost messages, or a row that no service wrote."}, []string{"kind"}),
		active: gauge("latchkey_audit_active", "1 on the instance that orders. The sum over all instances is 1; 0 for a minute: nothing is ordered."),
		open:   gauge("latchkey_audit_stream_open", "1 while the stream answers. While 0 events wait for it and none is archived."),
		age: gauge("latchkey_audit_unordered_age_seconds",
			"Age of the oldest event without a place, at the last look; 0 for none. Over a minute while the bus is up: look at the auditor; hours: look at the bus."),
		waiting: gauge("latchkey_audit_unordered_events", "Events without a place, older than some seconds, at the last look; it stops counting at 10,000."),
		lag:     gauge("latchkey_audit_lag_messages", "Messages of the stream that the auditor has not settled."),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "latchkey_audit_order_duration_seconds",
			Help: "Time to order a batch of the stream.", Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, 1, 5}}),
	}
	for _, source := range []string{"stream", "table"} {
		m.ordered.WithLabelValues(source)
	}
	for _, kind := range Kinds() {
		m.alarms.WithLabelValues(string(kind))
	}
	r.MustRegister(m.ordered, m.alarms, m.active, m.open, m.age, m.waiting, m.lag, m.seconds)
	return m
}

// rest is a standby's state: it knows nothing of the order, and says so by zeroes.
func (m *metrics) rest() {
	for _, g := range []prometheus.Gauge{m.active, m.open, m.age, m.waiting, m.lag} {
		g.Set(0)
	}
}
