#!/bin/sh
# Fails when a program holds a path of the machine that built it: sh contrib/check-paths.sh PROGRAM...
set -eu

status=0
for program in "$@"; do
    for folder in "$PWD" "${HOME:-$PWD}" "${CARGO_HOME:-${HOME:-}/.cargo}" "${CARGO_TARGET_DIR:-$PWD/target}"; do
        if [ "$folder" != / ] && grep -aqF "$folder/" "$program"; then
            echo "$program holds paths below $folder: contrib/rustc-without-paths.sh has to run the compiler" >&2
            status=1
        fi
    done
done
if [ "$status" != 0 ]; then
    echo "RUSTC_WRAPPER has to be unset, and what was built without it removed (make clean)" >&2
fi
exit "$status"
