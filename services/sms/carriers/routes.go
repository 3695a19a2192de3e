package carriers

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"latchkey.dev/services/internal/web"
)

// routes is everything on one port. What only programs with a carrier's credentials ask
// for is open to all; what shows texts or changes carriers is guarded against browsers
// that act for other pages.
func (s *Simulator) routes() http.Handler {
	mux := http.NewServeMux()
	for _, v := range s.vendors {
		s.mount(mux, v)
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

// mount adds a carrier's API.
func (s *Simulator) mount(mux *http.ServeMux, v vendor) {
	for _, path := range v.paths {
		mux.Handle(path, s.apis[v.carrier])
	}
	if v.besides != nil {
		for path, serve := range v.besides(s) {
			mux.Handle(path, s.besides(v.carrier, serve))
		}
	}
}

// besides serves what is asked of a carrier besides taking texts: not counted, and broken
// where the carrier is down, broken or hangs.
func (s *Simulator) besides(c Carrier, serve http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch b := s.lines[c].get(); b.Mode {
		case Down:
			drop(w)
		case Hang:
			s.hold(w, r)
		case Broken:
			write(w, broken(b))
		default:
			r.Body = http.MaxBytesReader(w, r.Body, maxRequest)
			serve(w, r)
		}
	})
}

// carrierRoutes is one carrier's API alone.
func (s *Simulator) carrierRoutes(c Carrier) http.Handler {
	mux := http.NewServeMux()
	for _, v := range s.vendors {
		if v.carrier == c {
			s.mount(mux, v)
		}
	}
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
