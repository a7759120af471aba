# `make check` is what continuous integration runs.

RACE ?= -race
# Of one fuzz target.
FUZZTIME ?= 30s
# Runs of the whole suite in `make soak`.
SOAK ?= 20
# Which benchmarks; BENCH=. is every one, and takes the better part of an hour.
BENCH ?= ^Benchmark(Drain|Push|Idle|Retrieve|Accept)
STATICCHECK = honnef.co/go/tools/cmd/staticcheck@v0.8.2

.PHONY: build test check lint deps bench soak fuzz

build:
	CGO_ENABLED=0 go build -trimpath -o bin/postferry ./cmd/postferry

# Every test, in random order, against the real servers.
test: deps
	go test $(RACE) -shuffle=on -timeout 10m ./...

check: test lint

lint:
	@unformatted=$$(gofmt -l $$(git ls-files '*.go')); if [ -n "$$unformatted" ]; then echo "not formatted: $$unformatted"; exit 1; fi
	go vet ./...
	go run $(STATICCHECK) ./...

# What the tests need besides Go: installed when run as root on Debian.
deps:
	@.ci/deps

bench: deps
	go test -run '^$$' -bench '$(BENCH)' -timeout 90m -p 1 ./...

# The suite again and again, to find what fails once in a while.
soak: deps
	go test $(RACE) -shuffle=on -count=$(SOAK) -timeout 0 ./...

fuzz:
	.ci/fuzz $(FUZZTIME)
