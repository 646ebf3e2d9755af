# flaskpaste: all tasks for working with the source. `make help` lists them.

CARGO ?= cargo
PYTHON ?= python3
# cargo's target directory.
TARGET := $(or $(CARGO_TARGET_DIR),target)
MACHINE := $(shell uname -m)
# Architecture of the static programs: ARCH=aarch64 on another machine needs a cross compiler
# (contrib/dist/architectures.sh).
ARCH := $(MACHINE)
STATIC_TARGET := $(ARCH)-unknown-linux-gnu
STATIC_BUILT := $(TARGET)/$(STATIC_TARGET)/release

.DEFAULT_GOAL := help
.PHONY: help run build postgres lint test test-quick test-postgres check bench bench-postgres attack soak failover fuzz sanitize static static-postgres dist archive deb packages checksums sboms reproduce container containers container-postgres install install-server install-client install-postgres install-guides install-documents uninstall docs pictures clean
# cargo already uses all processors; under `make -j dist deb`, two would compete.
.NOTPARALLEL:

# A line "##@ HEADING" begins a group of targets.
##@ run

help: ## list the targets
	@LC_ALL=C awk -F ':.*## ' '/^##@ / { printf "%s%s:\n", line, substr($$0, 5); line = "\n" } \
		/^[a-z-]+:.*## / { printf "  make %-19s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: build ## build and serve on 127.0.0.1:5000
	$(TARGET)/release/flaskpaste

# Each is built with only its own feature, so that no program links the others' crates.
SERVER = --locked --bin flaskpaste
SHARED = --locked --bin flaskpaste-postgres --no-default-features --features postgres
CLIENT = --locked --bin fpaste --no-default-features --features client

build: ## build the optimised binaries, target/release/flaskpaste and fpaste
	$(CARGO) build --release $(SERVER)
	$(CARGO) build --release $(CLIENT)
	@sh contrib/check-paths.sh $(TARGET)/release/flaskpaste $(TARGET)/release/fpaste

# See docs/scaling.md.
postgres: ## build target/release/flaskpaste-postgres, for a shared PostgreSQL
	$(CARGO) build --release $(SHARED)
	@sh contrib/check-paths.sh $(TARGET)/release/flaskpaste-postgres

##@ test

# cargo-deny checks the crates, if it is installed.
lint: ## check formatting, clippy for each program, and the crates
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets --features client -- -D warnings
	$(CARGO) clippy --locked --all-targets --features client,postgres -- -D warnings
	$(CARGO) clippy $(SERVER) -- -D warnings
	$(CARGO) clippy $(SHARED) -- -D warnings
	$(CARGO) clippy $(CLIENT) -- -D warnings
	sh contrib/check-dependencies.sh
	sh contrib/check-crates.sh

test: ## run all tests; skipped ones are reported, and fail with CI set
	$(CARGO) test --locked --features client

# Tests that need system programs or root are in the module `system` of the integration tests, the slowest in `slow`.
# The others mostly wait, too: four at a time, even on two cores.
test-quick: ## run the tests that need no system programs, in about half a minute
	$(CARGO) test --locked --features client -- --skip system:: --skip slow:: --test-threads=4

# The unit tests run one suite against both engines. Integration tests that need SQLite's files use it here, too. The
# pages, the installation and the packages do not depend on the engine.
test-postgres: ## run the tests with every server on PostgreSQL (needs postgresql)
	TEST_ENGINE=postgres $(CARGO) test --locked --features client,postgres -- --skip system::pages --skip system::install --skip system::packages

check: lint test test-postgres ## lint, then both test runs

# Needs patroni, etcd-server, haproxy, nginx and postgresql.
failover: postgres ## kill the leader of a Patroni cluster under load
	$(PYTHON) tests/failover/failover.py $(TARGET)/release/flaskpaste-postgres

FUZZ_SECONDS ?= 60
FUZZ = $(CARGO) +nightly fuzz run --fuzz-dir tests/fuzz --target $(STATIC_TARGET)

