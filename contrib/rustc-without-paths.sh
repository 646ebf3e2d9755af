#!/bin/sh
# Runs the compiler so that it writes no path of this machine into what it makes; .cargo/config.toml names this script.
# Where several prefixes fit, the last counts.
set -eu

# The script's own place, as cargo gives it.
checkout=${0%/contrib/*}
cargo_home=${CARGO_HOME:-${HOME-}/.cargo}
exec "$@" \
    ${HOME:+--remap-path-prefix="$HOME=~"} \
    --remap-path-prefix="$cargo_home/registry/src=crates" \
    --remap-path-prefix="$checkout=." \
    --remap-path-prefix="${CARGO_TARGET_DIR:-$checkout/target}=target" \
    ${OUT_DIR:+--remap-path-prefix="$OUT_DIR=out"}
