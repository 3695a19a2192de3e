// Package seal closes what only one service may open, by HPKE (RFC 9180) with X25519,
// HKDF-SHA-256 and AES-256-GCM: phone numbers to the dispatcher, typed codes to the
// verifier, personal details to the member's own key.
package seal

import (
	"crypto/ecdh"
	"crypto/hpke"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"

	"github.com/google/uuid"

	"latchkey.dev/services/phone"
)

// ErrCannotOpen says that a ciphertext was not made for this key, this purpose and this binding.
var ErrCannotOpen = errors.New("the sealed value cannot be opened with this key and binding")

// The infos separate the purposes: a ciphertext of one never opens as another.
var (
	infoNumber  = []byte("latchkey/number/v1")
	infoEmail   = []byte("latchkey/email/v1")
	infoDetails = []byte("latchkey/details/v1")
	infoEntry   = []byte("latchkey/entry/v1")
	infoKey     = []byte("latchkey/member-key/v1")
)

// encapsulatedSize is the length of an X25519 encapsulated key in bytes.
const encapsulatedSize = 32

func kem() hpke.KEM   { return hpke.DHKEM(ecdh.X25519()) }
func kdf() hpke.KDF   { return hpke.HKDFSHA256() }
func aead() hpke.AEAD { return hpke.AES256GCM() }

// PrivateKey opens what was sealed to its public half. It prints as [redacted].
type PrivateKey struct{ key hpke.PrivateKey }

// PublicKey seals.
type PublicKey struct{ key hpke.PublicKey }

// GenerateKey makes a fresh X25519 key.
func GenerateKey() (PrivateKey, error) {
	k, err := kem().GenerateKey()
	if err != nil {
		return PrivateKey{}, fmt.Errorf("making a sealing key: %w", err)
	}
	return PrivateKey{k}, nil
}

// ParsePrivateKey reads what Bytes wrote.
func ParsePrivateKey(b []byte) (PrivateKey, error) {
	k, err := kem().NewPrivateKey(b)
	if err != nil {
		return PrivateKey{}, errors.New("reading a sealing key: not an X25519 private key of 32 bytes")
	}
	return PrivateKey{k}, nil
}

// ParsePublicKey reads what PublicKey.Bytes wrote.
func ParsePublicKey(b []byte) (PublicKey, error) {
	k, err := kem().NewPublicKey(b)
	if err != nil {
		return PublicKey{}, errors.New("reading a sealing key: not an X25519 public key of 32 bytes")
	}
	return PublicKey{k}, nil
}

// Public returns the half that seals.
func (k PrivateKey) Public() PublicKey { return PublicKey{k.key.PublicKey()} }

// Bytes returns the 32 bytes of the private key, to be kept where only its holder reads.
func (k PrivateKey) Bytes() ([]byte, error) { return k.key.Bytes() }

// IsZero reports whether there is no key.
func (k PrivateKey) IsZero() bool { return k.key == nil }

// Bytes returns the 32 bytes of the public key.
func (k PublicKey) Bytes() []byte { return k.key.Bytes() }

// IsZero reports whether there is no key.
func (k PublicKey) IsZero() bool { return k.key == nil }

const redacted = "[redacted]"

func (PrivateKey) String() string             { return redacted }
func (PrivateKey) GoString() string           { return redacted }
func (PrivateKey) Format(f fmt.State, _ rune) { io.WriteString(f, redacted) }
func (PrivateKey) LogValue() slog.Value       { return slog.StringValue(redacted) }

// SealNumber closes a phone number to the dispatcher, bound to its member and version.
func SealNumber(to PublicKey, n phone.Number, member uuid.UUID, version int) ([]byte, error) {
	return sealTo(to, infoNumber, versionAAD(member, version), []byte(n.E164()))
}

// OpenNumber opens what SealNumber closed; ErrCannotOpen for another key, member or version.
func OpenNumber(key PrivateKey, sealed []byte, member uuid.UUID, version int) (phone.Number, error) {
	plain, err := open(key, infoNumber, versionAAD(member, version), sealed)
	if err != nil {
		return phone.Number{}, err
	}
	return phone.Stored(string(plain))
}

func versionAAD(member uuid.UUID, version int) []byte {
	return binary.BigEndian.AppendUint32(member[:], uint32(version))
}

// Details closes personal details to the member's own key, bound to the member.
func Details(to PublicKey, plain []byte, member uuid.UUID) ([]byte, error) {
	return sealTo(to, infoDetails, member[:], plain)
}

// OpenDetails opens what Details closed.
func OpenDetails(key PrivateKey, sealed []byte, member uuid.UUID) ([]byte, error) {
	return open(key, infoDetails, member[:], sealed)
}

// WrapMemberKey closes a member's private key to the auditor, bound to the member.
func WrapMemberKey(to PublicKey, key PrivateKey, member uuid.UUID) ([]byte, error) {
	b, err := key.Bytes()
	if err != nil {
		return nil, fmt.Errorf("wrapping a member's key: %w", err)
	}
	return sealTo(to, infoKey, member[:], b)
}

// UnwrapMemberKey opens what WrapMemberKey closed.
func UnwrapMemberKey(key PrivateKey, wrapped []byte, member uuid.UUID) (PrivateKey, error) {
	b, err := open(key, infoKey, member[:], wrapped)
	if err != nil {
		return PrivateKey{}, err
	}
	return ParsePrivateKey(b)
}

// sealTo returns the encapsulated key followed by the ciphertext.
func sealTo(to PublicKey, info, aad, plain []byte) ([]byte, error) {
	enc, sender, err := hpke.NewSender(to.key, kdf(), aead(), info)
	if err != nil {
		return nil, fmt.Errorf("sealing: %w", err)
	}
	sealed, err := sender.Seal(aad, plain)
	if err != nil {
		return nil, fmt.Errorf("sealing: %w", err)
	}
	return append(enc, sealed...), nil
}

func open(key PrivateKey, info, aad, sealed []byte) ([]byte, error) {
	if len(sealed) < encapsulatedSize {
		return nil, ErrCannotOpen
	}
	r, err := hpke.NewRecipient(sealed[:encapsulatedSize], key.key, kdf(), aead(), info)
	if err != nil {
		return nil, ErrCannotOpen
	}
	plain, err := r.Open(aad, sealed[encapsulatedSize:])
	if err != nil {
		return nil, ErrCannotOpen
	}
	return plain, nil
}
