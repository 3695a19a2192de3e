package config

import (
	"maps"
	"slices"
	"strings"
)

// Provider is a way to send texts.
type Provider struct {
	Name string `yaml:"name"` // as in events, metrics and tables; of its own
	Kind string `yaml:"kind"` // one of kinds
	From string `yaml:"from,omitempty"`
	// BaseURL is where the vendor's API is; empty is the vendor's own.
	BaseURL string `yaml:"base_url,omitempty"`
	// Rate is how many texts a second the vendor takes, from all dispatchers together;
	// not given: what is usual for the kind, 0 where nothing is.
	Rate float64 `yaml:"rate,omitempty"`

	APIKey        string `yaml:"api_key,omitempty"`         // vonage
	APISecretFile string `yaml:"api_secret_file,omitempty"` // vonage

	// SignatureSecretFile holds what the vendor signs its receipts with; without it they
	// are known by their addresses alone.
	SignatureSecretFile string `yaml:"signature_secret_file,omitempty"` // vonage
	// SignatureMethod is sha256hmac (if not given) or sha512hmac, as set in the vendor's dashboard.
	SignatureMethod string `yaml:"signature_method,omitempty"` // vonage

	AccountSID          string `yaml:"account_sid,omitempty"`           // twilio
	AuthTokenFile       string `yaml:"auth_token_file,omitempty"`       // twilio
	MessagingServiceSID string `yaml:"messaging_service_sid,omitempty"` // twilio, instead of from

	// URL takes the texts of a service of the operator's own, SecretFiles hold what signs
	// them and the receipts: more than one while they are exchanged.
	URL         string   `yaml:"url,omitempty"`          // webhook
	SecretFiles []string `yaml:"secret_files,omitempty"` // webhook

	AWS  `yaml:",inline"`
	SMPP `yaml:",inline"`
}

// kind is what a kind of provider needs and takes, by the names of fields; name, kind and
// rate all have.
type kind struct{ needs, takes []string }

var kinds = map[string]kind{
	"vonage":  {needs: []string{"api_key", "api_secret_file", "from"}, takes: []string{"base_url", "signature_secret_file", "signature_method"}},
	"webhook": {needs: []string{"url", "secret_files"}},
	"aws":     {needs: []string{"from"}, takes: []string{"base_url"}},
	"twilio":  {needs: []string{"account_sid", "auth_token_file"}, takes: []string{"from", "base_url", "messaging_service_sid"}},
	"smpp":    {needs: []string{"from"}},
}

// given are the fields that some kinds have, and whether they are set.
func (p Provider) given() map[string]bool {
	return map[string]bool{
		"from":                  p.From != "",
		"base_url":              p.BaseURL != "",
		"api_key":               p.APIKey != "",
		"api_secret_file":       p.APISecretFile != "",
		"signature_secret_file": p.SignatureSecretFile != "",
		"signature_method":      p.SignatureMethod != "",
		"url":                   p.URL != "",
		"secret_files":          len(p.SecretFiles) > 0,
		"account_sid":           p.AccountSID != "",
		"auth_token_file":       p.AuthTokenFile != "",
		"messaging_service_sid": p.MessagingServiceSID != "",
	}
}

// faults finds what a file alone can be wrong in; the adapter of the kind judges the rest.
func (p Provider) faults() (all []string) {
	wrong := func(is bool, what string) {
		if is {
			all = append(all, what)
		}
	}
	wrong(!providerName.MatchString(p.Name), "name: must be 1 to 32 small letters, digits, hyphens and underscores, a letter first")
	wrong(!(p.Rate >= 0 && p.Rate <= 1e6), "rate: must be 0 to 1000000 texts a second")
	k, known := kinds[p.Kind]
	if !known {
		return append(all, "kind: must be one of "+strings.Join(slices.Sorted(maps.Keys(kinds)), ", "))
	}
	given := p.given()
	for _, field := range k.needs {
		wrong(!given[field], field+": is missing")
	}
	for _, field := range slices.Sorted(maps.Keys(given)) {
		wrong(given[field] && !slices.Contains(k.needs, field) && !slices.Contains(k.takes, field), field+": is not for the kind "+p.Kind)
	}
	wrong(p.Kind != "aws" && p.AWS != AWS{}, "region: it and the other fields of AWS are not for the kind "+p.Kind)
	wrong(p.Kind != "smpp" && p.SMPP != SMPP{}, "address: it and the other fields of SMPP are not for the kind "+p.Kind)
	return append(all, p.kindFaults()...)
}

// kindFaults finds what is wrong in fields that are there.
func (p Provider) kindFaults() (all []string) {
	switch p.Kind {
	case "vonage":
		if !slices.Contains([]string{"", "sha256hmac", "sha512hmac"}, p.SignatureMethod) {
			all = append(all, "signature_method: must be sha256hmac or sha512hmac")
		}
		if p.SignatureMethod != "" && p.SignatureSecretFile == "" {
			all = append(all, "signature_method: needs a signature_secret_file")
		}
	case "aws":
		all = append(all, p.AWS.faults()...)
	case "smpp":
		all = append(all, p.SMPP.faults()...)
	case "twilio":
		if (p.From == "") == (p.MessagingServiceSID == "") {
			all = append(all, "from: exactly one of it and messaging_service_sid must be set")
		}
	}
	return all
}
