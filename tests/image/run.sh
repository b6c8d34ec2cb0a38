#!/usr/bin/env bash
# `make test-image`: lints the Dockerfile, builds it on stand-in bases, and runs what came out as a
# strict platform would. The first build takes as long as a release build.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
image=localhost/vomsis-connect:test
config=$work/config
volume=vomsis-test-image-state
started=()

cleanup() {
    local container
    for container in "${started[@]}"; do podman rm -f -t 0 "$container" >/dev/null 2>&1 || true; done
    podman volume rm -f "$volume" >/dev/null 2>&1 || true
    rm -rf "$work"
}
trap cleanup EXIT

# As the chart's Pod: nothing to write to but what is mounted, no capability, no network of its own.
strict=(--read-only --cap-drop ALL --security-opt no-new-privileges --network none --tmpfs /tmp --pull never --no-healthcheck)

field() { podman image inspect --format "{{json .$1}}" "$image"; }
is() {
    local found
    found=$(field "$1")
    [ "$found" = "$2" ] || fail "$1 is $found, not $2"
    ok "$1 is $2"
}

begin() {
    local name=$1
    shift
    started+=("$name")
    podman run -d --name "$name" "$@" >/dev/null
}
log() { podman logs "$1" 2>&1; }
# Not `grep -q`: it stops reading, and under pipefail the program before it would then have failed.
says() { log "$1" | grep "$2" >/dev/null; }

"$root/tests/image/lint.sh" >/dev/null || fail "hadolint"
ok "hadolint has nothing to say"

build_image "$image"
is Config.User '"65532:65532"'
is Config.Entrypoint '["/usr/local/bin/vomsis-connect"]'
is Config.Cmd '["run"]'
is Config.StopSignal '"SIGTERM"'
is Config.ExposedPorts '{"8080/tcp":{}}'
field HealthCheck | grep -q healthcheck || field Healthcheck | grep -q healthcheck || fail "no health check"
ok "it has a health check"

label=$(podman image inspect --format '{{index .Labels "org.opencontainers.image.version"}}' "$image")
crate=$(sed -n 's/^version = "\(.*\)"/\1/p' "$root/Cargo.toml" | head -n 1)
[ "$label" = "$crate" ] || fail "the label says version $label, Cargo.toml $crate: mend ARG VERSION in the Dockerfile"
ok "its label says version $label"

# The real base takes 24 MB where the stand-in takes a few.
size=$(field Size)
base=$(podman image inspect --format '{{.Size}}' "$RUNTIME_STANDIN")
total=$(((size - base) / 1000000 + 24))
[ $total -lt 60 ] || fail "$total MB with the real base, 60 are allowed"
ok "$total MB with the real base"

mkdir "$work/files"
container=$(buildah from --pull-never "$image")
mount=$(buildah mount "$container")
found=$(cd "$mount" && find . -xdev \( -type f -o -type l \) -perm /111 ! -path './lib*' -printf '%P\n')
times=$(cd "$mount" && stat -c %Y usr/local/bin/vomsis-connect var/lib/vomsis)
openssl=$(grep -a -o -m 1 'built on: [A-Za-z0-9: ]*' "$mount/usr/local/bin/vomsis-connect" || true)
buildah unmount "$container" >/dev/null
buildah rm "$container" >/dev/null
[ "$found" = usr/local/bin/vomsis-connect ] || fail "there are other programs: $found"
ok "there is one program, and no shell"
[ "${times//$'\n'/ }" = "0 0" ] || fail "files bear the time of their build: $times"
[ "$openssl" = "built on: Thu Jan  1 00:00:00 1970 UTC" ] || fail "OpenSSL bears the time of its build: $openssl"
ok "no file bears the time of its build"

version=$(podman run --rm "${strict[@]}" "$image" version)
grep -q "$(sed -n 's/^version = "\(.*\)"/\1/p' "$root/Cargo.toml" | head -n 1)" <<<"$version" || fail "version: $version"
grep -q "$REVISION" <<<"$version" || fail "it does not know its revision: $version"
ok "it runs read-only, without capabilities: $version"

