# flaskpaste: everything one does with the source, each as one word. `make help` lists them.

CARGO ?= cargo
PYTHON ?= python3
# Where cargo builds.
TARGET := $(or $(CARGO_TARGET_DIR),target)
MACHINE := $(shell uname -m)
# What the static programs are for: ARCH=aarch64 on another machine needs a cross compiler (contrib/dist/architectures.sh).
ARCH := $(MACHINE)
STATIC_TARGET := $(ARCH)-unknown-linux-gnu
STATIC_BUILT := $(TARGET)/$(STATIC_TARGET)/release

.DEFAULT_GOAL := help
.PHONY: help run build postgres lint test test-quick test-postgres check bench bench-postgres attack soak failover fuzz sanitize static static-postgres dist archive deb packages checksums reproduce container containers container-postgres install install-server install-client install-postgres install-guides install-documents uninstall docs pictures clean
# cargo uses all processors by itself; `make -j dist deb` would have two of them in each other's way.
.NOTPARALLEL:

help: ## list the targets
	@LC_ALL=C awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: build ## build and serve on 127.0.0.1:5000
	$(TARGET)/release/flaskpaste

# Each with its own feature alone, so that no program has the others' crates.
SERVER = --locked --bin flaskpaste
SHARED = --locked --bin flaskpaste-postgres --no-default-features --features postgres
CLIENT = --locked --bin fpaste --no-default-features --features client

build: ## build the optimised binaries, target/release/flaskpaste and fpaste
	$(CARGO) build --release $(SERVER)
	$(CARGO) build --release $(CLIENT)
	@sh contrib/check-paths.sh $(TARGET)/release/flaskpaste $(TARGET)/release/fpaste

postgres: ## build target/release/flaskpaste-postgres, for any number of servers on PostgreSQL (docs/scaling.md)
	$(CARGO) build --release $(SHARED)
	@sh contrib/check-paths.sh $(TARGET)/release/flaskpaste-postgres

lint: ## format, lints with warnings as errors, each program alone, the crates (cargo-deny, if it is installed)
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets --features client -- -D warnings
	$(CARGO) clippy --locked --all-targets --features client,postgres -- -D warnings
	$(CARGO) clippy $(SERVER) -- -D warnings
	$(CARGO) clippy $(SHARED) -- -D warnings
	$(CARGO) clippy $(CLIENT) -- -D warnings
	sh contrib/check-dependencies.sh
	sh contrib/check-crates.sh

test: ## run the whole test suite; what it skips is said, and with CI set a failure
	$(CARGO) test --locked --features client

# What needs system programs, or what only root may do, is in the module `system` of the integration tests, and what
# waits longest in `slow`. The others mostly wait, too: four at a time, on two cores as well.
test-quick: ## the tests that need no system programs, in about half a minute
	$(CARGO) test --locked --features client -- --skip system:: --skip slow:: --test-threads=4

# The unit tests hold both engines to one suite; of the others, those that need the embedded one's files run with it here, too.
# The pages in a browser, what is installed and the packages are the same whatever the engine.
test-postgres: ## the test suite with every server on PostgreSQL, and what breaks there (needs postgresql)
	TEST_ENGINE=postgres $(CARGO) test --locked --features client,postgres -- --skip system::pages --skip system::install --skip system::packages

check: lint test test-postgres ## lint, then both test runs

bench: build ## measure against nginx and Flask (needs wrk, nginx, python3-venv; age and curl for sealed pastes, chromium for pages)
	$(PYTHON) bench/bench.py $(BENCH_ARGS)

bench-postgres: build postgres ## measure one, two and four servers on PostgreSQL (needs wrk and postgresql)
	$(PYTHON) bench/shared.py $(BENCH_ARGS)

attack: build ## attack a server on a bare port and measure what others notice (ATTACKS="name ..." for some alone)
	$(PYTHON) tests/attack/attack.py $(TARGET)/release/flaskpaste $(ATTACKS)

soak: build ## minutes of mixed load, burn races and kills under writes (SOAK_SECONDS, SOAK_RACES, SOAK_KILLS)
	$(PYTHON) tests/attack/soak.py $(TARGET)/release/flaskpaste

failover: postgres ## kill the leader of a Patroni cluster under load (needs patroni etcd-server haproxy nginx postgresql)
	$(PYTHON) tests/failover/failover.py $(TARGET)/release/flaskpaste-postgres

FUZZ_SECONDS ?= 60
FUZZ = $(CARGO) +nightly fuzz run --fuzz-dir tests/fuzz --target $(STATIC_TARGET)

