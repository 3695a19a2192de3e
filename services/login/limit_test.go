package login

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/mac"

	"latchkey.dev/services/internal/seal"
)

// Of a batch, each text is let through as long as all its counters have room, and what is
// not let through takes no room from the others.
func TestDecideTexts(t *testing.T) {
	t.Parallel()
	key := func(scope string, digest rune, most int) limitKey {
		return limitKey{scope, string(digest), time.Minute, most}
	}
	member, account := func(n rune) limitKey { return key("member", n, 2) }, key("account", 0, 4)
	texts := [][]limitKey{
		{member(1), account}, {member(1), account}, {member(1), account}, // the third of one person
		{member(2), account}, {member(3), account}, {member(4), account}, // the fifth of the account
		{}, // without a limit
	}
	over := make([]string, len(texts))
	used := map[counter]int{}
	back := decideTexts(texts, used, over)
	if want := []string{"", "", "member", "", "", "account", ""}; !slices.Equal(over, want) {
		t.Errorf("over = %q, want %q", over, want)
	}
	if used[account.counter()] != 4 || back[account.counter()] != 2 || back[member(1).counter()] != 1 || back[member(4).counter()] != 1 {
		t.Errorf("used %v, taken back %v", used, back)
	}
}

// An address counts with its neighbourhood, and an IPv6 customer as one.
func TestLimitKeysOfAddresses(t *testing.T) {
	t.Parallel()
	handle, err := keyset.NewHandle(mac.HMACSHA256Tag128KeyTemplate())
	if err != nil {
		t.Fatal(err)
	}
	index, err := mac.New(handle)
	if err != nil {
		t.Fatal(err)
	}
	l := &Login{o: Options{People: seal.People{IndexMAC: index}, Limits: Limits{Address: Limit{TenMinutes: 1}, Network: Limit{Day: 1}}}}
	of := func(address string) (keys []limitKey) {
		a, _ := netip.ParseAddr(address)
		keys = l.limitKeys([16]byte{1}, [16]byte{2}, nil, a)
		slices.SortFunc(keys, func(a, b limitKey) int { return len(a.scope) - len(b.scope) })
		return keys
	}
	if got := of(""); len(got) != 0 {
		t.Errorf("without an address: %v", got)
	}
	base := of("192.0.2.7")
	if len(base) != 2 || base[0].scope != "text_address" || base[1].scope != "text_network_day" {
		t.Fatalf("keys %v", base)
	}
	for _, tc := range []struct {
		a, b          string
		address, near bool
	}{
		{"192.0.2.7", "::ffff:192.0.2.7", true, true},
		{"192.0.2.7", "192.0.2.8", false, true},
		{"192.0.2.7", "192.0.3.7", false, false},
		{"2001:db8:1:1::1", "2001:db8:1:1:ffff::2", true, true},
		{"2001:db8:1:1::1", "2001:db8:1:2::1", false, true},
		{"2001:db8:1:1::1", "2001:db8:2:1::1", false, false},
	} {
		a, b := of(tc.a), of(tc.b)
		if (a[0].digest == b[0].digest) != tc.address || (a[1].digest == b[1].digest) != tc.near {
			t.Errorf("%s and %s: one address %v, one network %v; want %v, %v", tc.a, tc.b, a[0].digest == b[0].digest, a[1].digest == b[1].digest, tc.address, tc.near)
		}
	}
}
