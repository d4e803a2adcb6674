#!/bin/sh
# SPDX-License-Identifier: MIT
# All tests. The end-to-end tests use the release build in target/.
set -eu
cd "$(dirname "$0")/.."
exec cargo test --release --workspace
