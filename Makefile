# The same recipes for people and for CI. What each does: CONTRIBUTING.md

.PHONY: run test test-full chaos bench fuzz deb

run:
	cargo run --release

test:
	@tests/run

test-full:
	@tests/run --full

# The simulation over SEEDS schedules, and the real faults with more tabs under more load.
SEEDS ?= 200000
chaos:
	@BELLWIRE_TEST_SEEDS=$(SEEDS) tests/run --full sim faults

# Micro-benchmarks, then the load generator (docs/performance.md), some 15 minutes. LOAD chooses what it measures.
LOAD ?=
bench:
	cargo bench -p bellwire-benches
	cargo build --release --workspace --exclude bellwire-benches --bins
	target/release/bellwire-load --json target/load.json $(LOAD)

# SECONDS of new input for each codec, beside its corpus.
SECONDS ?= 300
fuzz:
	@tests/run --fuzz-seconds $(SECONDS) fuzz

# Debian packages of this tree, for this machine's architecture.
deb:
	cargo build --release --locked --workspace --exclude bellwire-benches --bins
	@packaging/deb/build target/release target/deb