# Needs cargo-fuzz and the nightly toolchain.
fuzz: ## fuzz each of our own parsers for FUZZ_SECONDS
	for target in $$(ls tests/fuzz/seeds); do mkdir -p tests/fuzz/corpus/$$target; \
		$(FUZZ) $$target tests/fuzz/corpus/$$target tests/fuzz/seeds/$$target -- \
			-max_total_time=$(FUZZ_SECONDS) -max_len=20000 -timeout=5 -print_final_stats=1 || exit 1; done

# AddressSanitizer checks what the compiler instruments, valgrind also what system calls get. Together they cover all
# modules with unsafe code, except the static client's name lookup, which a test of the static programs runs. Needs the
# nightly toolchain and valgrind.
sanitize: export CARGO_TARGET_$(shell uname -m | tr a-z A-Z)_UNKNOWN_LINUX_GNU_RUNNER = valgrind --quiet --error-exitcode=1 --leak-check=no
sanitize: ## run the unit tests under AddressSanitizer, and some under valgrind
	env -u CARGO_TARGET_$(shell uname -m | tr a-z A-Z)_UNKNOWN_LINUX_GNU_RUNNER RUSTFLAGS="-Zsanitizer=address" \
		$(CARGO) +nightly test --locked --features client --lib --target $(STATIC_TARGET) --target-dir $(TARGET)/sanitize
	$(CARGO) test --locked --features client --lib -- --test-threads=1 server:: store::

##@ measure

# Needs wrk, nginx and python3-venv; age and curl for sealed pastes, chromium for pages.
bench: build ## measure against nginx and Flask
	$(PYTHON) bench/bench.py $(BENCH_ARGS)

bench-postgres: build postgres ## measure one, two and four servers on PostgreSQL (needs wrk, postgresql)
	$(PYTHON) bench/shared.py $(BENCH_ARGS)

# ATTACKS="name ..." selects some.
attack: build ## attack a server without a proxy and measure the effect on others
	$(PYTHON) tests/attack/attack.py $(TARGET)/release/flaskpaste $(ATTACKS)

# SOAK_SECONDS, SOAK_RACES and SOAK_KILLS set how much.
soak: build ## run mixed load, burn races and kills during writes
	$(PYTHON) tests/attack/soak.py $(TARGET)/release/flaskpaste

##@ package

# An explicit target applies the flag to the binary and not to build scripts.
STATIC = --target $(STATIC_TARGET) --config 'target.$(STATIC_TARGET).rustflags = ["-C", "target-feature=+crt-static"]'
ifeq ($(ARCH),aarch64)
STATIC += --config 'target.$(STATIC_TARGET).linker = "$(CURDIR)/contrib/dist/link-aarch64.sh"'
else ifneq ($(ARCH),$(MACHINE))
STATIC += --config 'target.$(STATIC_TARGET).linker = "$(ARCH)-linux-gnu-gcc"'
endif

static: ## build static programs in target/TRIPLE/release (ARCH=aarch64 for arm64)
	$(CARGO) build --release $(SERVER) $(STATIC)
	$(CARGO) build --release $(CLIENT) $(STATIC)
	@for program in flaskpaste fpaste; do \
		! readelf -lW $(STATIC_BUILT)/$$program | grep INTERP || { echo "$$program is not static" >&2; exit 1; }; done
	@sh contrib/check-paths.sh $(STATIC_BUILT)/flaskpaste $(STATIC_BUILT)/fpaste
	@ls -l $(STATIC_BUILT)/flaskpaste $(STATIC_BUILT)/fpaste

static-postgres: ## build a static flaskpaste-postgres
	$(CARGO) build --release $(SHARED) $(STATIC)
	@! readelf -lW $(STATIC_BUILT)/flaskpaste-postgres | grep INTERP || { echo "flaskpaste-postgres is not static" >&2; exit 1; }
	@sh contrib/check-paths.sh $(STATIC_BUILT)/flaskpaste-postgres
	@ls -l $(STATIC_BUILT)/flaskpaste-postgres

VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml)
NAME := flaskpaste-$(VERSION)-$(ARCH)-linux
# The folder for the files of a release (docs/releasing.md).
ARCHIVE ?= $(TARGET)/dist
STAGE := $(ARCHIVE)/stage

