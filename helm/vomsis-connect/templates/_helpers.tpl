{{- define "vomsis-connect.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* At most 50 characters: StatefulSets put an ordinal and a hash behind it, Services a suffix. */}}
{{- define "vomsis-connect.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride }}
{{- $full := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) }}
{{- default $full .Values.fullnameOverride | trunc 50 | trimSuffix "-" }}
{{- end }}

{{/* Never changed: the selector of a StatefulSet is immutable. Quoted: `true` and `2024` are names too. */}}
{{- define "vomsis-connect.selectorLabels" -}}
app.kubernetes.io/name: {{ include "vomsis-connect.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/component: connector
{{- end }}

{{- define "vomsis-connect.chartLabels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: vomsis-connect
{{- end }}

{{- define "vomsis-connect.commonLabels" -}}
{{ include "vomsis-connect.chartLabels" . }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "vomsis-connect.labels" -}}
{{ include "vomsis-connect.selectorLabels" . }}
{{ include "vomsis-connect.commonLabels" . }}
{{- end }}

{{- define "vomsis-connect.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ default $.Chart.AppVersion .tag }}
{{- end -}}
{{- end -}}
{{- end }}

{{- define "vomsis-connect.serviceAccountName" -}}
{{- $made := ternary (include "vomsis-connect.fullname" .) "default" .Values.serviceAccount.create }}
{{- default $made .Values.serviceAccount.name }}
{{- end }}

{{- define "vomsis-connect.configMapName" -}}
{{- default (include "vomsis-connect.fullname" .) .Values.existingConfigMap }}
{{- end }}

{{- define "vomsis-connect.credentialsSecretName" -}}
{{- if .Values.credentials.create -}}
{{ include "vomsis-connect.fullname" . }}-credentials
{{- else -}}
{{ .Values.credentials.existingSecret }}
{{- end -}}
{{- end }}

{{/* The Secrets that become files, by the folder's name; read as YAML, so a name of digits is quoted. */}}
{{- define "vomsis-connect.secrets" -}}
{{- with include "vomsis-connect.credentialsSecretName" . }}
credentials: {{ . | quote }}
{{- end }}
{{- with .Values.kafka.existingSecret }}
kafka: {{ . | quote }}
{{- end }}
{{- with .Values.schemaRegistry.existingSecret }}
schema-registry: {{ . | quote }}
{{- end }}
{{- if .Values.admin.enabled }}
admin: {{ .Values.admin.existingSecret | quote }}
{{- end }}
{{- end }}

{{/* The configuration as it was given; a connection without key files gets the ones of `credentials`. */}}
{{- define "vomsis-connect.config" -}}
{{- $config := deepCopy .Values.config }}
{{- if include "vomsis-connect.credentialsSecretName" . }}
{{- $keys := .Values.credentials.keys }}
{{- range $connection := $config.connections }}
{{- $api := ternary $connection.bank_pos $connection.virtual_pos (kindIs "map" $connection.bank_pos) }}
{{- if and (kindIs "map" $api) (not $api.app_key_file) (not $api.app_secret_file) }}
{{- $_ := set $api "app_key_file" (printf "/run/secrets/vomsis/credentials/%s" $keys.appKey) }}
{{- $_ := set $api "app_secret_file" (printf "/run/secrets/vomsis/credentials/%s" $keys.appSecret) }}
{{- end }}
{{- end }}
{{- end }}
{{- toYaml $config }}
{{- end }}

{{/* What the chart decides, over whatever the configuration says. */}}
{{- define "vomsis-connect.ownEnv" -}}
- {name: VOMSIS__STATE__DIR, value: /var/lib/vomsis}
- {name: VOMSIS__HTTP__LISTEN, value: {{ printf "%s:%v" .Values.http.address .Values.http.port | quote }}}
- {name: VOMSIS__SINK__ENABLED, value: {{ .Values.sink.enabled | quote }}}
- {name: VOMSIS__SINK__ACKNOWLEDGE_REAL_MONEY, value: {{ .Values.sink.acknowledgeRealMoney | quote }}}
- {name: VOMSIS__ADMIN__ENABLED, value: {{ .Values.admin.enabled | quote }}}
{{- if .Values.admin.enabled }}
- {name: VOMSIS__ADMIN__LISTEN, value: {{ printf "%s:%v" .Values.http.address .Values.admin.port | quote }}}
- {name: VOMSIS__ADMIN__TOKEN_FILE, value: /run/secrets/vomsis/admin/{{ .Values.admin.keys.token }}}
{{- end }}
{{- if .Values.kafka.existingSecret }}
{{- with .Values.kafka.keys }}
{{- $folder := "/run/secrets/vomsis/kafka" }}
{{- with .username }}
- {name: VOMSIS__KAFKA__PROPERTIES__SASL_USERNAME_FILE, value: {{ $folder }}/{{ . }}}
{{- end }}
{{- with .password }}
- {name: VOMSIS__KAFKA__PROPERTIES__SASL_PASSWORD_FILE, value: {{ $folder }}/{{ . }}}
{{- end }}
{{- with .ca }}
- {name: VOMSIS__KAFKA__PROPERTIES__SSL_CA_LOCATION, value: {{ $folder }}/{{ . }}}
{{- end }}
{{- with .certificate }}
- {name: VOMSIS__KAFKA__PROPERTIES__SSL_CERTIFICATE_LOCATION, value: {{ $folder }}/{{ . }}}
{{- end }}
{{- with .key }}
- {name: VOMSIS__KAFKA__PROPERTIES__SSL_KEY_LOCATION, value: {{ $folder }}/{{ . }}}
{{- end }}
{{- end }}
{{- end }}
{{- with .Values.schemaRegistry }}
{{- if .existingSecret }}
{{- $folder := "/run/secrets/vomsis/schema-registry" }}
{{- if .username }}
- {name: VOMSIS__SCHEMA_REGISTRY__BASIC_AUTH__USERNAME, value: {{ .username | quote }}}
- {name: VOMSIS__SCHEMA_REGISTRY__BASIC_AUTH__PASSWORD_FILE, value: {{ $folder }}/{{ .keys.password }}}
{{- else }}
- {name: VOMSIS__SCHEMA_REGISTRY__BEARER_TOKEN_FILE, value: {{ $folder }}/{{ .keys.token }}}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{- define "vomsis-connect.env" -}}
{{ include "vomsis-connect.ownEnv" . }}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end }}
