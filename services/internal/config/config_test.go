package config_test

import (
	"strings"
	"testing"

	"latchkey.dev/services/internal/config"
)

func TestParseReadsAWholeFile(t *testing.T) {
	t.Parallel()
	c, err := config.Parse([]byte(`
softwares:
  - {id: web, kind: web, name: Maple, autofill_host: login.maple.example, addresses: ['https://app.maple.example/sign-in']}
  - {id: mobile, kind: mobile, name: Maple, app_hash: FA+9qCX9VSu}
providers:
  - {name: first, kind: vonage, api_key: abcd1234, api_secret_file: /etc/a, from: Maple}
  - {name: second, kind: twilio, account_sid: AC00000000000000000000000000000001, auth_token_file: /etc/b, messaging_service_sid: MG00000000000000000000000000000001}
  - {name: third, kind: aws, region: eu-central-1, access_key_id: AKIA0000000000000000, secret_access_key_file: /etc/c, from: Maple, configuration_set: texts, sns_topic: "arn:aws:sns:eu-central-1:123456789012:texts"}
  - {name: fourth, kind: smpp, address: "smsc.example:3550", system_id: maple, password_file: /etc/d, from: Maple, message_id: hex_to_decimal}
routes:
  - {countries: [DE, AT], providers: [second, first]}
countries: [CA, US]
receipts: https://login.maple.example/receipts
`))
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Softwares) != 2 || c.Softwares[0].Addresses[0] != "https://app.maple.example/sign-in" || c.Softwares[1].AppHash != "FA+9qCX9VSu" {
		t.Errorf("softwares: %+v", c.Softwares)
	}
	if len(c.Providers) != 4 || c.Providers[3].SystemID != "maple" || c.Providers[2].Region != "eu-central-1" || c.Providers[0].Name != "first" || c.Providers[1].MessagingServiceSID == "" || c.Receipts == "" || len(c.Countries) != 2 || len(c.Routes) != 1 || c.Routes[0].Providers[0] != "second" {
		t.Errorf("providers: %+v", c.Providers)
	}
	if c, err := config.Parse(nil); err != nil || len(c.Providers) != 0 {
		t.Errorf("an empty file: %+v, %v", c, err)
	}
}

// Everything that is wrong is told at once, by its place.
func TestParseTellsAllFaultsAtOnce(t *testing.T) {
	t.Parallel()
	_, err := config.Parse([]byte(`
softwares:
  - {id: Web, kind: desktop, name: "名", autofill_host: "https://x", app_hash: short}
  - {id: a, kind: web, name: A, addresses: ["ftp://x", "https://ok.example/in"]}
  - {id: a, kind: web, name: A}
providers:
  - {name: "", kind: pigeon}
  - {name: v, kind: vonage}
  - {name: v, kind: twilio, account_sid: AC1, auth_token_file: f, from: "+1", messaging_service_sid: MG1}
  - {name: w, kind: vonage, rate: -1, account_sid: AC1, signature_method: md5}
  - {name: x1, kind: aws, sns_topic: t}
  - {name: x2, kind: webhook, from: Maple}
  - {name: x3, kind: smpp, window: -1, message_id: octal}
routes:
  - {countries: [de], providers: [v, v, x]}
  - {countries: [], providers: []}
  - {countries: [AT, AT], providers: [v]}
countries: [DE, de, XX]
limits: {member: {day: -2}, account: {ten_minutes: 100000000}}
spend: {currency: euro, prices: {de: 1, FR: -1}, hour: .nan, alarm: 2}
receipts: https://x.example/elsewhere?q
`))
	if err == nil {
		t.Fatal("nothing is wrong")
	}
	for _, want := range []string{"softwares[0].id", "softwares[0].kind", "softwares[0].name", "softwares[0].autofill_host", "softwares[0].app_hash",
		"softwares[1].addresses[0]", `softwares[2].id: "a" is there twice`, "providers[0].name", "providers[0].kind", "providers[1].api_key", "providers[1].api_secret_file",
		"providers[1].from", "providers[2].from", `providers[2].name: "v" is there twice`, "providers[3].rate", "providers[3].account_sid: is not for the kind vonage",
		"providers[3].signature_method: must be", "providers[3].signature_method: needs",
		"providers[4].from", "providers[4].region", "providers[4].access_key_id", "providers[4].secret_access_key_file", "providers[4].sns_topic",
		"providers[5].url", "providers[5].secret_files", "providers[5].from: is not for the kind webhook",
		"providers[6].from", "providers[6].address", "providers[6].system_id", "providers[6].password_file", "providers[6].window", "providers[6].message_id",
		`routes[0].countries: "de"`, `routes[0].providers: "v" is there twice`, `routes[0].providers: there is no provider "x"`,
		"routes[1].countries", "routes[1].providers", "routes[2].countries: AT has a route already", `countries[1]: "de"`, `countries[2]: "XX"`, "limits.member.day", "limits.account.ten_minutes", "spend.currency", `spend.prices: "de"`, "spend.prices.FR", "spend.hour", "spend.alarm", "receipts:"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not among the faults:\n%v", want, err)
		}
	}
	if strings.Contains(err.Error(), "addresses[1]") {
		t.Errorf("a good address is among the faults:\n%v", err)
	}
	if _, err := config.Parse([]byte("providrs: []")); err == nil || !strings.Contains(err.Error(), "providrs") {
		t.Errorf("a misspelt field: %v", err)
	}
}

// What is not given has its usual value, and -1 is none.
func TestLimitsInForce(t *testing.T) {
	t.Parallel()
	c, err := config.Parse([]byte("limits: {member: {ten_minutes: 7}, address: {day: -1}}"))
	if err != nil {
		t.Fatal(err)
	}
	l := c.Limits.InForce()
	if l.Member != (config.Limit{TenMinutes: 7, Day: 20}) || l.Number.TenMinutes != 5 || l.Address != (config.Limit{TenMinutes: 100}) {
		t.Errorf("in force are %+v", l)
	}
}