# In a Turkish locale, [a-z] does not match i.
dist deb archive packages install-guides install-documents: export LC_ALL := C

# Runs `make $(1)` for each release architecture this machine can build for.
define for_each_architecture
	@architectures=$$(sh contrib/dist/architectures.sh) || exit 1; for arch in $$architectures; do \
		$(MAKE) static ARCH=$$arch && $(MAKE) $(1) ARCH=$$arch BUILT=$(TARGET)/$$arch-unknown-linux-gnu/release || exit 1; done
endef

dist: ## build archives for /usr/local (x86_64, aarch64) and SBOMs, in target/dist
	rm -rf $(ARCHIVE)
	$(call for_each_architecture,archive sboms)
	sh contrib/dist/build-info.sh $$(sh contrib/dist/architectures.sh 2>/dev/null) > $(ARCHIVE)/BUILDINFO
	@$(MAKE) checksums

# Independent of the builder's umask, user name and locale.
archive:
	rm -rf $(STAGE) $(ARCHIVE)/$(NAME).tar.gz
	$(MAKE) install install-documents DESTDIR=$(STAGE) PREFIX=/usr/local
	$(PYTHON) contrib/dist/notices.py $(STATIC_TARGET) flaskpaste fpaste > $(STAGE)/usr/local/share/doc/flaskpaste/THIRD-PARTY.txt
	tar -C $(STAGE)/usr/local --transform 's|^\.|$(NAME)|' --sort=name --owner=0 --group=0 --numeric-owner --format=gnu \
		--mode=a-s,u=rwX,go=rX --mtime="@$$(sh contrib/dist/source.sh date)" -cf - . | gzip -9n > $(ARCHIVE)/$(NAME).tar.gz
	rm -rf $(STAGE)

sboms:
	for program in flaskpaste flaskpaste-postgres fpaste; do $(PYTHON) contrib/dist/sbom.py $$program $(STATIC_TARGET) \
		> $(ARCHIVE)/$$program-$(VERSION)-$(ARCH)-linux.cdx.json || exit 1; done

# A pre-release, 1.0.0-rc.1, becomes 1.0.0~rc.1, which dpkg sorts before 1.0.0.
DEB_VERSION ?= $(subst -,~,$(VERSION))-1

deb: ## build Debian packages (amd64, arm64), in target/dist
	rm -f $(ARCHIVE)/*.deb
	$(call for_each_architecture,packages)
	@$(MAKE) checksums

packages:
	rm -rf $(STAGE)
	$(MAKE) install-server install-guides DESTDIR=$(STAGE)/flaskpaste PREFIX=/usr
	$(MAKE) install-client DESTDIR=$(STAGE)/fpaste PREFIX=/usr ZSHDIR=/usr/share/zsh/vendor-completions
	sh contrib/debian/build.sh $(STAGE) $(DEB_VERSION) $(ARCH) $(ARCHIVE)
	rm -rf $(STAGE)

checksums:
	cd $(ARCHIVE) && rm -f SHA256SUMS && sha256sum $$(LC_ALL=C ls) > SHA256SUMS && cat SHA256SUMS

# See docs/releasing.md.
reproduce: ## build dist and deb twice and compare them (eight minutes or more)
	sh contrib/dist/reproduce.sh

install-guides:
	install -d "$(DOC)/docs/pictures"
	install -d "$(DOC)/bench"
	install -m 644 SECURITY.md CONTRIBUTING.md contrib/Containerfile contrib/Containerfile.postgres "$(DOC)"
	install -m 644 bench/README.md "$(DOC)/bench"
	install -m 644 docs/*.* "$(DOC)/docs"
	install -m 644 docs/pictures/*.png "$(DOC)/docs/pictures"
	for guide in docs/*.md; do sed -e 's|](\.\./contrib/\([a-z0-9]*/\)\{0,1\}|](../|g' \
		-e 's|](\.\./man/\([a-z]*\)\.\([18]\))|](../../../man/man\2/\1.\2)|g' $$guide > "$(DOC)/$$guide"; done
	chmod 644 "$(DOC)"/docs/*.*

# The documents, with links adjusted to the installed paths.
install-documents: install-guides
	install -m 644 CHANGELOG.md LICENSE "$(DOC)"
	sed -e 's|](contrib/\([a-z0-9]*/\)\{0,1\}|](|g' -e 's|](man/\([a-z]*\)\.\([18]\))|](../../man/man\2/\1.\2)|g' \
		README.md > "$(DOC)/README.md"
	chmod 644 "$(DOC)/README.md"

