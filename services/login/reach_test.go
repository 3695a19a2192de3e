package login_test

import (
	"net/http"
	"testing"

	"latchkey.dev/services/login"
)

// No code goes to a country that the installation does not reach, whatever the account allows,
// and no challenge is made.
func TestAnInstallationReachesItsCountriesAlone(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "pro", true).another(0, func(o *login.Options) { o.Reach = []string{"US", "FR"} })
	h.member(ada)
	h.exec("UPDATE account SET countries = '{CA}'")
	want(t, "a number in Canada", http.StatusForbidden, "country-not-allowed")(h.signIn(newDevice(t), "ada", password))
	if n := h.count("SELECT count(*) FROM challenge"); n != 0 {
		t.Errorf("%d challenges, want none", n)
	}
	if n := h.count("SELECT count(*) FROM login_event WHERE type = 'latchkey.login.refused'"); n != 1 {
		t.Errorf("%d refusals are told, want 1", n)
	}
	allowed := h.another(0, func(o *login.Options) { o.Reach = []string{"US", "CA"} })
	want(t, "where the installation reaches Canada", http.StatusAccepted, "")(allowed.signIn(newDevice(t), "ada", password))
}
