package console_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"latchkey.dev/services/access"
	"latchkey.dev/services/console"
	"latchkey.dev/services/device"
	"latchkey.dev/services/internal/config"
	"latchkey.dev/services/phone"
	"latchkey.dev/services/routing"
	"latchkey.dev/services/sms"
)

// delivery has three providers: two of them carry to Germany, the other way round.
var delivery = console.Delivery{
	Providers: []config.Provider{{Name: "one", Kind: "vonage", Rate: 30}, {Name: "two", Kind: "twilio"}, {Name: "three", Kind: "twilio"}},
	Routes:    map[string][]string{"DE": {"three", "two"}, "AT": {"three", "two"}},
}

// desk is an operator's console with these providers.
type desk struct {
	*clinic
	by access.Actor
}

func newDesk(t *testing.T) desk {
	return desk{newClinic(t, console.Account{}), access.Actor{Kind: access.Operator, Name: "night-shift"}}
}

func (d desk) all() console.Providers {
	d.t.Helper()
	all, err := d.Providers(d.t.Context(), d.by)
	if err != nil {
		d.t.Fatal(err)
	}
	return all
}

// asked fails the test unless these are asked in a country, which is "" for all others.
func (d desk) asked(what, country string, want ...string) {
	d.t.Helper()
	got := d.all().Routes[0].Providers
	for _, r := range d.all().Routes {
		if r.Country == country {
			got = r.Providers
		}
	}
	if !slices.Equal(got, want) {
		d.t.Errorf("%s: %s is carried by %v, want %v", what, country, got, want)
	}
}

// does fails the test unless an operator's decision tells these events.
func (d desk) does(what string, err error, types ...string) {
	d.t.Helper()
	if err != nil {
		d.t.Errorf("%s: %v", what, err)
	}
	d.tells(what, types...)
}

func TestAPinPutsAProviderFirst(t *testing.T) {
	t.Parallel()
	d, ctx := newDesk(t), t.Context()
	d.asked("as configured", "", "one", "two", "three")
	d.asked("as configured", "DE", "three", "two")
	d.does("a pin", d.PinProvider(ctx, d.by, "two", ""), "provider.pinned")
	d.asked("a pin", "", "two", "one", "three")
	d.asked("a pin", "DE", "two", "three")
	d.does("the same pin", d.PinProvider(ctx, d.by, "two", ""))
	d.does("a pin of a country", d.PinProvider(ctx, d.by, "three", "CA"), "provider.pinned")
	d.does("another pin of it", d.PinProvider(ctx, d.by, "one", "CA"), "provider.pinned")
	d.asked("its own pin", "CA", "one", "two", "three")
	d.asked("its own pin", "", "two", "one", "three")
	if n := d.count("SELECT count(*) FROM provider_rule WHERE kind = 'pin' AND country = 'CA'"); n != 1 {
		t.Errorf("%d pins of one country", n)
	}
	if body := d.last("provider.pinned"); !strings.Contains(body, `"account":"`+uuid.Nil.String()+`"`) || !strings.Contains(body, `{"provider":"one","country":"CA","by":"operator:night-shift"}`) {
		t.Error(body)
	}
	refused(t, "a pin where it carries nothing", d.PinProvider(ctx, d.by, "one", "DE"), "provider-not-in-order")
	refused(t, "a pin of nobody", d.PinProvider(ctx, d.by, "four", ""), "not-found")
	d.tells("what was refused")
	d.does("a drain", d.DrainProvider(ctx, d.by, "three", "DE", false), "provider.drained")
	refused(t, "a pin of a drained one", d.PinProvider(ctx, d.by, "three", "DE"), "provider-drained")
}

