{{/* What the chart's own Secret holds: values that were given as they are. Nothing where all are in Secrets of others. */}}
{{- define "bellwire.ownSecret" -}}
{{- $of := .Values.openitcockpit -}}
{{- $external := .Values.rabbitmq.external -}}
{{- $data := dict -}}
{{- if and $of.sharedKey.value (not $of.sharedKey.existingSecret) }}{{ $_ := set $data "shared-key" $of.sharedKey.value }}{{ end -}}
{{- if and $of.mysql.value (not $of.mysql.existingSecret) }}{{ $_ := set $data "mysql.cnf" $of.mysql.value }}{{ end -}}
{{- $tokens := .Values.ingest.tokens -}}
{{- if and $tokens.value (not $tokens.existingSecret) }}{{ $_ := set $data "tokens" $tokens.value }}{{ end -}}
{{- if and (eq .Values.mode "cluster") (eq .Values.rabbitmq.mode "external") $external.password (not $external.existingSecret) -}}
{{- $_ := set $data "username" $external.username -}}
{{- $_ := set $data "password" $external.password -}}
{{- end -}}
{{- range $key := keys $data | sortAlpha }}
{{ $key }}: {{ get $data $key | b64enc }}
{{- end -}}
{{- end -}}
