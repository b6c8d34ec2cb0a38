# Everything a developer and CI run. `make` alone lists the targets.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
CARGO ?= cargo
.PHONY: help test components fmt lint arch bench clean chart-tools kube-tools test-chart test-kube

help: ## lists the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1|\2/p' $(MAKEFILE_LIST) | column -t -s '|'

# Most tests wait for sessions, timeouts and brokers: four at once where there are fewer cores.
test: components ## fetches the components, then runs every test against a real broker and registry
	cores=$$(nproc); RUST_TEST_THREADS=$${RUST_TEST_THREADS:-$$((cores > 4 ? cores : 4))} \
		$(CARGO) test --locked --features failpoints

components: ## fetches broker, registry and Java into the cache, once (VOMSIS_COMPONENTS moves it)
	@tests/components/fetch.sh

fmt: ## formats the sources
	$(CARGO) fmt

lint: ## format and clippy, warnings are errors
	$(CARGO) fmt --check
	$(CARGO) clippy --all-targets --locked --features failpoints -- -D warnings
	$(CARGO) clippy --locked -- -D warnings

arch: ## who may know whom in src/, and which crate lives where
	$(CARGO) test --locked --features failpoints --test it arch::

chart-tools: ## builds Helm and its companions into the cache, once (6 minutes)
	@tests/components/kube.sh chart

kube-tools: ## builds an API server and a fake kubelet too, once (20 minutes more)
	@tests/components/kube.sh all

test-chart: chart-tools ## the chart without a cluster: schema, values, lint, unit tests, golden renders, README
	$(CARGO) test --locked --features failpoints --test it chart::
	@tests/chart/check.sh

test-kube: kube-tools components ## the chart on a real API server, then its Pod for real under podman
	$(CARGO) build --locked
	@tests/kube/run.sh

bench: components ## every benchmark, the end-to-end one (a bench without harness) included
	$(CARGO) bench --locked

clean: ## removes what was built; the components' cache stays
	$(CARGO) clean

.PHONY: tools test-monitoring pictures test-image test-compose

tools: ## fetches the programs of the three targets below (monitoring, image, compose) into the cache
	@tests/tools/fetch.sh monitoring image compose

test-monitoring: components ## alerts and dashboards: promtool, Grafana's types, a live Prometheus on the real binary
	@tests/tools/fetch.sh monitoring
	@tests/rules/run.sh
	$(CARGO) test --locked --features failpoints --test it -- --ignored monitoring::

pictures: components ## draws docs/dashboards from a live run (needs chromium)
	@tests/tools/fetch.sh monitoring
	VOMSIS_PICTURES=$(CURDIR)/docs/dashboards $(CARGO) test --locked --features failpoints --test it -- --ignored monitoring::live::alerts

test-image: ## builds the image on stand-in bases and runs it as a strict platform would (root, podman)
	@tests/tools/fetch.sh image
	@tests/image/run.sh

test-compose: components ## docker-compose.yml by Compose itself, brought up on podman (root)
	@tests/tools/fetch.sh compose
	@tests/compose/run.sh
