#!/bin/sh
# Links the static programs for aarch64 as position-independent executables, whose place in memory differs from start to start.
# rustc does so by itself for x86_64; for aarch64 it asks for a fixed place, although the C library can do better.
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
