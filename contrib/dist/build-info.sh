#!/bin/sh
# Prints the tools that built the static programs of these architectures: the same tools and source give the same bytes
# (docs/releasing.md). Contains no paths, names or times of the machine.
set -eu
here=$(dirname "$0")

# A heading and its indented text, like a field in a Debian control file.
field() { printf '%s:\n' "$1"; sed 's/^/ /'; }

# The linker and C library of an architecture. The library is linked in, so its hash matters, not its name.
c_tools() {
    compiler=$1-linux-gnu-gcc
    [ "$1" != "$(uname -m)" ] || compiler=cc
    library=$("$compiler" -print-file-name=libc.a)
    "$compiler" --version | head -n 1
    "$("$compiler" -print-prog-name=ld)" --version | head -n 1
    echo "libc.a $(sha256sum < "$library" | cut -d ' ' -f 1)"
    # The Debian package it comes from, if any.
    package=$(dpkg-query --search "$(realpath "$library")" 2>/dev/null | cut -d : -f 1 || true)
    [ -z "$package" ] || dpkg-query --show --showformat '${Package} ${Version}\n' "$package"
}

export LC_ALL=C
echo "Version: $(sed -n 's/^version = "\(.*\)"/\1/p' "$here/../../Cargo.toml")"
echo "Commit: $(sh "$here/source.sh" commit)"
echo "Source-Date-Epoch: $(sh "$here/source.sh" date)"
rust=$(rustc -vV)
echo "$rust" | field Rust
cargo --version | field Cargo
for arch in "$@"; do
    c_tools "$arch" | field "C-$arch"
done
{
    tar --version | head -n 1
    gzip --version | head -n 1
    ! command -v dpkg-deb >/dev/null || dpkg-deb --version | head -n 1
} | field Packed-By
# Environment variables that affect the compilers; normally none is set.
env | sort | grep -E '^(RUSTFLAGS|CARGO_ENCODED_RUSTFLAGS|CARGO_PROFILE_[A-Z_]*|(TARGET_|HOST_)?(CC|AR|CFLAGS)(_.*)?)=' |
    field Flags || true
