#!/usr/bin/env bash
# `make test-monitoring`, first half: the rules by promtool, the dashboards by Grafana's own types,
# what Compose mounts by the programs that read it. The second half is tests/it/monitoring/live.rs.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cd "$root"
tools=${VOMSIS_COMPONENTS:-${XDG_CACHE_HOME:-$HOME/.cache}/vomsis-connect}/tools
# shellcheck source=../tools/versions.sh
. tests/tools/versions.sh
prometheus=$tools/prometheus-$PROMETHEUS
rules=helm/vomsis-connect/files/rules/vomsis.rules.yaml
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { echo "FAILED: $*" >&2; exit 1; }

"$prometheus/promtool" check rules --lint=all --lint-fatal "$rules"
"$prometheus/promtool" test rules tests/rules/*.test.yaml

# Each alert has a test, and a test that can fail: never, always and too soon are each found out.
mkdir -p "$work/tests/rules" "$work/$(dirname "$rules")"
sed -n 's/^ *- alert: //p' "$rules" >"$work/alerts"
mutants=0
mutant() {
    awk -v alert="$1" -v how="$2" -f tests/rules/mutant.awk "$rules" >"$work/$rules"
    ! cmp -s "$rules" "$work/$rules" || return 0
    "$prometheus/promtool" check rules "$work/$rules" >/dev/null || fail "$1 made $2 is no rule"
    ! "$prometheus/promtool" test rules "$work/tests/rules/own.yaml" >/dev/null 2>&1 ||
        fail "$1 made $2 passes the tests"
    mutants=$((mutants + 1))
}
# The alert's own tests are enough, and take a fraction of the time of all. They pass as long as
# nothing is spoiled, or a mutant would prove nothing.
own() {
    local tests
    tests=$(grep -lE "^  - name: \"$1:" tests/rules/*.test.yaml) || fail "$1 has no test"
    awk -v alert="$1" -f tests/rules/only.awk "$tests" >"$work/tests/rules/own.yaml"
    cp "$rules" "$work/$rules"
    "$prometheus/promtool" test rules "$work/tests/rules/own.yaml" >/dev/null || fail "$1 alone fails its tests"
}
while read -r alert; do
    own "$alert"
    for how in never always sooner later; do mutant "$alert" "$how"; done
done <"$work/alerts"
[ "$mutants" -ge 60 ] || fail "only $mutants mutants were tried"
echo "$(wc -l <"$work/alerts") alerts, $mutants mutants, every one found out"

node tests/dashboards/dashboards.mjs --check
node tests/dashboards/schema.mjs "$tools/grafana-schema-$GRAFANA_SCHEMA-$GRAFANA"
node tests/dashboards/shown.mjs >"$work/shown.test.yaml"
"$prometheus/promtool" test rules "$work/shown.test.yaml"

# Their paths are those in the containers.
mkdir -p "$work/etc/rules"
cp "$rules" "$work/etc/rules/"
sed "s#/etc/prometheus/rules#$work/etc/rules#" config/compose/prometheus.yaml >"$work/prometheus.yaml"
"$prometheus/promtool" check config "$work/prometheus.yaml"
"$prometheus/amtool" check-config config/compose/alertmanager.yaml
