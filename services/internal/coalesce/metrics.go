package coalesce

import "github.com/prometheus/client_golang/prometheus"

// metrics of one Batcher, labelled with its name.
type metrics struct {
	members, took, waited prometheus.Histogram
	refused, singly       prometheus.Counter
}

func newMetrics(name string, r prometheus.Registerer) *metrics {
	labels := prometheus.Labels{"batch": name}
	seconds := []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10}
	m := &metrics{
		members: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "latchkey_coalesce_batch_requests", ConstLabels: labels,
			Help:    "Requests in each batch. Always 1 means that there is no load; always the maximum that it is the bottleneck.",
			Buckets: []float64{1, 2, 4, 8, 16, 32, 64, 128, 256, 512},
		}),
		took: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "latchkey_coalesce_batch_duration_seconds", ConstLabels: labels, Buckets: seconds,
			Help: "Time that a batch took to run, without single tries.",
		}),
		waited: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "latchkey_coalesce_wait_duration_seconds", ConstLabels: labels, Buckets: seconds,
			Help: "Time that a request was queued before its batch began.",
		}),
		refused: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "latchkey_coalesce_refused_total", ConstLabels: labels,
			Help: "Requests refused because the queue was full. Rising: the service sheds load.",
		}),
		singly: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "latchkey_coalesce_single_tries_total", ConstLabels: labels,
			Help: "Requests tried alone because their batch failed. Rising: something in the requests breaks whole batches.",
		}),
	}
	if r != nil {
		r.MustRegister(m.members, m.took, m.waited, m.refused, m.singly)
	}
	return m
}