fuzz: ## fuzz each of our own parsers for FUZZ_SECONDS (needs cargo-fuzz and the nightly toolchain)
	for target in $$(ls tests/fuzz/seeds); do mkdir -p tests/fuzz/corpus/$$target; \
		$(FUZZ) $$target tests/fuzz/corpus/$$target tests/fuzz/seeds/$$target -- \
			-max_total_time=$(FUZZ_SECONDS) -max_len=20000 -timeout=5 -print_final_stats=1 || exit 1; done

# The first finds what the compiler can see, the second what the kernel is given. Between them are all modules with
# unsafe code; that of the static client's name lookup runs in a test of the static programs.
sanitize: export CARGO_TARGET_$(shell uname -m | tr a-z A-Z)_UNKNOWN_LINUX_GNU_RUNNER = valgrind --quiet --error-exitcode=1 --leak-check=no
sanitize: ## the unit tests under AddressSanitizer (nightly toolchain), and those of server and store under valgrind
	env -u CARGO_TARGET_$(shell uname -m | tr a-z A-Z)_UNKNOWN_LINUX_GNU_RUNNER RUSTFLAGS="-Zsanitizer=address" \
		$(CARGO) +nightly test --locked --features client --lib --target $(STATIC_TARGET) --target-dir $(TARGET)/sanitize
	$(CARGO) test --locked --features client --lib -- --test-threads=1 server:: store::

# The target is named so that the flag reaches the binary and not the build scripts.
STATIC = --target $(STATIC_TARGET) --config 'target.$(STATIC_TARGET).rustflags = ["-C", "target-feature=+crt-static"]'
ifeq ($(ARCH),aarch64)
STATIC += --config 'target.$(STATIC_TARGET).linker = "$(CURDIR)/contrib/dist/link-aarch64.sh"'
else ifneq ($(ARCH),$(MACHINE))
STATIC += --config 'target.$(STATIC_TARGET).linker = "$(ARCH)-linux-gnu-gcc"'
endif

static: ## build fully static binaries with the stock toolchain, in target/TRIPLE/release (ARCH=aarch64 for arm64)
	$(CARGO) build --release $(SERVER) $(STATIC)
	$(CARGO) build --release $(CLIENT) $(STATIC)
	@for program in flaskpaste fpaste; do \
		! readelf -lW $(STATIC_BUILT)/$$program | grep INTERP || { echo "$$program is not static" >&2; exit 1; }; done
	@sh contrib/check-paths.sh $(STATIC_BUILT)/flaskpaste $(STATIC_BUILT)/fpaste
	@ls -l $(STATIC_BUILT)/flaskpaste $(STATIC_BUILT)/fpaste

static-postgres: ## build flaskpaste-postgres fully static, too
	$(CARGO) build --release $(SHARED) $(STATIC)
	@! readelf -lW $(STATIC_BUILT)/flaskpaste-postgres | grep INTERP || { echo "flaskpaste-postgres is not static" >&2; exit 1; }
	@sh contrib/check-paths.sh $(STATIC_BUILT)/flaskpaste-postgres
	@ls -l $(STATIC_BUILT)/flaskpaste-postgres

# Where things go. DESTDIR is put before each path, for packages.
PREFIX ?= /usr/local
MANDIR ?= $(PREFIX)/share/man
UNITDIR ?= $(PREFIX)/lib/systemd/system
ZSHDIR ?= $(PREFIX)/share/zsh/site-functions
# Where the programs come from: after `make static`, target/TRIPLE/release.
BUILT ?= $(TARGET)/release
# The fpaste that writes the completions: one that runs on this machine.
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

# A program that is missing is built; one that is there is taken as it is, however old: after `make build`, `sudo make
# install` builds nothing, and without it `make install` installs what was built before.
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
	chmod 644 "$(MAN)/man8/flaskpaste.8" "$(UNITS)/flaskpaste.service"

install-postgres: $(BUILT)/flaskpaste-postgres ## install flaskpaste-postgres, too (docs/scaling.md)
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

uninstall: ## remove what install installed; settings and pastes stay
	rm -f "$(BIN)/flaskpaste" "$(BIN)/flaskpaste-postgres" "$(BIN)/fpaste" "$(MAN)/man8/flaskpaste.8" "$(MAN)/man1/fpaste.1" \
		"$(UNITS)/flaskpaste.service" "$(UNITS)/flaskpaste.socket" \
		"$(SHARE)/bash-completion/completions/fpaste" "$(ZSH)/_fpaste" \
		"$(SHARE)/fish/vendor_completions.d/fpaste.fish"
	cd "$(DOC)" 2>/dev/null && rm -f $(notdir $(EXAMPLES)) && rmdir "$(DOC)" || true

VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml)
NAME := flaskpaste-$(VERSION)-$(ARCH)-linux
# Where all goes that a release consists of (docs/releasing.md).
ARCHIVE ?= $(TARGET)/dist
STAGE := $(ARCHIVE)/stage

