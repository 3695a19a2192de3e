// Command auditor gives every event its place in the one order.
package main

import (
	"latchkey.dev/services/cmd/internal/auditor"
	"latchkey.dev/services/cmd/internal/serve"
)

func main() {
	serve.Main("auditor", "The auditor of Latchkey: it gives every event its place in the one order.", new(auditor.Command), "info")
}
