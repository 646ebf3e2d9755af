#!/bin/sh
# Runs rustc so that its output contains no path of this machine; configured in .cargo/config.toml. If several prefixes match,
# the last one wins.
set -eu

# The script's path, as given by cargo.
checkout=${0%/contrib/*}
cargo_home=${CARGO_HOME:-${HOME-}/.cargo}
set -- "$@" ${HOME:+--remap-path-prefix="$HOME=~"}
# The crates are in a folder named after their registry, which may be a mirror.
for registry in "$cargo_home"/registry/src/*; do
    set -- "$@" --remap-path-prefix="$registry=crates"
done
exec "$@" \
    --remap-path-prefix="$checkout=." \
    --remap-path-prefix="${CARGO_TARGET_DIR:-$checkout/target}=target" \
    ${OUT_DIR:+--remap-path-prefix="$OUT_DIR=out"}
