package phone

import "github.com/nyaruka/phonenumbers"

// Doubt says why a number that Parse took may still get no texts.
type Doubt string

const (
	NoDoubt    Doubt = ""            // a mobile number
	MaybeFixed Doubt = "maybe_fixed" // its country numbers landlines and mobiles alike
	NotMobile  Doubt = "not_mobile"  // a number of the internet, of a person, or of a kind that is not known
)

// Doubt judges the kind of a number.
func (n Number) Doubt() Doubt {
	parsed, err := phonenumbers.Parse(n.e164, "ZZ")
	if err != nil {
		return NotMobile
	}
	switch phonenumbers.GetNumberType(parsed) {
	case phonenumbers.MOBILE:
		return NoDoubt
	case phonenumbers.FIXED_LINE_OR_MOBILE:
		return MaybeFixed
	}
	return NotMobile
}
