package login_test

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/google/uuid"
)

// The text is in the language of the person, else of the browser, else of the account.
func TestTextsLanguage(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "pro", true)
	id := h.member(ada)
	h.exec("UPDATE account SET language = 'es'")
	sent := func(headers ...string) (language string) {
		t.Helper()
		b := h.browser()
		b.open("/sign-in")
		if status, page := b.do("POST", "/sign-in", "user_id=ada&password="+url.QueryEscape(password)+"&software=web&form="+url.QueryEscape(b.form), headers...); status != http.StatusSeeOther {
			t.Fatalf("signing in: %d\n%s", status, page)
		}
		if err := h.owner.QueryRow(t.Context(), "SELECT language FROM challenge ORDER BY created_at DESC, id DESC LIMIT 1").Scan(&language); err != nil {
			t.Fatal(err)
		}
		return language
	}
	if got := sent(); got != "es" {
		t.Errorf("nobody chose: %s, want the account's", got)
	}
	if got := sent("Accept-Language", "fr-CA, en;q=0.5"); got != "fr" {
		t.Errorf("the browser asks for French: %s", got)
	}
	if got := sent("Accept-Language", ";;;q=,fr"); got != "es" {
		t.Errorf("the browser asks for nothing that can be read: %s, want the account's", got)
	}
	h.exec("UPDATE member SET language = 'de' WHERE id = $1", id)
	if got := sent("Accept-Language", "fr"); got != "de" {
		t.Errorf("the person chose German: %s", got)
	}
	h.exec("UPDATE member SET language = NULL WHERE id = $1", id)
	proof := h.proof(newDevice(t), "POST", "https://shop.example/login", uuid.Nil)
	status, answer := h.call("POST", "/v1/device-checks", map[string]any{"member": id, "software": "web", "proof": proof, "headers": map[string]any{"accept_language": "de-CH"}}, "Authorization", "Bearer "+h.apiKey)
	if status != http.StatusAccepted || h.count("SELECT count(*) FROM challenge WHERE language = 'de' AND origin = 'device_check'") != 1 {
		t.Errorf("a product's browser asks for German: %d %v", status, answer)
	}
}
