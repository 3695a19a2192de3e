// Command console is where owners, administrators and operators work.
package main

import (
	"latchkey.dev/services/cmd/internal/console"
	"latchkey.dev/services/cmd/internal/serve"
)

func main() {
	serve.Main("console", "The console of Latchkey: where owners, administrators and operators work.", new(console.Command), "info")
}
