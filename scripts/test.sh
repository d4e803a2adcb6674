#!/bin/sh
# SPDX-License-Identifier: MIT
# All tests. The end-to-end tests use the release build in target/.
set -eu
cd "$(dirname "$0")/.."

echo "== unit, property and integration tests"
cargo test --release --workspace --exclude drvhost-tests
echo "== end-to-end tests"
# Each has a machine of its own with several processes: no more at once than there are CPUs.
cargo test --release -p drvhost-tests --no-fail-fast -- --test-threads "$(nproc)"
