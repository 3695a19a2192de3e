package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/user"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/google/uuid"

	"latchkey.dev/services/cmd/internal/serve"
	"latchkey.dev/services/internal/deadletter"
)

// deadLetterCommands are `latchkey deadletter …`.
type deadLetterCommands struct {
	List    letterList    `cmd:"" help:"List messages that no consumer could handle, the newest first."`
	Show    letterShow    `cmd:"" help:"Show one, with the bytes that it carried."`
	Redrive letterRedrive `cmd:"" help:"Have messages handled once more, by the service whose they are. It works while the bus is down."`
}

// letterFilter narrows what is listed or redriven.
type letterFilter struct {
	Consumer string `help:"Only those of a consumer, as dispatcher-send."`
	Reason   string `help:"Only those put aside for a reason, as undecodable."`
}

func (f letterFilter) of(all bool) deadletter.Filter {
	return deadletter.Filter{Consumer: f.Consumer, Reason: f.Reason, RedrivenToo: all}
}

type letterList struct {
	serve.Common
	Listed
	letterFilter
	All  bool `help:"Those that were redriven, too."`
	Most int  `help:"Most to list." default:"1000"`
}

type letterRow struct {
	ID         uuid.UUID `json:"id"`
	State      string    `json:"state"`
	Consumer   string    `json:"consumer"`
	Subject    string    `json:"subject"`
	Message    string    `json:"message"`
	Reason     string    `json:"reason"`
	Deliveries int       `json:"deliveries"`
	Bytes      int       `json:"bytes"`
	BuriedAt   time.Time `json:"buried_at"`
}

// Run prints the letters.
func (c *letterList) Run(ctx context.Context) error {
	return withConsole(ctx, c.Common, func(o *operating) error {
		desk := deadletter.NewDesk(o.host.Main)
		var rows []any
		for before := uuid.Nil; len(rows) < c.Most; {
			page, err := desk.List(ctx, c.of(c.All), before, c.Most-len(rows))
			if err != nil {
				return err
			}
			if len(page) == 0 {
				break
			}
			for _, l := range page {
				rows = append(rows, letterRow{l.ID, l.State(), l.Consumer, l.Subject, l.MessageID, l.Reason, l.Deliveries, l.Size, l.BuriedAt})
				before = l.ID
			}
		}
		return c.print("ID\tSTATE\tCONSUMER\tSUBJECT\tREASON\tBYTES\tBURIED", rows, func(r any) []string {
			l := r.(letterRow)
			return []string{l.ID.String(), l.State, l.Consumer, safe(l.Subject), l.Reason, fmt.Sprint(l.Bytes), l.BuriedAt.UTC().Format(time.RFC3339)}
		})
	})
}

// safe makes what somebody sent fit for a terminal.
func safe(text string) string { return strings.Trim(fmt.Sprintf("%+q", text), `"`) }

type letterShow struct {
	serve.Common
	ID uuid.UUID `arg:"" help:"The letter's id."`
}

// Run prints a letter. What it carried is quoted: it may be anything.
func (c *letterShow) Run(ctx context.Context) error {
	return withConsole(ctx, c.Common, func(o *operating) error {
		l, err := deadletter.NewDesk(o.host.Main).Show(ctx, c.ID)
		if err != nil {
			return err
		}
		w := tabwriter.NewWriter(os.Stdout, 0, 8, 2, ' ', 0)
		for _, line := range [][2]string{{"id", l.ID.String()}, {"state", l.State()}, {"consumer", l.Consumer}, {"subject", safe(l.Subject)}, {"message", safe(l.MessageID)},
			{"reason", l.Reason}, {"deliveries", fmt.Sprint(l.Deliveries)}, {"redrives", fmt.Sprint(l.Redrives)}, {"buried", l.BuriedAt.UTC().Format(time.RFC3339)}} {
			fmt.Fprintf(w, "%s\t%s\n", line[0], line[1])
		}
		for _, name := range slices.Sorted(maps.Keys(l.Headers)) {
			for _, value := range l.Headers[name] {
				fmt.Fprintf(w, "header\t%s: %s\n", safe(name), safe(value))
			}
		}
		if err := w.Flush(); err != nil {
			return err
		}
		if json.Valid(l.Data) {
			fmt.Println(safeJSON(l.Data))
			return nil
		}
		fmt.Printf("%+q\n", l.Data)
		return nil
	})
}

// safeJSON is valid JSON on one line with everything but ASCII escaped.
func safeJSON(b []byte) string {
	var out strings.Builder
	for _, r := range string(b) {
		switch {
		case r == '\n' || r == '\r' || r == '\t':
			out.WriteByte(' ') // only between values: inside of text they are escaped
		case r < ' ' || r == 0x7f || r > 0x7e:
			fmt.Fprintf(&out, "%+q", string(r))
		default:
			out.WriteRune(r)
		}
	}
	return out.String()
}

type letterRedrive struct {
	serve.Common
	letterFilter
	IDs []uuid.UUID `arg:"" optional:"" name:"id" help:"The letters' ids."`
	All bool        `help:"Every one that the filters let through."`
}

// Run marks letters; their services take them up within a second or two.
func (c *letterRedrive) Run(ctx context.Context) error {
	if (len(c.IDs) > 0) == c.All {
		return errors.New("name letters by their ids, or say --all")
	}
	by := "operator"
	if u, err := user.Current(); err == nil && u.Username != "" {
		by += " " + u.Username
	}
	return withConsole(ctx, c.Common, func(o *operating) error {
		desk := deadletter.NewDesk(o.host.Main)
		if c.All {
			n, err := desk.RedriveAll(ctx, by, c.of(false), time.Now())
			if err == nil {
				fmt.Printf("%d letters will be taken up\n", n)
			}
			return err
		}
		marked, err := desk.Redrive(ctx, by, c.IDs...)
		if err != nil {
			return err
		}
		fmt.Printf("%d of %d letters will be taken up\n", len(marked), len(c.IDs))
		if len(marked) < len(c.IDs) {
			return errors.New("the others are unknown, or were redriven before")
		}
		return nil
	})
}
