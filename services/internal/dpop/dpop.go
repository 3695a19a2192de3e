// Package dpop proves and verifies possession of a device's key: DPoP proofs of
// RFC 9449, ES256 alone, always with a nonce of ours.
package dpop

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/uuid"
	"github.com/tink-crypto/tink-go/v2/tink"
)

const (
	// MaxSize is the longest proof that is looked at, in bytes.
	MaxSize = 4096
	// NonceLife is how long a nonce is good for.
	NonceLife = 60 * time.Second
	// clockSlack is how far iat may be off. The nonce says how fresh a proof is; people's clocks say little.
	clockSlack = 24 * time.Hour
	maxJTI     = 128
	maxURL     = 2048
)

// ErrUseNonce says that the proof is well formed but has no nonce of ours that is still
// good: the caller answers with a fresh one (RFC 9449 section 8).
var ErrUseNonce = errors.New("the proof needs a fresh nonce of this server")

// ErrInvalid is wrapped by every other refusal; its text may be shown.
var ErrInvalid = errors.New("invalid DPoP proof")

// Proof is a verified proof.
type Proof struct {
	Thumbprint [32]byte // RFC 7638, SHA-256
	// ID is SHA-256 over the key's thumbprint and jti: what must not be seen twice.
	ID [32]byte
	// NonceTime is when our nonce was made.
	NonceTime time.Time
	// Challenge is the claim "challenge", the id of the challenge a proof is for, or nil.
	Challenge uuid.UUID
}

type claims struct {
	Method    string `json:"htm"`
	URL       string `json:"htu"`
	IssuedAt  int64  `json:"iat"`
	ID        string `json:"jti"`
	Nonce     string `json:"nonce"`
	Challenge string `json:"challenge,omitempty"`
}

// Nonces makes and checks nonces without remembering them: a time and its MAC.
type Nonces struct {
	mac tink.MAC
	now func() time.Time
}

// NewNonces makes nonces with mac, shared by all instances of a service.
func NewNonces(mac tink.MAC, now func() time.Time) *Nonces { return &Nonces{mac, now} }

// New returns a nonce good for NonceLife.
func (n *Nonces) New() (string, error) { return n.Sign("nonce", nil, n.now()) }

// Sign returns a token for a purpose and a subject, with the time inside.
func (n *Nonces) Sign(purpose string, subject []byte, at time.Time) (string, error) {
	stamp := binary.BigEndian.AppendUint64(nil, uint64(at.UnixMilli()))
	tag, err := n.mac.ComputeMAC(signed(purpose, subject, stamp))
	if err != nil {
		return "", fmt.Errorf("making a nonce: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(append(stamp, tag...)), nil
}

// Check returns when a token of Sign was made; false for one that is not ours, older than life or from the future.
func (n *Nonces) Check(purpose string, subject []byte, token string, life time.Duration) (time.Time, bool) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || len(b) < 9 || len(b) > 128 {
		return time.Time{}, false
	}
	if n.mac.VerifyMAC(b[8:], signed(purpose, subject, b[:8])) != nil {
		return time.Time{}, false
	}
	at := time.UnixMilli(int64(binary.BigEndian.Uint64(b[:8])))
	age := n.now().Sub(at)
	return at, age <= life && age >= -life
}

func signed(purpose string, subject, stamp []byte) []byte {
	b := append([]byte("latchkey/"+purpose+"/v1\x00"), stamp...)
	return append(b, subject...)
}

// Verify checks a proof for one request: method, and one of the addresses it may be for,
// compared without query and fragment. It does not know whether the proof was seen before.
func (n *Nonces) Verify(proof, method string, addresses ...string) (Proof, error) {
	if proof == "" || len(proof) > MaxSize {
		return Proof{}, invalid("absent or too long")
	}
	jws, err := jose.ParseSignedCompact(proof, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil || len(jws.Signatures) != 1 {
		return Proof{}, invalid("not a compact JWS signed with ES256")
	}
	head := jws.Signatures[0].Protected
	if typ, _ := head.ExtraHeaders[jose.HeaderType].(string); typ != "dpop+jwt" {
		return Proof{}, invalid(`its typ is not "dpop+jwt"`)
	}
	jwk := head.JSONWebKey
	if jwk == nil || !jwk.Valid() || !jwk.IsPublic() {
		return Proof{}, invalid("its jwk is absent or not public")
	}
	if key, ok := jwk.Key.(*ecdsa.PublicKey); !ok || key.Curve != elliptic.P256() {
		return Proof{}, invalid("its key is not on P-256")
	}
	payload, err := jws.Verify(jwk)
	if err != nil {
		return Proof{}, invalid("its signature is wrong")
	}
	var c claims
	if err := json.Unmarshal(payload, &c); err != nil {
		return Proof{}, invalid("its claims are not JSON of the right types")
	}
	if c.Method != method {
		return Proof{}, invalid("its htm is for another method")
	}
	if !forOneOf(c.URL, addresses) {
		return Proof{}, invalid("its htu is for another address")
	}
	if c.ID == "" || len(c.ID) > maxJTI {
		return Proof{}, invalid("its jti is absent or too long")
	}
	if off := n.now().Sub(time.Unix(c.IssuedAt, 0)); off > clockSlack || off < -clockSlack {
		return Proof{}, invalid("its iat is not of today")
	}
	p := Proof{}
	if c.Challenge != "" {
		if p.Challenge, err = uuid.Parse(c.Challenge); err != nil {
			return Proof{}, invalid("its challenge is no id")
		}
	}
	at, ok := n.Check("nonce", nil, c.Nonce, NonceLife)
	if !ok {
		return Proof{}, ErrUseNonce
	}
	p.NonceTime = at
	thumb, err := jwk.Thumbprint(crypto.SHA256)
	if err != nil {
		return Proof{}, invalid("its key has no thumbprint")
	}
	copy(p.Thumbprint[:], thumb)
	p.ID = sha256.Sum256(append(thumb, c.ID...))
	return p, nil
}

func invalid(why string) error { return fmt.Errorf("%w: %s", ErrInvalid, why) }

// forOneOf compares as RFC 9449 section 4.3 says: scheme and host without case, the
// default port left out, query and fragment ignored.
func forOneOf(htu string, addresses []string) bool {
	got, ok := normal(htu)
	if !ok {
		return false
	}
	for _, a := range addresses {
		if want, ok := normal(a); ok && want == got {
			return true
		}
	}
	return false
}

func normal(address string) (string, bool) {
	if len(address) > maxURL {
		return "", false
	}
	u, err := url.Parse(address)
	if err != nil || u.Scheme == "" || u.Host == "" || u.User != nil {
		return "", false
	}
	scheme, host, path := strings.ToLower(u.Scheme), strings.ToLower(u.Host), u.EscapedPath()
	switch scheme {
	case "https":
		host = strings.TrimSuffix(host, ":443")
	case "http":
		host = strings.TrimSuffix(host, ":80")
	}
	if path == "" {
		path = "/"
	}
	return scheme + "://" + host + path, true
}
