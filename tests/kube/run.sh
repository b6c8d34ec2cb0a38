#!/usr/bin/env bash
# The chart on a real API server with fake nodes, in a namespace that enforces the restricted Pod
# Security profile: install, every upgrade path, scaling, test, rollback, drain, uninstall, and what
# must be refused. Then the admitted Pod runs for real (pod.sh). KEEP=1 leaves the folder behind.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
chart=$root/helm/vomsis-connect
cache=${VOMSIS_COMPONENTS:-${XDG_CACHE_HOME:-$HOME/.cache}/vomsis-connect}
crds=("$cache/kube/crds/" "$cache/kube/gateway/")
export PATH="$cache/kube/bin:$PATH"
# shellcheck source=tests/kube/cluster.sh
source "$here/cluster.sh"
# shellcheck source=tests/kube/documented.sh
source "$here/documented.sh"
# shellcheck source=tests/kube/refused.sh
source "$here/refused.sh"
# shellcheck source=tests/kube/pod.sh
source "$here/pod.sh"

work=$(mktemp -d)
export HELM_CACHE_HOME=$work/helm/cache HELM_CONFIG_HOME=$work/helm/config HELM_DATA_HOME=$work/helm/data
passed=0 begun=$SECONDS

finish() {
    local status=$?
    trap - EXIT
    if [ "$status" != 0 ]; then
        echo "kube: FAIL; the last lines of each log:" >&2
        tail -n 5 "$work"/cluster/*.log "$work"/pod/*.log >&2 2>/dev/null || true
        kubectl -n vomsis get pod,pvc,events >&2 2>/dev/null || true
    fi
    pod_stop
    cluster_stop
    if [ -n "${KEEP:-}" ]; then echo "kube: kept $work"; else rm -rf "$work"; fi
    echo "kube: $passed passed, $([ "$status" = 0 ] && echo 0 || echo 1) failed in $((SECONDS - begun)) s"
    exit "$status"
}
trap finish EXIT
trap 'exit 130' INT TERM

ok() { passed=$((passed + 1)); printf "kube: ok   %4d s  %s\n" $((SECONDS - begun)) "$*"; }
die() { echo "kube: FAIL $*" >&2; exit 1; }
k() { kubectl -n vomsis "$@"; }
h() { helm --namespace vomsis "$@"; }
release() { h upgrade --install vomsis "$@" --wait --timeout 60s >/dev/null; }
variant() { echo "$chart/ci/$1-values.yaml"; }

# Dies unless the count of objects of kind $1 is $2.
count() {
    local found
    found=$(k get "$1" -o name | wc -l)
    [ "$found" = "$2" ] || die "$found objects of kind $1 instead of $2: $(k get "$1" -o name | tr '\n' ' ')"
}

pods() { k get pod -l app.kubernetes.io/component=connector -o name; }
pods_are() { [ "$(pods | wc -l)" = "$1" ]; }
claims_are() { [ "$(k get pvc -o name | grep -c /state-vomsis-vomsis-connect-)" = "$1" ]; }
bound_are() { [ "$(k get pvc --no-headers | grep -c '^state-vomsis-vomsis-connect-[0-9]* *Bound ')" = "$1" ]; }

# All Pods are ready, and admitted as the chart wants them.
pods_ready() {
    local number=$1
    wait_for "$number Pods are there" 30 pods_are "$number"
    [ "$number" = 0 ] || k wait --for=condition=Ready pod -l app.kubernetes.io/component=connector --timeout 30s >/dev/null
}

namespace() {
    kubectl create namespace vomsis >/dev/null
    kubectl label namespace vomsis pod-security.kubernetes.io/{enforce,warn}=restricted >/dev/null
    wait_for "the default ServiceAccount is there" 30 k get serviceaccount default
    k create secret generic vomsis-keys --from-literal=app_key=k --from-literal=app_secret=s >/dev/null
    k create secret generic vomsis-admin --from-literal=token=t >/dev/null
    k create secret generic kafka-user --from-literal=username=u --from-literal=password=p --from-literal=ca.crt=c >/dev/null
    k create secret generic registry-user --from-literal=password=p >/dev/null
    k create configmap vomsis-config --from-file="config.yaml=$root/config/minimal.yaml" >/dev/null
}

# Pod Security must be in force, or all that follows proves nothing.
guard() {
    local log=$work/guard.log
    if h install bad "$chart" -f "$(variant default)" --set securityContext.allowPrivilegeEscalation=true \
        --wait --timeout 8s >"$log" 2>&1; then
        die "a Pod that may escalate its privileges was admitted"
    fi
    grep -q 'would violate PodSecurity' "$log" || die "no warning of Pod Security: $(cat "$log")"
    k get events --field-selector reason=FailedCreate -o jsonpath='{.items[*].message}' |
        grep -q 'violates PodSecurity "restricted' || die "no FailedCreate event"
    count pod 0
    h uninstall bad --wait --timeout 30s >/dev/null
    k delete pvc --all --wait >/dev/null
    ok "Pod Security refuses a Pod that may escalate its privileges"
}

# What each variant must have brought, beside ready Pods.
brought() {
    case $1 in
    default) pods_ready 1; count service 2; count pdb 0; count configmap 3 ;;
    prod)
        pods_ready 3; count service 3; count pdb 1; count ingress 1
        count servicemonitor 1; count prometheusrule 1
        [ "$(k get configmap -l grafana_dashboard=1 -o name | wc -l)" = "$(find "$chart/files/dashboards" -name '*.json' | wc -l)" ] ||
            die "not each dashboard has a ConfigMap"
        ;;
    sink) pods_ready 1; count podmonitor 1; count servicemonitor 0; count prometheusrule 0 ;;
    minimal) pods_ready 0; count serviceaccount 1; count podmonitor 0 ;;
    netpol) pods_ready 1; count networkpolicy 1; count service 3; count httproute 1 ;;
    umbrella) pods_ready 1; count networkpolicy 0; k get configmap payments-vomsis-extra vomsis-text >/dev/null ;;
    esac
}

upgrades() {
    local name released
    released=$(find "$root/tests/chart/released" -name 'vomsis-connect-*.tgz' | sort -V | tail -n 1)
    [ -n "$released" ] || die "no package in tests/chart/released"
    release "$released" -f "$(variant default)"
    pods_ready 1
    local claim before
    claim=$(k get pvc -o jsonpath='{.items[0].metadata.uid}')
    before=$(k get pod vomsis-vomsis-connect-0 -o jsonpath='{.metadata.uid}')
    ok "the last release ($(basename "$released")) is installed"
    rolls_back "$claim"
    for name in default prod sink minimal netpol umbrella default; do
        release "$chart" -f "$(variant "$name")"
        brought "$name"
        ok "upgraded to ci/$name"
        # ci/minimal has no Pods to test; with replicas: 0 the claims go too, as whenScaled says.
        [ "$name" = minimal ] || tested "$name"
        [ "$name" != sink ] || kept "$claim" "$before"
    done
}

# An upgrade to this chart is taken back, as docs/runbooks/VomsisCrashLooping.md tells; $1 is the claim of the
# Pod of revision 1. The upgrades that follow begin there.
rolls_back() {
    release "$chart" -f "$(variant default)"
    pods_ready 1
    h rollback vomsis 1 --wait --timeout 60s >/dev/null
    pods_ready 1
    diff <(h get manifest vomsis --revision 1) <(h get manifest vomsis) >"$work/rollback.diff" ||
        die "not back where it was: $(cat "$work/rollback.diff")"
    [ "$1" = "$(k get pvc -o jsonpath='{.items[*].metadata.uid}')" ] || die "the rollback lost the volume: $(k get pvc)"
    ok "an upgrade is rolled back to the last release: the Pod is ready, with its volume"
}

# Pods were replaced, and the first one found its volume again.
kept() {
    [ "$1" = "$(k get pvc state-vomsis-vomsis-connect-0 -o jsonpath='{.metadata.uid}')" ] ||
        die "the first instance lost its volume on the way"
    [ "$2" != "$(k get pod vomsis-vomsis-connect-0 -o jsonpath='{.metadata.uid}')" ] ||
        die "no upgrade replaced the Pod"
    ok "the first instance kept its volume over three upgrades"
}

tested() {
    h test vomsis --timeout 30s >"$work/test.log" 2>&1 || die "helm test of $1: $(cat "$work/test.log")"
    grep -q '^Phase: *Succeeded' "$work/test.log" || die "helm test of $1 ran no test: $(cat "$work/test.log")"
}

scales() {
    release "$chart" -f "$(variant default)" --set replicas=3
    pods_ready 3
    wait_for "three claims are bound" 60 bound_are 3
    [ "$(k get pod -o jsonpath='{.items[*].metadata.name}')" = "vomsis-vomsis-connect-0 vomsis-vomsis-connect-1 vomsis-vomsis-connect-2" ] ||
        die "unexpected Pods: $(k get pod -o name)"
    release "$chart" -f "$(variant default)"
    wait_for "the claims of the Pods that are gone are gone" 30 claims_are 1
    pods_ready 1
    ok "scaled to 3 and back; the claims went with their Pods"
    h rollback vomsis --wait --timeout 60s >/dev/null
    pods_ready 3
    ok "rolled back to three instances"
}

evict() {
    kubectl create --raw "/api/v1/namespaces/vomsis/pods/$1/eviction" -f - <<<"{\"apiVersion\": \"policy/v1\", \"kind\": \"Eviction\", \"metadata\": {\"name\": \"$1\"}}"
}

drains() {
    release "$chart" -f "$(variant default)" --set replicas=2,podDisruptionBudget.enabled=true
    pods_ready 2
    wait_for "the budget knows its Pods" 30 k wait --for=jsonpath='{.status.currentHealthy}'=2 pdb --all --timeout 1s
    local node
    node=$(k get pod vomsis-vomsis-connect-0 -o jsonpath='{.spec.nodeName}')
    kubectl drain "$node" --ignore-daemonsets --delete-emptydir-data --force --timeout 60s >/dev/null 2>&1 ||
        die "the drain of $node did not end"
    wait_for "the Pod has moved" 30 moved "$node"
    pods_ready 2
    wait_for "the budget is whole again" 30 k wait --for=jsonpath='{.status.currentHealthy}'=2 pdb --all --timeout 1s
    ok "a drained node let its instance go; it came up on another"
    # With nowhere to go the first one stays away, and the budget keeps the second one.
    kubectl cordon node-a node-b node-c >/dev/null
    evict vomsis-vomsis-connect-0 >/dev/null
    wait_for "the budget is used up" 30 k wait --for=jsonpath='{.status.disruptionsAllowed}'=0 pdb --all --timeout 1s
    ! evict vomsis-vomsis-connect-1 >"$work/evict.log" 2>&1 || die "the budget let both instances go"
    grep -q "violate the pod's disruption budget" "$work/evict.log" || die "refused for another reason: $(cat "$work/evict.log")"
    evict vomsis-vomsis-connect-0 >/dev/null || die "an instance that is not ready blocks a drain"
    kubectl uncordon node-a node-b node-c >/dev/null
    pods_ready 2
    ok "the budget keeps the last instance, and one that is not ready never blocks"
}

moved() { [ "$(k get pod vomsis-vomsis-connect-0 -o jsonpath='{.spec.nodeName}')" != "$1" ] && k wait --for=condition=Ready pod vomsis-vomsis-connect-0 --timeout 1s; }

uninstalls() {
    h uninstall vomsis --wait --timeout 60s >/dev/null
    wait_for "the Pods are gone" 30 pods_are 0
    local left
    left=$(k get statefulset,service,servicemonitor,podmonitor,prometheusrule,pdb,networkpolicy,ingress,httproute -o name)
    [ -z "$left" ] || die "left behind: $left"
    [ -n "$(k get pvc -o name)" ] || die "the claims went with the release"
    count pod 0
    k delete pvc --all --wait >/dev/null
    ok "uninstalled; only the claims are left"
}

for tool in etcd kube-apiserver kube-controller-manager kube-scheduler kwok kubectl helm openssl; do
    command -v "$tool" >/dev/null || { echo "$tool is missing: make kube-tools" >&2; exit 1; }
done
start=$SECONDS
cluster_start "$work/cluster"
ok "a cluster after $((SECONDS - start)) s: $(kubectl version 2>/dev/null | sed -n 's/^Server Version: //p')"
documented
namespace
guard
refused
upgrades
scales
drains
uninstalls
pod_runs
