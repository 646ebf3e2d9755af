#!/bin/sh
# Prints the architectures that releases are made for and this machine can build static programs for, its own first. What
# is missing for another is said loudly, and is a failure with CI set: a release never lacks one unnoticed.
set -eu

own=$(uname -m)

# What an architecture needs here that is missing, as commands that install it.
missing() {
    case $1 in
        x86_64) packages="gcc-x86-64-linux-gnu libc6-dev-amd64-cross" ;;
        aarch64) packages="gcc-aarch64-linux-gnu libc6-dev-arm64-cross" ;;
    esac
    # gcc prints a path if it has the file, else the name alone.
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
    printf '\n%s: nothing is made for %s; to build for it:\n%s\n\n' "$word" "$arch" "$lacking" >&2
done
exit "$status"
