#!/bin/sh
# SPDX-License-Identifier: MIT
# Measures and prints a table; the results are in target/bench/results.json. Arguments go to
# drvhost-bench: --quick, --only PART.
set -eu
cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-target}
exec "$target/release/drvhost-bench" --out "$target/bench/results.json" "$@"
