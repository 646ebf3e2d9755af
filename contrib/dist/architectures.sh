#!/bin/sh
# Prints the release architectures this machine can build static programs for, its own first. Says what is missing for the
# other, and fails with CI set, so that a release never lacks one unnoticed.
set -eu

own=$(uname -m)

# The commands that install what an architecture lacks here.
missing() {
    case $1 in
        x86_64) packages="gcc-x86-64-linux-gnu libc6-dev-amd64-cross" ;;
        aarch64) packages="gcc-aarch64-linux-gnu libc6-dev-arm64-cross" ;;
    esac
    # gcc prints a path if it has the file, else just the name.
    library=$("$1-linux-gnu-gcc" -print-file-name=libc.a 2>/dev/null || true)
    [ -f "$library" ] || echo "apt-get install $packages"
    [ -d "$(rustc --print target-libdir --target "$1-unknown-linux-gnu")" ] || echo "rustup target add $1-unknown-linux-gnu"
}

echo "$own"
status=0
for arch in x86_64 aarch64; do
    [ "$arch" != "$own" ] || continue
    lacking=$(missing "$arch")
    if [ -z "$lacking" ]; then
        echo "$arch"
        continue
    fi
    if [ -n "${CI+set}" ]; then status=1 word=FAILED; else word=SKIPPED; fi
    printf '\n%s: no build for %s; to enable it, run:\n%s\n\n' "$word" "$arch" "$lacking" >&2
done
exit "$status"
