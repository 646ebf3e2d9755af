#!/bin/sh
# Fails if a program contains a path of the build machine: sh contrib/check-paths.sh PROGRAM...
set -eu

status=0
for program in "$@"; do
    for folder in "$PWD" "${HOME:-$PWD}" "${CARGO_HOME:-${HOME:-}/.cargo}" "${CARGO_TARGET_DIR:-$PWD/target}"; do
        if [ "$folder" != / ] && grep -aqF "$folder/" "$program"; then
            echo "$program contains paths below $folder: contrib/rustc-without-paths.sh must run the compiler" >&2
            status=1
        fi
    done
done
if [ "$status" != 0 ]; then
    echo "unset RUSTC_WRAPPER, run make clean, and build again" >&2
fi
exit "$status"
