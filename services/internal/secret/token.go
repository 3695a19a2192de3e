package secret

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
)

// NewToken makes an opaque token of 256 bits, as text that an address can carry, and the
// digest that is stored of it.
func NewToken() (token string, digest []byte) {
	b := make([]byte, 32)
	rand.Read(b)
	token = base64.RawURLEncoding.EncodeToString(b)
	return token, Digest(token)
}

// Digest is what is stored of a token: SHA-256. A token is no password, and cannot be guessed
// from it.
func Digest(token string) []byte {
	d := sha256.Sum256([]byte(token))
	return d[:]
}
