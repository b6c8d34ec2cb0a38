#!/usr/bin/env bash
# `make test-compose`: checks docker-compose.yml in each profile, then brings the default one up on
# podman and waits for events on the topics. Images that cannot be pulled are made here under the
# same names: Kafka's jars and the registry from the components' cache, the connector from the
# Dockerfile, Prometheus and Alertmanager of Debian. Grafana and Kafka UI are in no package: of them
# only the configuration is checked (what Grafana is given: tests/it/monitoring). `run.sh config`
# checks only, `run.sh obs` brings Prometheus and Alertmanager up and nothing else, `run.sh alert` waits
# for the first alert as docs/deploy/compose.md promises it (five minutes more).
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=../image/lib.sh
. "$here/../image/lib.sh"
cd "$root"
compose=("$tools/docker-compose-$COMPOSE/docker-compose" -p vomsis-test)
service=
doctor=
up=

cleanup() {
    [ -z "$up" ] || podman rm -f -t 0 vomsis-test-cacheless >/dev/null 2>&1 || true
    [ -z "$up" ] || "${compose[@]}" --profile obs down -v -t 5 >/dev/null 2>&1 || true
    [ -z "$doctor" ] || kill "$doctor" 2>/dev/null || true
    [ -z "$service" ] || kill "$service" 2>/dev/null || true
    rm -rf "$work"
}
trap cleanup EXIT

# Profiles as flags, then the services that must be there.
shape() {
    local name=$1 flags=()
    shift
    while [ "${1:-}" = --profile ]; do flags+=("$1" "$2"); shift 2; done
    "${compose[@]}" "${flags[@]}" config --format json >"$work/$name.json"
    node "$here/assert.mjs" "$name" "$@" <"$work/$name.json" || fail "docker-compose.yml, $name"
    ok "docker-compose.yml, $name"
}
default=(kafka registry topics mock-vomsis connector)
shape default "${default[@]}"
shape obs --profile obs "${default[@]}" prometheus alertmanager grafana
shape ui --profile ui "${default[@]}" kafka-ui
shape all --profile obs --profile ui "${default[@]}" prometheus alertmanager grafana kafka-ui
# The asserts can fail: of the shape $1 with the services $2... beside the default ones, for each line read.
spoils() {
    local name=$1 spoil
    shift
    while read -r spoil; do
        sed "$spoil" "$work/$name.json" >"$work/spoiled.json"
        cmp -s "$work/$name.json" "$work/spoiled.json" && fail "$spoil spoils nothing"
        node "$here/assert.mjs" spoiled "${default[@]}" "$@" <"$work/spoiled.json" 2>"$work/spoiled.log" && fail "$spoil is accepted"
        grep -q '^spoiled: ' "$work/spoiled.log" || { cat "$work/spoiled.log" >&2; fail "$spoil breaks the asserts"; }
    done
}
spoils default <<'END'
s#:4.3.1"#:latest"#
s#"127.0.0.1"#"0.0.0.0"#
s#"read_only": true#"read_only": false#
s#"65532:65532"#"0:0"#
s#-Xmx512m#-Xmx1g#
s#-Xmx512m#-Xmx1024m#
END
spoils obs prometheus alertmanager grafana <<'END'
s#/etc/prometheus/prometheus.yml#/etc/prometheus.yml#
s#"/prometheus"#"/data"#
s#dashboards/overview.json#dashboards/nothing.json#
s#provisioning/datasources#provisioning/sources#
s#GF_AUTH_ANONYMOUS_ENABLED#GF_AUTH_ANONYMOUS_ENABLE#
s#"GF_AUTH_ANONYMOUS_ENABLED": "true"#"GF_AUTH_ANONYMOUS_ENABLED": "false"#
s#"Viewer"#"Admin"#
s#GF_AUTH_ANONYMOUS_ORG_ROLE#GF_AUTH_ANONYMOUS_ROLE#
END
spoils ui kafka-ui <<'END'
s#"KAFKA_CLUSTERS_0_BOOTSTRAPSERVERS": "kafka:19092"#"KAFKA_CLUSTERS_0_BOOTSTRAPSERVERS": "kafka:9092"#
s#0_BOOTSTRAPSERVERS#0_BOOTSTRAP_SERVERS#
s#8080/apis/ccompat/v7"#8080/apis/ccompat/v6"#
s#0_SCHEMAREGISTRY#0_SCHEMA_REGISTRY#
s#"KAFKA_CLUSTERS_0_READONLY": "true"#"KAFKA_CLUSTERS_0_READONLY": "false"#
s#0_READONLY#0_READ_ONLY#
END
ok "spoiled files are refused"
[ "${1:-}" != config ] || { echo "$passed passed, 0 failed"; exit 0; }

