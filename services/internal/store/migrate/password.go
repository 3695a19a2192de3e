package migrate

import (
	"context"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"latchkey.dev/services/internal/secret"
)

// scramIterations is PostgreSQL's own number.
const scramIterations = 4096

// SetPassword gives the role of a service its password. The server gets the verifier of
// SCRAM-SHA-256 alone (RFC 5802 section 3), so that no log of statements can hold the password.
func SetPassword(ctx context.Context, admin secret.String, service string, password secret.String) error {
	salt := make([]byte, 16)
	rand.Read(salt)
	verifier, err := scram(password, salt)
	if err != nil {
		return fmt.Errorf("setting the password of role latchkey_%s: %w", service, err)
	}
	cfg, err := pgx.ParseConfig(admin.Reveal())
	if err != nil {
		return errors.New("setting a role's password: the database's URL cannot be read")
	}
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return fmt.Errorf("setting the password of role latchkey_%s: %w", service, err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	// A verifier is letters, digits and $:+/=-, so it needs no quoting.
	if _, err := conn.Exec(ctx, "ALTER ROLE "+pgx.Identifier{"latchkey_" + service}.Sanitize()+" PASSWORD '"+verifier+"'"); err != nil {
		return fmt.Errorf("setting the password of role latchkey_%s: %w", service, err)
	}
	return nil
}

func scram(password secret.String, salt []byte) (string, error) {
	salted, err := pbkdf2.Key(sha256.New, password.Reveal(), salt, scramIterations, sha256.Size)
	if err != nil {
		return "", err
	}
	keyed := func(key []byte, text string) []byte {
		m := hmac.New(sha256.New, key)
		m.Write([]byte(text))
		return m.Sum(nil)
	}
	stored := sha256.Sum256(keyed(salted, "Client Key"))
	b64 := base64.StdEncoding.EncodeToString
	return fmt.Sprintf("SCRAM-SHA-256$%d:%s$%s:%s", scramIterations, b64(salt), b64(stored[:]), b64(keyed(salted, "Server Key"))), nil
}