func TestADrainedProviderGetsNothing(t *testing.T) {
	t.Parallel()
	d, ctx := newDesk(t), t.Context()
	d.does("a drain", d.DrainProvider(ctx, d.by, "two", "DE", false), "provider.drained")
	d.does("the same drain", d.DrainProvider(ctx, d.by, "two", "DE", false))
	d.asked("a drain of a country", "DE", "three")
	d.asked("a drain of a country", "AT", "three", "two")
	d.asked("a drain of a country", "", "one", "two", "three")
	d.does("a pin beside it", d.PinProvider(ctx, d.by, "two", "AT"), "provider.pinned")
	d.does("a drain everywhere", d.DrainProvider(ctx, d.by, "two", "", false), "provider.drained")
	d.asked("a drain beats a pin", "AT", "three")
	d.asked("a drain everywhere", "", "one", "three")

	refused(t, "the last one of two countries", d.DrainProvider(ctx, d.by, "three", "", false), "last-provider")
	err := d.DrainProvider(ctx, d.by, "three", "", false)
	if err == nil || !strings.Contains(err.Error(), "carry texts to AT, DE: nobody there would get a code") {
		t.Errorf("the last one of two countries: %v", err)
	}
	refused(t, "the last one in one scope", d.DrainProvider(ctx, d.by, "three", "DE", false), "last-provider")
	d.tells("what was refused")
	d.does("forced", d.DrainProvider(ctx, d.by, "three", "DE", true), "provider.drained")
	d.asked("forced", "DE")
	if body := d.last("provider.drained"); !strings.Contains(body, `"forced":true`) {
		t.Error(body)
	}
	// One that nobody is stranded by needs no force, though a country has nobody already.
	d.does("one more", d.DrainProvider(ctx, d.by, "one", "DE", false), "provider.drained")

	d.does("resuming", d.ResumeProvider(ctx, d.by, "two", "", routing.Pin, routing.Drain), "provider.resumed")
	d.does("resuming twice", d.ResumeProvider(ctx, d.by, "two", "", routing.Pin, routing.Drain))
	d.asked("a scope's own drain stays", "DE")
	d.asked("a scope's own pin stays", "AT", "two", "three")
	rules := d.all().Providers[1].Rules
	if len(rules) != 2 || rules[0].Rule != routing.Drain || rules[0].Country != "DE" || rules[1].Rule != routing.Pin || rules[1].Country != "AT" || rules[1].SetBy != "operator:night-shift" || rules[1].SetAt.IsZero() {
		t.Errorf("in force: %+v", rules)
	}
	d.does("only a drain", d.ResumeProvider(ctx, d.by, "two", "DE", routing.Drain), "provider.resumed")
	if body := d.last("provider.resumed"); !strings.Contains(body, `"country":"DE","rules":["drain"]`) {
		t.Error(body)
	}
	d.asked("resumed", "DE", "two")
	refused(t, "resuming nobody", d.ResumeProvider(ctx, d.by, "four", "", routing.Drain), "not-found")
	refused(t, "draining nobody", d.DrainProvider(ctx, d.by, "four", "", true), "not-found")
	refused(t, "no country", d.DrainProvider(ctx, d.by, "two", "XX", true), "bad-query")
	refused(t, "no country", d.DrainProvider(ctx, d.by, "two", "de", true), "bad-query")
}

func TestAnOrderReplacesTheConfiguredOne(t *testing.T) {
	t.Parallel()
	d, ctx := newDesk(t), t.Context()
	d.does("an order", d.OrderProviders(ctx, d.by, "", []string{"three", "one"}, false), "provider.ordered")
	d.does("the same order", d.OrderProviders(ctx, d.by, "", []string{"three", "one"}, false))
	d.asked("an order", "", "three", "one")
	d.asked("a configured route is nearer", "DE", "three", "two")
	d.does("an order of a country", d.OrderProviders(ctx, d.by, "DE", []string{"two"}, false), "provider.ordered")
	d.asked("an order of a country", "DE", "two")
	for _, r := range d.all().Routes {
		if own := r.SetAt != nil; own != (r.Country != "AT") || own && r.SetBy != "operator:night-shift" {
			t.Errorf("who ordered %+v", r)
		}
	}
	refused(t, "a pin of one that is not in it", d.PinProvider(ctx, d.by, "two", "CA"), "provider-not-in-order")
	refused(t, "strangers", d.OrderProviders(ctx, d.by, "DE", []string{"four", "one", "two", "two"}, false), "bad-order", "providers unknown", "providers not_configured_there", "providers twice")
	d.does("a drain", d.DrainProvider(ctx, d.by, "two", "CA", false), "provider.drained")
	refused(t, "an order of drained ones", d.OrderProviders(ctx, d.by, "CA", []string{"two"}, false), "last-provider")
	d.does("forced", d.OrderProviders(ctx, d.by, "CA", []string{"two"}, true), "provider.ordered")
	d.asked("forced", "CA")
	d.does("back to the configuration", d.OrderProviders(ctx, d.by, "DE", nil, false), "provider.ordered")
	if body := d.last("provider.ordered"); !strings.Contains(body, `"providers":[],"country":"DE"`) {
		t.Error(body)
	}
	d.does("back twice", d.OrderProviders(ctx, d.by, "DE", nil, false))
	d.asked("back to the configuration", "DE", "three", "two")
}

