package router

import "github.com/prometheus/client_golang/prometheus"

type metrics struct{ choices, throttled, changes, demotions *prometheus.CounterVec }

func newMetrics(r prometheus.Registerer, providers []string) *metrics {
	m := &metrics{
		choices: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "latchkey_route_choices_total",
			Help: "Texts that were given to a provider, by why. Much failover, overflow or reserve: the first providers are in trouble."}, []string{"provider", "why"}),
		throttled: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "latchkey_route_throttled_total",
			Help: "Answers by which a provider said that it gets too many texts. A steady stream: its configured rate is too high."}, []string{"provider"}),
		changes: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "latchkey_route_breaker_changes_total",
			Help: "Changes of a provider's circuit breakers, by their new state, found by this instance. Wake someone when all providers are open."}, []string{"provider", "state"}),
		demotions: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "latchkey_route_demotions_total",
			Help: "Times that a provider lost its place since the codes it carried were not typed in, and got it back."}, []string{"provider", "change"}),
	}
	for _, p := range providers {
		for _, why := range Whys {
			m.choices.WithLabelValues(p, string(why))
		}
		for _, state := range []string{closed, open, halfOpen} {
			m.changes.WithLabelValues(p, state)
		}
		for _, change := range []string{"demoted", "restored"} {
			m.demotions.WithLabelValues(p, change)
		}
		m.throttled.WithLabelValues(p)
	}
	r.MustRegister(m.choices, m.throttled, m.changes, m.demotions)
	return m
}
