// Package schema embeds the contracts that every part of Latchkey agrees on: the
// database's tables and rights, the events, and the HTTP APIs.
package schema

import (
	"embed"
	"io/fs"
)

//go:embed sql events http
var files embed.FS

// Roles makes the Postgres roles, once per cluster. It is idempotent.
//
//go:embed sql/roles.sql
var Roles string

// Main holds the numbered migrations of the main database.
var Main = sub("sql/main")

// Keys holds the numbered migrations of the key database.
var Keys = sub("sql/keys")

// Events holds a JSON Schema (2020-12) of every event type, named as the type without
// "latchkey.", the envelope.json they share, and asyncapi.yaml: who says what to whom.
var Events = sub("events")

// HTTP holds the OpenAPI documents: public.yaml, the public API of login.
var HTTP = sub("http")

func sub(dir string) fs.FS {
	f, err := fs.Sub(files, dir)
	if err != nil {
		panic(err) // the directory is embedded at build time
	}
	return f
}
