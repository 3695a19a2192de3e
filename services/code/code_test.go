package code_test

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/google/uuid"

	"latchkey.dev/services/code"
	"latchkey.dev/services/words"
)

var (
	key  = bytes.Repeat([]byte{7}, code.KeySize)
	seed = bytes.Repeat([]byte{9}, code.SeedSize)
	id   = uuid.MustParse("0190f3b4-7c1e-7000-8000-000000000001")
)

// A change of these digits makes every code in flight wrong during an upgrade.
func TestDeriveGolden(t *testing.T) {
	t.Parallel()
	var got []string
	for n := 1; n <= code.Texts; n++ {
		got = append(got, code.Derive(key, id, n, seed, 6).Reveal(), code.Derive(key, id, n, seed, 8).Reveal())
	}
	if want := "500938 65905661 593204 68097334 525835 36944501"; strings.Join(got, " ") != want {
		t.Errorf("Derive = %q, want %q", strings.Join(got, " "), want)
	}
}

// C2: uniform by chi-square over a million codes, with p > 0.001, leading zeros kept.
func TestDeriveIsUniform(t *testing.T) {
	t.Parallel()
	const codes, bins = 1_000_000, 1000
	var counts [bins]int
	zeros := 0
	s := bytes.Clone(seed)
	for i := range codes {
		s[0], s[1], s[2] = byte(i), byte(i>>8), byte(i>>16)
		c := code.Derive(key, id, 1, s, 6).Reveal()
		if len(c) != 6 {
			t.Fatalf("a code of %d digits", len(c))
		}
		if c[0] == '0' {
			zeros++
		}
		var v int
		fmt.Sscanf(c, "%d", &v)
		counts[v%bins]++
	}
	chi := 0.0
	for _, n := range counts {
		d := float64(n) - float64(codes)/bins
		chi += d * d / (float64(codes) / bins)
	}
	// Wilson and Hilferty: the chi-square of 999 degrees exceeds this one time in a thousand.
	const k, z = bins - 1, 3.0902
	if limit := k * math.Pow(1-2.0/(9*k)+z*math.Sqrt(2.0/(9*k)), 3); chi > limit {
		t.Errorf("chi-square %.0f over %.0f: the codes are not uniform", chi, limit)
	}
	if zeros < codes/10-2000 || zeros > codes/10+2000 {
		t.Errorf("%d of %d codes begin with a zero", zeros, codes)
	}
}

func TestParse(t *testing.T) {
	t.Parallel()
	for typed, want := range map[string]string{
		"012345": "012345", " 012 345\n": "012345", "012-345": "012345", "01 23 45": "012345", "012\u00a0345": "012345",
		"12345": "", "1234567": "", "": "", "12345a": "", "12345６": "", "-1.2345": "", strings.Repeat(" ", 100) + "123456": "",
	} {
		c, err := code.Parse(typed, 6)
		if c.Reveal() != want || (want == "") != errors.Is(err, code.ErrNotACode) {
			t.Errorf("Parse(%q) = %q, %v; want %q", typed, c.Reveal(), err, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("012 345")
	f.Add("12345６")
	f.Fuzz(func(t *testing.T, typed string) {
		c, err := code.Parse(typed, 6)
		if (err == nil) != (len(c.Reveal()) == 6) {
			t.Errorf("Parse(%q) = %q, %v", typed, c.Reveal(), err)
		}
	})
}

func TestMatchTellsWhichText(t *testing.T) {
	t.Parallel()
	var all [code.Texts]code.Code
	for i := range all {
		all[i] = code.Derive(key, id, i+1, seed, 6)
	}
	for i := range all {
		if got := code.Match(all[i], all); got != i+1 {
			t.Errorf("Match of text %d's code = %d", i+1, got)
		}
	}
	wrong, _ := code.Parse("000000", 6)
	if got := code.Match(wrong, all); got != 0 {
		t.Errorf("Match of a wrong code = %d, want 0", got)
	}
	same := [code.Texts]code.Code{all[0], all[0], all[0]}
	if got := code.Match(all[0], same); got != 1 {
		t.Errorf("Match of three equal codes = %d, want the first", got)
	}
}

func TestCodeIsNeverPrinted(t *testing.T) {
	t.Parallel()
	c := code.Derive(key, id, 1, seed, 6)
	if out := fmt.Sprintf("%v %+v %#v %s %q %x", c, c, c, c, c, c); strings.Contains(out, c.Reveal()) {
		t.Errorf("the code shows in %s", out)
	}
}

// C11: one GSM-7 segment, the last line is the autofill line, nothing before its @.
func TestCompose(t *testing.T) {
	t.Parallel()
	c := code.Derive(key, id, 1, seed, 6)
	text, err := code.Compose(words.English, "Maple", c, 5, code.Autofill{Host: "login.maple.example"})
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(text, "\n")
	if last, want := lines[len(lines)-1], "@login.maple.example #"+c.Reveal(); last != want {
		t.Errorf("last line %q, want %q", last, want)
	}
	if n, ok := code.Septets(text); !ok || n > code.SegmentSeptets {
		t.Errorf("%d septets, GSM-7 %v", n, ok)
	}
	if text, err = code.Compose(words.English, "Maple", c, 5, code.Autofill{AppHash: "FA+9qCX9VSu"}); err != nil || !strings.HasSuffix(text, "\nFA+9qCX9VSu") {
		t.Errorf("Compose for Android = %q, %v", text, err)
	}
	for _, lang := range words.Languages {
		for _, minutes := range []int{1, 10} {
			longest := code.Derive(key, id, 1, seed, code.MaxDigits)
			text, err := code.Compose(lang, strings.Repeat("M", 30), longest, minutes, code.Autofill{Host: "login.a-long-name.example"})
			if n, ok := code.Septets(text); err != nil || !ok || n > code.SegmentSeptets || !strings.HasPrefix(text, longest.Reveal()) {
				t.Errorf("%s, %d minutes: %q has %d septets, GSM-7 %v, %v", lang, minutes, text, n, ok, err)
			}
		}
	}
	if err := code.Fits(strings.Repeat("M", 30), code.Autofill{Host: strings.Repeat("a", 60)}); !errors.Is(err, code.ErrNotOneSegment) {
		t.Errorf("Fits with a host of 60 = %v", err)
	}
	for _, service := range []string{"Ωmega ☎", strings.Repeat("x", 100)} {
		if _, err := code.Compose(words.English, service, c, 5, code.Autofill{Host: "login.maple.example"}); !errors.Is(err, code.ErrNotOneSegment) {
			t.Errorf("Compose(%q) error = %v, want ErrNotOneSegment", service, err)
		}
	}
}
