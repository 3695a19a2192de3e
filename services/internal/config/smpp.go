package config

import "slices"

// SMPP is what a provider of the kind smpp has besides: an account at a message centre.
type SMPP struct {
	Address      string `yaml:"address,omitempty"` // host:port
	SystemID     string `yaml:"system_id,omitempty"`
	PasswordFile string `yaml:"password_file,omitempty"`
	SystemType   string `yaml:"system_type,omitempty"`
	// Plaintext goes without TLS: only for a line on which nobody else listens.
	Plaintext bool `yaml:"plaintext,omitempty"`
	// Window is how many texts may wait for their answers; 10 if not given.
	Window int `yaml:"window,omitempty"`
	// MessageID is as_is (if not given), or hex_to_decimal where the vendor answers with
	// hexadecimal ids and reports decimal ones.
	MessageID string `yaml:"message_id,omitempty"`
}

func (s SMPP) faults() (all []string) {
	for _, f := range []struct{ value, field string }{{s.Address, "address"}, {s.SystemID, "system_id"}, {s.PasswordFile, "password_file"}} {
		if f.value == "" {
			all = append(all, f.field+": is missing")
		}
	}
	if s.Window < 0 || s.Window > 1000 {
		all = append(all, "window: must be 1 to 1000")
	}
	if !slices.Contains([]string{"", "as_is", "hex_to_decimal"}, s.MessageID) {
		all = append(all, "message_id: must be as_is or hex_to_decimal")
	}
	return all
}
