package carriers_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"latchkey.dev/services/internal/secret"
	"latchkey.dev/services/sms"
	"latchkey.dev/services/sms/carriers"
)

// recorder is the least that a handler needs to answer.
type recorder struct {
	header http.Header
	status int
}

func (r *recorder) Header() http.Header         { return r.header }
func (r *recorder) Write(b []byte) (int, error) { return len(b), nil }
func (r *recorder) WriteHeader(status int)      { r.status = status }

// BenchmarkText is what one text costs the simulator, beside the HTTP server.
func BenchmarkText(b *testing.B) {
	for c, path := range map[carriers.Carrier]string{carriers.Vonage: "/sms/json", carriers.Twilio: twilioPath} {
		b.Run(string(c), func(b *testing.B) {
			s := carriers.New(carriers.Options{})
			defer s.Close()
			form := vonageForm(map[string][]string{"text": {"482101 is your Latchkey code. It works for 5 minutes. Nobody will ask you for it.\n\n@localhost #482101"}}).Encode()
			if c == carriers.Twilio {
				form = twilioForm(nil).Encode()
			}
			var failed atomic.Int64
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					r, err := http.NewRequest(http.MethodPost, path, strings.NewReader(form))
					if err != nil {
						b.Error(err)
						return
					}
					r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
					r.SetBasicAuth(carriers.DemoTwilioSID, carriers.DemoTwilioToken)
					w := &recorder{header: http.Header{}}
					if s.Handler().ServeHTTP(w, r); w.status != http.StatusOK && w.status != http.StatusCreated {
						failed.Add(1)
					}
				}
			})
			if n := failed.Load(); n > 0 {
				b.Errorf("%d texts were not taken", n)
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "texts/s")
		})
	}
}

// BenchmarkSend is a text over HTTP by the vendor's SDK, with its receipts: the SDK, the
// simulator and the receiver share the processors.
func BenchmarkSend(b *testing.B) {
	for _, c := range carriers.Usual {
		b.Run(string(c), func(b *testing.B) {
			_, base := start(b, carriers.Options{})
			receiver := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
			b.Cleanup(receiver.Close)
			a := adapters(b, base, sms.Callback{Base: receiver.URL, Key: secret.New("0123456789abcdef")})[c]
			m := message(b, number, "482101 is your Latchkey code. It works for 5 minutes. Nobody will ask you for it.")
			var failed atomic.Int64
			b.SetParallelism(32)
			b.ReportAllocs()
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if a.Send(b.Context(), m).Ending != sms.Accepted {
						failed.Add(1)
					}
				}
			})
			if n := failed.Load(); n > 0 {
				b.Errorf("%d texts were not taken", n)
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "texts/s")
		})
	}
}