# $1 is made of the builder's stand-in, a Java and what $2... does with the container.
standin() {
    local image=$1 container
    shift
    there "$image" && return
    echo "making $image"
    container=$(buildah from --pull-never "$RUST_STANDIN")
    "$@" "$container"
    buildah commit -q --rm "$container" "$image" >/dev/null
}
java() {
    mkdir "$work/java"
    cp -rL "$cache/java-$1/." "$work/java/" 2>/dev/null || true
    buildah add -q "$3" "$work/java" "$2" >/dev/null
    rm -rf "$work/java"
}
kafka() {
    java broker /opt/java-17 "$1"
    printf '#!/bin/bash\nexec /opt/java-17/bin/java -Xmx128m -cp "/opt/kafka/libs/*" org.apache.kafka.tools.BrokerApiVersionsCommand "$@"\n' >"$work/api.sh"
    mkdir -p "$work/data"
    buildah add -q "$1" "$cache/kafka-4.3.1" /opt/kafka/libs >/dev/null
    buildah add -q --chmod 755 "$1" "$work/api.sh" /opt/kafka/bin/kafka-broker-api-versions.sh >/dev/null
    buildah add -q --chmod 755 "$1" "$here/kafka.sh" /start.sh >/dev/null
    buildah add -q --chown 1000:1000 "$1" "$work/data" /var/lib/kafka/data >/dev/null
    buildah config --user 1000:1000 --entrypoint '["/start.sh"]' --cmd '' --workingdir /tmp "$1"
}
registry() {
    java registry /opt/java-21 "$1"
    buildah add -q "$1" "$cache/apicurio-3.3.3" /deployments >/dev/null
    buildah config --user 1001:0 --workingdir /tmp --cmd '' --entrypoint \
        '["/opt/java-21/bin/java","-Xmx256m","-XX:+UseSerialGC","-XX:TieredStopAtLevel=1","-jar","/deployments/quarkus-run.jar"]' "$1"
}
# As the images of Prometheus' own project: the program in /bin, its arguments, nobody as user, a folder of its own.
monitor() {
    local name=$1 program=$2 container=$3
    shift 3
    mkdir -p "$work/data"
    buildah add -q "$container" "$tools/prometheus-$PROMETHEUS/$program" "/bin/$name" >/dev/null
    buildah add -q --chown 65534:65534 "$container" "$work/data" "/$name" >/dev/null
    printf '#!/bin/bash\nexec 3<>/dev/tcp/127.0.0.1/%s && printf "GET /-/ready HTTP/1.0\\r\\n\\r\\n" >&3 && grep -q " 200 " <&3\n' "$1" >"$work/wget"
    buildah add -q --chmod 755 "$container" "$work/wget" /usr/bin/wget >/dev/null
    shift
    buildah config --user 65534:65534 --workingdir "/$name" --cmd '' --entrypoint "$1" "$container"
}
prometheus() {
    monitor prometheus prometheus "$1" 9090 \
        '["/bin/prometheus","--config.file=/etc/prometheus/prometheus.yml","--storage.tsdb.path=/prometheus"]'
}
alertmanager() {
    # Debian's program looks there for the texts of messages; nobody is sent any.
    mkdir -p "$work/texts"
    : >"$work/texts/default.tmpl"
    : >"$work/texts/email.tmpl"
    buildah add -q "$1" "$work/texts" /usr/share/prometheus/alertmanager >/dev/null
    monitor alertmanager alertmanager "$1" 9093 \
        '["/bin/alertmanager","--config.file=/etc/alertmanager/alertmanager.yml","--storage.path=/alertmanager"]'
}
rust_standin
standin docker.io/prom/prometheus:v2.55.1 prometheus
standin docker.io/prom/alertmanager:v0.27.0 alertmanager
if [ "${1:-}" != obs ]; then
    build_image docker.io/library/vomsis-connect:0.1.0
    standin docker.io/apache/kafka:4.3.1 kafka
    standin docker.io/apicurio/apicurio-registry:3.3.3 registry
fi

podman system service --time=0 "unix://$work/podman.sock" 2>"$work/service.log" &
service=$!
wait_until "podman's service" 30 test -S "$work/podman.sock"
export DOCKER_HOST=unix://$work/podman.sock
# Without systemd nobody runs the health checks.
(while sleep 1; do
    for container in $(podman ps -q 2>/dev/null); do timeout 30 podman healthcheck run "$container" >/dev/null 2>&1 || true; done
done) &
doctor=$!
offset=$((20000 + $$ % 5000))
export VOMSIS_PORT=$((offset + 1)) KAFKA_PORT=$((offset + 2)) REGISTRY_PORT=$((offset + 3)) MOCK_PORT=$((offset + 4))
export PROMETHEUS_PORT=$((offset + 5)) ALERTMANAGER_PORT=$((offset + 6))
# Brings up the services $2..., or those of the default profile; $1 names them.
bring() {
    local what=$1 begun=$SECONDS
    shift
    up=1
    "${compose[@]}" up -d --pull never --no-build --quiet-pull --wait --wait-timeout 300 "$@" >"$work/up.log" 2>&1 || {
        tail -n 20 "$work/up.log" >&2
        "${compose[@]}" --profile obs ps -a >&2
        "${compose[@]}" --profile obs logs --tail 15 >&2
        fail "docker-compose up: $what"
    }
    ok "$what is healthy after $((SECONDS - begun)) s"
}
# Prometheus and Alertmanager with what is mounted; the jobs $1... must be scraped.
watch() {
    bring "what watches" prometheus alertmanager
    node "$here/obs.mjs" "http://127.0.0.1:$PROMETHEUS_PORT" "http://127.0.0.1:$ALERTMANAGER_PORT" "$@" || fail "what Compose mounts into them"
    ok "prometheus and alertmanager run with the mounted files"
}
[ "${1:-}" != obs ] || { watch prometheus; echo "$passed passed, 0 failed"; exit 0; }
bring "everything"

