#!/usr/bin/env bash
# Builds what the chart is tested with, by module coordinates, into a cache outside the tree:
#   kube/bin/NAME-VERSION    helm, helm-unittest, helm-docs; etcd, kube-apiserver,
#                            kube-controller-manager, kube-scheduler, kubectl, kwok
#   kube/validate-VERSION/   kubernetes-validate: the schemas of Kubernetes, and Python that reads them
#   kube/crds-VERSION/       the monitoring CRDs, made from their Go types
#   kube/gateway-VERSION/    the CRD of the Gateway API's routes
#   kube/[bin/]NAME          links to the pinned versions
# Usage: kube.sh [--have] chart|all
#   chart   helm, its two companions and the schemas: all that `make test-chart` needs (6 minutes cold)
#   all     an API server and a fake kubelet too, for `make test-kube` (20 minutes more, cold)
#   --have  builds nothing; ends with 1 and one line where something is missing that takes minutes, or
#           that this machine cannot fetch
# `all` also wants podman, catatonit, buildah, runc, curl, openssl and strip: as root with apt-get it installs them.
# A second run finds everything and takes no time.
set -euo pipefail
cache=${VOMSIS_COMPONENTS:-${XDG_CACHE_HOME:-$HOME/.cache}/vomsis-connect}/kube

helm_version=4.3.1
unittest_version=1.1.2
docs_version=1.14.2
validate_version=1.37.0
kubernetes_version=1.37.2
etcd_version=3.7.0
kwok_version=0.8.0
controller_gen_version=0.23.0
monitoring_version=0.95.1
gateway_version=1.6.1

chart_tools=("helm-$helm_version" "helm-unittest-$unittest_version" "helm-docs-$docs_version"
    "validate-$validate_version")
cluster_tools=("etcd-$etcd_version" "kubectl-$kubernetes_version" "kwok-$kwok_version"
    "kube-scheduler-$kubernetes_version" "kube-controller-manager-$kubernetes_version"
    "kube-apiserver-$kubernetes_version" "crds-$monitoring_version" "gateway-$gateway_version")

fail() { echo "kube-tools: $*" >&2; exit 1; }
say() { echo "kube-tools: $*"; }

# The go.mod of module $1 at version $2, as a file.
go_mod_of() {
    go mod download -json "$1@$2" | sed -n 's/^\t"GoMod": "\(.*\)",$/\1/p' | grep .
}

# Builds package $4 of module $2@$3 as $1, in a module of its own that takes over the `replace` and
# `exclude` lines of the module's go.mod: `go install` refuses a module that has them.
build() {
    local name=$1 module=$2 version=$3 package=$4 ldflags=${5:-} mod
    mod=$(go_mod_of "$module" "$version") || fail "$module $version cannot be had"
    (
        cd "$work" && rm -f go.mod go.sum tools.go
        {
            echo "module tools"
            grep -E '^go ' "$mod"
            echo "require $module $version"
            sed -n -E '/^replace .*=> [^.]/p; /^exclude /p' "$mod"
            sed -n -E '/^(replace|exclude) \(/,/^\)/p' "$mod" | grep -v -E '=> \.'
            # Folders of the module's own repository: the versions published beside it.
            sed -n -E 's#^\t(k8s.io/[a-z0-9-]*) => \./staging/.*#replace \1 => \1 '"v0.${version#v1.}#p" "$mod"
        } >go.mod
        printf '//go:build tools\n\npackage tools\n\nimport _ "%s"\n' "$package" >tools.go
        export CGO_ENABLED=0 GOFLAGS=-mod=mod
        go mod tidy 2>tidy.log || { cat tidy.log >&2; exit 1; }
        go build -trimpath -ldflags "-s -w $ldflags" -o "$cache/bin/.$name.part" "$package"
    ) || fail "building $name failed"
    mv "$cache/bin/.$name.part" "$cache/bin/$name"
    say "$name is in $cache/bin"
}

build_tool() {
    local name=$1 k=k8s.io/kubernetes v=v$kubernetes_version
    [[ $name = validate-* ]] || command -v go >/dev/null || fail "go is missing: install Go 1.26 or newer"
    # Unset, the server says v0.0.0, and a chart's kubeVersion refuses it.
    local p=k8s.io/component-base/version minor=${kubernetes_version#*.}
    local stamp="-X $p.gitVersion=$v -X $p.gitMajor=1 -X $p.gitMinor=${minor%.*}"
    case $name in
    helm-unittest-*) build "$name" github.com/helm-unittest/helm-unittest "v$unittest_version" github.com/helm-unittest/helm-unittest/cmd/helm-unittest ;;
    helm-docs-*) build "$name" github.com/norwoodj/helm-docs "v$docs_version" github.com/norwoodj/helm-docs/cmd/helm-docs ;;
    helm-*) build "$name" helm.sh/helm/v4 "v$helm_version" helm.sh/helm/v4/cmd/helm ;;
    etcd-*) build "$name" go.etcd.io/etcd/server/v3 "v$etcd_version" go.etcd.io/etcd/server/v3 ;;
    kwok-*) build "$name" sigs.k8s.io/kwok "v$kwok_version" sigs.k8s.io/kwok/cmd/kwok ;;
    kubectl-* | kube-*) build "$name" $k "$v" "$k/cmd/${name%-*}" "$stamp" ;;
    validate-*) fetch_validate "$name" ;;
    crds-*) build_crds "$name" ;;
    gateway-*) fetch_gateway "$name" ;;
    controller-gen-*) build "$name" sigs.k8s.io/controller-tools "v$controller_gen_version" sigs.k8s.io/controller-tools/cmd/controller-gen ;;
    *) fail "nobody knows how to build $name" ;;
    esac
}

