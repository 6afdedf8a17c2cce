{{/* Pieces of NetworkPolicies. */}}

{{/* A rule for what comes in. Takes peers (none: everybody), others (added to peers, where there are any), ports. */}}
{{- define "bellwire.network.in" -}}
- ports:
    {{- range .ports }}
    - port: {{ . }}
      protocol: TCP
    {{- end }}
  {{- if .peers }}
  from:
    {{- toYaml (concat .peers (default list .others)) | nindent 4 }}
  {{- end }}
{{- end -}}

{{/* A rule for what goes out. Takes peers (none: anywhere), ports. */}}
{{- define "bellwire.network.out" -}}
- ports:
    {{- range .ports }}
    - port: {{ . }}
      protocol: TCP
    {{- end }}
  {{- with .peers }}
  to:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}

{{- define "bellwire.network.dns" -}}
{{- $dns := .Values.networkPolicy.dns -}}
- ports:
    - port: {{ $dns.port }}
      protocol: UDP
    - port: {{ $dns.port }}
      protocol: TCP
  {{- with $dns.to }}
  to:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}

{{/* The port of an address such as https://HOST:PORT/PATH. */}}
{{- define "bellwire.network.port" -}}
{{- $url := urlParse . -}}
{{- $port := regexFind ":[0-9]+$" $url.host | trimPrefix ":" -}}
{{- default (ternary "80" "443" (has $url.scheme (list "http" "ws"))) $port -}}
{{- end -}}

{{/* The ports of RabbitMQ's nodes, as a list. */}}
{{- define "bellwire.network.rabbitmqPorts" -}}
{{- $tls := include "bellwire.rabbitmq.tls" . | fromJson -}}
{{- $default := ternary 5671 5672 $tls.enabled -}}
{{- $ports := list -}}
{{- if eq .Values.rabbitmq.mode "operator" -}}
{{- $ports = list $default -}}
{{- else -}}
{{- $external := .Values.rabbitmq.external -}}
{{- range $external.hosts -}}
{{- $own := regexFind "(^[^:]+|\\]):[0-9]+$" . | regexFind "[0-9]+$" -}}
{{- $ports = append $ports (int (default (default $default $external.port) $own)) -}}
{{- end -}}
{{- end -}}
{{- $ports | uniq | toJson -}}
{{- end -}}

{{/* Where the component goes. Takes root, component. */}}
{{- define "bellwire.network.egress" -}}
{{- $values := .root.Values -}}
{{- $policy := $values.networkPolicy -}}
{{- include "bellwire.network.dns" .root }}
{{- if ne .component "standalone" }}
{{- $peers := $policy.rabbitmq }}
{{- if eq $values.rabbitmq.mode "operator" }}
{{- $peers = list (dict "podSelector" (dict "matchLabels" (dict "app.kubernetes.io/name" (include "bellwire.rabbitmq.name" .root) "app.kubernetes.io/component" "rabbitmq"))) }}
{{- end }}
{{ include "bellwire.network.out" (dict "peers" $peers "ports" (include "bellwire.network.rabbitmqPorts" .root | fromJsonArray)) }}
{{- end }}
{{- if include "bellwire.mysql.secret" .root }}
{{ include "bellwire.network.out" (dict "peers" $policy.database.to "ports" (list $policy.database.port)) }}
{{- end }}
{{- if ne .component "ingest" }}
{{- with $values.openitcockpit.url }}
{{ include "bellwire.network.out" (dict "peers" $policy.openitcockpit.to "ports" (list (include "bellwire.network.port" .))) }}
{{- end }}
{{- with $values.jwt.url }}
{{ include "bellwire.network.out" (dict "ports" (list (include "bellwire.network.port" .))) }}
{{- end }}
{{- if $values.openitcockpit.mobileRelay.enabled }}
{{ include "bellwire.network.out" (dict "peers" $policy.relay.to "ports" (list $policy.relay.port)) }}
{{- end }}
{{- end }}
{{- with $policy.extraEgress }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Who comes to the component. Takes root, component. */}}
{{- define "bellwire.network.ingress" -}}
{{- $policy := .root.Values.networkPolicy -}}
{{- $test := list (dict "podSelector" (dict "matchLabels" (include "bellwire.selector" (dict "root" .root "component" "test") | fromYaml))) -}}
{{- if ne .component "ingest" }}
{{ include "bellwire.network.in" (dict "peers" $policy.browsers "others" $test "ports" (list "http")) }}
{{- end }}
{{- if ne .component "gateway" }}
{{ include "bellwire.network.in" (dict "peers" $policy.senders "others" $test "ports" (list (ternary "http" "ingest" (eq .component "ingest")))) }}
{{- end }}
{{ include "bellwire.network.in" (dict "peers" $policy.monitoring "ports" (list "admin")) }}
{{- with $policy.extraIngress }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Where the test goes. Takes root. */}}
{{- define "bellwire.network.testEgress" -}}
{{- include "bellwire.network.dns" . }}
{{- range $part := list "gateway" "ingest" }}
{{- $component := include "bellwire.component" (dict "root" $ "part" $part) }}
{{- $port := ternary "ingest" "http" (and (eq $component "standalone") (eq $part "ingest")) }}
{{- $peer := dict "podSelector" (dict "matchLabels" (include "bellwire.selector" (dict "root" $ "component" $component) | fromYaml)) }}
{{ include "bellwire.network.out" (dict "peers" (list $peer) "ports" (list $port)) }}
{{- /* An address of the user's own may be anywhere, and may also end at these pods without leaving the cluster. */}}
{{- with get $.Values.tests $part }}
{{ include "bellwire.network.out" (dict "ports" (list (include "bellwire.network.port" . | int))) }}
{{- end }}
{{- end }}
{{- if not (include "bellwire.sharedKey.secret" .) }}
{{ include "bellwire.network.out" (dict "peers" .Values.networkPolicy.database.to "ports" (list .Values.networkPolicy.database.port)) }}
{{- end }}
{{- with .Values.networkPolicy.extraEgress }}
{{ toYaml . }}
{{- end }}
{{- end -}}
