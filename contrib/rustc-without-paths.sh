#!/bin/sh
# Runs the compiler so that it writes no path of this machine into what it makes; .cargo/config.toml names this script.
# Where several prefixes fit, the last counts.
set -eu

# The script's own place, as cargo gives it.
checkout=${0%/contrib/*}
cargo_home=${CARGO_HOME:-${HOME-}/.cargo}
set -- "$@" ${HOME:+--remap-path-prefix="$HOME=~"}
# The crates lie in a folder that is named after the registry they came through, which may be a mirror.
for registry in "$cargo_home"/registry/src/*; do
    set -- "$@" --remap-path-prefix="$registry=crates"
done
exec "$@" \
    --remap-path-prefix="$checkout=." \
    --remap-path-prefix="${CARGO_TARGET_DIR:-$checkout/target}=target" \
    ${OUT_DIR:+--remap-path-prefix="$OUT_DIR=out"}
