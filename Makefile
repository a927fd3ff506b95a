# The commands of this repository: `make` alone prints them.
#
# `make run` and `make test` need Go and nothing else; what needs Node says so where there is none. `make lint` builds its
# linter once, into bin/.

GO ?= go
export GO

# More words for the program (`make run ARGS=--fresh`) and for go test (`make test TESTFLAGS='-run Watch -v'`).
ARGS ?=
TESTFLAGS ?=
MEASURE ?= all
# How long make fuzz looks with each fuzz test, and a regular expression for the names of those wanted.
FUZZTIME ?= 60s
FUZZ ?= .

# The longest one package's tests may take, on a slow machine with the race detector on.
TEST_TIMEOUT ?= 20m
GO_TEST_FLAGS = -timeout $(TEST_TIMEOUT) $(TESTFLAGS)

# The oldest and the newest Postgres we support: `make test-matrix` runs every test against each.
POSTGRES_VERSIONS ?= 15 18
# How many tests of a package run at once: many wait for a timer or a server most of the time.
PARALLEL ?= 4
# The packages it tests: all, or database, those whose tests ask a Postgres.
PACKAGES ?= all

# The version is what Go reads from git, the same for every way to build. VERSION takes its place, for a source without git.
VERSION ?=
IMAGE ?= agentexec
LDFLAGS = -s -w $(if $(VERSION),-X main.version=$(VERSION))

GOLANGCI_LINT = bin/golangci-lint

# The measures are a module of their own, so that what they compare us with is no dependency of ours.
MODULES = . bench

.DEFAULT_GOAL := help

.PHONY: help
help: ## Print this list
	@awk 'BEGIN { FS = ":.*## " } /^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: run
run: ## Show it: a private Postgres, the sidecar and demo agents doing real work; Ctrl-C stops all of it
	@command -v $(GO) >/dev/null || { echo 'there is no Go, which builds agentexec: https://go.dev/dl' >&2; exit 1; }
	@[ -e bin/agentexec ] || echo 'Building agentexec, which takes a minute or two the first time ...' >&2
	@$(GO) build -o bin/agentexec ./cmd/agentexec && exec bin/agentexec dev $(ARGS) # go run would end Ctrl-C as an error

.PHONY: build
build: ## Build bin/agentexec
	$(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/agentexec ./cmd/agentexec

# The dashboard's dist/ is committed, so that building the program needs no Node; `make lint` builds it anew and compares.
# The packages' stay out of git.
.PHONY: ui
ui: ## Build the dashboard and the TypeScript packages in ui/, those as ui/packages/*.tgz to npm install
	@ui/tools/npm run build

.PHONY: test
test: ## Run every test, with the race detector where it can find something and there is a C compiler; lists what was skipped
	@tools/test $(GO_TEST_FLAGS)

.PHONY: test-ui
test-ui: ## Test what is in ui/ alone, also in a browser; like `make test`, only where there are Node and Chromium
	@ui/test/run.sh

.PHONY: test-matrix
test-matrix: ## Run every Go test against the oldest and the newest Postgres we support, without the race detector
	@status=0; packages=./...; \
	if [ $(PACKAGES) = database ]; then \
	  packages=$$($(GO) list -f '{{.ImportPath}} {{.TestImports}} {{.XTestImports}}' ./... | awk '/internal\/pgtest[] ]/ { print $$1 }'); \
	fi; \
	for version in $(POSTGRES_VERSIONS); do \
	  bin=$$(tools/postgres-bin $$version) || exit 1; \
	  echo "== Postgres $$version: $$($$bin/postgres --version)"; \
	  AGENTEXEC_TEST_PG_BIN=$$bin $(GO) test -count=1 -p 1 -parallel $(PARALLEL) $(GO_TEST_FLAGS) $$packages || status=1; \
	done; exit $$status

.PHONY: fuzz
fuzz: ## Look for inputs that break a decoder, FUZZTIME (60s) with each; made for every night
	tools/fuzz $(FUZZTIME) '$(FUZZ)'

.PHONY: lint
lint: $(GOLANGCI_LINT) ## Run gofmt, go vet, golangci-lint, the check that go.mod is tidy, the type check of ui/, and whether the dashboard is as built
	@unformatted=$$(find . -name node_modules -prune -o -name '*.go' -print0 | xargs -0 gofmt -l) || exit 1; \
	if [ -n "$$unformatted" ]; then \
	  echo 'Not formatted, run gofmt -w on:'; echo "$$unformatted"; exit 1; \
	fi
	@root=$$PWD; status=0; for module in $(MODULES); do \
	  echo "== lint of $$module"; cd $$root/$$module || exit 1; \
	  $(GO) vet ./... || status=1; \
	  $$root/$(GOLANGCI_LINT) run --config $$root/.golangci.yaml ./... || status=1; \
	  $(GO) mod tidy -diff || status=1; \
	done; cd $$root; echo "== lint of ui"; ui/tools/npm run --silent check || status=1; \
	exit $$status

# The version is pinned in tools/go.mod.
$(GOLANGCI_LINT): tools/go.mod tools/go.sum
	cd tools && CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w' -o ../$@ github.com/golangci/golangci-lint/v2/cmd/golangci-lint

.PHONY: bench
bench: ## Run the measures, about 20 minutes, and keep them in bench/RESULTS.md (one of them: make bench MEASURE=latency)
	cd bench && $(GO) run . $(MEASURE)

.PHONY: docker
docker: ## Build the container image
	docker build --build-arg VERSION=$(VERSION) -t $(IMAGE) .

.PHONY: clean
clean: ## Remove what the targets above built
	rm -rf bin
