package mail_test

import (
	"strings"
	"testing"

	"latchkey.dev/services/email"
	"latchkey.dev/services/internal/secret"
	"latchkey.dev/services/mail"
)

// A password never leaves in clear, nor a message to another machine.
func TestWrongOptionsAreRefused(t *testing.T) {
	t.Parallel()
	from, err := email.Parse("latchkey@maple.example")
	if err != nil {
		t.Fatal(err)
	}
	for want, o := range map[string]mail.Options{
		"":                      {Host: "smtp.maple.example", From: from, Username: "u", Password: secret.New("p")},
		"host":                  {From: from},
		"from":                  {Host: "smtp.maple.example"},
		"port":                  {Host: "smtp.maple.example", From: from, Port: 70000},
		"username: needs":       {Host: "smtp.maple.example", From: from, Username: "u"},
		"only to this machine":  {Host: "smtp.maple.example", From: from, Security: mail.Clear},
		"may not be sent in":    {Host: "127.0.0.1", From: from, Security: mail.Clear, Username: "u", Password: secret.New("p")},
		"security: must be":     {Host: "smtp.maple.example", From: from, Security: "maybe"},
		"name: must be one lin": {Host: "smtp.maple.example", From: from, Name: "a\r\nBcc: b"},
	} {
		_, err := mail.NewSMTP(o)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}
