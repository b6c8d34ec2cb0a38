{{/*
What the schema cannot say. Each line is one sentence: what is wrong, and what to do.
Included by the StatefulSet, so that nothing is installed.
*/}}
{{- define "vomsis-connect.checks" -}}
{{- $config := .Values.config }}
{{- if and .Values.existingConfigMap $config }}
{{- fail "config and existingConfigMap are both set: keep one of them" }}
{{- end }}
{{- if not (or .Values.existingConfigMap $config) }}
{{- fail "config is empty: write config.connections, config.kafka.bootstrap_servers and config.schema_registry.url, or name an existingConfigMap" }}
{{- end }}
{{- if and .Values.sink.enabled (not .Values.sink.acknowledgeRealMoney) }}
{{- fail "sink.enabled moves real money: set sink.acknowledgeRealMoney to true too, or sink.enabled to false" }}
{{- end }}
{{- if and .Values.metrics.serviceMonitor.enabled .Values.metrics.podMonitor.enabled }}
{{- fail "metrics.serviceMonitor and metrics.podMonitor are both enabled, which scrapes everything twice: keep one of them" }}
{{- end }}
{{- if and .Values.admin.enabled (not .Values.admin.existingSecret) }}
{{- fail "admin.enabled needs a token: set admin.existingSecret to a Secret that holds it" }}
{{- end }}
{{- if and .Values.credentials.create .Values.credentials.existingSecret }}
{{- fail "credentials.create and credentials.existingSecret are both set: keep one of them" }}
{{- end }}
{{- if and .Values.credentials.create (not .Values.credentials.data) }}
{{- fail "credentials.create is set, but credentials.data is empty: write the keys, or name an existingSecret" }}
{{- end }}
{{- if and .Values.schemaRegistry.username (not .Values.schemaRegistry.existingSecret) }}
{{- fail "schemaRegistry.username is set, but no password goes with it: set schemaRegistry.existingSecret too, or remove the user name" }}
{{- end }}
{{- if and .Values.kafka.existingSecret (not (compact (values .Values.kafka.keys))) }}
{{- fail "kafka.existingSecret is set, but kafka.keys names nothing of it: set kafka.keys.password, or whatever it holds" }}
{{- end }}
{{- $properties := dig "kafka" "properties" dict (default dict .Values.config) }}
{{- $elsewhere := or .Values.existingConfigMap .Values.extraEnv .Values.extraEnvFrom (hasKey $properties "sasl.password_file") }}
{{- if and .Values.kafka.existingSecret .Values.kafka.keys.username (not .Values.kafka.keys.password) (not $elsewhere) }}
{{- fail "kafka.keys.username is set and kafka.keys.password is not: name the key of kafka.existingSecret that holds the password" }}
{{- end }}
{{- if and .Values.admin.enabled (eq (int .Values.admin.port) (int .Values.http.port)) }}
{{- fail (printf "admin.port and http.port are both %d, and only one listener can have it: change one of them" (int .Values.http.port)) }}
{{- end }}
{{- include "vomsis-connect.names" . }}
{{- include "vomsis-connect.ownLabels" . }}
{{- include "vomsis-connect.ownVariables" . }}
{{- include "vomsis-connect.shards" . }}
{{- if $config }}
{{- include "vomsis-connect.ownedKeys" $config }}
{{- include "vomsis-connect.neighbours" . }}
{{- include "vomsis-connect.connections" . }}
{{- include "vomsis-connect.keyFiles" . }}
{{- include "vomsis-connect.secretFiles" . }}
{{- end }}
{{- include "vomsis-connect.claims" . }}
{{- end }}

{{/* No more replicas than shards. A variable wins over `config`; one that is no plain number is the connector's to judge. */}}
{{- define "vomsis-connect.shards" -}}
{{- $config := .Values.config }}
{{- $found := dict }}
{{- if $config }}
{{- $found = dict "config.kafka.shards" (dig "kafka" "shards" 8 $config) }}
{{- end }}
{{- range $index, $variable := .Values.extraEnv }}
{{- if and (hasPrefix "VOMSIS__" $variable.name) (eq (upper $variable.name) "VOMSIS__KAFKA__SHARDS") }}
{{- $found = omit $found "config.kafka.shards" }}
{{- $value := default "" $variable.value | trim }}
{{- if regexMatch "^[0-9]+$" $value }}
{{- $_ := set $found (printf "extraEnv[%d] (%s)" $index $variable.name) (atoi $value) }}
{{- end }}
{{- end }}
{{- end }}
{{- range $place, $shards := $found }}
{{- if gt (int $.Values.replicas) (int $shards) }}
{{- fail (printf "replicas is %d, but %s is %d and an instance without a shard has no work: lower replicas" (int $.Values.replicas) $place (int $shards)) }}
{{- end }}
{{- end }}
{{- end }}

