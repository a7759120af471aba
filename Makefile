# `make check` is what continuous integration runs.

RACE ?= -race
# Of one fuzz target.
FUZZTIME ?= 30s
# Runs of the whole suite in `make soak`, random kills for each protocol, and
# power cuts of the spool and for each protocol of the program.
SOAK ?= 20
KILLS ?= 500
CUTS ?= 5000
# Restarts of each broker.
RESTARTS ?= 50
# The tests that kill, cut off and watch processes of their own, and those of memory.
PROOF = Killed|GivingByMail|KillsMeet|FailedSync|PowerCut|Disk|NoDeletion|LittleMemory|WithinItsMemory|TestMatrix
# Which benchmarks; BENCH=. is every one, and takes the better part of an hour.
BENCH ?= ^Benchmark(Drain|Push|Idle|Retrieve|Accept)
GOVULNCHECK = golang.org/x/vuln/cmd/govulncheck@v1.7.0
STATICCHECK = honnef.co/go/tools/cmd/staticcheck@v0.8.2

.PHONY: build test check lint vuln deps bench receivers soak faults fuzz

build:
	CGO_ENABLED=0 go build -trimpath -o bin/postferry ./cmd/postferry

# Every test, in random order, against the real servers; then those that watch
# processes of their own, which the race detector would only slow.
test: deps
	go test $(RACE) -shuffle=on -timeout 20m ./...
	go test -shuffle=on -timeout 20m ./fetcher/imap ./fetcher/pop3 ./parser ./spool/sqlite ./sinks/payload ./cmd/postferry -run '$(PROOF)'

check: test lint vuln

lint:
	@unformatted=$$(gofmt -l $$(git ls-files '*.go')); if [ -n "$$unformatted" ]; then echo "not formatted: $$unformatted"; exit 1; fi
	go vet ./...
	go run $(STATICCHECK) ./...

# Known vulnerabilities in what is linked. Where the database of vulnerabilities
# cannot be reached it says so, and the check goes on without.
vuln:
	@mkdir -p bin; go run $(GOVULNCHECK) ./... >bin/vuln.txt 2>&1; code=$$?; cat bin/vuln.txt; \
	if grep -q "fetching vulnerabilities" bin/vuln.txt; then echo "not checked for known vulnerabilities: their database cannot be reached"; exit 0; fi; \
	exit $$code

# What the tests need besides Go: installed when run as root on Debian.
deps:
	@.ci/deps

bench: deps
	go test -run '^$$' -bench '$(BENCH)' -timeout 90m -p 1 ./...

# Receivers that others wrote for the formats of mail services, in a module of its
# own: Anymail, Action Mailbox, busboy, the vendors' libraries.
receivers:
	@.ci/deps receivers
	cd internal/mailtest/receivers && GOFLAGS=-mod=mod go test -count=1 ./...

# Defects put into a copy of the source, one after the other: the test that each
# names has to fail.
faults: deps
	go run ./internal/mailtest/faults

# Thousands of kills and power cuts, then the suite again and again, to find
# what fails once in a while.
soak: deps faults
	POSTFERRY_KILLS=$(KILLS) go test ./cmd/postferry -run 'AnyMoment|EveryPhase' -timeout 0 -v
	POSTFERRY_SOAK=1 go test ./parser -run StaysWithinItsMemory -timeout 0 -v
	POSTFERRY_SOAK=1 go test ./cmd/postferry -run 'Disk|EveryStep' -timeout 0 -v
	POSTFERRY_SOAK=1 go test ./sinks ./sinks/webhook -run 'AddsNothing|SignaturesVerify|NothingIsLeft' -timeout 0 -v
	POSTFERRY_SOAK=1 go test ./fetcher/pop3 -run Matrix -timeout 0
	POSTFERRY_CUTS=$(CUTS) go test ./spool/sqlite ./cmd/postferry -run PowerCut -timeout 0 -v
	POSTFERRY_SMUGGLE=70 go test ./sinks/smtp/submit -run AnotherMail -timeout 0 -v
	POSTFERRY_RESTARTS=$(RESTARTS) go test ./sinks/... -run 'NothingIsLost|TestWithRabbitMQ/nothing_is_lost' -timeout 0 -v
	go test $(RACE) -shuffle=on -count=$(SOAK) -timeout 0 ./...

fuzz:
	.ci/fuzz $(FUZZTIME)
