# The same recipes for people and for CI. What each does: CONTRIBUTING.md

.PHONY: run test test-full chaos bench fuzz deb image image-root

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

# Features of Cargo that are not in every build: FEATURES=otlp (docs/operations.md, Traces).
FEATURES ?=
with_features = $(if $(FEATURES),--features $(FEATURES))

# Debian packages of this tree, for this machine's architecture.
deb:
	cargo build --release --locked --workspace --exclude bellwire-benches --bins $(with_features)
	@packaging/deb/build target/release target/deb

# The file tree of the container image, in DESTDIR: what packaging/Dockerfile runs.
DESTDIR ?=
image-root:
	cargo build --release --locked --workspace --exclude bellwire-benches --bin bellwire --bin bellwire-notify $(with_features)
	@packaging/image/root target/release "$(DESTDIR)"

# The container image IMAGE, by docker, podman or buildah. SOURCE is the address of the sources that its label shows.
VERSION := $(shell sed -n 's/^version = "\(.*\)"$$/\1/p' Cargo.toml | head -1)
REVISION ?= $(shell git rev-parse --short=12 HEAD 2>/dev/null || echo unknown)
IMAGE ?= bellwire:$(VERSION)
SOURCE ?= unknown
ENGINE ?= $(firstword $(foreach engine,docker podman buildah,$(shell command -v $(engine))))
image:
	@test -n "$(ENGINE)" || { echo "no docker, podman or buildah here; ENGINE=PROGRAM names another" >&2; exit 1; }
	$(ENGINE) build $(if $(filter %podman %buildah,$(ENGINE)),--format docker) --file packaging/Dockerfile --tag $(IMAGE) \
		--build-arg VERSION=$(VERSION) --build-arg REVISION=$(REVISION) --build-arg SOURCE=$(SOURCE) \
		$(if $(FEATURES),--build-arg FEATURES=$(FEATURES)) .