{{/* Brokers and registry are never in the Pod, where the connector's defaults look for them. Variables may name them. */}}
{{- define "vomsis-connect.neighbours" -}}
{{- $set := list }}
{{- range .Values.extraEnv }}
{{- if hasPrefix "VOMSIS__" .name }}
{{- $set = append $set (upper .name) }}
{{- end }}
{{- end }}
{{- $kafka := default dict .Values.config.kafka }}
{{- $registry := default dict .Values.config.schema_registry }}
{{- if not (or $kafka.bootstrap_servers (has "VOMSIS__KAFKA__BOOTSTRAP_SERVERS" $set) .Values.extraEnvFrom) }}
{{- fail "config.kafka.bootstrap_servers is missing, and the connector would ask localhost:9092: write the brokers" }}
{{- end }}
{{- if not (or $registry.url (has "VOMSIS__SCHEMA_REGISTRY__URL" $set) .Values.extraEnvFrom) }}
{{- fail "config.schema_registry.url is missing, and the connector would ask http://localhost:8081: write the registry's URL" }}
{{- end }}
{{- end }}

{{/* Keys of `config` that the chart sets by the environment. */}}
{{- define "vomsis-connect.ownedKeys" -}}
{{- if or (dig "sink" "enabled" false .) (dig "sink" "acknowledge_real_money" false .) }}
{{- fail "config.sink.enabled is set by the chart: switch the sink on by sink.enabled and sink.acknowledgeRealMoney" }}
{{- end }}
{{- if or (dig "admin" "enabled" false .) (dig "admin" "listen" "" .) (dig "admin" "token_file" "" .) }}
{{- fail "config.admin is set by the chart: use admin.enabled, admin.port and admin.existingSecret" }}
{{- end }}
{{- if not (has (dig "state" "dir" "" .) (list "" "/var/lib/vomsis")) }}
{{- fail "config.state.dir is set by the chart, which mounts the volume at /var/lib/vomsis: remove it" }}
{{- end }}
{{- if not (has (dig "http" "listen" "" .) (list "" "0.0.0.0:8080")) }}
{{- fail "config.http.listen is set by the chart: use http.port and http.address" }}
{{- end }}
{{- end }}

{{/* What the connector would refuse at its start, and a schema cannot say. */}}
{{- define "vomsis-connect.connections" -}}
{{- $ids := list }}
{{- $virtual := false }}
{{- range $index, $connection := default list .Values.config.connections }}
{{- if has $connection.id $ids }}
{{- fail (printf "config.connections[%d].id is %s once more: each connection has an id of its own" $index $connection.id) }}
{{- end }}
{{- $ids = append $ids $connection.id }}
{{- $quota := default dict $connection.quota }}
{{- $requests := int (default 60 $quota.requests_per_minute) }}
{{- $reserved := int (ternary $quota.reserved_for_payments 6 (hasKey $quota "reserved_for_payments")) }}
{{- /* Of a small quota the default reserves half. */}}
{{- if and (ne $reserved 6) (ge $reserved $requests) }}
{{- fail (printf "config.connections[%d].quota leaves nothing for polling: requests_per_minute is %d and reserved_for_payments is %d, which must be less" $index $requests $reserved) }}
{{- end }}
{{- $virtual = or $virtual (kindIs "map" $connection.virtual_pos) }}
{{- end }}
{{- if and .Values.sink.enabled (not $virtual) }}
{{- fail "sink.enabled, but none of config.connections has a virtual_pos to send payments to: write one, or set sink.enabled to false" }}
{{- end }}
{{- end }}

{{/* Files of Secrets that nobody mounts: the Pod would start, and nothing be read. */}}
{{- define "vomsis-connect.secretFiles" -}}
{{- $mounted := default dict (include "vomsis-connect.secrets" . | fromYaml) }}
{{- $values := dict "credentials" "credentials.existingSecret" "kafka" "kafka.existingSecret" "schema-registry" "schemaRegistry.existingSecret" }}
{{- range $file := regexFindAll "/run/secrets/vomsis/(credentials|kafka|schema-registry)/[^\\s\"',}]+" (toYaml .Values.config) -1 }}
{{- $folder := index (splitList "/" $file) 4 }}
{{- $own := false }}
{{- range $.Values.extraVolumeMounts }}
{{- $own = or $own (hasPrefix (printf "%s/" (trimSuffix "/" .mountPath)) (printf "%s/" $file)) }}
{{- end }}
{{- if not (or $own (hasKey $mounted $folder)) }}
{{- fail (printf "config names %s, but nothing is mounted there: set %s" $file (get $values $folder)) }}
{{- end }}
{{- end }}
{{- end }}

{{/* Two connections that share one pair of keys would be one customer read twice. */}}
{{- define "vomsis-connect.keyFiles" -}}
{{- $connections := default list .Values.config.connections }}
{{- range $index, $connection := $connections }}
{{- range $name := list "bank_pos" "virtual_pos" }}
{{- $api := get $connection $name }}
{{- $borrowed := and (eq $name "virtual_pos") (kindIs "map" $connection.bank_pos) }}
{{- if and (kindIs "map" $api) (not $borrowed) }}
{{- if not (and $api.app_key_file $api.app_secret_file) }}
{{- if gt (len $connections) 1 }}
{{- fail (printf "config.connections[%d].%s names no app_key_file and app_secret_file: with several connections each names its own, below /run/secrets/vomsis/credentials/" $index $name) }}
{{- end }}
{{- if not (include "vomsis-connect.credentialsSecretName" $) }}
{{- fail (printf "config.connections[%d].%s has no credentials: set credentials.existingSecret, or app_key_file and app_secret_file" $index $name) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
