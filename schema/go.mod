module latchkey.dev/schema

go 1.26.0
