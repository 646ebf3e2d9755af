#!/bin/sh
# `cargo deny check` by deny.toml, and by contrib/deny-postgres.toml for that program: licences, bans, sources, advisories. What cannot be checked here is said loudly.
set -eu

loudly() {
    printf '\n%s\n\n' "SKIPPED: $*" >&2
}

if ! cargo deny --version >/dev/null 2>&1; then
    if [ -n "${CI+set}" ]; then
        echo "cargo deny: there must be cargo-deny here, from cargo install --locked cargo-deny" >&2
        exit 1
    fi
    loudly "cargo deny, all of it: it needs cargo-deny, from cargo install --locked cargo-deny"
    exit 0
fi

cargo deny --locked check licenses bans sources
cargo deny --locked --config contrib/deny-postgres.toml check licenses bans sources

# The database of advisories is a repository on GitHub, which a machine that builds may be unable to reach although it has
# all that it builds from. Nothing in the tree is the worse for it, so it is no failure, with CI set neither. A host that
# does not answer must not hold up the rest. Where it is reached, whatever fails then is a failure.
database=https://github.com/RustSec/advisory-db
if GIT_TERMINAL_PROMPT=0 timeout 60 git ls-remote --exit-code "$database" main >/dev/null; then
    timeout 120 cargo deny fetch db
    cargo deny --locked --offline check advisories
    cargo deny --locked --offline --config contrib/deny-postgres.toml check advisories
else
    loudly "the advisories of RustSec and whether a crate was yanked: $database cannot be reached." \
        "Run make lint again where it can be."
fi
