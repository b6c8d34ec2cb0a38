# shellcheck shell=bash
# Sourced: a Kubernetes API on loopback, with fake nodes. `cluster_start FOLDER` writes
# FOLDER/kubeconfig; `cluster_stop` ends what was started.

cluster_pids=()

free_port() {
    local port
    while :; do
        port=$((20000 + RANDOM % 12000))
        (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || { echo "$port"; return; }
    done
}

# Waits until $3.. succeeds, $2 seconds at most; $1 says what for.
wait_for() {
    local what=$1 deadline=$((SECONDS + $2))
    shift 2
    until "$@" >/dev/null 2>&1; do
        [ "$SECONDS" -lt "$deadline" ] || { echo "timed out waiting until $what" >&2; "$@" >&2; return 1; }
        sleep 0.2
    done
}

# Starts $2.. in the background, its output in FOLDER/$1.log.
cluster_run() {
    local name=$1
    shift
    "$@" >"$cluster/$name.log" 2>&1 &
    cluster_pids+=($!)
}

cluster_start() {
    cluster=$1
    local etcd peer api client=127.0.0.1
    mkdir -p "$cluster"
    etcd=$(free_port) peer=$(free_port) api=$(free_port)
    openssl genrsa -out "$cluster/sa.key" 2048 2>/dev/null
    openssl rsa -in "$cluster/sa.key" -pubout -out "$cluster/sa.pub" 2>/dev/null
    echo 'test-token,admin,admin,system:masters' >"$cluster/tokens.csv"
    cluster_run etcd etcd --data-dir "$cluster/etcd" --unsafe-no-fsync --log-level error \
        --listen-client-urls "http://$client:$etcd" --advertise-client-urls "http://$client:$etcd" \
        --listen-peer-urls "http://$client:$peer" --initial-advertise-peer-urls "http://$client:$peer" \
        --initial-cluster "default=http://$client:$peer"
    cluster_run apiserver kube-apiserver --etcd-servers "http://$client:$etcd" \
        --bind-address $client --advertise-address $client --secure-port "$api" \
        --cert-dir "$cluster/certs" --endpoint-reconciler-type none \
        --service-cluster-ip-range 10.96.0.0/16 \
        --service-account-issuer https://kubernetes.default.svc \
        --service-account-key-file "$cluster/sa.pub" --service-account-signing-key-file "$cluster/sa.key" \
        --authorization-mode RBAC --token-auth-file "$cluster/tokens.csv"
    wait_for "the API server has its certificate" 60 test -s "$cluster/certs/apiserver.crt"
    export KUBECONFIG=$cluster/kubeconfig
    kubectl config set-cluster test --server "https://$client:$api" --certificate-authority "$cluster/certs/apiserver.crt" >/dev/null
    kubectl config set-credentials admin --token test-token >/dev/null
    kubectl config set-context test --cluster test --user admin >/dev/null
    kubectl config use-context test >/dev/null
    wait_for "the API server is ready" 60 kubectl get --raw /readyz
    cluster_run controllers kube-controller-manager --kubeconfig "$KUBECONFIG" --leader-elect=false \
        --bind-address $client --secure-port "$(free_port)" \
        --service-account-private-key-file "$cluster/sa.key" --root-ca-file "$cluster/certs/apiserver.crt" \
        --enable-hostpath-provisioner \
        --controllers '*,-kube-apiserver-serving-clustertrustbundle-publisher-controller'
    cluster_run scheduler kube-scheduler --kubeconfig "$KUBECONFIG" --leader-elect=false \
        --bind-address $client --secure-port "$(free_port)"
    cluster_run kwok kwok --kubeconfig "$KUBECONFIG" --manage-all-nodes --node-ip 192.0.2.1 \
        --server-address "$client:$(free_port)" --config "$here/stages.yaml"
    cluster_content
}

cluster_content() {
    local node
    for node in node-a node-b node-c; do
        printf '%s\n' 'apiVersion: v1' 'kind: Node' "metadata: {name: $node, labels: {kubernetes.io/hostname: $node}}"
        echo ---
    done | kubectl apply -f - >/dev/null
    printf '%s\n' 'apiVersion: storage.k8s.io/v1' 'kind: StorageClass' \
        'metadata: {name: standard, annotations: {storageclass.kubernetes.io/is-default-class: "true"}}' \
        'provisioner: kubernetes.io/host-path' 'reclaimPolicy: Delete' | kubectl apply -f - >/dev/null
    kubectl apply --server-side "${crds[@]/#/--filename=}" >/dev/null
    kubectl wait --for=condition=Established crd --all --timeout 30s >/dev/null
    kubectl wait --for=condition=Ready node --all --timeout 60s >/dev/null
}

# Ends $1.., the last started first: an API server without its etcd never ends by itself. What has
# not ended after ten seconds is killed.
end_all() {
    local index deadline
    for ((index = $#; index > 0; index--)); do
        kill "${!index}" 2>/dev/null || continue
        deadline=$((SECONDS + 10))
        while kill -0 "${!index}" 2>/dev/null; do
            [ "$SECONDS" -lt "$deadline" ] || kill -9 "${!index}" 2>/dev/null || true
            sleep 0.05
        done
    done
    wait "$@" 2>/dev/null || true
}

cluster_stop() {
    [ ${#cluster_pids[@]} = 0 ] || end_all "${cluster_pids[@]}"
    cluster_pids=()
}
