package carriers

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"latchkey.dev/services/internal/web"
)

//go:embed page
var pageFiles embed.FS

var pageTemplate = template.Must(template.ParseFS(pageFiles, "page/phones.html"))

const (
	pageTexts   = 100 // texts that the page shows
	maxViewers  = 64
	streamPause = 200 * time.Millisecond // texts that come together are shown together
	streamTick  = time.Second            // how soon the page sees that a carrier changed
	streamWrite = 10 * time.Second
	policy      = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)

// bubble is a text as the page shows it.
type bubble struct {
	Seq     uint64  `json:"seq"`
	At      string  `json:"at"` // RFC 3339, UTC
	Carrier Carrier `json:"carrier"`
	To      string  `json:"to"`
	From    string  `json:"from"`
	Body    string  `json:"body"`
	Code    string  `json:"code"` // the digits to type; "" when there are none
}

// Clock is the time of day in UTC, which the page's script turns into the reader's.
func (b bubble) Clock() string {
	if len(b.At) < len("2006-01-02T15:04:05") {
		return ""
	}
	return b.At[11:19] + " UTC"
}

// Phone is the address of the page of the text's number alone.
func (b bubble) Phone() string { return "/?to=" + url.QueryEscape(b.To) }

// codeDigits are a code: it begins its text, and what tells of something else does not.
var codeDigits = regexp.MustCompile(`^[0-9]{4,10}\b`)

func bubbles(texts []Text) []bubble {
	all := make([]bubble, 0, len(texts))
	for _, t := range texts {
		all = append(all, bubble{Seq: t.Seq, At: t.At.UTC().Format(time.RFC3339), Carrier: t.Carrier, To: t.To, From: t.From, Body: t.Body, Code: codeDigits.FindString(t.Body)})
	}
	return all
}

// panel is a carrier as the page shows it.
type panel struct {
	Carrier Carrier `json:"carrier"`
	Name    string  `json:"name"`   // for a person
	Preset  string  `json:"preset"` // "" where no button made it so
	Label   string  `json:"label"`
	Counts  string  `json:"counts"`
}

func (s *Simulator) panels() []panel {
	var all []panel
	for _, v := range s.vendors {
		state := s.state(v.carrier)
		p := panel{Carrier: v.carrier, Name: v.name, Preset: presetOf(v, state.Behaviour), Label: "Set by a program"}
		for _, known := range presets {
			if known.Name == p.Preset {
				p.Label = known.Label
			}
		}
		p.Counts = fmt.Sprintf("%d asked, %d taken, %d refused", state.Stats.Requests, state.Stats.Taken, state.Stats.Refused)
		all = append(all, p)
	}
	return all
}

// page is the page of the phones, its files and what they ask for.
func (s *Simulator) page(handle func(pattern string, serve func(http.ResponseWriter, *http.Request) error)) {
	handle("GET /{$}", s.getPage)
	handle("GET /page/stream", s.getStream)
	handle("POST /page/behave", s.postBehave)
	handle("POST /page/reset", s.postStartOver)
	for name, kind := range map[string]string{"phones.css": "text/css", "phones.js": "text/javascript", "icon.svg": "image/svg+xml"} {
		text, err := pageFiles.ReadFile("page/" + name)
		if err != nil {
			panic(err) // it is embedded
		}
		handle("GET /page/"+name, func(w http.ResponseWriter, _ *http.Request) error {
			w.Header().Set("Content-Type", kind+"; charset=utf-8")
			_, err := w.Write(text)
			return err
		})
	}
}

// pageData is what the template shows.
type pageData struct {
	To, SignIn string
	Mail       bool // there are mailboxes too
	Place      string
	Texts      []bubble
	Blank      bubble // the mould of texts that come later
	Panels     []panel
	Presets    []preset
}

// phoneOf is the number that a page is about, "" for all.
func phoneOf(r *http.Request) (string, error) {
	to := r.URL.Query().Get("to")
	if to != "" && !e164(to) {
		return "", bad("to must be a number with its +, which a query writes as %2B.")
	}
	return to, nil
}

