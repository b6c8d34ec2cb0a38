# shellcheck shell=bash
# Sourced: what the pages tell an operator to type, taken from there word for word.

# The first block of kind $2 in the section $1 of the chart's README.
block() {
    awk -v section="## $1" -v kind='```'"$2" '$0 == section { here = 1; next } /^## / { here = 0 }
        here && $0 == kind { take = 1; next } /^```/ { if (take) exit } take' "$chart/README.md" | grep .
}

# Runs the commands of the section $1, as somebody would who stands in a clone.
as_written() {
    block "$1" console >"$work/readme/commands" || die "the README has no commands under $1"
    (cd "$work/readme" && bash -eu commands) >"$work/readme.log" 2>&1 || die "the README, $1: $(cat "$work/readme.log")"
}

# What the README of the chart says to a newcomer: namespace, Secret, least values, install, test, resize.
documented() {
    mkdir "$work/readme"
    ln -s "$root/helm" "$work/readme/helm"
    printf key >"$work/readme/app_key"
    printf secret >"$work/readme/app_secret"
    block Install yaml >"$work/readme/values.yaml" || die "the README has no least values"
    as_written Install
    grep -q '^Phase: *Succeeded' "$work/readme.log" || die "the README's helm test ran no test: $(cat "$work/readme.log")"
    pods_ready 1
    as_written "Resize the volumes"
    pods_ready 1
    [ "$(k get statefulset -o jsonpath='{.items[0].spec.volumeClaimTemplates[0].spec.resources.requests.storage}')" = 4Gi ] ||
        die "the README's commands do not resize"
    h uninstall vomsis --wait --timeout 60s >/dev/null
    kubectl delete namespace vomsis --wait --timeout 60s >/dev/null
    ok "the README's commands install, test and resize a release"
}

# The commands of docs/deploy/kubernetes.md inside the Pod, which runs as container $1 here.
asked() {
    local in_pod='kubectl -n vomsis exec vomsis-vomsis-connect-0 -c connector -- ' command commands
    mapfile -t commands < <(sed -n "s/^ *$in_pod//p" "$root/docs/deploy/kubernetes.md")
    [ ${#commands[@]} = 3 ] || die "docs/deploy/kubernetes.md has ${#commands[@]} commands for inside the Pod, not 3"
    for command in "${commands[@]}"; do
        # shellcheck disable=SC2086
        podman exec "$1" $command >"$pod/exec.log" 2>&1 || die "exec $command: $(cat "$pod/exec.log")"
    done
    [ "$(grep -c '"op"' "$pod/exec.log")" = 5 ] || die "${commands[2]}: $(cat "$pod/exec.log")"
    ok "inside the Pod, as docs/deploy/kubernetes.md has it: $(printf '%s; ' "${commands[@]}")"
}

# What an Ingress of the chart shows by default is answered there.
shown() {
    local paths path
    h template vomsis "$chart" -f "$pod/values.yaml" -s templates/outside.yaml \
        --set ingress.enabled=true,ingress.hosts={status.example.org} >"$pod/outside.yaml" || die "no Ingress is rendered"
    mapfile -t paths < <(sed -n 's/^ *- path: "\(.*\)"$/\1/p' "$pod/outside.yaml")
    [ ${#paths[@]} != 0 ] || die "the Ingress shows nothing: $(cat "$pod/outside.yaml")"
    for path in "${paths[@]}"; do answers "$path" || die "the Ingress shows $path, which does not answer"; done
    ok "what an Ingress shows answers: ${paths[*]}"
}
