# flaskpaste: everything one does with the source, each as one word. `make help` lists them.

CARGO ?= cargo
PYTHON ?= python3
STATIC_TARGET := $(shell uname -m)-unknown-linux-gnu

.DEFAULT_GOAL := help
.PHONY: help run build test check bench static docs clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: build ## build and serve on 127.0.0.1:5000
	./target/release/flaskpaste

build: ## build the optimised binary, target/release/flaskpaste
	$(CARGO) build --release --locked --bin flaskpaste

test: ## run the whole test suite
	$(CARGO) test --locked

check: ## format, lints with warnings as errors, server-only dependency tree, tests
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	sh contrib/check-dependencies.sh
	$(CARGO) test --locked

bench: build ## measure against nginx and Flask (needs wrk, nginx, python3-venv)
	$(PYTHON) bench/bench.py $(BENCH_ARGS)

# The target is named so that the flag reaches the binary and not the build scripts.
static: ## build a fully static binary with the stock toolchain
	RUSTFLAGS="-C target-feature=+crt-static" $(CARGO) build --release --locked --bin flaskpaste --target $(STATIC_TARGET)
	@file target/$(STATIC_TARGET)/release/flaskpaste | grep -E 'static(-pie|ally)' || { echo 'not static' >&2; exit 1; }
	@ls -l target/$(STATIC_TARGET)/release/flaskpaste

docs: ## render the settings table into the README
	$(CARGO) test --locked --test integration -- --exact documents::render --ignored

clean: ## remove what was built
	$(CARGO) clean
