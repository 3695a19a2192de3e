package config

import "fmt"

// Limits bound how many texts may be asked for, over all instances. What is not given has
// its usual value; -1 bounds nothing.
type Limits struct {
	Member  Limit `yaml:"member,omitempty"`  // by one person: 5 and 20
	Number  Limit `yaml:"number,omitempty"`  // to one number: 5 and 20
	Address Limit `yaml:"address,omitempty"` // from one network address: 100 and 2,000, since a clinic may have one for all
	Network Limit `yaml:"network,omitempty"` // from 256 neighbouring addresses: 300 and 6,000
	Account Limit `yaml:"account,omitempty"` // by all people of an account: 1,000 and 20,000
}

// Limit bounds texts in a window that moves.
type Limit struct {
	TenMinutes int `yaml:"ten_minutes,omitempty"`
	Day        int `yaml:"day,omitempty"`
}

// maxLimit bounds a limit: a larger one is a slip.
const maxLimit = 10_000_000

var usualLimits = Limits{Member: Limit{5, 20}, Number: Limit{5, 20}, Address: Limit{100, 2000}, Network: Limit{300, 6000}, Account: Limit{1000, 20_000}}

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
