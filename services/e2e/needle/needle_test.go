package needle

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

func secrets(t *testing.T, all ...string) *Set {
	t.Helper()
	s, err := New(all)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func search(s *Set, data []byte) (hits []Hit) {
	s.Search(data, func(h Hit) { hits = append(hits, h) })
	return hits
}

func TestEveryGuiseIsFound(t *testing.T) {
	t.Parallel()
	secret := "40718293"
	s := secrets(t, "12345678", secret, "correct horse battery")
	wide := func(high, low int) string {
		b := make([]byte, 0, 16)
		for _, c := range []byte(secret) {
			pair := []byte{0, 0}
			pair[low], pair[high] = c, 0
			b = append(b, pair...)
		}
		return string(b)
	}
	for name, c := range map[string]struct {
		text  string
		guise Guise
	}{
		"plain":                {secret, Plain},
		"hex":                  {hex.EncodeToString([]byte(secret)), Hex},
		"base64":               {base64.StdEncoding.EncodeToString([]byte(secret)), Base64},
		"base64 after one":     {base64.StdEncoding.EncodeToString([]byte("a" + secret + "bcd")), Base64},
		"base64 after two":     {base64.StdEncoding.EncodeToString([]byte("\xffa" + secret + "\xfe")), Base64},
		"base64url after four": {base64.RawURLEncoding.EncodeToString([]byte("\xff\xfe\xfda" + secret)), Base64},
		"UTF-16, little":       {wide(1, 0), UTF16},
		"UTF-16, big":          {wide(0, 1), UTF16},
	} {
		for _, around := range []string{"", "\x00", "x", strings.Repeat("\x00", 21), strings.Repeat("lorem ipsum ", 9)} {
			hits := search(s, []byte(around+c.text+around))
			if len(hits) != 1 || hits[0].Secret != 1 || hits[0].Guise != c.guise {
				t.Errorf("%s in %q: found %v, want it once", name, around, hits)
			}
		}
	}
}

func TestPlacesAndNeighbours(t *testing.T) {
	t.Parallel()
	s := secrets(t, "40718293", "correct horse battery")
	data := []byte(`{"code":"40718293","time":"2026-01-02T03:04:05.140718293Z"} correct horse battery, correct horse batter`)
	hits := search(s, data)
	if len(hits) != 3 {
		t.Fatalf("found %v, want the code twice and the words once", hits)
	}
	alone := []bool{true, false}
	for i, h := range hits[:2] {
		if got := string(data[h.Offset : h.Offset+8]); got != "40718293" || Alone(data, h, 8) != alone[i] {
			t.Errorf("hit %d is %q, alone %v", i, got, Alone(data, h, 8))
		}
	}
	if h := hits[2]; h.Secret != 1 || !bytes.HasPrefix(data[h.Offset:], []byte("correct horse battery")) {
		t.Errorf("the words are %v", h)
	}
	if _, err := New([]string{"short"}); err == nil {
		t.Error("a secret that is too short to be looked for was taken")
	}
}

// A search agrees with looking for each secret by itself.
func TestAgreesWithTheSimpleWay(t *testing.T) {
	t.Parallel()
	dice := rand.New(rand.NewPCG(1, 2))
	digits := func(n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = '0' + byte(dice.IntN(3)) // few digits, so that much is found
		}
		return b
	}
	var all []string
	for range 200 {
		all = append(all, string(digits(8)))
	}
	slices.Sort(all)
	all = slices.Compact(all)
	data := digits(20_000)
	want := 0
	for _, secret := range all {
		for i := 0; i+8 <= len(data); i++ {
			if string(data[i:i+8]) == secret {
				want++
			}
		}
	}
	if got := len(search(secrets(t, all...), data)); got != want || want == 0 {
		t.Errorf("found %d, the simple way %d", got, want)
	}
}

// A value as PostgreSQL 15 kept it: "abc" 40 times, pglz.
func TestCompressedValues(t *testing.T) {
	t.Parallel()
	// Three bytes as they are, then 117 from three back: as 18+99.
	packed := []byte{0b00001000, 'a', 'b', 'c', 0x0f, 3, 99}
	value := []byte{byte((len(packed)+8)<<2 | 2), 0, 0, 0, 120, 0, 0, 0}
	value = append(value, packed...)
	for ahead := range 5 {
		data := append(bytes.Repeat([]byte{0xAA}, ahead), value...)
		data = append(data, 1, 2, 3)
		var got []string
		if others := Compressed(data, func(raw []byte) { got = append(got, string(raw)) }); others != 0 {
			t.Errorf("%d values of another method", others)
		}
		if len(got) != 1 || got[0] != strings.Repeat("abc", 40) {
			t.Errorf("%d bytes ahead: %q", ahead, got)
		}
	}
	broken := slices.Clone(value)
	broken[len(broken)-2] = 200 // refers to before the beginning
	Compressed(broken, func(raw []byte) { t.Errorf("made %q of a broken value", raw) })
}

func FuzzCompressed(f *testing.F) {
	f.Add([]byte{0x3e, 0, 0, 0, 120, 0, 0, 0, 8, 'a', 'b', 'c', 0x0f, 3, 99})
	f.Fuzz(func(t *testing.T, data []byte) {
		Compressed(data, func(raw []byte) {
			if len(raw) > maxRaw {
				t.Errorf("%d bytes of one value", len(raw))
			}
		})
	})
}

func BenchmarkSearch(b *testing.B) {
	dice := rand.New(rand.NewPCG(1, 2))
	var all []string
	for range 20_000 {
		n := make([]byte, 8)
		for i := range n {
			n[i] = '0' + byte(dice.IntN(10))
		}
		all = append(all, string(n))
	}
	s, err := New(all)
	if err != nil {
		b.Fatal(err)
	}
	data := make([]byte, 1<<20)
	for i := range data {
		data[i] = byte(dice.Uint32())
	}
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		s.Search(data, func(Hit) {})
	}
}

func BenchmarkCompressed(b *testing.B) {
	dice := rand.New(rand.NewPCG(1, 2))
	data := make([]byte, 1<<20)
	for i := range data {
		data[i] = byte(dice.Uint32())
	}
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		Compressed(data, func([]byte) {})
	}
}
