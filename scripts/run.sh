#!/bin/sh
# SPDX-License-Identifier: MIT
# The main job, step by step: a display driver, an unmodified client, and a crash nobody sees.
set -eu
cd "$(dirname "$0")/.."
machine=${1:-sim}
target=${CARGO_TARGET_DIR:-$PWD/target}
run=$target/run
drvhost=$target/release/drvhost

step() { printf '\n== %s\n' "$*"; }
fail() {
    echo "run: $*" >&2
    echo "run: the ends of the logs:" >&2
    tail -n 20 "$run"/*.log >&2
    exit 1
}

step "starting the machine '$machine' and drvhost"
scripts/start.sh "$machine" | sed '/^card0 is there/,$d'
client=
finish() {
    [ -z "$client" ] || kill "$client" 2>/dev/null || true
    scripts/stop.sh
}
trap finish EXIT

step "modetest -M dispi -c -e"
"$drvhost" exec -- modetest -M dispi -c -e | sed -n '1,12p'
connector=$("$drvhost" exec -- modetest -M dispi -c | awk '$3 == "connected" { print $1; exit }')
[ -n "$connector" ] || fail "no connected connector"

step "modetest -M dispi -s $connector:1024x768 -v (test pattern and page flips)"
fifo=$run/stdin
rm -f "$fifo"
mkfifo "$fifo"
# modetest runs until its standard input says something.
exec 3<>"$fifo"
: >"$run/modetest.txt"
"$drvhost" exec -- modetest -M dispi -s "$connector:1024x768" -v <"$fifo" >"$run/modetest.txt" 2>&1 &
client=$!
flips() { grep -c '^freq' "$run/modetest.txt" || true; }
# Waits for more lines of modetest, one for every 60 flips, than $1.
more_than() {
    left=600
    until [ "$(flips)" -gt "$1" ]; do
        kill -0 "$client" 2>/dev/null || { cat "$run/modetest.txt"; fail "modetest ended"; }
        left=$((left - 1))
        [ $left -gt 0 ] || fail "no page flips"
        sleep 0.05
    done
}
more_than 0
tail -n 1 "$run/modetest.txt"

picture() {
    "$target/release/drvhost-sim" ctl "$run/bus" screenshot "$(device)" "$run/$1" >/dev/null ||
        fail "no picture"
    echo "what the monitor shows: $run/$1"
}
device() { "$drvhost" list | awk '/card0/ { print $1; exit }'; }
worker() { "$drvhost" show card0 | sed -n 's/^worker *pid //p'; }
picture before.png

old=$(worker)
step "kill -9 $old: the driver's worker"
before=$(flips)
kill -9 "$old"
more_than $((before + 1))
kill -0 "$client" || fail "modetest noticed"
echo "modetest (pid $client) still runs and flips: $(tail -n 1 "$run/modetest.txt")"
echo "the worker is now pid $(worker)"
picture after.png
"$drvhost" list
"$drvhost" crashes

step "stopping"
