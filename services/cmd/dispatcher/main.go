// Command dispatcher sends the texts, with failover between providers.
package main

import (
	"latchkey.dev/services/cmd/internal/dispatcher"
	"latchkey.dev/services/cmd/internal/serve"
)

func main() {
	serve.Main("dispatcher", "The dispatcher of Latchkey: it sends the texts, with failover between providers.", new(dispatcher.Command), "info")
}
