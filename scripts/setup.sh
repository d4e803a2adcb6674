#!/bin/sh
# SPDX-License-Identifier: MIT
# Installs what building and testing need on Debian 12: packages, and the Redox target of rustup.
set -eu

# gcc: C plugins and -sys crates. qemu: emulated devices. The rest are the real clients of the tests.
packages="gcc libc6-dev make qemu-system-x86 libdrm-tests drm-info libdrm-dev libudev-dev util-linux"

missing=
for package in $packages; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' ||
        missing="$missing $package"
done
if [ -n "$missing" ]; then
    echo "installing:$missing"
    sudo=
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null || {
            echo "setup: run as root, or install sudo, to install:$missing" >&2
            exit 1
        }
        sudo=sudo
    fi
    log=$(mktemp)
    # shellcheck disable=SC2086
    { $sudo apt-get update && $sudo env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y --no-install-recommends $missing; } >"$log" 2>&1 || {
        cat "$log" >&2
        echo "setup: apt-get failed to install$missing" >&2
        exit 1
    }
    rm -f "$log"
fi
command -v cargo >/dev/null || {
    echo "setup: no cargo: install Rust with rustup (https://rustup.rs)" >&2
    exit 1
}
if command -v rustup >/dev/null && ! rustup target list --installed | grep -qx x86_64-unknown-redox; then
    echo "adding the target x86_64-unknown-redox"
    rustup target add x86_64-unknown-redox
fi
