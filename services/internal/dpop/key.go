package dpop

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/uuid"
)

// Key is a device's key, for clients: the command line, benchmarks and tests.
// A browser's key never leaves the browser.
type Key struct {
	private *ecdsa.PrivateKey
	signer  jose.Signer
}

// NewKey makes a P-256 key.
func NewKey() (*Key, error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making a device key: %w", err)
	}
	return keyOf(private)
}

// ParseKey reads what Marshal wrote.
func ParseKey(b []byte) (*Key, error) {
	var jwk jose.JSONWebKey
	if err := json.Unmarshal(b, &jwk); err != nil {
		return nil, fmt.Errorf("reading a device key: %w", err)
	}
	private, ok := jwk.Key.(*ecdsa.PrivateKey)
	if !ok || private.Curve != elliptic.P256() {
		return nil, fmt.Errorf("reading a device key: not a private P-256 key")
	}
	return keyOf(private)
}

// Marshal writes the private key as a JWK, for a file that only its owner reads.
func (k *Key) Marshal() ([]byte, error) { return json.Marshal(jose.JSONWebKey{Key: k.private}) }

func keyOf(private *ecdsa.PrivateKey) (*Key, error) {
	o := (&jose.SignerOptions{EmbedJWK: true}).WithType("dpop+jwt")
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: private}, o)
	if err != nil {
		return nil, fmt.Errorf("making a device key: %w", err)
	}
	return &Key{private, s}, nil
}

// Thumbprint is the key's RFC 7638 thumbprint.
func (k *Key) Thumbprint() [32]byte {
	b, err := (&jose.JSONWebKey{Key: k.private.Public()}).Thumbprint(crypto.SHA256)
	if err != nil {
		panic(err) // a P-256 key has a thumbprint
	}
	return [32]byte(b)
}

// Prove signs a proof for one request, for a challenge or uuid.Nil.
func (k *Key) Prove(method, address, nonce string, challenge uuid.UUID, now time.Time) (string, error) {
	c := claims{Method: method, URL: address, IssuedAt: now.Unix(), ID: uuid.NewString(), Nonce: nonce}
	if challenge != uuid.Nil {
		c.Challenge = challenge.String()
	}
	payload, err := json.Marshal(c)
	if err != nil {
		return "", fmt.Errorf("proving a key: %w", err)
	}
	jws, err := k.signer.Sign(payload)
	if err != nil {
		return "", fmt.Errorf("proving a key: %w", err)
	}
	return jws.CompactSerialize()
}