has_pip() { python3 -m pip --version >/dev/null 2>&1; }

# Wheels of seconds, with the schemas of each version in them.
fetch_validate() {
    local part=$cache/.$1.part
    has_pip || fail "Python's pip is missing (Debian: python3-pip)"
    rm -rf "$part"
    python3 -m pip install -q --disable-pip-version-check --no-warn-script-location --root-user-action ignore \
        --target "$part" "kubernetes-validate==$validate_version" &&
        PYTHONPATH=$part python3 -c 'import kubernetes_validate' || fail "fetching $1 failed"
    mv "$part" "$cache/$1"
    say "$1 is in $cache"
}

# The module has its CRDs beside its Go types.
fetch_gateway() {
    local module part=$cache/.$1.part
    module=$(go mod download -json "sigs.k8s.io/gateway-api@v$gateway_version" |
        sed -n 's/^\t"Dir": "\(.*\)",$/\1/p' | grep .) || fail "the Gateway API $gateway_version cannot be had"
    rm -rf "$part"
    mkdir "$part"
    install -m 644 "$module"/config/crd/standard/*_httproutes.yaml "$part" || fail "fetching $1 failed"
    mv "$part" "$cache/$1"
    say "$1 is in $cache"
}

build_crds() {
    local module=github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring
    local generator=controller-gen-$controller_gen_version
    [ -x "$cache/bin/$generator" ] || build_tool "$generator"
    (
        cd "$work" && rm -rf go.mod go.sum tools.go crds
        printf 'module crds\n\ngo 1.24\n\nrequire %s v%s\n' "$module" "$monitoring_version" >go.mod
        printf '//go:build tools\n\npackage tools\n\nimport _ "%s/v1"\n' "$module" >tools.go
        export CGO_ENABLED=0 GOFLAGS=-mod=mod
        go mod tidy 2>tidy.log || { cat tidy.log >&2; exit 1; }
        "$cache/bin/$generator" crd:crdVersions=v1,generateEmbeddedObjectMeta=true,maxDescLen=0 \
            paths="$module/v1" output:crd:dir=crds
    ) || fail "making the monitoring CRDs failed"
    mv "$work/crds" "$cache/$1"
    say "$1 is in $cache"
}

have=
[ "${1:-}" != --have ] || { have=yes; shift; }
case ${1:-} in
chart) tools=("${chart_tools[@]}") ;;
all) tools=("${chart_tools[@]}" "${cluster_tools[@]}") ;;
*) fail "usage: kube.sh [--have] chart|all" ;;
esac

# Prints the Debian packages of the programs that are not there.
absent_packages() {
    local pair
    for pair in podman:podman buildah:buildah runc:runc curl:curl openssl:openssl strip:binutils; do
        command -v "${pair%:*}" >/dev/null || echo "${pair#*:}"
    done
    # What a Pod's pause container runs. Podman only recommends its package, and knows these places.
    command -v catatonit >/dev/null || [ -x /usr/libexec/podman/catatonit ] ||
        [ -x /usr/lib/podman/catatonit ] || echo catatonit
}

# A program in bin/, or a folder.
there() { [ -x "$cache/bin/$1" ] || [ -d "$cache/$1" ]; }

# What is fetched in seconds where this machine can.
quick() {
    case $1 in
    validate-*) has_pip ;;
    gateway-*) command -v go >/dev/null ;;
    *) false ;;
    esac
}

missing=()
for tool in "${tools[@]}"; do there "$tool" || { [ -n "$have" ] && quick "$tool"; } || missing+=("$tool"); done
packages=()
[ "$1" = chart ] || mapfile -t packages < <(absent_packages)
if [ -n "$have" ]; then
    [ ${#packages[@]} = 0 ] || fail "not installed: ${packages[*]}"
    [ ${#missing[@]} = 0 ] || fail "not in $cache: ${missing[*]}"
    exit 0
fi

if [ ${#packages[@]} != 0 ]; then
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || fail "missing: install ${packages[*]}"
    apt-get update -qq && apt-get install -qq -y --no-install-recommends netavark "${packages[@]}" ||
        fail "installing ${packages[*]} failed"
fi
if [ ${#missing[@]} != 0 ]; then
    mkdir -p "$cache/bin"
    if command -v flock >/dev/null; then
        exec 9>"$cache/.lock"
        flock 9
    fi
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    for tool in "${missing[@]}"; do
        there "$tool" || build_tool "$tool" # or built meanwhile by another
    done
fi
for tool in "${tools[@]}"; do
    [ -d "$cache/$tool" ] && folder=$cache || folder=$cache/bin
    ln -sfn "$tool" "$folder/${tool%-*}"
done
say "ready in $cache ($1)"
