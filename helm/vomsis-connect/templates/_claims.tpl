{{/* What a StatefulSet can never change: the API server would answer `field is immutable` and leave the release failed. */}}
{{- define "vomsis-connect.claims" -}}
{{- $old := lookup "apps/v1" "StatefulSet" .Release.Namespace (include "vomsis-connect.fullname" .) }}
{{- if $old }}
{{- $new := .Values.persistence }}
{{- $claims := default list $old.spec.volumeClaimTemplates }}
{{- if ne (gt (len $claims) 0) $new.enabled }}
{{- fail "persistence.enabled cannot be changed in place: see \"Resize the volumes\" in the chart's README" }}
{{- end }}
{{- range $claim := $claims }}
{{- $size := $claim.spec.resources.requests.storage }}
{{- if ne (include "vomsis-connect.bytes" $size) (include "vomsis-connect.bytes" $new.size) }}
{{- include "vomsis-connect.immutable" (list "size" $size $new.size) }}
{{- end }}
{{- /* Without a class there is no such key; the empty class is none at all. */}}
{{- $class := ternary (default "-" $claim.spec.storageClassName) "" (kindIs "string" $claim.spec.storageClassName) }}
{{- include "vomsis-connect.immutable" (list "storageClass" $class (default "" $new.storageClass)) }}
{{- include "vomsis-connect.immutable" (list "accessModes" (toJson $claim.spec.accessModes) (toJson $new.accessModes)) }}
{{- range $key := list "labels" "annotations" }}
{{- $was := default dict (get $claim.metadata $key) }}
{{- include "vomsis-connect.immutable" (list $key (toJson $was) (default dict (get $new $key) | toJson)) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/* A key below `persistence`, what it was and what it is to be. */}}
{{- define "vomsis-connect.immutable" -}}
{{- if ne (index . 1) (index . 2) }}
{{- fail (printf "persistence.%s is %s and cannot be changed to %s in place: see \"Resize the volumes\" in the chart's README" (index . 0) (index . 1 | default "\"\"") (index . 2 | default "\"\"")) }}
{{- end }}
{{- end }}

{{/* A quantity as a number: the API server stores 1024Mi as 1Gi, 1.5Gi as 1536Mi and 0.5 as 500m. */}}
{{- define "vomsis-connect.bytes" -}}
{{- $number := regexFind "^[0-9.]+" . }}
{{- $units := dict "" 1 "m" 0.001 "k" 1e3 "M" 1e6 "G" 1e9 "T" 1e12 "P" 1e15 "E" 1e18 }}
{{- $units = merge $units (dict "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776 "Pi" 1125899906842624 "Ei" 1152921504606846976) }}
{{- $unit := trimPrefix $number . }}
{{- if hasKey $units $unit }}
{{- printf "%.3f" (mulf $number (get $units $unit)) }}
{{- else }}
{{- . }}
{{- end }}
{{- end }}
