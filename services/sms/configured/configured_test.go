package configured_test

import (
	"os"
	"path/filepath"
	"testing"

	"latchkey.dev/services/internal/config"
	"latchkey.dev/services/internal/secret"
	"latchkey.dev/services/sms/configured"
)

// A provider that is asked for no receipts is none whose silence says anything, and each has
// the rate that is configured, or usual for its kind.
func TestProvidersReportWhereTheyAreAsked(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte("secret0123456789"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := config.File{Providers: []config.Provider{
		{Name: "first", Kind: "vonage", APIKey: "abcd1234", APISecretFile: file, From: "Maple"},
		{Name: "second", Kind: "twilio", AccountSID: "AC00000000000000000000000000000001", AuthTokenFile: file, From: "+15005550006", Rate: 3},
		{Name: "third", Kind: "aws", From: "Maple",
			AWS: config.AWS{Region: "ca-central-1", AccessKeyID: "AKIA0000000000000000", SecretAccessKeyFile: file}},
	}}
	for address, reporting := range map[string]map[string]bool{
		"":                                     {},
		"https://login.maple.example/receipts": {"first": true, "second": true}, // AWS reports to the topic that is not named
	} {
		c.Receipts = address
		all, err := configured.Providers(c, secret.New("a key of sixteen bytes"))
		if err != nil || len(all) != 3 {
			t.Fatalf("%d providers: %v", len(all), err)
		}
		for i, rate := range []float64{27, 3, 0} {
			if p := all[i]; (p.Receipts != nil) != reporting[p.Name] || p.Rate != rate {
				t.Errorf("with receipts at %q, %s reports: %v, want %v; its rate is %v, want %v", address, p.Name, p.Receipts != nil, reporting[p.Name], p.Rate, rate)
			}
		}
	}
}

// Everything that is wrong with the providers is told at once.
func TestFaultsOfAllProvidersAreTold(t *testing.T) {
	t.Parallel()
	_, err := configured.Providers(config.File{Providers: []config.Provider{
		{Name: "first", Kind: "vonage", APISecretFile: "/nowhere"}, {Name: "second", Kind: "pigeon"}}}, secret.New("a key of sixteen bytes"))
	if err == nil {
		t.Fatal("nothing is wrong")
	}
	if _, err := configured.Providers(config.File{}, secret.New("a key of sixteen bytes")); err == nil {
		t.Error("no provider is enough")
	}
}
