package carriers

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"latchkey.dev/services/internal/web"
)

// State is a carrier as the control API shows it.
type State struct {
	Carrier   Carrier   `json:"carrier"`
	Behaviour Behaviour `json:"behaviour"`
	Stats     Stats     `json:"stats"`
	Address   string    `json:"address,omitempty"` // of Listen
}

// Texts is a part of the journal.
type Texts struct {
	Texts []Text `json:"texts"`
	Last  uint64 `json:"last"` // the seq of the newest text of all
}

const (
	maxTexts     = 1000
	defaultTexts = 100
	maxWait      = 60 // seconds
	maxHeld      = 4096
)

var (
	noCarrier = web.NewProblem(http.StatusNotFound, "no-such-carrier", "No such carrier", "GET /control/carriers lists the carriers that run.")
	noText    = web.NewProblem(http.StatusNotFound, "no-such-text", "No text yet", "That number has not got so many texts.")
	leftText  = web.NewProblem(http.StatusGone, "text-forgotten", "Forgotten", "That text has left the journal.")
	tooMany   = web.NewProblem(http.StatusServiceUnavailable, "too-many-waiting", "Too many wait", "Too many requests wait for texts.").After(time.Second)
)

// bad is a problem about a request, in a sentence that repeats nothing of it.
func bad(detail string) error {
	return web.NewProblem(http.StatusBadRequest, "bad-request", "Bad request", detail)
}

// control is the control API.
func (s *Simulator) control(handle func(pattern string, serve func(http.ResponseWriter, *http.Request) error)) {
	handle("GET /control/carriers", s.getCarriers)
	handle("GET /control/carriers/{carrier}", s.getCarrier)
	handle("PUT /control/carriers/{carrier}/behaviour", s.putBehaviour)
	handle("GET /control/texts", s.getTexts)
	handle("GET /control/texts/{number}/{n}", s.getText)
	handle("POST /control/reset", s.postReset)
}

func (s *Simulator) state(c Carrier) State {
	l := s.lines[c]
	return State{Carrier: c, Behaviour: l.get(), Stats: s.Stats(c), Address: l.address()}
}

func (s *Simulator) states() []State {
	all := make([]State, 0, len(s.vendors))
	for _, v := range s.vendors {
		all = append(all, s.state(v.carrier))
	}
	return all
}

// named is the carrier of a request's path.
func (s *Simulator) named(r *http.Request) (Carrier, error) {
	c := Carrier(r.PathValue("carrier"))
	if s.lines[c] == nil {
		return "", noCarrier
	}
	return c, nil
}

func (s *Simulator) getCarriers(w http.ResponseWriter, _ *http.Request) error {
	web.WriteJSON(w, http.StatusOK, s.states())
	return nil
}

func (s *Simulator) getCarrier(w http.ResponseWriter, r *http.Request) error {
	c, err := s.named(r)
	if err != nil {
		return err
	}
	web.WriteJSON(w, http.StatusOK, s.state(c))
	return nil
}

func (s *Simulator) putBehaviour(w http.ResponseWriter, r *http.Request) error {
	c, err := s.named(r)
	if err != nil {
		return err
	}
	var b Behaviour
	if err := web.ReadJSON(w, r, &b); err != nil {
		return err
	}
	if err := b.validate(); err != nil {
		return bad(strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	if err := s.Behave(c, b); err != nil {
		return err
	}
	web.WriteJSON(w, http.StatusOK, s.state(c))
	return nil
}

func (s *Simulator) getTexts(w http.ResponseWriter, r *http.Request) error {
	query := r.URL.Query()
	since, err := strconv.ParseUint(cmp.Or(query.Get("since"), "0"), 10, 63)
	if err != nil {
		return bad("since must be the seq of a text, or 0.")
	}
	limit, err := strconv.Atoi(cmp.Or(query.Get("limit"), strconv.Itoa(defaultTexts)))
	if err != nil || limit < 1 || limit > maxTexts {
		return bad("limit must be 1 to " + strconv.Itoa(maxTexts) + ".")
	}
	to := query.Get("to")
	if to != "" && !e164(to) {
		return bad("to must be a number with its +, which a query writes as %2B.")
	}
	ctx, end, err := s.waiting(w, r)
	if err != nil {
		return err
	}
	defer end()
	for {
		_, now, grown := s.journal.latest(place{}, "", 0)
		texts := s.journal.since(since, to, limit)
		if len(texts) == 0 {
			select {
			case <-grown:
				continue
			case <-ctx.Done():
			}
		}
		web.WriteJSON(w, http.StatusOK, Texts{Texts: texts, Last: now.seq})
		return nil
	}
}

// waiting is the time that a request is ready to wait for a text, which ends with the
// simulator too. It lasts no longer than until end is called.
func (s *Simulator) waiting(w http.ResponseWriter, r *http.Request) (ctx context.Context, end func(), err error) {
	wait, err := strconv.Atoi(cmp.Or(r.URL.Query().Get("wait"), "0"))
	if err != nil || wait < 0 || wait > maxWait {
		return nil, nil, bad("wait must be 0 to " + strconv.Itoa(maxWait) + " seconds.")
	}
	if s.held.Add(1) > maxHeld {
		s.held.Add(-1)
		return nil, nil, tooMany
	}
	patient(w)
	ctx, cancel := context.WithTimeout(r.Context(), time.Duration(wait)*time.Second)
	stop := context.AfterFunc(s.ctx, cancel)
	return ctx, func() {
		stop()
		cancel()
		s.held.Add(-1)
	}, nil
}

func (s *Simulator) getText(w http.ResponseWriter, r *http.Request) error {
	to := r.PathValue("number")
	n, err := strconv.Atoi(r.PathValue("n"))
	if err != nil || n < 1 || !e164(to) {
		return bad("the path names a number with its + and which of its texts, from 1 on.")
	}
	ctx, end, err := s.waiting(w, r)
	if err != nil {
		return err
	}
	defer end()
	text, err := s.journal.wait(ctx, to, n)
	switch {
	case errors.Is(err, errForgotten):
		return leftText
	case err != nil:
		return noText
	}
	web.WriteJSON(w, http.StatusOK, text)
	return nil
}

func (s *Simulator) postReset(w http.ResponseWriter, _ *http.Request) error {
	if err := s.Reset(); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// e164 reports whether a number is written as the journal writes it.
func e164(number string) bool {
	return strings.HasPrefix(number, "+") && digits(number[1:], 7, 15)
}
