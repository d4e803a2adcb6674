#!/bin/sh
# SPDX-License-Identifier: MIT
# Builds everything and lays drivers and manifests out as they would be installed.
set -eu
cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-target}

cargo build --release --workspace --quiet
mkdir -p "$target/drivers"
for driver in dispi; do
    built=$target/release/lib${driver}_redox.so
    # Moved into place: a driver that is loaded must not change under its worker.
    cp "$built" "$target/drivers/.${driver}_redox.so"
    mv "$target/drivers/.${driver}_redox.so" "$target/drivers/${driver}_redox.so"
    cp "manifests/$driver.ron" "$target/drivers/"
done