# In a Turkish locale, [a-z] has no i.
dist deb archive packages install-guides install-documents: export LC_ALL := C

# Runs `make $(1)` for each architecture a release is made for, as far as this machine can build for it.
define for_each_architecture
	@architectures=$$(sh contrib/dist/architectures.sh) || exit 1; for arch in $$architectures; do \
		$(MAKE) static ARCH=$$arch && $(MAKE) $(1) ARCH=$$arch BUILT=$(TARGET)/$$arch-unknown-linux-gnu/release || exit 1; done
endef

dist: ## static binaries and all that belongs to them, as target/dist/NAME.tar.gz for /usr/local, x86_64 and aarch64; SBOMs
	rm -rf $(ARCHIVE)
	$(call for_each_architecture,archive sboms)
	sh contrib/dist/build-info.sh $$(sh contrib/dist/architectures.sh 2>/dev/null) > $(ARCHIVE)/BUILDINFO
	@$(MAKE) checksums

# Nothing of the builder's umask, names and locale is in it.
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

# Of a pre-release, 1.0.0-rc.1, ~ makes the older version: 1.0.0~rc.1.
DEB_VERSION ?= $(subst -,~,$(VERSION))-1

deb: ## Debian packages of both programs for amd64 and arm64, in target/dist
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

reproduce: ## build all of dist and deb twice, on what might be two machines, and compare (half an hour; docs/releasing.md)
	sh contrib/dist/reproduce.sh

install-guides:
	install -d "$(DOC)/docs/pictures"
	install -m 644 SECURITY.md "$(DOC)"
	install -m 644 docs/*.* "$(DOC)/docs"
	install -m 644 docs/pictures/*.png "$(DOC)/docs/pictures"
	for guide in docs/*.md; do sed -e 's|](\.\./contrib/\([a-z0-9]*/\)\{0,1\}|](../|g' \
		-e 's|](\.\./man/\([a-z]*\)\.\([18]\))|](../../../man/man\2/\1.\2)|g' $$guide > "$(DOC)/$$guide"; done
	chmod 644 "$(DOC)"/docs/*.*

# The documents, with links to where install puts what they name.
install-documents: install-guides
	install -d "$(DOC)/bench"
	install -m 644 CHANGELOG.md CONTRIBUTING.md LICENSE contrib/Containerfile contrib/Containerfile.postgres "$(DOC)"
	install -m 644 bench/README.md "$(DOC)/bench"
	sed -e 's|](contrib/\([a-z0-9]*/\)\{0,1\}|](|g' -e 's|](man/\([a-z]*\)\.\([18]\))|](../../man/man\2/\1.\2)|g' \
		README.md > "$(DOC)/README.md"
	chmod 644 "$(DOC)/README.md"

CONTAINER ?= podman build --format docker
# What Docker calls the architectures.
PLATFORM := $(subst x86_64,amd64,$(subst aarch64,arm64,$(ARCH)))
# The tags of an image: its architecture, and none for the one that runs here.
tags = -t $(1):$(PLATFORM) $(if $(filter $(MACHINE),$(ARCH)),-t $(1))

container: static ## build the container image flaskpaste (CONTAINER="docker build" for Docker)
	rm -rf $(TARGET)/container
	install -d $(TARGET)/container/data
	install -m 755 $(STATIC_BUILT)/flaskpaste $(STATIC_BUILT)/fpaste $(TARGET)/container
	$(CONTAINER) --platform linux/$(PLATFORM) -f contrib/Containerfile $(call tags,flaskpaste) $(TARGET)/container

containers: ## build the images flaskpaste:amd64 and flaskpaste:arm64
	$(call for_each_architecture,container)

# The authorities of this machine, for databases with certificates of a public one.
AUTHORITIES ?= /etc/ssl/certs/ca-certificates.crt

container-postgres: static static-postgres ## build the container image flaskpaste-postgres (docs/scaling.md)
	rm -rf $(TARGET)/container-postgres
	install -d $(TARGET)/container-postgres/data
	install -m 755 $(STATIC_BUILT)/flaskpaste-postgres $(STATIC_BUILT)/fpaste $(TARGET)/container-postgres
	install -m 644 $(AUTHORITIES) $(TARGET)/container-postgres/ca-certificates.crt
	$(CONTAINER) --platform linux/$(PLATFORM) -f contrib/Containerfile.postgres $(call tags,flaskpaste-postgres) $(TARGET)/container-postgres

docs: ## render the tables: settings and options into documents and man pages, the digests of the pages
	$(CARGO) test --locked --features client --test integration -- --exact documents::render client_documents::render page_tables::render --ignored

pictures: build ## record the terminal sessions of the README and the pictures of the pages (needs chromium, chromium-driver)
	$(PYTHON) contrib/record.py $(TARGET)/release

clean: ## remove what was built
	$(CARGO) clean
