#!/bin/sh
# SPDX-License-Identifier: MIT
# Formatting and lints for Linux, and a check of the crates that are meant for Redox.
set -eu
cd "$(dirname "$0")/.."
redox=$1 crates=$2

echo "== cargo fmt --check"
cargo fmt --all --check
echo "== cargo clippy"
cargo clippy --workspace --all-targets --quiet -- -D warnings
echo "== cargo check for $redox"
for crate in $crates; do
    cargo check --quiet --target "$redox" -p "$crate"
done
