package dispatcher

import (
	"cmp"

	"latchkey.dev/services/internal/config"
)

// SpendOf is what a configuration says of what texts may cost.
func SpendOf(c config.Spend) Spend {
	s := Spend{Price: config.Micros(c.Price), Prices: map[string]int64{}, Hour: config.Micros(c.Hour), Day: config.Micros(c.Day), Alarm: cmp.Or(c.Alarm, 0.8)}
	for country, p := range c.Prices {
		s.Prices[country] = config.Micros(p)
	}
	return s
}
