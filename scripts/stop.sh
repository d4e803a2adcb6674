#!/bin/sh
# SPDX-License-Identifier: MIT
# Stops what start.sh started. With --quiet it says nothing.
set -eu
cd "$(dirname "$0")/.."
run=${CARGO_TARGET_DIR:-$PWD/target}/run
say=echo
[ "${1:-}" = --quiet ] && say=:

for name in drvhost machine; do
    file=$run/$name.pid
    [ -e "$file" ] || continue
    pid=$(cat "$file")
    # The number may belong to another process by now: ask what it runs.
    case $(readlink "/proc/$pid/exe" 2>/dev/null) in
        */drvhost | */drvhost-sim | *' (deleted)')
            kill "$pid" 2>/dev/null || true
            left=100
            while kill -0 "$pid" 2>/dev/null && [ $left -gt 0 ]; do
                sleep 0.05
                left=$((left - 1))
            done
            kill -9 "$pid" 2>/dev/null || true
            $say "stopped $name (pid $pid)"
            ;;
    esac
    rm -f "$file"
done
rm -rf "$run/bus"
