package carriers

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"latchkey.dev/services/internal/web"
)

// paths are where the vendors' APIs take texts.
var paths = map[Carrier]string{
	Vonage: "POST /sms/json",
	Twilio: "POST /" + twilioVersion + "/Accounts/{sid}/Messages.json",
}

// routes is everything on one port. What only programs with a carrier's credentials ask
// for is open to all; what shows texts or changes carriers is guarded against browsers
// that act for other pages.
func (s *Simulator) routes() http.Handler {
	mux := http.NewServeMux()
	for _, c := range Carriers {
		mux.Handle(paths[c], s.apis[c])
	}
	inner := http.NewServeMux()
	handle := func(pattern string, serve func(http.ResponseWriter, *http.Request) error) {
		inner.Handle(pattern, web.Handler{Logger: s.o.Logger, Serve: serve})
	}
	s.control(handle)
	s.page(handle)
	if s.o.Mail != nil {
		s.o.Mail(handle)
	}
	handle("/", func(http.ResponseWriter, *http.Request) error { return web.NotFound })
	mux.Handle("/", s.guard(inner))
	return mux
}

// carrierRoutes is one carrier's API alone.
func (s *Simulator) carrierRoutes(c Carrier) http.Handler {
	mux := http.NewServeMux()
	mux.Handle(paths[c], s.apis[c])
	return mux
}

var (
	crossSite = web.NewProblem(http.StatusForbidden, "cross-site", "Cross-site request", "A page of another site must not change carriers.")
	wrongHost = web.NewProblem(http.StatusMisdirectedRequest, "unknown-host", "Unknown host", "The phones are not shown under this host name. Start the carriers with it among their hosts.")
)

// guard refuses what a page of another site can make a browser do: requests that change
// something, and reading under a name of that site's own which it has turned to this
// machine's address (DNS rebinding). Addresses, names without a dot and localhost cannot
// be such a site's.
func (s *Simulator) guard(next http.Handler) http.Handler {
	cross := http.NewCrossOriginProtection()
	cross.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { crossSite.Write(w) }))
	protected := cross.Handler(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		if !s.ours(r.Host) {
			wrongHost.Write(w)
			return
		}
		protected.ServeHTTP(w, r)
	})
}

// ours reports whether a host may show phones.
func (s *Simulator) ours(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if _, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		return true
	}
	return !strings.Contains(host, ".") || strings.HasSuffix(host, ".localhost") || slices.Contains(s.o.Hosts, host)
}
