# shellcheck shell=bash
# Sourced: the Pod that the API server has admitted, run by podman as it stands there (read-only root,
# user 65532, no capabilities) against a real broker, a real registry and the simulator.
# VOMSIS_TEST_IMAGE names an image to run; without it the program that was just built is put into one.

pod_pids=()

pod_stop() {
    [ ! -e "$work/pod/play.log" ] || podman kube down "$work/pod/played.yaml" >/dev/null 2>&1 || true
    [ ${#pod_pids[@]} = 0 ] || end_all "${pod_pids[@]}"
    # Only a storage of our own is emptied.
    [ "${CONTAINERS_STORAGE_CONF:-}" = "$work/pod/storage.conf" ] || return 0
    podman rm --all --force >/dev/null 2>&1 || true
    podman rmi --all --force >/dev/null 2>&1 || true
    umount -R "$work/pod/storage/overlay" 2>/dev/null || true
}

pod_run() {
    local name=$1
    shift
    "$@" >"$pod/$name.log" 2>&1 &
    pod_pids+=($!)
}

storage() {
    printf '[storage]\ndriver = "overlay"\ngraphroot = "%s/storage"\nrunroot = "%s/run"\n' "$pod" "$pod" >"$pod/storage.conf"
    echo '{}' >"$pod/auth.json"
    export CONTAINERS_CONF=$here/containers.conf REGISTRY_AUTH_FILE=$pod/auth.json BUILDAH_ISOLATION=chroot
    [ -n "${VOMSIS_TEST_IMAGE:-}" ] || export CONTAINERS_STORAGE_CONF=$pod/storage.conf
}

# The program and the libraries it was linked with, as the image of the Dockerfile lays them out.
image() {
    [ -z "${VOMSIS_TEST_IMAGE:-}" ] || { echo "$VOMSIS_TEST_IMAGE"; return; }
    local tree=$pod/tree library container
    mkdir -p "$tree"/{usr/local/bin,tmp,etc} "$pod/state/vomsis"
    strip -o "$tree/usr/local/bin/vomsis-connect" "$program"
    for library in $(ldd "$program" | grep -o '/[^ ]*'); do
        mkdir -p "$tree$(dirname "$library")"
        cp -L "$library" "$tree$library"
    done
    printf 'nonroot:x:65532:65532:nonroot:/:/sbin/nologin\n' >"$tree/etc/passwd"
    chmod 1777 "$tree/tmp"
    chmod 0770 "$pod/state/vomsis"
    container=$(buildah from scratch)
    buildah add -q "$container" "$tree" / >/dev/null
    buildah add -q --chown 65532:0 "$container" "$pod/state" /var/lib >/dev/null
    # PATH is that of the base: what is named to `kubectl exec` is looked for there.
    buildah config --user 65532:65532 --stop-signal SIGTERM --cmd run --port 8080 --env PATH=/usr/local/bin:/usr/bin:/bin \
        --entrypoint '["/usr/local/bin/vomsis-connect"]' "$container"
    buildah commit -q --rm "$container" localhost/vomsis-connect:under-test >/dev/null
    rm -rf "$tree"
    echo localhost/vomsis-connect:under-test
}

broker() {
    local client=$1 controller
    controller=$(free_port)
    printf '%s\n' process.roles=broker,controller node.id=1 "controller.quorum.voters=1@127.0.0.1:$controller" \
        controller.listener.names=CONTROLLER inter.broker.listener.name=CLIENT \
        "listeners=CLIENT://127.0.0.1:$client,CONTROLLER://127.0.0.1:$controller" \
        "advertised.listeners=CLIENT://127.0.0.1:$client" \
        listener.security.protocol.map=CLIENT:PLAINTEXT,CONTROLLER:PLAINTEXT "log.dirs=$pod/kafka" \
        auto.create.topics.enable=false offsets.topic.num.partitions=4 offsets.topic.replication.factor=1 \
        transaction.state.log.replication.factor=1 transaction.state.log.min.isr=1 \
        transaction.state.log.num.partitions=4 group.initial.rebalance.delay.ms=0 \
        log.cleaner.dedupe.buffer.size=16777216 >"$pod/server.properties"
    local java=("$cache/java-broker/bin/java" -Xmx512m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -cp "$cache/kafka-4.3.1/*")
    "${java[@]}" kafka.tools.StorageTool format -t MkU3OEVBNTcwNTJENDM2Qg -c "$pod/server.properties" >"$pod/format.log" 2>&1
    pod_run broker "${java[@]}" kafka.Kafka "$pod/server.properties"
}

registry() {
    pod_run registry "$cache/java-registry/bin/java" -Xmx256m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 \
        -Dquarkus.http.host=127.0.0.1 -Dquarkus.management.host=127.0.0.1 "-Dquarkus.http.port=$1" \
        "-Dquarkus.management.port=$(free_port)" -Dquarkus.log.level=WARN \
        "-Dapicurio.datasource.url=jdbc:h2:file:$pod/db" -jar "$cache/apicurio-3.3.3/quarkus-run.jar"
}

# What the operator's values would say, with the addresses of this machine.
pod_values() {
    cat <<END
image: {repository: ${image%:*}, tag: "${image##*:}"}
http: {port: $http}
credentials: {create: true, data: {app_key: sandbox-key, app_secret: sandbox-secret}}
config:
  env: kube-test
  connections:
    - id: demo
      bank_pos: {base_url: "http://127.0.0.1:$api/api/v2"}
      virtual_pos: {base_url: "http://127.0.0.1:$api/api/vpos/v3"}
      quota: {requests_per_minute: 6000, concurrency: 4}
      streams: {bank_transactions: {poll_interval: 2s, start: 2d}}
  kafka: {bootstrap_servers: "127.0.0.1:$kafka", shards: 2, replication_factor: 1}
  schema_registry: {url: "http://127.0.0.1:$schemas/apis/ccompat/v7"}
END
}

answers() { [ "$(curl -s -o /dev/null -w '%{http_code}' --max-time 3 "http://127.0.0.1:$http$1")" = 200 ]; }
events() { curl -s --max-time 3 "http://127.0.0.1:$http/metrics" | grep '^vomsis_kafka_produced_records_total{topic="vomsis.bank.transactions"} [1-9]' >/dev/null; }

pod_runs() {
    pod=$work/pod
    program=${CARGO_TARGET_DIR:-$root/target}/debug/vomsis-connect
    local tool image kafka api schemas object name
    for tool in podman buildah runc curl strip; do
        command -v "$tool" >/dev/null || die "$tool is missing, and the admitted Pod cannot be run (Debian: podman catatonit buildah runc netavark curl binutils)"
    done
    [ -x "$program" ] || die "$program is missing: cargo build"
    mkdir -p "$pod"
    storage
    kafka=$(free_port) schemas=$(free_port) api=$(free_port) http=$(free_port)
    broker "$kafka"
    registry "$schemas"
    pod_run simulator "$program" sandbox --api-only --listen "127.0.0.1:$api"
    image=$(image)
    pod_values >"$pod/values.yaml"
    release "$chart" -f "$pod/values.yaml"
    pods_ready 1
    k get pod vomsis-vomsis-connect-0 -o yaml >"$pod/admitted.yaml"
    for object in configmap/vomsis-vomsis-connect secret/vomsis-vomsis-connect-credentials \
        pvc/state-vomsis-vomsis-connect-0; do
        k get "$object" -o yaml
        echo ---
    done >"$pod/played.yaml"
    # This podman wants no ports to be listed where the network is the host's; all else stays.
    kubectl patch --local -f "$pod/admitted.yaml" --type json -o yaml \
        -p '[{"op": "remove", "path": "/spec/containers/0/ports"}]' >>"$pod/played.yaml"
    h uninstall vomsis --wait --timeout 60s >/dev/null
    ok "the Pod with the addresses of this machine was admitted"
    wait_for "the registry answers" 120 curl -sf "http://127.0.0.1:$schemas/apis/ccompat/v7/subjects"
    podman kube play --start=false --network host "$pod/played.yaml" >"$pod/play.log" 2>&1 ||
        die "podman does not play the Pod: $(cat "$pod/play.log")"
    as_the_kubelet
    podman pod start vomsis-vomsis-connect-0 >>"$pod/play.log" 2>&1
    name=$(podman ps --format '{{.Names}}' | grep -- -connector) || die "no container: $(cat "$pod/play.log"; podman ps -a)"
    pod_is_as_admitted "$name"
    wait_for "/startupz answers" 60 answers /startupz
    wait_for "/livez answers" 10 answers /livez
    wait_for "/readyz answers" 60 answers /readyz
    ok "the admitted Pod runs: /startupz, /livez and /readyz answer"
    wait_for "events are in Kafka" 60 events
    wait_for "the cache is on its volume" 10 cached
    ok "it reads the simulator and writes to Kafka"
    asked "$name"
    shown
    local start=$SECONDS
    podman stop --time 60 "$name" >/dev/null
    [ "$(podman inspect -f '{{.State.ExitCode}}' "$name")" = 0 ] || die "it does not end well: $(podman logs --tail 5 "$name" 2>&1)"
    ok "SIGTERM ends it within its grace period, after $((SECONDS - start)) s"
}

# This podman leaves Secrets encoded, and knows no fsGroup: what a kubelet does with the volumes.
as_the_kubelet() {
    local folder file
    folder=$(podman volume inspect -f '{{.Mountpoint}}' vomsis-vomsis-connect-credentials)
    for file in "$folder"/*; do
        base64 -d "$file" >"$file.plain"
        mv "$file.plain" "$file"
        chown root:65532 "$file"
        chmod 0440 "$file"
    done
    folder=$(podman volume inspect -f '{{.Mountpoint}}' state-vomsis-vomsis-connect-0)
    chown root:65532 "$folder"
    chmod 2775 "$folder"
}

# The cache is written: the folder of the volume is the connector's.
cached() { [ -n "$(ls -A "$(podman volume inspect -f '{{.Mountpoint}}' state-vomsis-vomsis-connect-0)")" ]; }

pod_is_as_admitted() {
    local seen
    seen=$(podman inspect -f '{{.Config.User}} {{.HostConfig.ReadonlyRootfs}} {{.EffectiveCaps}} {{.HostConfig.SecurityOpt}}' "$1")
    case $seen in
    "65532:65532 true [] "*no-new-privileges*) ok "podman runs it as admitted: user, read-only root, no capabilities, no new privileges" ;;
    *) die "not as admitted: $seen" ;;
    esac
}
