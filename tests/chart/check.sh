#!/usr/bin/env bash
# The chart without a cluster: lint, every ci/ variant, the schemas of Kubernetes, unit tests, README, golden
# renders, a parent chart, what may not change since the last release. UPDATE=1 writes README and golden renders.
# The values linter and the embedded schema are Rust tests: `cargo test --test it chart::`.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
chart=$root/helm/vomsis-connect
tools=${VOMSIS_COMPONENTS:-${XDG_CACHE_HOME:-$HOME/.cache}/vomsis-connect}/kube
export PATH="$tools/bin:$PATH" HELM_CACHE_HOME HELM_CONFIG_HOME HELM_DATA_HOME
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
HELM_CACHE_HOME=$work/cache HELM_CONFIG_HOME=$work/config HELM_DATA_HOME=$work/data
passed=0 failed=0

check() {
    local name=$1
    shift
    if "$@" >"$work/log" 2>&1; then
        passed=$((passed + 1))
        echo "chart: ok   $name"
    else
        failed=$((failed + 1))
        echo "chart: FAIL $name"
        sed 's/^/    /' "$work/log"
    fi
}

render() { helm template vomsis "$chart" --namespace vomsis "$@"; }

# The oldest version of Kubernetes that the chart accepts.
oldest() { sed -n 's/^kubeVersion: ">=\([0-9]*\.[0-9]*\)\..*/\1/p' "$chart/Chart.yaml" | grep .; }

# Manifests on stdin are what Kubernetes knows, without a field of another name: in the oldest version that the
# chart accepts, and in the newest one.
known() {
    PYTHONPATH=$tools/validate PYTHONDONTWRITEBYTECODE=1 python3 "$here/schemas.py" "$(oldest)"
}

rendered() {
    render -f "$chart/ci/$1-values.yaml" >"$work/rendered.yaml" || return 1
    known <"$work/rendered.yaml"
}

golden() {
    local committed=$here/golden/$1.yaml
    render -f "$chart/ci/$1-values.yaml" >"$work/$1.yaml" || return 1
    [ -z "${UPDATE:-}" ] || cp "$work/$1.yaml" "$committed"
    diff -u "$committed" "$work/$1.yaml" || { echo "run UPDATE=1 make test-chart to accept it"; return 1; }
}

readme() {
    cp -r "$chart" "$work/readme" || return 1
    (cd "$work/readme" && helm-docs --sort-values-order file --log-level error) || return 1
    grep -q '^| terminationGracePeriodSeconds |' "$work/readme/README.md" || { echo "no table of values"; return 1; }
    [ -z "${UPDATE:-}" ] || cp "$work/readme/README.md" "$chart/README.md"
    diff -u "$chart/README.md" "$work/readme/README.md" || { echo "run UPDATE=1 make test-chart"; return 1; }
}

# A parent chart hands down values, globals and a condition.
parent() {
    local parent=$work/parent
    mkdir -p "$parent/charts" "$parent/templates"
    cp -r "$chart" "$parent/charts/vomsis-connect"
    printf '%s\n' 'apiVersion: v2' 'name: parent' 'version: 1.0.0' 'dependencies:' \
        '  - {name: vomsis-connect, version: ">=0.0.0", condition: vomsis-connect.enabled}' >"$parent/Chart.yaml"
    { echo 'vomsis-connect:'; sed 's/^/  /' "$chart/ci/umbrella-values.yaml"
      echo 'global: {region: eu}'; } >"$parent/values.yaml"
    helm lint "$parent" || return 1
    helm template vomsis "$parent" >"$work/parent.yaml" || return 1
    grep -q '^  name: "payments-vomsis"$' "$work/parent.yaml" || { echo "no object of the chart"; return 1; }
    helm template vomsis "$parent" --set vomsis-connect.enabled=false >"$work/parent.yaml" || return 1
    ! grep -q '^kind:' "$work/parent.yaml" || { echo "the condition does not switch it off"; return 1; }
}

# What a StatefulSet can never change, as the template prints it, but for quotes around words that are
# text without them too.
immutable() {
    awk '/^  [a-zA-Z#]/ { keep = /^  (serviceName|podManagementPolicy|selector|volumeClaimTemplates):/ } keep' |
        sed -E 's/: "(vomsis[a-z-]*|[0-9]+Gi)"$/: \1/' | grep . || { echo "nothing found" >&2; return 1; }
}

# Upgrades from the last release keep the StatefulSet; $1 is a variant that both know.
upgradable() {
    local released
    released=$(last_release) || return 1
    helm template vomsis "$released" -f "$chart/ci/$1-values.yaml" -s templates/statefulset.yaml |
        immutable >"$work/old" || return 1
    render -f "$chart/ci/$1-values.yaml" -s templates/statefulset.yaml | immutable >"$work/new" || return 1
    diff -u "$work/old" "$work/new"
}

