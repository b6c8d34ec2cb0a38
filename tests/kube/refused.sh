# shellcheck shell=bash
# Sourced: wrong values, each of which `helm install` must refuse with its reason.

# $1 what; $2 what the refusal must say; the rest are arguments of helm.
refuses() {
    local what=$1 reason=$2 log=$work/refused.log
    shift 2
    if h install wrong "$chart" "$@" --wait --timeout 10s >"$log" 2>&1; then
        die "not refused: $what"
    fi
    grep -qF -- "$reason" "$log" || die "refused, but not for its reason ($what): $(cat "$log")"
    [ "$(k get statefulset,service,configmap -l app.kubernetes.io/instance=wrong -o name)" = "" ] ||
        die "refused, but something was installed: $what"
    # The API server refuses single objects; helm has noted a failed release then.
    h uninstall wrong --ignore-not-found >/dev/null 2>&1 || true
    ok "refused: $what"
}

refused() {
    local default
    default=$(variant default)
    refuses "an unknown value" "additional properties 'replica' not allowed" -f "$default" --set replica=2
    refuses "a value of another type" "at '/replicas': got string, want integer" -f "$default" --set-string replicas=two
    refuses "an unknown key of the configuration" "at '/config/kafka': additional properties 'shrads' not allowed" \
        -f "$default" --set config.kafka.shrads=4
    refuses "a wrong value of the configuration" "at '/config/kafka/shards': got string, want integer" \
        -f "$default" --set config.kafka.shards=eight
    refuses "two monitors at once" "metrics.serviceMonitor and metrics.podMonitor are both enabled" \
        -f "$default" --set metrics.serviceMonitor.enabled=true,metrics.podMonitor.enabled=true
    refuses "more replicas than shards" "replicas is 9, but config.kafka.shards is 8" -f "$default" --set replicas=9
    refuses "config beside existingConfigMap" "config and existingConfigMap are both set" \
        -f "$default" --set existingConfigMap=vomsis-config
    refuses "the sink without its acknowledgement" "at '/sink/acknowledgeRealMoney': value must be true" \
        -f "$default" --set sink.enabled=true
    refuses "the same where the schema is not asked" "sink.enabled moves real money" \
        -f "$default" --set sink.enabled=true --skip-schema-validation
    refuses "no configuration" "config is empty" --set credentials.existingSecret=vomsis-keys
    # What only the cluster knows: its CRDs, and the claims that are there.
    crd_refuses "a ServiceMonitor that is none" action -f "$default" --set metrics.serviceMonitor.enabled=true \
        --set-json 'metrics.serviceMonitor.relabelings=[{"action":"nonsense"}]'
    crd_refuses "an alert without an expression" expr -f "$default" --set metrics.rules.enabled=true \
        --set-json 'metrics.rules.extra=[{"alert":"Mine"}]'
    crd_refuses "a route of a path that is none" "must be an absolute path" -f "$default" --skip-schema-validation \
        --set-json 'httpRoute={"enabled":true,"parentRefs":[{"name":"gateway"}],"paths":["version"]}'
    resize_refused
}

# The CRD refuses the object; helm has installed others by then.
crd_refuses() {
    local what=$1 reason=$2 log=$work/refused.log
    shift 2
    ! h install wrong "$chart" "$@" --timeout 10s >"$log" 2>&1 || die "not refused: $what"
    grep -q "monitoring.coreos.com.*$reason\|is invalid.*$reason" "$log" || die "refused, but not for its reason ($what): $(cat "$log")"
    h uninstall wrong --wait --timeout 30s >/dev/null
    k delete pvc --all --wait >/dev/null
    ok "refused by its CRD: $what"
}

resize_refused() {
    local log=$work/refused.log values installed=(-f "$(variant default)" --set persistence.size=1024Mi)
    release "$chart" "${installed[@]}"
    [ "$(k get statefulset -o jsonpath='{.items[0].spec.volumeClaimTemplates[0].spec.resources.requests.storage}')" = 1Gi ] ||
        die "the API server keeps sizes as they were written: the next lines prove nothing"
    for values in 1024Mi 1Gi 1073741824; do
        h upgrade vomsis "$chart" "${installed[@]}" --set-string "persistence.size=$values" >"$log" 2>&1 ||
            die "a size that is the same was refused ($values): $(cat "$log")"
    done
    ok "a size that the API server writes in another way is no change"
    for values in size=4Gi enabled=false storageClass=fast storageClass=- 'accessModes={ReadWriteOncePod}' labels.a=b annotations.a=b; do
        values=persistence.$values
        ! h upgrade vomsis "$chart" "${installed[@]}" --set "$values" >"$log" 2>&1 || die "not refused: $values"
        grep -q 'cannot be changed.*in place: see "Resize the volumes"' "$log" || die "refused, but not in a sentence: $(cat "$log")"
        [ "$(h status vomsis -o json | grep -o '"status":"[a-z]*"' | head -n 1)" = '"status":"deployed"' ] ||
            die "the release is not as it was: $(h status vomsis)"
        ok "refused in place: $values"
    done
    # The way that the README tells.
    k delete statefulset vomsis-vomsis-connect --cascade=orphan >/dev/null
    release "$chart" -f "$(variant default)" --set persistence.size=4Gi
    pods_ready 1
    ok "the volumes are resized in the way of the README"
    h uninstall vomsis --wait --timeout 60s >/dev/null
    k delete pvc --all --wait >/dev/null
}