# Everything in one container: the simulator, a mock broker, the connector that reads and writes.
begin vomsis-sandbox "${strict[@]}" "$image" sandbox
wait_until "events flow in the sandbox" 120 says vomsis-sandbox '"op":"CREATED"'
ok "events flow under user 65532"
begun=$SECONDS
podman stop -t 45 vomsis-sandbox >/dev/null
code=$(podman inspect --format '{{.State.ExitCode}}' vomsis-sandbox)
took=$((SECONDS - begun))
[ "$code" = 0 ] || { log vomsis-sandbox | tail -n 20; fail "it ended with $code after SIGTERM"; }
[ $took -lt 30 ] || fail "SIGTERM took $took s"
ok "SIGTERM drains in $took s, exit code 0"

begin vomsis-any "${strict[@]}" --user 1000770000:0 "$image" sandbox
wait_until "events flow under any user" 120 says vomsis-any '"op":"CREATED"'
ok "events flow under user 1000770000"

# A connector whose broker does not answer lives and ends, whoever runs it.
mkdir "$config"
sed -e 's#/run/secrets/[a-z_]*#/etc/vomsis/key#; s#kafka:19092#127.0.0.1:1#' "$root/config/compose.yaml" >"$config/config.yaml"
echo key >"$config/key"
chmod -R a+rX "$config"
for user in 65532:65532 1000770000:0 1000770000:1000770000; do
    name=vomsis-cache-${user//:/-}
    begin "$name" "${strict[@]}" --user "$user" --volume "$config:/etc/vomsis:ro" --tmpfs /tmp "$image" run
    wait_until "it listens as $user" 60 says "$name" VOM-HTP-001
    wait_until "as $user it says that it has no cache" 60 says "$name" VOM-STA-001
    begun=$SECONDS
    podman stop -t 60 "$name" >/dev/null
    [ "$(podman inspect --format '{{.State.ExitCode}}' "$name")" = 0 ] || { log "$name" | tail -n 20; fail "as $user it does not end with 0"; }
    [ "$(log "$name" | grep -c VOM-STA-001)" = 1 ] || fail "as $user it says more than once that it has no cache"
    [ $((SECONDS - begun)) -lt 50 ] || fail "as $user SIGTERM took $((SECONDS - begun)) s"
    ok "as $user it waits for its broker, and ends in $((SECONDS - begun)) s"
done

# A fresh volume takes owner and mode of the image's folder: a platform's own user, of group 0, writes there.
podman volume rm -f "$volume" >/dev/null 2>&1 || true
begin vomsis-volume "${strict[@]}" --user 1000770000:0 --volume "$config:/etc/vomsis:ro" --volume "$volume:/var/lib/vomsis" "$image" run
wait_until "it listens with a volume" 60 says vomsis-volume VOM-HTP-001
place=$(podman volume inspect --format '{{.Mountpoint}}' "$volume")
settled() { [ -e "$place/sled/db" ] || says vomsis-volume VOM-STA-001; }
wait_until "the cache is opened" 60 settled
! says vomsis-volume VOM-STA-001 || { log vomsis-volume | grep VOM-STA-001 >&2; fail "a foreign user cannot write the volume at /var/lib/vomsis"; }
found=$(stat -c '%u:%g' "$place/sled/db")
[ "$found" = 1000770000:0 ] || fail "the cache belongs to $found"
ok "as 1000770000:0 it keeps its cache in a volume"
podman stop -t 60 vomsis-volume >/dev/null

podman save -q --format oci-archive -o "$work/image.tar" "$image"
PYTHONPATH=$tools/syft-$SYFT "$tools/syft-$SYFT/bin/syft" scan -q "oci-archive:$work/image.tar" -o cyclonedx-json="$work/sbom.json"
for crate in rdkafka tokio reqwest sled apache-avro; do
    locked=$(grep -A1 "^name = \"$crate\"\$" "$root/Cargo.lock" | sed -n 's/^version = "\(.*\)"/\1/p' | head -n 1)
    grep -q "pkg:cargo/$crate@$locked" "$work/sbom.json" || fail "the SBOM does not name $crate $locked"
done
crates=$(grep -o 'pkg:cargo/[a-z0-9_-]*@[0-9.]*' "$work/sbom.json" | sort -u | wc -l)
[ "$crates" -gt 150 ] || fail "the SBOM names $crates crates"
ok "the SBOM names $crates crates"
echo "$passed passed, 0 failed"
