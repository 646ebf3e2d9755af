#!/bin/sh
# Prints what made the static programs of the architectures given: whoever has the same, and the same source, gets the same
# bytes (docs/releasing.md). Nothing of the machine is in it but its tools: no path, no name, no time of its own.
set -eu
here=$(dirname "$0")

# Text below a heading, as the fields of a Debian control file have it.
field() { printf '%s:\n' "$1"; sed 's/^/ /'; }

# The linker and the C library of an architecture. The library is in the programs, so its hash counts, not its name.
c_tools() {
    compiler=$1-linux-gnu-gcc
    [ "$1" != "$(uname -m)" ] || compiler=cc
    library=$("$compiler" -print-file-name=libc.a)
    "$compiler" --version | head -n 1
    "$("$compiler" -print-prog-name=ld)" --version | head -n 1
    echo "libc.a $(sha256sum < "$library" | cut -d ' ' -f 1)"
    # The package that has it, where packages are Debian's.
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
# What else reaches the compilers; unset, as it should be, is not listed.
env | sort | grep -E '^(RUSTFLAGS|CARGO_ENCODED_RUSTFLAGS|CARGO_PROFILE_[A-Z_]*|(TARGET_|HOST_)?(CC|AR|CFLAGS)(_.*)?)=' |
    field Flags || true
