# flaskpaste: everything one does with the source, each as one word. `make help` lists them.

CARGO ?= cargo
PYTHON ?= python3
STATIC_TARGET := $(shell uname -m)-unknown-linux-gnu
STATIC_BUILT := target/$(STATIC_TARGET)/release

.DEFAULT_GOAL := help
.PHONY: help run build test check bench static docs clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: build ## build and serve on 127.0.0.1:5000
	./target/release/flaskpaste

# Each with its own feature alone, so that neither program has the other's crates.
SERVER = --locked --bin flaskpaste
CLIENT = --locked --bin fpaste --no-default-features --features client

build: ## build the optimised binaries, target/release/flaskpaste and fpaste
	$(CARGO) build --release $(SERVER)
	$(CARGO) build --release $(CLIENT)

test: ## run the whole test suite
	$(CARGO) test --locked --features client

check: ## format, lints with warnings as errors, each program alone, the server's dependencies, tests
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets --features client -- -D warnings
	$(CARGO) clippy $(SERVER) -- -D warnings
	$(CARGO) clippy $(CLIENT) -- -D warnings
	sh contrib/check-dependencies.sh
	$(MAKE) test

bench: build ## measure against nginx and Flask (needs wrk, nginx, python3-venv)
	$(PYTHON) bench/bench.py $(BENCH_ARGS)

# The target is named so that the flag reaches the binary and not the build scripts.
STATIC = --target $(STATIC_TARGET) --config 'target.$(STATIC_TARGET).rustflags = ["-C", "target-feature=+crt-static"]'

static: ## build fully static binaries with the stock toolchain, in target/TRIPLE/release
	$(CARGO) build --release $(SERVER) $(STATIC)
	$(CARGO) build --release $(CLIENT) $(STATIC)
	@for program in flaskpaste fpaste; do \
		! readelf -lW $(STATIC_BUILT)/$$program | grep INTERP || { echo "$$program is not static" >&2; exit 1; }; done
	@ls -l $(STATIC_BUILT)/flaskpaste $(STATIC_BUILT)/fpaste

docs: ## render the settings table into the README
	$(CARGO) test --locked --features client --test integration -- --exact documents::render --ignored

clean: ## remove what was built
	$(CARGO) clean