CONTAINER ?= podman build --format docker
# Docker's names of the architectures.
PLATFORM := $(subst x86_64,amd64,$(subst aarch64,arm64,$(ARCH)))
# The tags of an image: its architecture, and for this machine's also the plain name.
tags = -t $(1):$(PLATFORM) $(if $(filter $(MACHINE),$(ARCH)),-t $(1))

container: static ## build the image flaskpaste (CONTAINER="docker build" for Docker)
	rm -rf $(TARGET)/container
	install -d $(TARGET)/container/data
	install -m 755 $(STATIC_BUILT)/flaskpaste $(STATIC_BUILT)/fpaste $(TARGET)/container
	$(CONTAINER) --platform linux/$(PLATFORM) -f contrib/Containerfile $(call tags,flaskpaste) $(TARGET)/container

containers: ## build the images flaskpaste:amd64 and flaskpaste:arm64
	$(call for_each_architecture,container)

# This machine's CA certificates, for databases with a certificate from a public CA.
AUTHORITIES ?= /etc/ssl/certs/ca-certificates.crt

container-postgres: static static-postgres ## build the image flaskpaste-postgres (docs/scaling.md)
	rm -rf $(TARGET)/container-postgres
	install -d $(TARGET)/container-postgres/data
	install -m 755 $(STATIC_BUILT)/flaskpaste-postgres $(STATIC_BUILT)/fpaste $(TARGET)/container-postgres
	install -m 644 $(AUTHORITIES) $(TARGET)/container-postgres/ca-certificates.crt
	$(CONTAINER) --platform linux/$(PLATFORM) -f contrib/Containerfile.postgres $(call tags,flaskpaste-postgres) $(TARGET)/container-postgres

##@ install

# Installation paths. DESTDIR is prepended to each, for packages.
PREFIX ?= /usr/local
MANDIR ?= $(PREFIX)/share/man
UNITDIR ?= $(PREFIX)/lib/systemd/system
ZSHDIR ?= $(PREFIX)/share/zsh/site-functions
# The programs to install; after `make static`, target/TRIPLE/release.
BUILT ?= $(TARGET)/release
# The fpaste that generates the completions; it must run on this machine.
ifeq ($(ARCH),$(MACHINE))
FPASTE ?= $(BUILT)/fpaste
else
FPASTE ?= $(TARGET)/$(MACHINE)-unknown-linux-gnu/release/fpaste
endif

BIN := $(DESTDIR)$(PREFIX)/bin
DOC := $(DESTDIR)$(PREFIX)/share/doc/flaskpaste
SHARE := $(DESTDIR)$(PREFIX)/share
MAN := $(DESTDIR)$(MANDIR)
UNITS := $(DESTDIR)$(UNITDIR)
ZSH := $(DESTDIR)$(ZSHDIR)
EXAMPLES := contrib/flaskpaste.env contrib/nginx/flaskpaste.conf contrib/nginx/flaskpaste-proxy.conf contrib/caddy/Caddyfile contrib/caddy/caddy.conf \
	contrib/fail2ban/flaskpaste-filter.conf contrib/fail2ban/flaskpaste-jail.conf contrib/prometheus/flaskpaste.rules.yml \
	contrib/grafana/flaskpaste.json contrib/compose/compose.yml contrib/compose/compose.Caddyfile \
	contrib/compose/compose.env.example contrib/systemd/flaskpaste-postgres.conf

# A missing program is built; an existing one is installed as it is, however old: after `make build`, `sudo make
# install` builds nothing.
$(TARGET)/release/flaskpaste:
	$(CARGO) build --release $(SERVER)

