# Latchkey's commands. `make` alone prints them.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

TOOLS := $(CURDIR)/.tools
SQLC := $(TOOLS)/sqlc-1.31.1
STATICCHECK := $(TOOLS)/staticcheck-0.8.2
MODULES := schema queries services

# The race detector needs cgo and a C compiler.
RACE := $(shell command -v gcc >/dev/null 2>&1 && [ "$$(go env CGO_ENABLED 2>/dev/null)" = 1 ] && echo -race)

.PHONY: help
help: ## print this
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: run
run: postgres ## run everything on this machine and print where it is
	cd services && go build -o $(TOOLS)/latchkey ./cmd/latchkey
	@exec $(TOOLS)/latchkey up

.PHONY: postgres
postgres:
	@deploy/postgres/ensure

.PHONY: chromium
chromium: ## install the browser that tests drive, if it is missing
	@deploy/chromium/ensure

.PHONY: axe
axe: ## fetch axe-core, by which the browser tests look for barriers
	@cd services && go run ./internal/browsertest/axe/install

.PHONY: test
test: postgres ## run every test, each on databases of its own
	@deploy/chromium/ensure && (cd services && go run ./internal/browsertest/axe/install) || echo "the tests that drive a browser will fail, the others run"
	@[ -n "$(RACE)" ] || echo "no C compiler: the tests run without the race detector"
	cd schema && go test $(RACE) ./...
	cd queries && go vet ./...
	cd services && go run ./internal/storetest/withpostgres go test $(RACE) $$(go list ./... | grep -v /services/e2e)
	cd services && go run ./internal/storetest/withpostgres go test $(RACE) -p 1 -timeout 20m ./e2e/... # whole installations and browsers: one package at a time

.PHONY: bench
bench: postgres ## measure whole lives on this machine
	cd services && go build -o $(TOOLS)/latchkey ./cmd/latchkey
	@mkdir -p .data && exec $(TOOLS)/latchkey bench --json $(CURDIR)/.data/bench.json

.PHONY: chaos
chaos: postgres ## break everything while people sign in, at full size (some 40 minutes)
	cd services && go run ./internal/storetest/withpostgres go test -v -count=1 -timeout 3h ./e2e/faults -chaos

.PHONY: lint
lint: $(STATICCHECK) ## look for mistakes
	@test -z "$$(gofmt -l $(MODULES) | tee /dev/stderr)" || { echo "run gofmt -w on the files above"; exit 1; }
	@for m in $(MODULES); do (cd $$m && go vet ./... && $(STATICCHECK) ./...); done

.PHONY: generate
generate: $(SQLC) ## write the Go of the SQL queries
	cd queries && $(SQLC) generate

.PHONY: verify
verify: generate ## prove that generated files are current
	@git diff --exit-code -- queries || { echo "generated files differ: commit what 'make generate' writes"; exit 1; }
	@test -z "$$(git ls-files --others --exclude-standard queries)" || { echo "generated files are not committed"; exit 1; }

$(SQLC):
	@mkdir -p $(TOOLS)
	GOBIN=$(TOOLS) GOFLAGS= GOWORK=off go install github.com/sqlc-dev/sqlc/cmd/sqlc@v1.31.1
	@mv $(TOOLS)/sqlc $@

$(STATICCHECK):
	@mkdir -p $(TOOLS)
	GOBIN=$(TOOLS) GOFLAGS= GOWORK=off go install honnef.co/go/tools/cmd/staticcheck@v0.8.2
	@mv $(TOOLS)/staticcheck $@
