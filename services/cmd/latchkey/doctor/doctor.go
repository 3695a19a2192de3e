// Package doctor looks at an installation from outside and says what is wrong with it, and
// what to do. It changes nothing.
package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"latchkey.dev/services/internal/config"
	"latchkey.dev/services/internal/install"
	"latchkey.dev/services/up"
	"latchkey.dev/services/up/local"
)

// State is how bad a finding is.
type State string

const (
	OK      State = "ok"
	Warning State = "warning" // it works, and may not for long, or not for everybody
	Fault   State = "fault"   // something does not work
)

// Finding is what was seen of one thing.
type Finding struct {
	State State  `json:"state"`
	Check string `json:"check"`
	Found string `json:"found"`
	Do    string `json:"do,omitempty"` // the next step; empty where there is none
}

// Options say which installation is looked at. Data and Keys are required.
type Options struct {
	Data   string // its folder
	Keys   install.Folder
	Config string // its configuration: that of the running installation if empty

	// Services are those whose files are on this machine: all if empty.
	Services []string
	// Console is how browsers reach the console; it is not looked for if empty.
	Console string

	HTTP *http.Client // with nothing followed and 5 s a request, if nil
}

// Timeout is how long one thing is waited for.
const Timeout = 5 * time.Second

// MaxOffset is how far clocks may be apart.
const MaxOffset = time.Second

// patient keeps what the checks share.
type patient struct {
	Options
	conf       config.File
	configured bool // conf could be read
	databases  bool // the main database answers somebody
	bus        bool
}

// findings collects what one check saw.
type findings struct {
	check string
	all   []Finding
}

func (f *findings) add(s State, do, format string, args ...any) {
	f.all = append(f.all, Finding{s, f.check, fmt.Sprintf(format, args...), do})
}

func (f *findings) ok(format string, args ...any)          { f.add(OK, "", format, args...) }
func (f *findings) warning(do, format string, args ...any) { f.add(Warning, do, format, args...) }
func (f *findings) fault(do, format string, args ...any)   { f.add(Fault, do, format, args...) }
func (f *findings) bad() bool {
	return slices.ContainsFunc(f.all, func(x Finding) bool { return x.State != OK })
}

// check is one look at the patient.
type check struct {
	name  string
	needs need
	look  func(*patient, context.Context, *findings)
}

// need is what a check needs to make sense.
type need int

const (
	nothing need = iota
	running      // of the installation: its database and its bus
	aConfiguration
	both
)

// first are looked at one after the other: what they see decides what else makes sense.
var first = []check{{"configuration", nothing, (*patient).configuration}, {"keys", nothing, (*patient).keys}, {"databases", nothing, (*patient).database}, {"bus", nothing, (*patient).stream}}

// then are looked at all at once.
var then = []check{
	{"secrets", aConfiguration, (*patient).secrets},
	{"schema", running, (*patient).schema},
	{"rights", running, (*patient).rights},
	{"codes", running, (*patient).epochs},
	{"dispatchers", running, (*patient).dispatchers},
	{"clock", running, (*patient).clock},
	{"providers", aConfiguration, (*patient).providers},
	{"receipts", both, (*patient).receipts},
	{"sign-in", both, (*patient).signIn},
	{"console", running, (*patient).console},
	{"mail", aConfiguration, (*patient).mail},
	{"disk", nothing, (*patient).disk},
}

// Look looks at everything and returns what it saw, in the same order every time. Where the
// installation does not run it says so, once, and leaves out what only a running one has.
func Look(ctx context.Context, o Options) []Finding {
	if len(o.Services) == 0 {
		o.Services = up.Services
	}
	if o.Config == "" {
		o.Config = local.RunningConfig(o.Data)
	}
	if o.HTTP == nil {
		o.HTTP = &http.Client{Timeout: Timeout, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	}
	if p := string(o.Keys); missing(p) && missing(o.Config) {
		return []Finding{{Fault, "running", "no installation is here: neither " + p + " nor " + o.Config + " is there", "start one: latchkey up; or name its folder: LATCHKEY_DATA"}}
	}
	p := &patient{Options: o}
	var before [][]Finding
	for _, c := range first {
		before = append(before, c.by(p, ctx))
	}
	runs := findings{check: "running"}
	switch {
	case p.databases && p.bus:
		runs.ok("database and bus answer")
	case !p.databases && !p.bus:
		runs.fault("start it: latchkey up", "Latchkey is not running: neither its database nor its bus answers, and what needs them is not looked at")
		before = before[:2] // said once
	default:
		runs.fault("start what does not answer (below), or all of it: latchkey up", "Latchkey runs in part")
	}
	after := make([][]Finding, len(then))
	var all sync.WaitGroup
	for i, c := range then {
		if p.has(c.needs) {
			all.Go(func() { after[i] = c.by(p, ctx) })
		}
	}
	all.Wait()
	return slices.Concat(append(append([][]Finding{runs.all}, before...), after...)...)
}

func missing(path string) bool {
	_, err := os.Stat(path)
	return errors.Is(err, fs.ErrNotExist)
}

func (c check) by(p *patient, ctx context.Context) []Finding {
	f := &findings{check: c.name}
	c.look(p, ctx, f)
	return f.all
}

func (p *patient) has(n need) bool {
	up := p.databases || p.bus
	return (n != running && n != both || up) && (n != aConfiguration && n != both || p.configured)
}

// in is a path of the data folder.
func (p *patient) in(name string) string { return filepath.Join(p.Data, name) }
