#!/bin/sh
# Runs `cargo deny check` with deny.toml, and with contrib/deny-postgres.toml for that program: licences, bans, sources,
# advisories. Reports what cannot be checked.
set -eu

loudly() {
    printf '\n%s\n\n' "SKIPPED: $*" >&2
}

if ! cargo deny --version >/dev/null 2>&1; then
    if [ -n "${CI+set}" ]; then
        echo "cargo-deny is required; install it with: cargo install --locked cargo-deny" >&2
        exit 1
    fi
    loudly "all of cargo deny; install it with: cargo install --locked cargo-deny"
    exit 0
fi

cargo deny --locked check licenses bans sources
cargo deny --locked --config contrib/deny-postgres.toml check licenses bans sources

# The advisory database is a repository on GitHub, which a build machine may be unable to reach. That says nothing about the
# tree, so it is not a failure, even with CI set. The timeout keeps an unresponsive host from blocking the rest. If it can be
# reached, any later failure is one.
database=https://github.com/RustSec/advisory-db
if GIT_TERMINAL_PROMPT=0 timeout 60 git ls-remote --exit-code "$database" main >/dev/null; then
    timeout 120 cargo deny fetch db
    cargo deny --locked --offline check advisories
    cargo deny --locked --offline --config contrib/deny-postgres.toml check advisories
else
    loudly "RustSec advisories and yanked crates: $database is unreachable." \
        "Run make lint again on a machine that can reach it."
fi
