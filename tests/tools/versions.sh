# What tests/tools/fetch.sh fetches, and under which names it lies in the cache.
# shellcheck shell=bash disable=SC2034
PROMETHEUS=2.42.0
ALERTMANAGER=0.25.0
# The newest types, and those of the Grafana that docker-compose.yml has.
GRAFANA_SCHEMA=13.2.3
GRAFANA=11.6.0
HADOLINT=2.15.1
SYFT=1.18.1
COMPOSE=5.6.0
