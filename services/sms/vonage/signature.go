package vonage

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"hash"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The methods by which an account may be set to sign. MD5 and SHA-1, which the vendor
// offers too, are not taken.
const (
	MethodSHA256 = "sha256hmac"
	MethodSHA512 = "sha512hmac"
)

const (
	// maxAge is how old a signed receipt may be. Vonage sends one that was not taken again
	// for 24 hours, and its timestamp is that of the first time
	// (https://developer.vonage.com/en/messaging/sms/guides/delivery-receipts): a shorter
	// bound would refuse the receipts of a long outage of ours. It costs little, since a
	// receipt that comes again says what was said before, of the same attempt.
	maxAge = 25 * time.Hour
	// maxSkew is how far the vendor's clock may be before ours.
	maxSkew = 5 * time.Minute
)

// escaper takes out of values what separates parameters.
var escaper = strings.NewReplacer("&", "_", "=", "_")

// signed reports whether a report has a right signature that is not too old
// (https://developer.vonage.com/en/getting-started/concepts/signing-messages): an HMAC
// over &name=value of all other parameters in the order of their names.
func (s *Sender) signed(report map[string]string) bool {
	stamp, err := strconv.ParseInt(report["timestamp"], 10, 64)
	got, err2 := hex.DecodeString(report["sig"]) // in either case
	if err != nil || err2 != nil {
		return false
	}
	method := sha256.New
	if s.o.SignatureMethod == MethodSHA512 {
		method = sha512.New
	}
	age := s.now().Sub(time.Unix(stamp, 0))
	return hmac.Equal(got, signature(report, s.o.SignatureSecret.Reveal(), method)) && -maxSkew <= age && age <= maxAge
}

func signature(report map[string]string, secret string, method func() hash.Hash) []byte {
	mac := hmac.New(method, []byte(secret))
	for _, name := range slices.Sorted(maps.Keys(report)) {
		if name != "sig" {
			io.WriteString(mac, "&"+name+"="+escaper.Replace(report[name]))
		}
	}
	return mac.Sum(nil)
}
