package bus

import "github.com/prometheus/client_golang/prometheus"

type connMetrics struct {
	up          prometheus.Gauge
	disconnects prometheus.Counter
	errors      *prometheus.CounterVec
	published   *prometheus.CounterVec
	ackSeconds  prometheus.Histogram
}

func newConnMetrics(r prometheus.Registerer) *connMetrics {
	m := &connMetrics{
		up: prometheus.NewGauge(prometheus.GaugeOpts{Name: "latchkey_bus_up",
			Help: "1 while connected to the bus. 0 for a minute: the sweeps carry the load, sign-ins are slower; look at the bus."}),
		disconnects: prometheus.NewCounter(prometheus.CounterOpts{Name: "latchkey_bus_disconnects_total",
			Help: "Connections to the bus that were lost."}),
		errors: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "latchkey_bus_errors_total",
			Help: "Errors that the bus reported by itself. Any permission error: a service tried what it has no right to."}, []string{"kind"}),
		published: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "latchkey_bus_published_total",
			Help: "Messages by how their publishing ended. Failed ones are published again by the sweeper."}, []string{"outcome"}),
		ackSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "latchkey_bus_publish_duration_seconds",
			Help:    "Time from publishing to the stream's acknowledgement.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, 1, 5}}),
	}
	for _, kind := range []string{"connection", "permission", "slow_consumer", "other"} {
		m.errors.WithLabelValues(kind)
	}
	for _, outcome := range []string{"stored", "duplicate", "failed", "not_sent"} {
		m.published.WithLabelValues(outcome)
	}
	r.MustRegister(m.up, m.disconnects, m.errors, m.published, m.ackSeconds)
	return m
}

type consumerMetrics struct {
	consumed, redelivered, rebuilds, waits prometheus.Counter
	buried                                 *prometheus.CounterVec
	pending, healthy                       prometheus.Gauge
	batch                                  prometheus.Histogram
}

func newConsumerMetrics(durable string, r prometheus.Registerer) *consumerMetrics {
	l := prometheus.Labels{"durable": durable}
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help, ConstLabels: l})
	}
	m := &consumerMetrics{
		consumed:    counter("latchkey_bus_consumed_total", "Messages received, redelivered ones included."),
		redelivered: counter("latchkey_bus_redelivered_total", "Messages received that had been delivered before. A steady rate: work takes longer than the acknowledgement may."),
		rebuilds:    counter("latchkey_bus_rebuilds_total", "Subscriptions made anew because nothing arrived though something was pending. Each deserves a look."),
		waits:       counter("latchkey_bus_consumer_missing_total", "Times that the consumer could not be opened. Rising: run the provisioner."),
		buried: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "latchkey_bus_buried_total", ConstLabels: l,
			Help: "Messages put into the dead letters. Any: read them."}, []string{"reason"}),
		pending: prometheus.NewGauge(prometheus.GaugeOpts{Name: "latchkey_bus_pending_messages", ConstLabels: l,
			Help: "Messages of the stream not yet delivered to the consumer. Growing for a minute: the service cannot keep up."}),
		healthy: prometheus.NewGauge(prometheus.GaugeOpts{Name: "latchkey_bus_consumer_healthy", ConstLabels: l,
			Help: "1 while the consumer is open and answers."}),
		batch: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "latchkey_bus_batch_messages", ConstLabels: l,
			Help: "Messages in each batch given to the service.", Buckets: []float64{1, 2, 4, 8, 16, 32, 64, 128, 256, 512}}),
	}
	for _, reason := range Reasons() {
		m.buried.WithLabelValues(string(reason))
	}
	r.MustRegister(m.consumed, m.redelivered, m.rebuilds, m.waits, m.buried, m.pending, m.healthy, m.batch)
	return m
}
