#!/bin/sh
# SPDX-License-Identifier: MIT
# Starts a machine (sim, qemu, qemu-vga, or a file) and drvhost on it, in the background.
set -eu
cd "$(dirname "$0")/.."
machine=${1:-sim}
target=${CARGO_TARGET_DIR:-$PWD/target}
run=$target/run
file=sim/machines/$machine.ron
[ -e "$file" ] || file=$machine
[ -e "$file" ] || {
    echo "start: no machine '$machine': MACHINE is one of" \
        "$(cd sim/machines && ls | sed 's/\.ron$//' | tr '\n' ' ')" >&2
    exit 1
}
scripts/stop.sh --quiet
mkdir -p "$run/bus"

# wait_for WHAT SECONDS COMMAND...: polls, and shows the logs if it does not come.
wait_for() {
    what=$1 left=$(($2 * 20))
    shift 2
    until "$@" >/dev/null 2>&1; do
        left=$((left - 1))
        if [ $left -le 0 ]; then
            echo "start: $what did not come up; the logs' ends:" >&2
            tail -n 20 "$run"/*.log >&2
            scripts/stop.sh --quiet
            exit 1
        fi
        sleep 0.05
    done
}

setsid "$target/release/drvhost-sim" "$file" --dir "$run/bus" \
    </dev/null >"$run/machine.log" 2>&1 &
echo $! >"$run/machine.pid"
echo "machine $machine: starting"
wait_for "the machine" 30 grep -q '^ready' "$run/machine.log"

# shellcheck disable=SC2086
setsid "$target/release/drvhost" --bus "$run/bus" --drivers "$target/drivers" ${DRVHOST_OPTIONS:-} \
    </dev/null >"$run/drvhost.log" 2>&1 &
echo $! >"$run/drvhost.pid"
echo "drvhost: starting"
running() { "$target/release/drvhost" show card0 | grep -q '^state *running'; }
wait_for "card0" 30 running

"$target/release/drvhost" list
cat <<EOF

card0 is there. Next:
  $target/release/drvhost exec -- modetest -M dispi
  $target/release/drvhost exec -- drm_info
  $target/release/drvhost screenshot card0 screen.png
  $target/release/drvhost restart card0        (nobody notices)
  $target/release/drvhost logs
  make stop
EOF
