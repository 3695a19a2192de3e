package bus

import (
	"fmt"

	"github.com/nats-io/nkeys"

	"latchkey.dev/services/internal/secret"
)

// NewSeed makes a credential for a service: an Ed25519 nkey seed. The server is told
// only its PublicKey.
func NewSeed() (secret.String, error) {
	pair, err := nkeys.CreateUser()
	if err != nil {
		return secret.String{}, fmt.Errorf("making a bus credential: %w", err)
	}
	defer pair.Wipe()
	seed, err := pair.Seed()
	if err != nil {
		return secret.String{}, fmt.Errorf("making a bus credential: %w", err)
	}
	return secret.New(string(seed)), nil
}

// PublicKey returns the public half of a seed, as "U…".
func PublicKey(seed secret.String) (string, error) {
	pair, err := nkeys.FromSeed([]byte(seed.Reveal()))
	if err != nil {
		return "", fmt.Errorf("reading a bus credential: %w", err)
	}
	defer pair.Wipe()
	public, err := pair.PublicKey()
	if err != nil {
		return "", fmt.Errorf("reading a bus credential: %w", err)
	}
	if !nkeys.IsValidPublicUserKey(public) {
		return "", fmt.Errorf("reading a bus credential: the key is not a user's")
	}
	return public, nil
}

// sign answers the server's challenge.
func sign(seed secret.String, nonce []byte) ([]byte, error) {
	pair, err := nkeys.FromSeed([]byte(seed.Reveal()))
	if err != nil {
		return nil, fmt.Errorf("reading a bus credential: %w", err)
	}
	defer pair.Wipe()
	return pair.Sign(nonce)
}
