package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/google/uuid"

	"latchkey.dev/services/internal/dpop"
)

// proofCommand is `latchkey proof`.
type proofCommand struct {
	KeyFile   string    `help:"File of the device's key; made if it is not there." default:"device.jwk" type:"path"`
	Challenge uuid.UUID `help:"The challenge that the proof is for, if it is for one."`
	Nonce     string    `help:"The server's nonce; asked for if not given."`
	Method    string    `arg:"" help:"The request's method, as POST."`
	URL       string    `arg:"" help:"The request's address."`
}

// Run prints a proof, good for one request within a minute.
func (c *proofCommand) Run(ctx context.Context) error {
	key, err := c.key()
	if err != nil {
		return err
	}
	if c.Nonce == "" {
		if c.Nonce, err = c.nonce(ctx); err != nil {
			return err
		}
	}
	proof, err := key.Prove(c.Method, c.URL, c.Nonce, c.Challenge, time.Now())
	if err != nil {
		return err
	}
	fmt.Println(proof)
	return nil
}

func (c *proofCommand) key() (*dpop.Key, error) {
	b, err := os.ReadFile(c.KeyFile)
	if err == nil {
		return dpop.ParseKey(b)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	key, err := dpop.NewKey()
	if err != nil {
		return nil, err
	}
	if b, err = key.Marshal(); err != nil {
		return nil, err
	}
	return key, os.WriteFile(c.KeyFile, b, 0o600)
}

func (c *proofCommand) nonce(ctx context.Context) (string, error) {
	u, err := url.Parse(c.URL)
	if err != nil || u.Host == "" {
		return "", errors.New("the address is not one, as http://127.0.0.1:8080/v1/device-checks")
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, u.Scheme+"://"+u.Host+"/v1/nonce", nil)
	if err != nil {
		return "", err
	}
	resp, err := (&http.Client{Timeout: 10 * time.Second}).Do(r)
	if err != nil {
		return "", fmt.Errorf("asking for a nonce: %w", err)
	}
	defer resp.Body.Close()
	nonce := resp.Header.Get("DPoP-Nonce")
	if nonce == "" {
		return "", fmt.Errorf("%s gives no nonce; name one with --nonce", u.Host)
	}
	return nonce, nil
}
