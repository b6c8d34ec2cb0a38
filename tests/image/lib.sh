# What tests/image and tests/compose share: a storage of their own, stand-ins for the bases.
# shellcheck shell=bash
# The registries of the real images cannot be asked everywhere, so the bases are made of Debian's
# packages under the same names with `localhost/` before them. A stand-in proves the Dockerfile and
# the program in it, not the real base.
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cache=${VOMSIS_COMPONENTS:-${XDG_CACHE_HOME:-$HOME/.cache}/vomsis-connect}
tools=$cache/tools
# shellcheck source=../tools/versions.sh
. "$root/tests/tools/versions.sh"
work=$(mktemp -d)
mkdir -p "$cache/containers"
cat >"$work/storage.conf" <<END
[storage]
driver = "overlay"
graphroot = "$cache/containers/storage"
runroot = "$work/run"
END
export CONTAINERS_CONF=$root/tests/image/containers.conf CONTAINERS_STORAGE_CONF=$work/storage.conf
export BUILDAH_ISOLATION=chroot REGISTRY_AUTH_FILE=$work/auth.json
printf '{}' >"$work/auth.json"
SUITE=bookworm
RUST_STANDIN=localhost/rust:1.95-bookworm
RUNTIME_STANDIN=localhost/distroless/cc-debian12:nonroot
JAVA_STANDIN=localhost/debian:$SUITE-java
# Always the same: another commit with the same sources is not compiled again.
REVISION=0000000
passed=0

fail() { echo "FAILED: $*" >&2; exit 1; }
ok() { passed=$((passed + 1)); echo "ok: $*"; }
there() { buildah inspect --type image "$1" >/dev/null 2>&1; }

# Waits until $3.. succeeds, for $2 seconds at most; $1 says what for.
wait_until() {
    local what=$1 end=$((SECONDS + $2))
    shift 2
    until "$@"; do
        [ $SECONDS -lt $end ] || fail "waited in vain: $what"
        sleep 0.2
    done
}

# A minimal Debian with the packages $2, as image $1, with `buildah config` $3...
debian() {
    local image=$1 packages=$2 container
    there "$image" && return
    echo "making $image of Debian's packages"
    debootstrap --variant=minbase --include="$packages" "$SUITE" "$work/root" >"$work/debootstrap.log" 2>&1 ||
        { tail -n 20 "$work/debootstrap.log" >&2; fail "debootstrap"; }
    rm -rf "$work"/root/var/cache/apt/archives/*.deb
    container=$(buildah from scratch)
    buildah add -q "$container" "$work/root" / >/dev/null
    buildah config "${@:3}" --env LANG=C.UTF-8 "$container"
    buildah commit -q --rm "$container" "$image" >/dev/null
    rm -rf "$work/root"
}

# What the builder needs of the Rust image; the toolchain itself is mounted.
rust_standin() {
    debian "$RUST_STANDIN" gcc,g++,make,perl,pkg-config,zlib1g-dev,libc6-dev,ca-certificates \
        --env CARGO_HOME=/usr/local/cargo \
        --env PATH=/usr/local/cargo/bin:/usr/local/toolchain/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
}

# What distroless/cc has: the C library, libgcc, certificates, two users, a /tmp. No shell.
runtime_standin() {
    local container mount library
    there "$RUNTIME_STANDIN" && return
    rust_standin
    echo "making $RUNTIME_STANDIN"
    container=$(buildah from --pull-never "$RUST_STANDIN")
    mount=$(buildah mount "$container")
    mkdir -p "$work"/base/{etc/ssl/certs,tmp,lib/x86_64-linux-gnu,lib64,home/nonroot}
    chmod 1777 "$work/base/tmp"
    for library in libc.so.6 libm.so.6 libgcc_s.so.1 libpthread.so.0 libdl.so.2 librt.so.1 libresolv.so.2 libnss_dns.so.2 libnss_files.so.2; do
        cp -L "$mount/lib/x86_64-linux-gnu/$library" "$work/base/lib/x86_64-linux-gnu/"
    done
    cp -L "$mount/lib64/ld-linux-x86-64.so.2" "$work/base/lib64/"
    cp -L "$mount/etc/ssl/certs/ca-certificates.crt" "$work/base/etc/ssl/certs/"
    printf 'root:x:0:0:root:/root:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin\n' >"$work/base/etc/passwd"
    printf 'root:x:0:\nnonroot:x:65532:\n' >"$work/base/etc/group"
    buildah unmount "$container" >/dev/null
    buildah rm "$container" >/dev/null
    container=$(buildah from scratch)
    buildah add -q "$container" "$work/base" / >/dev/null
    buildah config --user 65532 --env PATH=/usr/local/bin:/usr/bin:/bin "$container"
    buildah commit -q --rm "$container" "$RUNTIME_STANDIN" >/dev/null
    rm -rf "$work/base"
}

# Builds the Dockerfile on the stand-ins as image $1; layers that did not change are not made again.
build_image() {
    local toolchain
    toolchain=$(cd "$root" && rustc --print sysroot)
    rust_standin
    runtime_standin
    nice buildah bud -q --layers --pull-never --format docker \
        --build-arg RUST_IMAGE="$RUST_STANDIN" --build-arg RUNTIME_IMAGE="$RUNTIME_STANDIN" \
        --build-arg VOMSIS_REVISION=$REVISION \
        -v "$toolchain:/usr/local/toolchain:ro" -v /etc/ssl/certs:/etc/ssl/certs:ro \
        -f "$root/Dockerfile" -t "$1" "$root"
}
