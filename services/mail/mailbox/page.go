package mailbox

import (
	"bytes"
	"cmp"
	"context"
	"embed"
	"html/template"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"latchkey.dev/services/internal/web"
)

//go:embed page
var pageFiles embed.FS

var pageTemplate = template.Must(template.New("mail.html").Funcs(template.FuncMap{"linked": linked}).ParseFS(pageFiles, "page/mail.html"))

const (
	pageMails = 100
	maxWait   = 60 // seconds
	policy    = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)

// Routes adds the page at /mail and the control API to a mux, whose guard keeps the pages
// of other sites out:
//
//	GET  /control/mail?to=ADDRESS&after=SEQ&wait=SECONDS  the mails, oldest first
//	PUT  /control/mail/behaviour {"mode": "accept"}       what it does with the next ones
func (s *Server) Routes(handle func(pattern string, serve func(http.ResponseWriter, *http.Request) error)) {
	handle("GET /mail", s.getPage)
	handle("POST /mail/behave", s.postBehave)
	handle("GET /control/mail", s.getMails)
	handle("PUT /control/mail/behaviour", s.putBehaviour)
	for name, kind := range map[string]string{"mail.css": "text/css", "mail.js": "text/javascript"} {
		text, err := pageFiles.ReadFile("page/" + name)
		if err != nil {
			panic(err) // it is embedded
		}
		handle("GET /mail/"+name, func(w http.ResponseWriter, _ *http.Request) error {
			w.Header().Set("Content-Type", kind+"; charset=utf-8")
			_, err := w.Write(text)
			return err
		})
	}
}

// part is a piece of a mail's text: a link, or not.
type part struct {
	Text string
	Link bool
}

var link = regexp.MustCompile(`https?://[^\s<>"]+`)

// linked finds the addresses in a text, as mail programs do.
func linked(text string) (all []part) {
	at := 0
	for _, m := range link.FindAllStringIndex(text, -1) {
		all = append(all, part{Text: text[at:m[0]]}, part{Text: text[m[0]:m[1]], Link: true})
		at = m[1]
	}
	return append(all, part{Text: text[at:]})
}

func (s *Server) getPage(w http.ResponseWriter, r *http.Request) error {
	mails, _ := s.Mails("", 0)
	last := uint64(0)
	if n := len(mails); n > 0 {
		last = mails[n-1].Seq
		mails = mails[max(0, n-pageMails):]
	}
	slices.Reverse(mails)
	var out bytes.Buffer
	if err := pageTemplate.Execute(&out, map[string]any{"Mails": mails, "Last": last, "Mode": s.Mode(), "Modes": Modes}); err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", policy)
	w.Header().Set("Cross-Origin-Opener-Policy", "same-origin")
	_, err := w.Write(out.Bytes())
	return err
}

func (s *Server) postBehave(w http.ResponseWriter, r *http.Request) error {
	r.Body = http.MaxBytesReader(w, r.Body, web.MaxBody)
	if r.ParseForm() != nil {
		return web.BadRequest
	}
	if err := s.behave(Mode(r.PostForm.Get("mode"))); err != nil {
		return err
	}
	http.Redirect(w, r, "/mail", http.StatusSeeOther)
	return nil
}

func (s *Server) putBehaviour(w http.ResponseWriter, r *http.Request) error {
	var in struct {
		Mode Mode `json:"mode"`
	}
	if err := web.ReadJSON(w, r, &in); err != nil {
		return err
	}
	if err := s.behave(in.Mode); err != nil {
		return err
	}
	web.WriteJSON(w, http.StatusOK, map[string]Mode{"mode": s.Mode()})
	return nil
}

func (s *Server) behave(m Mode) error {
	if !slices.Contains(Modes, m) {
		return bad("mode must be accept, refuse, defer, hang or down.")
	}
	return s.Behave(m)
}

// Mails is the answer of GET /control/mail.
type Mails struct {
	Mails []Mail `json:"mails"`
}

func (s *Server) getMails(w http.ResponseWriter, r *http.Request) error {
	query := r.URL.Query()
	after, err1 := strconv.ParseUint(cmp.Or(query.Get("after"), "0"), 10, 63)
	wait, err2 := strconv.Atoi(cmp.Or(query.Get("wait"), "0"))
	if err1 != nil || err2 != nil || wait < 0 || wait > maxWait {
		return bad("after must be the seq of a mail or 0, and wait 0 to " + strconv.Itoa(maxWait) + " seconds.")
	}
	ctx, cancel := context.WithTimeout(r.Context(), time.Duration(wait)*time.Second)
	defer cancel()
	defer context.AfterFunc(s.ctx, cancel)()
	to := strings.TrimSpace(query.Get("to"))
	for {
		mails, grown := s.Mails(to, after)
		if len(mails) == 0 {
			select {
			case <-grown:
				continue
			case <-ctx.Done():
			}
		}
		web.WriteJSON(w, http.StatusOK, Mails{mails})
		return nil
	}
}

func bad(detail string) error {
	return web.NewProblem(http.StatusBadRequest, "bad-request", "Bad request", detail)
}
