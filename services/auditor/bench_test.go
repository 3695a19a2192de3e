package auditor_test

import (
	"testing"
	"time"

	"latchkey.dev/services/internal/bus"
)

// BenchmarkOrder orders 100,000 events from the stream, and compares that with what the
// same machine does of raw inserts of as many events, 500 a statement, in the same run.
func BenchmarkOrder(b *testing.B) {
	const n, chunk = 100_000, 500
	for b.Loop() {
		b.StopTimer()
		w := newWorld(b)
		events := w.make(n)
		began := time.Now()
		for i := 0; i < n; i += chunk {
			w.write(events[i : i+chunk])
		}
		inserts := n / time.Since(began).Seconds()
		w.exec("ANALYZE")
		began = time.Now()
		for i := 0; i < n; i += 4000 {
			w.publish(events[i:min(i+4000, n)])
		}
		published := n / time.Since(began).Seconds()
		b.StartTimer()
		began = time.Now()
		i := w.patient(time.Minute)
		w.ordered(n)
		took := time.Since(began)
		b.StopTimer()
		w.settled()
		w.inOrder(events)
		w.alarms()
		i.stop()
		b.ReportMetric(n/took.Seconds(), "ordered/s")
		b.ReportMetric(inserts, "inserts/s")
		b.ReportMetric(published, "published/s")
		b.ReportMetric(n/took.Seconds()/inserts, "ordered/insert")
		b.StartTimer()
	}
}

// BenchmarkOrderLive orders events as they are written and published, one of them a
// statement and message after the other: the time from the commit to the place.
func BenchmarkOrderLive(b *testing.B) {
	w := newWorld(b)
	w.patient(time.Minute)
	n := 0
	for b.Loop() {
		e := w.make(1)
		w.write(e)
		msg := []bus.Message{{ID: e[0].ID, Subject: e[0].BusSubject(), Data: e[0].Body}}
		if err := w.publisher.Publish(b.Context(), msg); err != nil {
			b.Fatal(err)
		}
		n++
		for w.count("SELECT count(*) FROM leaf WHERE event_id = $1", e[0].ID) == 0 {
		}
	}
}
