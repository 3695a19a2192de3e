package mail

import (
	"fmt"

	"latchkey.dev/services/email"
	"latchkey.dev/services/internal/config"
	"latchkey.dev/services/internal/secret"
)

// Configured returns the mail server that a configuration names, nil where it names none.
func Configured(c *config.Mail) (Sender, error) {
	if c == nil {
		return nil, nil
	}
	from, err := email.Parse(c.From)
	if err != nil {
		return nil, fmt.Errorf("mail: from: %w", err)
	}
	var password secret.String
	if c.PasswordFile != "" {
		if password, err = secret.FromFile(c.PasswordFile); err != nil {
			return nil, fmt.Errorf("mail: %w", err)
		}
	}
	s, err := NewSMTP(Options{Host: c.Host, Port: c.Port, Security: Security(c.Security), Username: c.Username, Password: password, From: from, Name: c.Name})
	if err != nil {
		return nil, err
	}
	return s, nil
}
