package e2e

import "flag"

// chaos asks for the full numbers of guesses and replays: `go test ./e2e -chaos`, as
// `make chaos` does. Without it they are small enough for every change.
var chaos = flag.Bool("chaos", false, "the full numbers of guesses and replays")

func size(small, large int) int {
	if *chaos {
		return large
	}
	return small
}