// What was decided of a provider whose name has left the configuration is shown, does
// nothing, and can be taken away.
func TestRulesOfAProviderThatIsConfiguredNoMore(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.exec("INSERT INTO provider_rule (kind, country, provider, set_by) VALUES ('pin', '', 'gone', 'operator'), ('order', 'CA', 'gone', 'operator')")
	d.asked("a pin of it", "", "one", "two", "three")
	d.asked("an order of it", "CA", "one", "two", "three")
	all := d.all().Providers
	if len(all) != 4 || all[3].Name != "gone" || all[3].Configured || len(all[3].Rules) != 1 {
		t.Errorf("%+v", all)
	}
	d.does("resuming it", d.ResumeProvider(t.Context(), d.by, "gone", "", routing.Pin, routing.Drain), "provider.resumed")
}

func TestWhatIsKnownOfAProvider(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.exec(`INSERT INTO provider_health (provider, country, breaker, breaker_reason, accepted, typed, demoted_at, demoted_until, receipt_seconds)
		VALUES ('one', 'CA', 'open', 'timeout', 20, 3, now(), now() + interval '1 minute', 12.5), ('gone', '', 'closed', '', 0, 0, NULL, NULL, 1)`)
	d.exec("INSERT INTO dispatcher_instance (id, seen_at) VALUES ($1, now()), ($2, now() - interval '1 hour')", uuid.New(), uuid.New())
	all := d.all()
	one := all.Providers[0]
	if len(all.Providers) != 3 || one.Kind != "vonage" || one.Rate != 30 || !one.Configured || len(one.Health) != 1 || all.Dispatchers != 1 {
		t.Fatalf("%+v", all)
	}
	h := one.Health[0]
	if h.Country != "CA" || h.Breaker != "open" || h.BreakerReason != "timeout" || h.BreakerSince.IsZero() || h.Accepted != 20 || h.Typed != 3 || h.DemotedAt == nil || h.DemotedUntil == nil || h.ReceiptSeconds != 12.5 {
		t.Errorf("%+v", h)
	}
}

func TestATestIsToldWithoutItsNumber(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	to, err := phone.Parse("+16044410142", "")
	if err != nil {
		t.Fatal(err)
	}
	d.does("a test", d.ProviderTested(t.Context(), d.by, "one", to, sms.Ambiguous), "provider.tested")
	body := d.last("provider.tested")
	if !strings.Contains(body, `"data":{"provider":"one","country":"CA","ending":"ambiguous","by":"operator:night-shift"}`) || strings.Contains(body, "0142") {
		t.Error(body)
	}
}

// Who may not steer providers learns nothing of them and changes nothing.
func TestOnlyOperatorsSteerProviders(t *testing.T) {
	t.Parallel()
	d, ctx := newDesk(t), t.Context()
	actors := []access.Actor{{Kind: access.Product, Account: d.account, ID: uuid.New()}}
	for _, role := range device.Roles {
		actors = append(actors, access.Actor{Kind: access.Member, Account: d.account, ID: uuid.New(), Role: role})
	}
	for _, by := range actors {
		_, list := d.Providers(ctx, by)
		for what, err := range map[string]error{"list": list, "pin": d.PinProvider(ctx, by, "one", ""), "drain": d.DrainProvider(ctx, by, "one", "", true),
			"resume": d.ResumeProvider(ctx, by, "one", "", routing.Pin), "order": d.OrderProviders(ctx, by, "", []string{"two"}, true),
			"test": d.ProviderTested(ctx, by, "one", phone.Number{}, sms.Accepted)} {
			refused(t, string(by.Kind)+" "+string(by.Role)+" "+what, err, "forbidden")
		}
	}
	d.tells("what was refused")
	if n := d.count("SELECT count(*) FROM provider_rule"); n != 0 {
		t.Errorf("%d rules", n)
	}
	right := access.Actor{Kind: access.Member, Account: d.account, ID: uuid.New(), Role: device.Provider, Operates: true}
	d.does("the operator right", d.PinProvider(ctx, right, "two", ""), "provider.pinned")
}

// Two operators who drain the last two providers at once: one of them is refused.
func TestTwoDecisionsAtOnceAreJudgedOneAfterTheOther(t *testing.T) {
	t.Parallel()
	d, ctx := newDesk(t), t.Context()
	answers := make(chan error, 2)
	for _, name := range []string{"two", "three"} {
		go func() { answers <- d.DrainProvider(ctx, d.by, name, "DE", false) }()
	}
	var refusals []error
	for range 2 {
		if err := <-answers; err != nil {
			refusals = append(refusals, err)
		}
	}
	if len(refusals) != 1 {
		t.Fatalf("%d of two were refused: %v", len(refusals), refusals)
	}
	refused(t, "the second", refusals[0], "last-provider")
}
