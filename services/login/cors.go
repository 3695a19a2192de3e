package login

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"latchkey.dev/services/internal/web"
)

// shared serves what a product's own page asks from the browser.
func (l *Login) shared(serve func(http.ResponseWriter, *http.Request) error) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		if err := l.allowOrigin(w, r); err != nil {
			return err
		}
		return serve(w, r)
	}
}

// allowOrigin lets the page of a product read the answer, where its origin is that of an
// address that one of the installation's softwares registered (fetch.spec.whatwg.org,
// "CORS protocol"). No cookie ever comes along, and none is asked for.
func (l *Login) allowOrigin(w http.ResponseWriter, r *http.Request) error {
	w.Header().Add("Vary", "Origin")
	origin := header(r, "Origin")
	if origin == "" || origin == l.o.Origin {
		return nil
	}
	all, err := l.softwares.get(r.Context())
	if err != nil {
		return err
	}
	for _, s := range all {
		if slices.ContainsFunc(s.Addresses, func(a string) bool { return originOf(a) == strings.ToLower(origin) }) {
			w.Header().Set("Access-Control-Allow-Origin", origin)
			w.Header().Set("Access-Control-Expose-Headers", "DPoP-Nonce, Retry-After, WWW-Authenticate")
			break
		}
	}
	return nil
}

// originOf returns the origin of a web address as a browser sends it, "" for any other.
func originOf(address string) string {
	u, err := url.Parse(strings.ToLower(address))
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return ""
	}
	host := strings.TrimSuffix(u.Host, map[string]string{"https": ":443", "http": ":80"}[u.Scheme])
	return u.Scheme + "://" + host
}

// preflight answers what a browser asks before it sends a proof across origins, where it may.
func preflight(w http.ResponseWriter, r *http.Request) error {
	if w.Header().Get("Access-Control-Allow-Origin") == "" || r.Header.Get("Access-Control-Request-Method") == "" {
		return web.NotFound
	}
	w.Header().Set("Access-Control-Allow-Methods", "GET, POST")
	w.Header().Set("Access-Control-Allow-Headers", "Content-Type, DPoP")
	w.Header().Set("Access-Control-Max-Age", "600")
	w.WriteHeader(http.StatusNoContent)
	return nil
}
