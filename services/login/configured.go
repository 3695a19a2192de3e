package login

import "latchkey.dev/services/internal/config"

// LimitsOf are the limits of a configuration.
func LimitsOf(c config.Limits) Limits {
	c = c.InForce()
	return Limits{Member: Limit(c.Member), Number: Limit(c.Number), Address: Limit(c.Address), Network: Limit(c.Network), Account: Limit(c.Account)}
}
