{{/* Which Secret has what, and where pods find it. */}}

{{/* Of a value with `value` and `existingSecret`: the Secret's name, or nothing. Takes root, of, common (whether `existingSecret` of the chart has it too). */}}
{{- define "bellwire.secretName" -}}
{{- if .of.existingSecret -}}
{{- .of.existingSecret -}}
{{- else if .of.value -}}
{{- include "bellwire.fullname" .root -}}
{{- else if .common -}}
{{- .root.Values.existingSecret -}}
{{- end -}}
{{- end -}}

{{/* The key of the Secret: the chart's own Secret has a fixed one. Takes of, fixed. */}}
{{- define "bellwire.secretKey" -}}
{{- if or .of.existingSecret (not .of.value) }}{{ .of.key }}{{ else }}{{ .fixed }}{{ end -}}
{{- end -}}

{{- define "bellwire.mysql.secret" -}}
{{- include "bellwire.secretName" (dict "root" . "of" .Values.openitcockpit.mysql) -}}
{{- end -}}

{{/* Nothing where the key comes from the database, or there is none. */}}
{{- define "bellwire.sharedKey.secret" -}}
{{- $common := not (include "bellwire.mysql.secret" .) -}}
{{- include "bellwire.secretName" (dict "root" . "of" .Values.openitcockpit.sharedKey "common" $common) -}}
{{- end -}}

{{- define "bellwire.tokens.secret" -}}
{{- include "bellwire.secretName" (dict "root" . "of" .Values.ingest.tokens "common" true) -}}
{{- end -}}

{{- define "bellwire.tls.secret" -}}
{{- if .Values.tls.enabled -}}
{{- if .Values.tls.certManager.enabled -}}
{{- printf "%s-tls" (include "bellwire.fullname" .) -}}
{{- else -}}
{{- .Values.tls.existingSecret -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "bellwire.rabbitmq.name" -}}
{{- default (printf "%s-rabbitmq" (include "bellwire.fullname" .)) .Values.rabbitmq.operator.name -}}
{{- end -}}

{{- define "bellwire.rabbitmq.secret" -}}
{{- $rabbitmq := .Values.rabbitmq -}}
{{- if eq $rabbitmq.mode "operator" -}}
{{- $made := ternary "user-user-credentials" "default-user" $rabbitmq.operator.topologyOperator.enabled -}}
{{- printf "%s-%s" (include "bellwire.rabbitmq.name" .) $made -}}
{{- else if $rabbitmq.external.existingSecret -}}
{{- $rabbitmq.external.existingSecret -}}
{{- else if $rabbitmq.external.password -}}
{{- include "bellwire.fullname" . -}}
{{- else -}}
{{- .Values.existingSecret -}}
{{- end -}}
{{- end -}}

{{- define "bellwire.rabbitmq.keys" -}}
{{- $external := .Values.rabbitmq.external -}}
{{- if and (eq .Values.rabbitmq.mode "external") (or $external.existingSecret (not $external.password)) -}}
{{- toJson $external.existingSecretKeys -}}
{{- else -}}
{"username": "username", "password": "password"}
{{- end -}}
{{- end -}}

{{/* The values of TLS to RabbitMQ, in the mode that is set. */}}
{{- define "bellwire.rabbitmq.tls" -}}
{{- $rabbitmq := .Values.rabbitmq -}}
{{- toJson (get $rabbitmq $rabbitmq.mode).tls -}}
{{- end -}}

{{/* A volume with authorities out of a Secret or ConfigMap; nothing where none is named. Takes name, ca. */}}
{{- define "bellwire.caVolume" -}}
{{- $ca := .ca -}}
{{- if or $ca.existingSecret $ca.existingConfigMap }}
- name: {{ .name }}
  {{- if $ca.existingSecret }}
  secret:
    secretName: {{ $ca.existingSecret }}
    defaultMode: 0440
  {{- else }}
  configMap:
    name: {{ $ca.existingConfigMap }}
    defaultMode: 0444
  {{- end }}
    items:
      - key: {{ $ca.key }}
        path: ca.crt
{{- end }}
{{- end -}}