connector() { "${compose[@]}" exec -T connector /usr/local/bin/vomsis-connect "$@"; }
has_events() {
    local lines
    lines=$(timeout 60 "${compose[@]}" exec -T connector /usr/local/bin/vomsis-connect tail "$1" --from beginning --limit 3 2>/dev/null | grep -c '"op"')
    [ "$lines" = 3 ]
}
for topic in bank.transactions pos.transactions virtual-pos.transactions; do
    wait_until "three events on $topic" 120 has_events "$topic"
    ok "events are on $topic"
done
answers() { exec 3<>"/dev/tcp/127.0.0.1/$VOMSIS_PORT" && printf 'GET %s HTTP/1.0\r\n\r\n' "$1" >&3 && grep "$2" <&3 >/dev/null; }
(answers /metrics '^vomsis_source_records_total') || fail "no metrics on the host's port"
(answers /readyz ' 200 ') || fail "not ready on the host's port"
ok "metrics and health answer on 127.0.0.1"
connector check >"$work/check.log" 2>&1 || { cat "$work/check.log" >&2; fail "check"; }
ok "check finds everything in order"
watch prometheus vomsis-connect
# The alert that the page makes fire, by its own command, and what mends it.
trouble() {
    local line
    line=$(grep -o "curl -d '{\"$1\"[^']*' http://127.0.0.1:9700/_ctl/faults" docs/deploy/compose.md) || fail "the page has no command with $1"
    bash -c "${line/:9700/:$MOCK_PORT} -sf" >/dev/null || fail "$line"
}
if [ "${1:-}" = alert ]; then
    begun=$SECONDS
    trouble set
    node "$here/alert.mjs" "http://127.0.0.1:$ALERTMANAGER_PORT" fires 300 || fail "the first alert"
    ok "the first alert shows after $((SECONDS - begun)) s"
    begun=$SECONDS
    trouble clear
    node "$here/alert.mjs" "http://127.0.0.1:$ALERTMANAGER_PORT" over 420 || fail "the alert's end"
    ok "it is over after $((SECONDS - begun)) s"
fi

# Another group and environment: a second deployment beside the first one, without a cache.
beside=(--network vomsis-test_default --no-healthcheck --read-only --cap-drop ALL --user 65532:65532)
podman run -d --name vomsis-test-cacheless "${beside[@]}" \
    -v "$root/config/compose.yaml:/etc/vomsis/config.yaml:ro" -v "$root/config/compose:/run/keys:ro" \
    -e VOMSIS__ENV=cacheless -e VOMSIS__KAFKA__GROUP=cacheless -e VOMSIS__KAFKA__TOPIC_PREFIX=cacheless \
    -e VOMSIS__CONNECTIONS__0__BANK_POS__APP_KEY_FILE=/run/keys/app_key \
    -e VOMSIS__CONNECTIONS__0__BANK_POS__APP_SECRET_FILE=/run/keys/app_secret \
    -e VOMSIS__STATE__DIR=/var/lib/nowhere docker.io/library/vomsis-connect:0.1.0 run >/dev/null
cacheless() { podman logs vomsis-test-cacheless 2>&1; }
reads() { [ "$(cacheless | grep -c VOM-SRC-007)" -ge 2 ]; }
wait_until "it reads without a cache" 120 reads
found=$(cacheless | grep -c VOM-STA-001 || true)
[ "$found" = 1 ] || { cacheless | grep VOM-STA >&2; fail "it says $found times that there is no cache"; }
podman rm -f -t 30 vomsis-test-cacheless >/dev/null
ok "with a folder that cannot be written it runs without a cache, and says so once"

id=$("${compose[@]}" ps -q connector)
[ "$(podman inspect --format '{{.HostConfig.ReadonlyRootfs}} {{.Config.User}}' "$id")" = "true 65532:65532" ] || fail "the connector is not hardened"
begun=$SECONDS
"${compose[@]}" stop connector >/dev/null 2>&1
[ "$(podman inspect --format '{{.State.ExitCode}}' "$id")" = 0 ] || fail "the connector did not drain: $(podman logs --tail 5 "$id" 2>&1)"
ok "it stops with 0 after $((SECONDS - begun)) s"
"${compose[@]}" start connector >/dev/null 2>&1
wait_until "it is ready again" 120 bash -c "exec 3<>/dev/tcp/127.0.0.1/$VOMSIS_PORT && printf 'GET /readyz HTTP/1.0\r\n\r\n' >&3 && grep -q ' 200 ' <&3"
ok "it is ready again"
echo "$passed passed, 0 failed"
