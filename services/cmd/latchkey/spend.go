package main

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"latchkey.dev/services/cmd/internal/serve"
)

type accountSpend struct {
	serve.Common
	Listed
	Account uuid.UUID `arg:"" help:"Its id."`
}

// spendRow is what an account's texts to a country cost, in the configured currency.
type spendRow struct {
	Country string  `json:"country"`
	Texts   int64   `json:"texts"` // of 30 days
	Hour    float64 `json:"hour"`
	Day     float64 `json:"day"`
	Month   float64 `json:"month"` // 30 days
	Reached string  `json:"reached,omitempty"`
}

// Run prints what an account spent.
func (c *accountSpend) Run(ctx context.Context) error {
	return withConsole(ctx, c.Common, func(o *operating) error {
		spent, err := o.console.Spend(ctx, c.Account)
		if err != nil {
			return err
		}
		var rows []any
		for _, s := range spent {
			rows = append(rows, spendRow{s.Country, s.Texts, amount(s.HourMicros), amount(s.DayMicros), amount(s.MonthMicros), s.Reached})
		}
		return c.print("COUNTRY\tTEXTS (30 DAYS)\tTHIS HOUR\tTHIS DAY\t30 DAYS\tREACHED", rows, func(r any) []string {
			s := r.(spendRow)
			return []string{s.Country, fmt.Sprint(s.Texts), fmt.Sprintf("%.2f", s.Hour), fmt.Sprintf("%.2f", s.Day), fmt.Sprintf("%.2f", s.Month), s.Reached}
		})
	})
}

func amount(micros int64) float64 { return float64(micros) / 1e6 }
