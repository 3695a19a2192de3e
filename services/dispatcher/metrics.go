package dispatcher

import (
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"latchkey.dev/services/notice"
	"latchkey.dev/services/sms"
)

type metrics struct {
	texts, failovers, abandoned, work *prometheus.CounterVec
	receipts, refused                 *prometheus.CounterVec
	notices, spends                   *prometheus.CounterVec
	fallen                            prometheus.Counter
	accept                            prometheus.Histogram
}

func newMetrics(r prometheus.Registerer, providers []string) *metrics {
	m := &metrics{
		texts: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "latchkey_texts_total",
			Help: "Attempts to hand a text to a provider, by how they ended."}, []string{"provider", "outcome"}),
		failovers: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "latchkey_text_failovers_total",
			Help: "Texts that a provider did not accept, or took and did not deliver (undelivered, silent), by reason. A rise is an outage that the next provider bears."}, []string{"reason"}),
		abandoned: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "latchkey_texts_abandoned_total",
			Help: "Requested texts that were given up, by reason. Wake someone for too_late or no_text_left: people are not getting in."}, []string{"reason"}),
		work: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "latchkey_work_total",
			Help: "Work done, by what brought it. Much from the sweep: the bus does not deliver."}, []string{"source"}),
		receipts: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "latchkey_receipts_total",
			Help: "Delivery reports that providers sent, by what they say. Few delivered among the accepted: texts get lost on the way."}, []string{"provider", "status"}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "latchkey_receipts_refused_total",
			Help: "Requests to a provider's receipt address that were no receipt of it, by why. Many forged: a wrong secret, or somebody tries."}, []string{"provider", "reason"}),
		notices: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "latchkey_notices_total",
			Help: "Tries to tell people of their sign-in, by how they ended: again is one that is made again. A rise of again or too_late: people are not told."},
			[]string{"kind", "channel", "outcome"}),
		spends: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "latchkey_spend_reached_total",
			Help: "Times that an account reached a level of what its texts to a country may cost. Wake someone at stop: its people get no code until the hour or the day ends."}, []string{"span", "level"}),
		fallen: prometheus.NewCounter(prometheus.CounterOpts{Name: "latchkey_conversion_alarms_total",
			Help: "Times that fewer than half of an hour's codes to one prefix were typed in. Look which: it may be somebody who makes texts for money."}),
		accept: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "latchkey_text_accept_seconds",
			Help: "Time from a challenge to a provider's accepting its text.", Buckets: []float64{.01, .025, .05, .1, .25, .5, 1, 2, 4, 8, 15, 30, 60}}),
	}
	for _, p := range providers {
		for _, e := range sms.Endings {
			m.texts.WithLabelValues(p, string(e))
		}
		for _, status := range sms.Statuses {
			m.receipts.WithLabelValues(p, string(status))
		}
		for _, reason := range []string{"forged", "unreadable"} {
			m.refused.WithLabelValues(p, reason)
		}
	}
	for _, reason := range append(slices.Clone(sms.Reasons), undelivered, silent) {
		m.failovers.WithLabelValues(string(reason))
	}
	for _, reason := range []string{tooLate, neverDeliverable, noTextLeft, challengeClosed, spendStop, prefixFull} {
		m.abandoned.WithLabelValues(reason)
	}
	for _, kind := range notice.Kinds {
		for _, c := range notice.Channels {
			for _, outcome := range append(slices.Clone(noticeEndings), again) {
				m.notices.WithLabelValues(string(kind), string(c), outcome)
			}
		}
	}
	for _, span := range []string{"hour", "day"} {
		m.spends.WithLabelValues(span, levelAlarm)
		m.spends.WithLabelValues(span, levelStop)
	}
	m.work.WithLabelValues(string(Stream))
	m.work.WithLabelValues(string(Sweep))
	r.MustRegister(m.texts, m.failovers, m.abandoned, m.work, m.receipts, m.refused, m.notices, m.spends, m.fallen, m.accept)
	return m
}