func (s *Simulator) getPage(w http.ResponseWriter, r *http.Request) error {
	to, err := phoneOf(r)
	if err != nil {
		return err
	}
	texts, now, _ := s.journal.latest(place{}, to, pageTexts)
	var out bytes.Buffer
	if err := pageTemplate.Execute(&out, pageData{To: to, SignIn: s.o.SignIn, Mail: s.o.Mail != nil, Place: s.mark(now), Texts: bubbles(texts), Panels: s.panels(), Presets: presets}); err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", policy)
	w.Header().Set("Cross-Origin-Opener-Policy", "same-origin")
	_, err = w.Write(out.Bytes())
	return err
}

// mark writes a place for the page, which gives it back to go on from there. The places
// of another run of the simulator are no places of this one.
func (s *Simulator) mark(p place) string { return fmt.Sprintf("%x.%x.%x", s.run, p.resets, p.seq) }

// placeOf reads a mark; that of another run is the beginning of another life.
func (s *Simulator) placeOf(mark string) place {
	var run uint64
	var p place
	if n, err := fmt.Sscanf(mark, "%x.%x.%x", &run, &p.resets, &p.seq); err != nil || n != 3 || run != s.run {
		return place{resets: ^uint64(0)}
	}
	return p
}

var tooManyViewers = web.NewProblem(http.StatusServiceUnavailable, "too-many-viewers", "Too many pages", "Too many pages follow the texts.").After(10 * time.Second)

// getStream tells a page of new texts and changed carriers as server-sent events: texts
// (newest first, as many as the page shows), carriers, and reset where the journal began
// anew.
func (s *Simulator) getStream(w http.ResponseWriter, r *http.Request) error {
	to, err := phoneOf(r)
	if err != nil {
		return err
	}
	if s.viewers.Add(1) > maxViewers {
		s.viewers.Add(-1)
		return tooManyViewers
	}
	defer s.viewers.Add(-1)
	mark := r.Header.Get("Last-Event-ID")
	if mark == "" {
		mark = r.URL.Query().Get("after")
	}
	patient(w)
	w.Header().Set("Content-Type", "text/event-stream")
	out := http.NewResponseController(w)
	send := func(name string, id place, v any) bool {
		data, err := json.Marshal(v)
		if err != nil {
			return false
		}
		_ = out.SetWriteDeadline(time.Now().Add(streamWrite))
		_, err = fmt.Fprintf(w, "event: %s\nid: %s\ndata: %s\n\n", name, s.mark(id), data)
		return err == nil && out.Flush() == nil
	}
	tick := time.NewTicker(streamTick)
	defer tick.Stop()
	at, last := s.placeOf(mark), ""
	for {
		texts, now, grown := s.journal.latest(at, to, pageTexts)
		if now.resets != at.resets && !send("reset", now, nil) {
			return nil
		}
		if len(texts) > 0 && !send("texts", now, bubbles(texts)) {
			return nil
		}
		at = now
		panels := s.panels()
		if state := fmt.Sprint(panels); state != last {
			if !send("carriers", now, panels) {
				return nil
			}
			last = state
		}
		select {
		case <-grown:
			if !s.pause(w, r, streamPause) {
				return nil
			}
		case <-tick.C:
		case <-r.Context().Done():
			return nil
		case <-s.ctx.Done():
			return nil
		}
	}
}

// postBehave presses a button: a form with the names of a carrier and a preset.
func (s *Simulator) postBehave(w http.ResponseWriter, r *http.Request) error {
	r.Body = http.MaxBytesReader(w, r.Body, web.MaxBody)
	if r.ParseForm() != nil {
		return web.BadRequest
	}
	i := slices.IndexFunc(s.vendors, func(v vendor) bool { return string(v.carrier) == r.PostForm.Get("carrier") })
	if i < 0 {
		return noCarrier
	}
	for _, p := range presets {
		if p.Name == r.PostForm.Get("preset") {
			if err := s.Behave(s.vendors[i].carrier, p.of(s.vendors[i])); err != nil {
				return err
			}
			return s.back(w, r)
		}
	}
	return bad("There is no such button.")
}

func (s *Simulator) postStartOver(w http.ResponseWriter, r *http.Request) error {
	if err := s.Reset(); err != nil {
		return err
	}
	return s.back(w, r)
}

// back answers a form: the page again, or what its script asks for.
func (s *Simulator) back(w http.ResponseWriter, r *http.Request) error {
	if strings.Contains(r.Header.Get("Accept"), "application/json") {
		web.WriteJSON(w, http.StatusOK, s.panels())
		return nil
	}
	http.Redirect(w, r, "/", http.StatusSeeOther)
	return nil
}
