{{/* Names, labels and variables that are the chart's own. */}}
{{- define "vomsis-connect.names" -}}
{{- $full := include "vomsis-connect.fullname" . }}
{{- if not (regexMatch "^[a-z]([-a-z0-9]*[a-z0-9])?$" $full) }}
{{- fail (printf "the name %s is none that a Service may have (a-z 0-9 -, a letter first): set fullnameOverride" $full) }}
{{- end }}
{{- if .Values.metrics.rules.enabled }}
{{- if not (contains "vomsis" (include "vomsis-connect.name" .)) }}
{{- fail (printf "metrics.rules.enabled, but nameOverride is %s: the alerts look for a job with vomsis in its name, and VomsisDown would fire for ever" .Values.nameOverride) }}
{{- end }}
{{- if not (contains "vomsis" $full) }}
{{- fail (printf "metrics.rules.enabled, but the name is %s: the alerts look for claims with vomsis in their names, so keep it in fullnameOverride" $full) }}
{{- end }}
{{- end }}
{{- end }}

{{/* A second one of the chart's own labels would be a duplicate key, or a Pod that its StatefulSet does not find. */}}
{{- define "vomsis-connect.ownLabels" -}}
{{- $own := dict "vomsis-connect/service" "" }}
{{- $own = merge $own (include "vomsis-connect.selectorLabels" . | fromYaml) (include "vomsis-connect.chartLabels" . | fromYaml) }}
{{- $monitors := .Values.metrics }}
{{- $given := dict "commonLabels" .Values.commonLabels "podLabels" .Values.podLabels }}
{{- $given = merge $given (dict "metrics.serviceMonitor.labels" $monitors.serviceMonitor.labels "metrics.podMonitor.labels" $monitors.podMonitor.labels "metrics.rules.labels" $monitors.rules.labels) }}
{{- range $place, $labels := $given }}
{{- range $label, $_ := $labels }}
{{- if hasKey $own $label }}
{{- fail (printf "%s has %s, which is set by the chart: remove it" $place $label) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/* Of two variables of one name the last one wins, without a word. */}}
{{- define "vomsis-connect.ownVariables" -}}
{{- $own := list "VOMSIS__ADMIN__LISTEN" "VOMSIS__ADMIN__TOKEN_FILE" }}
{{- range $variable := include "vomsis-connect.ownEnv" . | fromYamlArray }}
{{- $own = append $own $variable.name }}
{{- end }}
{{- range $index, $variable := .Values.extraEnv }}
{{- if has (upper $variable.name) $own }}
{{- fail (printf "extraEnv[%d] names %s, which is set by the chart: use the chart's own value instead" $index $variable.name) }}
{{- end }}
{{- /* The connector refuses it at its start: a template leaves one behind where it knows no value. */}}
{{- if and (hasPrefix "VOMSIS__" $variable.name) (not $variable.valueFrom) (not (default "" $variable.value | trim)) }}
{{- fail (printf "extraEnv[%d] (%s) is empty: write null to take the key away, or remove the variable" $index $variable.name) }}
{{- end }}
{{- end }}
{{- end }}