$(TARGET)/release/fpaste:
	$(CARGO) build --release $(CLIENT)

$(TARGET)/release/flaskpaste-postgres:
	$(CARGO) build --release $(SHARED)

$(STATIC_BUILT)/flaskpaste-postgres:
	$(MAKE) static-postgres

$(STATIC_BUILT)/flaskpaste $(STATIC_BUILT)/fpaste:
	$(MAKE) static

%/flaskpaste %/fpaste:
	@echo "there is no $(BUILT)/flaskpaste or fpaste: BUILT=$(TARGET)/release after make build, BUILT=$(STATIC_BUILT) after make static" >&2
	@exit 1

install: install-server install-client ## install both programs: DESTDIR, PREFIX, MANDIR, UNITDIR, BUILT

install-server: $(BUILT)/flaskpaste ## install the server, its man page, systemd units and examples
	install -d "$(BIN)" "$(MAN)/man8" "$(UNITS)" "$(DOC)"
	install -m 755 $(BUILT)/flaskpaste "$(BIN)/flaskpaste"
	sed 's|/usr/local/|$(PREFIX)/|' man/flaskpaste.8 > "$(MAN)/man8/flaskpaste.8"
	sed 's|/usr/local/|$(PREFIX)/|' contrib/systemd/flaskpaste.service > "$(UNITS)/flaskpaste.service"
	install -m 644 contrib/systemd/flaskpaste.socket "$(UNITS)/flaskpaste.socket"
	install -m 644 $(EXAMPLES) "$(DOC)"
	sed 's|/usr/local/|$(PREFIX)/|' contrib/systemd/flaskpaste-postgres.conf > "$(DOC)/flaskpaste-postgres.conf"
	chmod 644 "$(MAN)/man8/flaskpaste.8" "$(UNITS)/flaskpaste.service"

install-postgres: $(BUILT)/flaskpaste-postgres ## install flaskpaste-postgres (docs/scaling.md)
	install -d "$(BIN)"
	install -m 755 $(BUILT)/flaskpaste-postgres "$(BIN)/flaskpaste-postgres"

install-client: $(BUILT)/fpaste ## install the client, its man page and completions
	install -d "$(BIN)" "$(MAN)/man1" "$(SHARE)/bash-completion/completions" "$(ZSH)" \
		"$(SHARE)/fish/vendor_completions.d"
	install -m 755 $(BUILT)/fpaste "$(BIN)/fpaste"
	install -m 644 man/fpaste.1 "$(MAN)/man1/fpaste.1"
	$(FPASTE) completions bash > "$(SHARE)/bash-completion/completions/fpaste"
	$(FPASTE) completions zsh > "$(ZSH)/_fpaste"
	$(FPASTE) completions fish > "$(SHARE)/fish/vendor_completions.d/fpaste.fish"
	chmod 644 "$(SHARE)/bash-completion/completions/fpaste" "$(ZSH)/_fpaste" \
		"$(SHARE)/fish/vendor_completions.d/fpaste.fish"

uninstall: ## remove the installed files; settings and pastes stay
	rm -f "$(BIN)/flaskpaste" "$(BIN)/flaskpaste-postgres" "$(BIN)/fpaste" "$(MAN)/man8/flaskpaste.8" "$(MAN)/man1/fpaste.1" \
		"$(UNITS)/flaskpaste.service" "$(UNITS)/flaskpaste.socket" \
		"$(SHARE)/bash-completion/completions/fpaste" "$(ZSH)/_fpaste" \
		"$(SHARE)/fish/vendor_completions.d/fpaste.fish"
	cd "$(DOC)" 2>/dev/null && rm -f $(notdir $(EXAMPLES)) && rmdir "$(DOC)" || true

##@ maintain

docs: ## render the tables of settings, options and page digests
	$(CARGO) test --locked --features client --test integration -- --exact documents::render client_documents::render page_tables::render --ignored

# Needs chromium and chromium-driver.
pictures: build ## record the README's terminal sessions and screenshots
	$(PYTHON) contrib/record.py $(TARGET)/release

clean: ## remove the build output
	$(CARGO) clean
