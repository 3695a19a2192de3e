// Package needle looks for many short secrets at once in bytes of any kind, in every guise
// in which they could lie about: as they are, in hexadecimal, in base64 at its three
// alignments, in UTF-16, and inside values that PostgreSQL compressed.
//
// No binary links it: it is for the tests that look for what must not be there.
package needle

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
)

// Guise is a way to write a secret.
type Guise string

// The guises that are looked for.
const (
	Plain  Guise = "plain"
	Hex    Guise = "hex"    // small or capital letters
	Base64 Guise = "base64" // at any of its three alignments, in either alphabet
	UTF16  Guise = "utf-16" // either byte order
)

// Guises is the closed set of guises.
var Guises = []Guise{Plain, Hex, Base64, UTF16}

// width is how many bytes are compared at once: no guise of a secret is shorter.
const width = 8

// pattern is one guise of one secret.
type pattern struct {
	secret int
	guise  Guise
	rest   string // after the first width bytes
}

// Set is what is looked for.
type Set struct {
	secrets  []string
	patterns map[uint64][]pattern // by the first width bytes
	filter   []uint64             // a bit for the hash of each first width bytes
}

// filterBits makes a filter of 2 MB, which turns away nearly all that is no secret.
const filterBits = 24

// New makes a Set of secrets, each of 8 bytes of ASCII at least.
func New(secrets []string) (*Set, error) {
	s := &Set{secrets: slices.Clone(secrets), patterns: make(map[uint64][]pattern, 8*len(secrets)), filter: make([]uint64, 1<<filterBits/64)}
	for i, secret := range s.secrets {
		if len(secret) < width || strings.ContainsFunc(secret, func(r rune) bool { return r > 0x7F }) {
			return nil, fmt.Errorf("secret %d is not 8 bytes of ASCII at least", i)
		}
		for guise, texts := range guises(secret) {
			for _, text := range texts {
				first := binary.BigEndian.Uint64([]byte(text[:width]))
				s.patterns[first] = append(s.patterns[first], pattern{i, guise, text[width:]})
				bit := hash(first)
				s.filter[bit/64] |= 1 << (bit % 64)
			}
		}
	}
	return s, nil
}

//go:norace
func hash(w uint64) uint64 { return w * 0x9E3779B97F4A7C15 >> (64 - filterBits) }

// guises writes a secret in every guise, each once.
func guises(secret string) map[Guise][]string {
	small := hex.EncodeToString([]byte(secret))
	out := map[Guise][]string{
		Plain: {secret}, Hex: {small, strings.ToUpper(small)},
		// From the first character to the last, both byte orders are the same.
		UTF16: {strings.Join(strings.Split(secret, ""), "\x00")},
	}
	for ahead := range 3 {
		for _, alphabet := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
			text := alphabet.EncodeToString(append(make([]byte, ahead), secret...))
			// Characters that other bytes have a part in are left out on both sides.
			first, last := (8*ahead+5)/6, 8*(ahead+len(secret))/6
			out[Base64] = append(out[Base64], text[first:last])
		}
	}
	for guise, texts := range out {
		slices.Sort(texts)
		out[guise] = slices.Compact(texts)
	}
	return out
}

// Hit is a secret that was found.
type Hit struct {
	Secret int // its index
	Guise  Guise
	Offset int // of its first byte
}

// Secret returns a secret by its index.
func (s *Set) Secret(i int) string { return s.secrets[i] }

// Search reports every secret in data. It looks at each byte, and nothing that it reads
// is ever written to, so the race detector's own look at each is spared.
//
//go:norace
func (s *Set) Search(data []byte, found func(Hit)) {
	var w uint64
	for i := 0; i < len(data); i++ {
		if w == 0 { // much of what lies on a disk is nothing
			for i+width <= len(data) && binary.LittleEndian.Uint64(data[i:]) == 0 {
				i += width
			}
			if i >= len(data) {
				return
			}
		}
		w = w<<8 | uint64(data[i])
		bit := hash(w)
		if s.filter[bit/64]&(1<<(bit%64)) == 0 || i < width-1 {
			continue
		}
		for _, p := range s.patterns[w] {
			if rest := data[i+1:]; len(rest) >= len(p.rest) && string(rest[:len(p.rest)]) == p.rest {
				found(Hit{p.secret, p.guise, i - width + 1})
			}
		}
	}
}

// Alone reports whether the 8 bytes and more of a plain hit stand by themselves in data: not
// as a part of a longer number, identifier, time or run of base64.
func Alone(data []byte, h Hit, length int) bool {
	part := func(i int) bool {
		if i < 0 || i >= len(data) {
			return false
		}
		c := data[i]
		return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || strings.IndexByte("-_.+/", c) >= 0
	}
	return h.Guise == Plain && !part(h.Offset-1) && !part(h.Offset+length)
}
