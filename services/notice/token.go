package notice

import (
	"encoding/base64"

	"latchkey.dev/services/internal/secret"
)

// Path is where the pages of "this was not me" are, below the origin of the sign-in pages.
const Path = "/not-me/"

// A link carries 256 bits in an e-mail and 128 in a text, which has room for no more; NIST
// SP 800-63B-4 section 3.1.2.2 asks 112 of a secret that is not throttled.
var tokenBytes = map[Channel]int{Text: 16, Email: 32}

// TokenLength is how long a token is as the link of a channel carries it.
func TokenLength(c Channel) int { return base64.RawURLEncoding.EncodedLen(tokenBytes[c]) }

// Encode writes a secret of 32 random-looking bytes as the link of a channel carries it.
func Encode(c Channel, secret []byte) string {
	return base64.RawURLEncoding.EncodeToString(secret[:tokenBytes[c]])
}

// Digest is what is kept of a token, and whether it is one at all.
func Digest(token string) ([]byte, bool) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || len(b) != tokenBytes[Text] && len(b) != tokenBytes[Email] {
		return nil, false
	}
	return secret.Digest(token), true
}

// Link is the address of the page for a token.
func Link(origin, token string) string { return origin + Path + token }
