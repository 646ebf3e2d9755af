#!/bin/sh
# Links the static programs for aarch64 as position-independent executables, so that ASLR applies. rustc does that for x86_64;
# for aarch64 it requests a fixed address, although the C library supports static-pie.
set -eu

linker=aarch64-linux-gnu-gcc
[ "$(uname -m)" != aarch64 ] || linker=cc
for argument in "$@"; do
    shift
    case $argument in
        -static | -no-pie) ;;
        *) set -- "$@" "$argument" ;;
    esac
done
exec "$linker" "$@" -static-pie
