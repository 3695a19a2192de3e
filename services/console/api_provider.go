package console

import (
	"context"
	"net/http"
	"slices"
	"strconv"

	"latchkey.dev/services/access"
	"latchkey.dev/services/internal/web"
	"latchkey.dev/services/routing"
)

var (
	errOperatorFactor = web.NewProblem(http.StatusForbidden, "second-factor", "A registered device is needed", "Operators need a second factor, whatever their account asks for. Sign in on a device that is registered for you.")
	errDecisionQuery  = web.NewProblem(http.StatusBadRequest, "bad-query", "Not a parameter of this", "A decision takes country, as CA, and some take force, true or false, each once.")
)

// orderRequest is the order in which providers shall be asked.
type orderRequest struct {
	Providers []string `json:"providers"`
}

// steers are the routes of the API about providers.
func (c *Console) steers() []route {
	pin := func(ctx context.Context, by access.Actor, name string, d decision) error {
		return c.PinProvider(ctx, by, name, d.country)
	}
	drain := func(ctx context.Context, by access.Actor, name string, d decision) error {
		return c.DrainProvider(ctx, by, name, d.country, d.force)
	}
	resume := func(kind string) decide {
		return func(ctx context.Context, by access.Actor, name string, d decision) error {
			return c.ResumeProvider(ctx, by, name, d.country, kind)
		}
	}
	all := []route{
		{"GET /v1/providers", c.getProviders},
		{"PUT /v1/providers/{provider}/pin", c.decides(pin)},
		{"DELETE /v1/providers/{provider}/pin", c.decides(resume(routing.Pin))},
		{"PUT /v1/providers/{provider}/drain", c.decides(drain, "force")},
		{"DELETE /v1/providers/{provider}/drain", c.decides(resume(routing.Drain))},
		{"PUT /v1/provider-order", c.putOrder},
		{"DELETE /v1/provider-order", c.deleteOrder},
	}
	for i, r := range all {
		all[i].serve = func(w http.ResponseWriter, req *http.Request, who person) error {
			if who.lacksFactor {
				return errOperatorFactor
			}
			return r.serve(w, req, who)
		}
	}
	return all
}

func (c *Console) getProviders(w http.ResponseWriter, r *http.Request, who person) error {
	all, err := c.Providers(r.Context(), who.Actor)
	if err != nil {
		return err
	}
	web.WriteJSON(w, http.StatusOK, all)
	return nil
}

// decision is what the address of a request says of one.
type decision struct {
	country string
	force   bool
}

// decide makes a decision about a provider.
type decide func(ctx context.Context, by access.Actor, name string, d decision) error

// decisionOf reads a decision; besides the country it takes what more names.
func decisionOf(r *http.Request, who person, more ...string) (d decision, err error) {
	if !who.In(access.SteerProviders) {
		return d, errForbidden
	}
	for name, values := range r.URL.Query() {
		switch {
		case len(values) != 1:
			return d, errDecisionQuery
		case name == "country" && values[0] != "":
			d.country = values[0]
		case name == "force" && slices.Contains(more, name):
			if d.force, err = strconv.ParseBool(values[0]); err != nil {
				return d, errDecisionQuery
			}
		default:
			return d, errDecisionQuery
		}
	}
	return d, nil
}

// decides serves decisions about a provider, and answers with what is known of it then.
func (c *Console) decides(do decide, more ...string) func(http.ResponseWriter, *http.Request, person) error {
	return func(w http.ResponseWriter, r *http.Request, who person) error {
		d, err := decisionOf(r, who, more...)
		if err != nil {
			return err
		}
		name := r.PathValue("provider")
		if err := do(r.Context(), who.Actor, name, d); err != nil {
			return err
		}
		all, err := c.Providers(r.Context(), who.Actor)
		if err != nil {
			return err
		}
		for _, p := range all.Providers {
			if p.Name == name {
				web.WriteJSON(w, http.StatusOK, p)
				return nil
			}
		}
		w.WriteHeader(http.StatusNoContent) // it is not configured, and nothing is left of it
		return nil
	}
}

func (c *Console) putOrder(w http.ResponseWriter, r *http.Request, who person) error {
	d, err := decisionOf(r, who, "force")
	if err != nil {
		return err
	}
	var in orderRequest
	if err := web.ReadJSON(w, r, &in); err != nil {
		return err
	}
	if len(in.Providers) == 0 {
		var f faults
		f.add("providers", "none", "Name the providers in their order. DELETE goes back to the configured one.")
		return f.orderProblem()
	}
	return c.order(w, r, who, d, in.Providers)
}

func (c *Console) deleteOrder(w http.ResponseWriter, r *http.Request, who person) error {
	d, err := decisionOf(r, who, "force")
	if err != nil {
		return err
	}
	return c.order(w, r, who, d, nil)
}

// order decides on an order and answers with who is asked then.
func (c *Console) order(w http.ResponseWriter, r *http.Request, who person, d decision, names []string) error {
	if err := c.OrderProviders(r.Context(), who.Actor, d.country, names, d.force); err != nil {
		return err
	}
	s, err := c.steering(r.Context(), c.q)
	if err != nil {
		return err
	}
	web.WriteJSON(w, http.StatusOK, s.route(d.country))
	return nil
}