{{/* A volume with one key of a Secret; nothing without a Secret. Takes name, secret, key, path. */}}
{{- define "bellwire.secretVolume" -}}
{{- if .secret }}
- name: {{ .name }}
  secret:
    secretName: {{ .secret }}
    defaultMode: 0440
    items:
      - key: {{ .key }}
        path: {{ .path }}
{{- end }}
{{- end -}}

{{/* The Secret's volume of the shared key. */}}
{{- define "bellwire.sharedKey.volume" -}}
{{- $of := .Values.openitcockpit.sharedKey -}}
{{- $key := include "bellwire.secretKey" (dict "of" $of "fixed" "shared-key") -}}
{{- include "bellwire.secretVolume" (dict "name" "shared-key" "secret" (include "bellwire.sharedKey.secret" .) "key" $key "path" "shared-key") -}}
{{- end -}}

{{- define "bellwire.mysql.volume" -}}
{{- $key := include "bellwire.secretKey" (dict "of" .Values.openitcockpit.mysql "fixed" "mysql.cnf") -}}
{{- include "bellwire.secretVolume" (dict "name" "mysql" "secret" (include "bellwire.mysql.secret" .) "key" $key "path" "mysql.cnf") -}}
{{- end -}}

{{- define "bellwire.tokens.volume" -}}
{{- $key := include "bellwire.secretKey" (dict "of" .Values.ingest.tokens "fixed" "tokens") -}}
{{- include "bellwire.secretVolume" (dict "name" "tokens" "secret" (include "bellwire.tokens.secret" .) "key" $key "path" "tokens") -}}
{{- end -}}

{{- define "bellwire.tls.volume" -}}
{{- with include "bellwire.tls.secret" . }}
- name: tls
  secret:
    secretName: {{ . }}
    defaultMode: 0440
    items:
      - key: tls.crt
        path: tls.crt
      - key: tls.key
        path: tls.key
{{- end }}
{{- end -}}

{{- define "bellwire.rabbitmq.volumes" -}}
{{- $keys := include "bellwire.rabbitmq.keys" . | fromJson -}}
{{- with include "bellwire.rabbitmq.secret" . }}
- name: rabbitmq
  secret:
    secretName: {{ . }}
    defaultMode: 0440
    items:
      - key: {{ $keys.username }}
        path: username
      - key: {{ $keys.password }}
        path: password
{{- end }}
{{- $tls := include "bellwire.rabbitmq.tls" . | fromJson -}}
{{- if $tls.enabled }}
{{- include "bellwire.caVolume" (dict "name" "rabbitmq-ca" "ca" $tls.ca) }}
{{- end }}
{{- end -}}

{{/*
The volumes with secrets of a component, each mounted at /etc/bellwire/secrets/NAME. Takes root, component.
*/}}
{{- define "bellwire.secretVolumes" -}}
{{- $values := .root.Values -}}
{{- $gateway := ne .component "ingest" -}}
{{- $ingest := ne .component "gateway" -}}
{{- if ne .component "standalone" }}
{{- include "bellwire.rabbitmq.volumes" .root }}
{{- end }}
{{- include "bellwire.mysql.volume" .root }}
{{- include "bellwire.tls.volume" .root }}
{{- if $gateway }}
{{- include "bellwire.sharedKey.volume" .root }}
{{- include "bellwire.caVolume" (dict "name" "openitcockpit-ca" "ca" $values.openitcockpit.ca) }}
{{- include "bellwire.secretVolume" (dict "name" "jwt" "secret" $values.jwt.existingSecret "key" $values.jwt.key "path" "keys") }}
{{- include "bellwire.caVolume" (dict "name" "relay-ca" "ca" $values.openitcockpit.mobileRelay.ca) }}
{{- end }}
{{- if $ingest }}
{{- include "bellwire.tokens.volume" .root }}
{{- include "bellwire.caVolume" (dict "name" "client-ca" "ca" $values.ingest.clientCa) }}
{{- end }}
{{- end -}}

{{/* Where volumes with secrets are mounted. Takes the volumes as text. */}}
{{- define "bellwire.secretMounts" -}}
{{- range . | fromYamlArray }}
- name: {{ .name }}
  mountPath: /etc/bellwire/secrets/{{ .name }}
  readOnly: true
{{- end }}
{{- end -}}