last_release() {
    find "$here/released" -name 'vomsis-connect-*.tgz' | sort -V | tail -n 1 | grep . ||
        { echo "no package in tests/chart/released" >&2; return 1; }
}

# The program takes what the chart would mount and set; $1 is a variant with a `config`.
understood() {
    local program=${CARGO_TARGET_DIR:-$root/target}/debug/vomsis-connect environment
    [ -x "$program" ] || { echo "$program is missing: cargo build"; return 1; }
    render -f "$chart/ci/$1-values.yaml" -s templates/config.yaml |
        sed -n '/^  config.yaml: |$/,$p' | sed -n 's/^    //p' | grep . >"$work/config.yaml" || return 1
    mapfile -t environment < <(render -f "$chart/ci/$1-values.yaml" -s templates/statefulset.yaml |
        sed -n -E 's/^ *- \{name: (VOMSIS__[A-Z_]+), value: "?([^"}]*)"?\}$/\1=\2/p')
    [ ${#environment[@]} -ge 5 ] || { echo "no environment found"; return 1; }
    env "${environment[@]}" "$program" config validate "$work/config.yaml"
}

# What is shown outside by default is there: a path that the connector does not serve is a page of 404.
shown() {
    local routes=$root/src/http/server.rs path found=0
    render -f "$chart/ci/default-values.yaml" -s templates/outside.yaml \
        --set ingress.enabled=true,ingress.hosts={status.example.org} \
        --set httpRoute.enabled=true,httpRoute.parentRefs[0].name=gateway >"$work/outside.yaml" || return 1
    while read -r path; do
        found=$((found + 1))
        grep -qF ".route(\"$path\", get(" "$routes" || { echo "$path is not served by $routes"; return 1; }
    done < <(sed -n -E 's#.*(path|value): "(/[^"]*)".*#\2#p' "$work/outside.yaml")
    [ "$found" = 4 ] || { echo "$found paths instead of two in each object"; return 1; }
}

# Names that YAML takes for something else stay text: each stands in quotes, whatever it names.
text() {
    local word key names switches=dashboards.enabled=true,admin.enabled=true,ingress.enabled=true
    switches+=,networkPolicy.enabled=true,networkPolicy.metricsFrom[0].podSelector.matchLabels.a=b
    switches+=,kafka.keys.password=password,metrics.serviceMonitor.enabled=true,podDisruptionBudget.enabled=true,httpRoute.enabled=true
    for word in null on; do
        names=
        for key in {full,}nameOverride existingConfigMap serviceAccount.name {priority,runtime}ClassName \
            {credentials,kafka,schemaRegistry,admin}.existingSecret schemaRegistry.username ingress.className \
            'ingress.hosts[0]' 'httpRoute.parentRefs[0].name' commonLabels.team \
            dashboards.{namespace,label,labelValue,folder,folderAnnotation}; do
            names+=$key=$word,
        done
        helm template "$word" "$chart" --set-string "${names%,}" --set "$switches" >"$work/text.yaml" || return 1
        sed -i '/^  [a-z-]*\.json: /d' "$work/text.yaml"
        [ "$(grep -c "\"$word\"" "$work/text.yaml")" -ge 60 ] || { echo "the names are not there"; return 1; }
        ! grep -nE "(^|[:{,-] *)$word *([:},]|\$)" "$work/text.yaml" || return 1
    done
}

# The YAML blocks of page $1, without their indentation, as $work/blocks/N.yaml.
blocks() {
    rm -rf "$work/blocks"
    mkdir "$work/blocks"
    awk -v to="$work/blocks/" '/^ *```yaml$/ { found += 1; file = to found ".yaml"; indent = index($0, "`"); next }
        /^ *```$/ { file = "" } file { print substr($0, indent) >file }' "$1"
}

# Each block of values on page $1 is taken by the chart, and makes objects that Kubernetes knows; $2 of them.
# A block that is no values begins with its `apiVersion`.
pages_values() {
    local block found=0
    blocks "$root/$1"
    for block in "$work"/blocks/*.yaml; do
        ! grep -q '^apiVersion:' "$block" || continue
        found=$((found + 1))
        render -f "$chart/ci/default-values.yaml" -f "$block" >"$work/rendered.yaml" || { cat "$block"; return 1; }
        known <"$work/rendered.yaml" || { cat "$block"; return 1; }
    done
    [ "$found" = "$2" ] || { echo "$found blocks of values instead of $2"; return 1; }
}

# The examples of egress gateways look for what the values beside them give the Pods.
egress() {
    local page=$root/docs/deploy/egress-ip.md label code
    label=$(sed -n 's/^podLabels: {\(.*\)}$/\1/p' "$page" | grep .) || { echo "no podLabels"; return 1; }
    grep -qF "matchLabels: {$label, io.kubernetes.pod.namespace: vomsis}" "$page" ||
        { echo "the Cilium policy does not select $label"; return 1; }
    code=$(sed -n "s/^  egress.projectcalico.org\/selector: \([a-z-]*\) == '\([a-z]*\)'$/\1: \2/p" "$page" | grep .) ||
        { echo "no selector of Calico gateways"; return 1; }
    grep -qF "metadata: {labels: {$code}}" "$page" || { echo "no Calico gateway is labelled $code"; return 1; }
    blocks "$page"
    cat "$work"/blocks/*.yaml | grep '^pod\|^  egress\.' >"$work/values.yaml"
    render -f "$chart/ci/default-values.yaml" -f "$work/values.yaml" -s templates/statefulset.yaml >"$work/pod.yaml" ||
        return 1
    sed -n '/^  template:/,/^    spec:/p' "$work/pod.yaml" >"$work/metadata"
    grep -qx " *$label" "$work/metadata" && grep -q "egress.projectcalico.org/selector: ${code%:*} == '${code#*: }'" "$work/metadata" ||
        { cat "$work/metadata"; return 1; }
}

# The versions of docs/compatibility.md are those that are pinned.
pinned() {
    local words librdkafka
    # shellcheck source=/dev/null
    source <(grep -E '^[a-z]+_version=' "$root/tests/components/kube.sh"
        grep -E '^(kafka|registry)=' "$root/tests/components/fetch.sh"
        cat "$root/tests/tools/versions.sh") || return 1
    librdkafka=$(sed -n '/^name = "rdkafka-sys"$/{n;s/.*+\(.*\)"$/\1/p}' "$root/Cargo.lock" | grep .) || return 1
    # shellcheck disable=SC2154
    for words in "| Kubernetes | $kubernetes_version:" "| $(oldest) or newer (\`kubeVersion\`" "| Helm | $helm_version |" \
        "| Prometheus operator | $monitoring_version:" "| Gateway API | $gateway_version:" "| Kafka | ${kafka#*-}," \
        "| schema registry | Apicurio ${registry#*-} " "| Prometheus | $PROMETHEUS, with Alertmanager $ALERTMANAGER:" \
        "| Grafana | its own types of $GRAFANA_SCHEMA " "| Docker Compose | $COMPOSE," "librdkafka $librdkafka "; do
        grep -qF -- "$words" "$root/docs/compatibility.md" || { echo "it does not say: $words"; return 1; }
    done
}

# The README's objects are taken as they stand there, and mean the Pods of this release alone.
documented() {
    sed -n '/^extraObjects:$/,/^```$/p' "$chart/README.md" | grep -v '^```$' >"$work/objects.yaml" || return 1
    render -f "$chart/ci/default-values.yaml" -f "$work/objects.yaml" -s templates/extra.yaml >"$work/extra.yaml" ||
        return 1
    sed -n '/endpointSelector:/,/^  [a-z]*:$/p' "$work/extra.yaml" >"$work/selector"
    for label in component:connector instance:vomsis; do
        grep -q "app.kubernetes.io/${label%:*}: ['\"]\?${label#*:}['\"]\?\$" "$work/selector" ||
            { cat "$work/extra.yaml"; return 1; }
    done
}

packaged() {
    local files
    helm package "$chart" --destination "$work/package" >/dev/null || return 1
    files=$(tar -tzf "$work"/package/*.tgz) || return 1
    for wanted in values.schema.json README.md files/rules/vomsis.rules.yaml files/dashboards/overview.json templates/tests/status.yaml; do
        grep -qx "vomsis-connect/$wanted" <<<"$files" || { echo "$wanted is missing"; return 1; }
    done
    ! grep -E '^vomsis-connect/(ci|tests|schema)/' <<<"$files"
}

for values in "$chart"/ci/*-values.yaml; do
    name=$(basename "$values" -values.yaml)
    check "lint $name" helm lint "$chart" --strict -f "$values"
    check "render $name, by the schemas of Kubernetes" rendered "$name"
done
check "unit tests" helm-unittest --strict -f 'tests/*_test.yaml' "$chart"
for name in default prod sink netpol umbrella; do check "the program understands $name" understood "$name"; done
check "what is shown outside is served" shown
check "names that are words of YAML" text
check "golden default" golden default
check "golden prod" golden prod
check "README" readme
check "versions of docs/compatibility.md" pinned
check "README's objects" documented
check "README's values" pages_values helm/vomsis-connect/README.md 2
check "values of docs/deploy/kubernetes.md" pages_values docs/deploy/kubernetes.md 1
check "values of docs/deploy/egress-ip.md" pages_values docs/deploy/egress-ip.md 3
check "egress gateways of docs/deploy/egress-ip.md" egress
check "parent chart" parent
check "upgradable default" upgradable default
check "upgradable prod" upgradable prod
check "package" packaged
echo "chart: $passed passed, $failed failed"
[ "$failed" = 0 ]
