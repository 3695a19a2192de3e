package config

import (
	"fmt"
	"math"
	"regexp"
)

// Limits bound how many texts may be asked for, over all instances. What is not given has
// its usual value; -1 bounds nothing.
type Limits struct {
	Member  Limit `yaml:"member,omitempty"`  // by one person: 5 and 20
	Number  Limit `yaml:"number,omitempty"`  // to one number: 5 and 20
	Address Limit `yaml:"address,omitempty"` // from one network address: 100 and 2,000, since a clinic may have one for all
	Network Limit `yaml:"network,omitempty"` // from 256 neighbouring addresses: 300 and 6,000
	Account Limit `yaml:"account,omitempty"` // by all people of an account: 1,000 and 20,000
	// Prefix bounds texts in ten minutes to numbers that begin with the same five digits: 300.
	Prefix int `yaml:"prefix,omitempty"`
}

// Limit bounds texts in a window that moves.
type Limit struct {
	TenMinutes int `yaml:"ten_minutes,omitempty"`
	Day        int `yaml:"day,omitempty"`
}

// maxLimit bounds a limit: a larger one is a slip.
const maxLimit = 10_000_000

var usualLimits = Limits{Member: Limit{5, 20}, Number: Limit{5, 20}, Address: Limit{100, 2000}, Network: Limit{300, 6000}, Account: Limit{1000, 20_000}, Prefix: 300}

// each calls do with every limit, its name and its usual value.
func (l *Limits) each(do func(name string, is *int, usual int)) {
	u := usualLimits
	for _, x := range []struct {
		name      string
		is, usual *Limit
	}{{"member", &l.Member, &u.Member}, {"number", &l.Number, &u.Number}, {"address", &l.Address, &u.Address}, {"network", &l.Network, &u.Network}, {"account", &l.Account, &u.Account}} {
		do(x.name+".ten_minutes", &x.is.TenMinutes, x.usual.TenMinutes)
		do(x.name+".day", &x.is.Day, x.usual.Day)
	}
	do("prefix", &l.Prefix, u.Prefix)
}

func (l Limits) faults() (all []string) {
	l.each(func(name string, is *int, _ int) {
		if *is < -1 || *is > maxLimit {
			all = append(all, fmt.Sprintf("limits.%s: must be 1 to %d, or -1 for none", name, maxLimit))
		}
	})
	return all
}

// InForce are the limits with what is not given at its usual value, and 0 where there is none.
func (l Limits) InForce() Limits {
	l.each(func(_ string, is *int, usual int) {
		switch *is {
		case 0:
			*is = usual
		case -1:
			*is = 0
		}
	})
	return l
}

// Spend bounds what the texts of one account to one country may cost. Without an hour and a
// day nothing is bounded.
type Spend struct {
	Currency string             `yaml:"currency,omitempty"` // ISO 4217, as people read it
	Price    float64            `yaml:"price,omitempty"`    // of a text
	Prices   map[string]float64 `yaml:"prices,omitempty"`   // by country, ISO 3166-1 alpha-2
	Hour     float64            `yaml:"hour,omitempty"`     // at which texts stop until the hour ends (UTC)
	Day      float64            `yaml:"day,omitempty"`      // at which they stop until the day ends
	Alarm    float64            `yaml:"alarm,omitempty"`    // share of them at which operators are told: 0.8 if not given
}

var currencyCode = regexp.MustCompile(`^[A-Z]{3}$`)

// maxAmount bounds an amount: a larger one is a slip.
const maxAmount = 1e9

func (s Spend) faults() (all []string) {
	wrong := func(is bool, format string, args ...any) {
		if is {
			all = append(all, fmt.Sprintf("spend."+format, args...))
		}
	}
	amount := func(name string, a float64) {
		wrong(!(a >= 0 && a <= maxAmount), "%s: must be 0 to %.0f", name, maxAmount)
	}
	amount("price", s.Price)
	amount("hour", s.Hour)
	amount("day", s.Day)
	for country, p := range s.Prices {
		wrong(!countryCode.MatchString(country), "prices: %q is no country's two capital letters", country)
		amount("prices."+country, p)
	}
	wrong(!(s.Alarm >= 0 && s.Alarm <= 1), "alarm: must be a share from 0 to 1")
	wrong(s.Currency != "" && !currencyCode.MatchString(s.Currency), "currency: must be three capital letters, as EUR")
	wrong((s.Hour > 0 || s.Day > 0) && s.Price == 0 && len(s.Prices) == 0, "price: is missing, so that nothing is ever spent")
	return all
}

// Micros are millionths of an amount.
func Micros(amount float64) int64 { return int64(math.Round(amount * 1e6)) }
