#!/bin/bash
# What the image apache/kafka does at its start, as far as docker-compose.yml needs it.
set -euo pipefail
file=/tmp/server.properties
# KAFKA_LOG_DIRS=/data is log.dirs=/data
env | sed -n 's/^KAFKA_\([A-Z_]*\)=\(.*\)/\1 \2/p' | while read -r key value; do
    key=${key,,}
    echo "${key//_/.}=$value"
done >"$file"
tool() { /opt/java-17/bin/java -Xmx256m -cp '/opt/kafka/libs/*' "$@"; }
tool kafka.tools.StorageTool format --ignore-formatted -t "$CLUSTER_ID" -c "$file"
exec /opt/java-17/bin/java -Xmx512m -XX:+UseSerialGC -cp '/opt/kafka/libs/*' kafka.Kafka "$file"
