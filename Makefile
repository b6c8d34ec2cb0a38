# Everything a developer and CI run. `make` alone lists the targets.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
CARGO ?= cargo
.PHONY: help test components fmt lint arch bench clean

help: ## lists the targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/make \1|\2/p' $(MAKEFILE_LIST) | column -t -s '|'

test: components ## fetches the components, then runs every test against a real broker and registry
	$(CARGO) test --locked --features failpoints

components: ## fetches broker, registry and Java into the cache, once (VOMSIS_COMPONENTS moves it)
	@tests/components/fetch.sh

fmt: ## formats the sources
	$(CARGO) fmt

lint: ## format and clippy, warnings are errors
	$(CARGO) fmt --check
	$(CARGO) clippy --all-targets --locked -- -D warnings
	$(CARGO) clippy --all-targets --locked --features failpoints -- -D warnings

arch: ## who may know whom in src/, and which crate lives where
	$(CARGO) test --locked --test it arch::

bench: components ## every benchmark, the end-to-end one (a bench without harness) included
	$(CARGO) bench --locked

clean: ## removes what was built; the components' cache stays
	$(CARGO) clean
