// Command login answers people who sign in and products that ask for them.
package main

import (
	"latchkey.dev/services/cmd/internal/login"
	"latchkey.dev/services/cmd/internal/serve"
)

func main() {
	serve.Main("login", "The login of Latchkey: it answers people who sign in and products that ask for them.", new(login.Command), "info")
}
