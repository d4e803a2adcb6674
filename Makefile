# SPDX-License-Identifier: MIT
# What people and CI do with this tree. `make help` lists it.

MACHINE ?= sim
CARGO ?= cargo
REDOX := x86_64-unknown-redox
# What is meant for Redox; the others are tools for development on Linux.
REDOX_CRATES := drvhost-abi driver-sys drvhost-drm dispi drvhost-manifest drvhost-plugin drvhost-port
# All output of a build is here, also where CARGO_TARGET_DIR points elsewhere.
export CARGO_TARGET_DIR ?= $(CURDIR)/target

.PHONY: help setup build drivers start stop run test check test-redox fuzz bench clean

help: ## Show this list.
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' Makefile | expand -t 22
	@echo "MACHINE=sim (simulated display), qemu (bochs-display) or qemu-vga (VGA) goes with start."

setup: ## Install the Debian packages that building and testing need.
	@scripts/setup.sh

build: setup ## Build everything, and lay the drivers out in target/drivers.
	@scripts/build.sh

start: build ## Start a machine and drvhost on it, in the background.
	@scripts/start.sh $(MACHINE)

stop: ## Stop what start started.
	@scripts/stop.sh

run: build ## Show the main job: a display driver, modetest, a crash that nobody sees.
	@scripts/run.sh $(MACHINE)

check: setup ## Formatting and lints, for Linux and for Redox.
	@scripts/check.sh $(REDOX) "$(REDOX_CRATES)"

test: check build ## Everything that CI runs.
	@scripts/test.sh

fuzz: setup ## The long runs of the fuzzers.
	FUZZ_ITERATIONS=$${FUZZ_ITERATIONS:-10000000} $(CARGO) test --release -p drvhost-drm fuzz -- --include-ignored

bench: build ## Measure; the results are in target/bench/results.json.
	@scripts/bench.sh

clean: stop ## Remove what was built.
	$(CARGO) clean
