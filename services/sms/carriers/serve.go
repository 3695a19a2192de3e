package carriers

import (
	"bytes"
	"cmp"
	"net/http"
	"strconv"
	"time"

	"latchkey.dev/services/code"
)

// order is what a request asks of a carrier.
type order struct {
	id        string // the carrier's id of the text
	to        string // E.164 with its +
	from      string
	body      string // as the phone shows it
	clientRef string
	callback  string // where receipts go; "" asks for none
	parts     int    // segments
	service   bool   // Twilio: sent through a messaging service
	at        time.Time
	context   map[string]string // AWS: what comes back in events
	origin    string            // AWS: under which it was asked
}

// answer is one HTTP answer of a vendor.
type answer struct {
	status int
	body   []byte
	kind   string // the content type; JSON when empty
	aside  bool   // it is about no text, and is not counted
}

// protocol is how one vendor reads and writes.
type protocol interface {
	// read authenticates and reads a request. A non-nil answer is the vendor's refusal.
	read(r *http.Request) (order, *answer)
	accepted(o order) answer
	// refused is the answer of an error code; a code of the vendor's, as text.
	refused(code string, o order) answer
	throttled(o order) answer
	// empty is a well-formed answer that says nothing about the text.
	empty() answer
	// receipts are the reports of a text in the order of sending, as b says.
	receipts(o order, b Behaviour) report
}

const (
	maxRequest = 64 << 10 // bytes of a request's body
	hugeAnswer = 10 << 20 // bytes that Huge answers
	dripEvery  = 100 * time.Millisecond
)

// serve answers one carrier's requests in the way it behaves.
func (s *Simulator) serve(c Carrier, p protocol) http.Handler {
	l := s.lines[c]
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		l.requests.Add(1)
		b := l.draw()
		if b.Mode == Down {
			drop(w)
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxRequest)
		// The whole request is read before anything goes wrong: a client that gives up
		// then knows only that it was written.
		o, refusal := p.read(r)
		if !s.pause(w, r, time.Duration(b.DelayMS)*time.Millisecond) {
			return
		}
		switch b.Mode {
		case Hang:
			s.hold(w, r)
			return
		case Redirect:
			w.Header().Set("Location", b.Code)
			w.WriteHeader(http.StatusTemporaryRedirect)
			return
		case Broken:
			write(w, broken(b))
			return
		}
		if refusal == nil && b.Mode == Refuse {
			a := p.refused(b.Code, o)
			refusal = &a
		}
		if refusal == nil && b.Mode == Throttle {
			a := p.throttled(o)
			refusal = &a
		}
		if refusal != nil {
			if refusal.aside {
				l.requests.Add(^uint64(0)) // minus 1
			} else {
				l.refused.Add(1)
			}
			write(w, *refusal)
			return
		}

		o.at = s.now()
		l.taken.Add(1)
		if !b.Lost {
			s.journal.add(Text{At: o.at, Carrier: c, To: o.to, From: o.from, Body: o.body, Reference: o.id, ClientRef: o.clientRef,
				UserAgent: shorten(r.UserAgent(), maxUserAgent)})
		}
		// The receipts go last, or they would often arrive before the answer.
		if b.Receipt != ReceiptNone && reportable(o.callback) {
			defer func() {
				r := p.receipts(o, b)
				r.count = &l.receipts
				s.post.post(r, time.Duration(b.ReceiptDelayMS)*time.Millisecond)
			}()
		}
		s.answer(w, r, b, p, p.accepted(o))
	})
}

// answer gives the answer of a text that was taken, or what its mode makes of it.
func (s *Simulator) answer(w http.ResponseWriter, r *http.Request, b Behaviour, p protocol, a answer) {
	switch b.Mode {
	case DropAfterAccept:
		drop(w)
	case HangAfterAccept:
		s.hold(w, r)
	case Drip:
		header(w, a)
		flush := http.NewResponseController(w)
		for i := range a.body {
			if _, err := w.Write(a.body[i : i+1]); err != nil || flush.Flush() != nil || !s.pause(w, r, dripEvery) {
				return
			}
		}
	case BadJSON:
		a.body = a.body[:len(a.body)/2]
		write(w, a)
	case NoMessages:
		write(w, p.empty())
	case Huge:
		header(w, a)
		filler := bytes.Repeat([]byte{' '}, 64<<10)
		for range hugeAnswer / len(filler) {
			if _, err := w.Write(filler); err != nil {
				return
			}
		}
		w.Write(a.body)
	default:
		write(w, a)
		http.NewResponseController(w).Flush()
	}
}

// broken is the page of a server that fails.
func broken(b Behaviour) answer {
	status, _ := strconv.Atoi(cmp.Or(b.Code, "500"))
	return answer{status: status, kind: "text/html", body: []byte("<html><body><h1>" + http.StatusText(status) + "</h1></body></html>\n")}
}

func header(w http.ResponseWriter, a answer) {
	w.Header().Set("Content-Type", cmp.Or(a.kind, "application/json"))
	w.WriteHeader(a.status)
}

func write(w http.ResponseWriter, a answer) {
	w.Header().Set("Content-Length", strconv.Itoa(len(a.body)))
	header(w, a)
	w.Write(a.body)
}

const maxUserAgent = 256 // bytes that are kept of a user agent

func shorten(s string, limit int) string { return s[:min(len(s), limit)] }

// digits reports whether s is least to most digits.
func digits(s string, least, most int) bool {
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return false
		}
	}
	return least <= len(s) && len(s) <= most
}

// segments returns how many segments carry a text (3GPP TS 23.040 section 9.2.3.24.1):
// 160 septets or 70 UTF-16 units in one, 153 or 67 in each of several.
func segments(text string) int {
	one, many := code.SegmentSeptets, 153
	n, ok := code.Septets(text)
	if !ok {
		one, many, n = 70, 67, 0
		for _, r := range text {
			if n++; r > 0xFFFF {
				n++
			}
		}
	}
	if n <= one {
		return 1
	}
	return (n + many - 1) / many
}
