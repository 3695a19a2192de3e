// Command verifier judges typed codes and registers devices.
package main

import (
	"latchkey.dev/services/cmd/internal/serve"
	"latchkey.dev/services/cmd/internal/verifier"
)

func main() {
	serve.Main("verifier", "The verifier of Latchkey: it judges typed codes and registers devices.", new(verifier.Command), "info")
}
