{{/* The program's settings as one TOML file for each role (docs/configuration.md). */}}

{{/* A TOML file out of a map. JSON's texts are TOML's. */}}
{{- define "bellwire.toml" -}}
{{- range $name := keys . | sortAlpha }}
{{- $value := get $ $name }}
{{ $name }} = {{ if kindIs "string" $value }}{{ $value | toRawJson }}{{ else }}{{ $value | int64 }}{{ end }}
{{- end }}
{{- end -}}

{{/* The RabbitMQ nodes as a list of addresses, without user and password. */}}
{{- define "bellwire.rabbitmq.log" -}}
{{- $rabbitmq := .Values.rabbitmq -}}
{{- $tls := include "bellwire.rabbitmq.tls" . | fromJson -}}
{{- $own := get $rabbitmq $rabbitmq.mode -}}
{{- $nodes := list -}}
{{- if eq $rabbitmq.mode "operator" -}}
{{- $nodes = list (printf "%s.%s.svc" (include "bellwire.rabbitmq.name" .) (include "bellwire.namespace" .)) -}}
{{- else -}}
{{- range $own.hosts -}}
{{- $hasPort := regexMatch "^[^:]+:[0-9]+$|^\\[.*\\]:[0-9]+$" . -}}
{{- $nodes = append $nodes (ternary . (printf "%s:%v" . $own.port) (or $hasPort (not $own.port))) -}}
{{- end -}}
{{- end -}}
{{- $vhost := $own.vhost | urlquery | replace "+" "%20" -}}
{{- printf "%s://%s/%s" (ternary "amqps" "amqp" $tls.enabled) (first $nodes) $vhost -}}
{{- range rest $nodes }},{{ . }}{{ end -}}
{{- end -}}

{{/* Sets what every role has. Takes root, component, own (its values), into. */}}
{{- define "bellwire.settings.node" -}}
{{- $values := .root.Values -}}
{{- $to := .into -}}
{{- $_ := set $to "admin-listen" (printf "%s:%s" $values.listenAddress (include "bellwire.adminPort" .component)) -}}
{{- $_ := set $to "log-level" $values.logging.level -}}
{{- $_ := set $to "log-format" $values.logging.format -}}
{{- $_ := set $to "drain-seconds" .own.drain.seconds -}}
{{- with $values.ttl }}{{ $_ := set $to "ttl" (toString .) }}{{ end -}}
{{- if eq .component "standalone" -}}
{{- $_ := set $to "log" "embedded:/var/lib/bellwire" -}}
{{- $_ := set $to "shards" $values.shards.count -}}
{{- else -}}
{{- $_ := set $to "log" (include "bellwire.rabbitmq.log" .root) -}}
{{- $_ := set $to "amqp-user-file" "/etc/bellwire/secrets/rabbitmq/username" -}}
{{- $_ := set $to "amqp-password-file" "/etc/bellwire/secrets/rabbitmq/password" -}}
{{- $tls := include "bellwire.rabbitmq.tls" .root | fromJson -}}
{{- if and $tls.enabled (or $tls.ca.existingSecret $tls.ca.existingConfigMap) -}}
{{- $_ := set $to "amqp-ca-file" "/etc/bellwire/secrets/rabbitmq-ca/ca.crt" -}}
{{- end -}}
{{- $shards := $values.shards.count -}}
{{- if eq .component "ingest" -}}
{{- with $values.shards.ingest }}{{ $shards = . }}{{ end -}}
{{- else -}}
{{- with $values.shards.next }}{{ $_ := set $to "shards-also" . }}{{ end -}}
{{- end -}}
{{- $_ := set $to "shards" $shards -}}
{{- end -}}
{{- if include "bellwire.mysql.secret" .root -}}
{{- $_ := set $to "mysql-file" "/etc/bellwire/secrets/mysql/mysql.cnf" -}}
{{- end -}}
{{- if include "bellwire.tls.secret" .root -}}
{{- $_ := set $to "tls-cert-file" "/etc/bellwire/secrets/tls/tls.crt" -}}
{{- $_ := set $to "tls-key-file" "/etc/bellwire/secrets/tls/tls.key" -}}
{{- if $values.tls.admin }}{{ $_ := set $to "admin-tls" "on" }}{{ end -}}
{{- end -}}
{{- end -}}

{{/* Sets what browsers' side has. Takes root, into. */}}
{{- define "bellwire.settings.gateway" -}}
{{- $values := .root.Values -}}
{{- $to := .into -}}
{{- $of := $values.openitcockpit -}}
{{- $_ := set $to "listen" (printf "%s:8083" $values.listenAddress) -}}
{{- if include "bellwire.sharedKey.secret" .root -}}
{{- $_ := set $to "shared-key-file" "/etc/bellwire/secrets/shared-key/shared-key" -}}
{{- end -}}
{{- with $of.url }}{{ $_ := set $to "openitcockpit-url" . }}{{ end -}}
{{- with $of.sessionCheck }}{{ $_ := set $to "session-check" . }}{{ end -}}
{{- with $of.sessionRecheck }}{{ $_ := set $to "session-recheck" (toString .) }}{{ end -}}
{{- if or $of.ca.existingSecret $of.ca.existingConfigMap -}}
{{- $_ := set $to "openitcockpit-ca-file" "/etc/bellwire/secrets/openitcockpit-ca/ca.crt" -}}
{{- end -}}
{{- with $of.origins }}{{ $_ := set $to "origins" (join "," .) }}{{ end -}}
{{- with $of.trustedProxies }}{{ $_ := set $to "trusted-proxies" (join "," (concat (list "127.0.0.0/8" "::1") . | uniq)) }}{{ end -}}
{{- if $of.mobileRelay.enabled -}}
{{- $_ := set $to "mobile-relay" "on" -}}
{{- if or $of.mobileRelay.ca.existingSecret $of.mobileRelay.ca.existingConfigMap -}}
{{- $_ := set $to "relay-ca-file" "/etc/bellwire/secrets/relay-ca/ca.crt" -}}
{{- end -}}
{{- end -}}
{{- if $values.jwt.existingSecret }}{{ $_ := set $to "jwt-keys-file" "/etc/bellwire/secrets/jwt/keys" }}{{ end -}}
{{- with $values.jwt.url }}{{ $_ := set $to "jwt-keys-url" . }}{{ end -}}
{{- with $values.jwt.audience }}{{ $_ := set $to "jwt-audience" . }}{{ end -}}
{{- with $values.jwt.issuer }}{{ $_ := set $to "jwt-issuer" . }}{{ end -}}
{{- $limits := dict "maxSessions" "max-sessions" "maxSessionsPerUser" "max-sessions-per-user" "maxSessionsPerAddress" "max-sessions-per-address" "maxHandshakesPerSecond" "max-handshakes-per-second" "maxFailuresPerAddress" "max-failures-per-address" -}}
{{- range $name, $setting := $limits -}}
{{- with get $values.gateway.limits $name }}{{ $_ := set $to $setting . }}{{ end -}}
{{- end -}}
{{- with $values.gateway.digests }}{{ $_ := set $to "digests" (join "," .) }}{{ end -}}
{{- end -}}

{{/* Sets what senders' side has. Takes root, into, setting (the one that says where it listens). */}}
{{- define "bellwire.settings.ingest" -}}
{{- $values := .root.Values -}}
{{- $to := .into -}}
{{- $_ := set $to .setting (printf "%s:8084" $values.listenAddress) -}}
{{- if include "bellwire.tokens.secret" .root -}}
{{- $_ := set $to "ingest-tokens-file" "/etc/bellwire/secrets/tokens/tokens" -}}
{{- end -}}
{{- $ca := $values.ingest.clientCa -}}
{{- if or $ca.existingSecret $ca.existingConfigMap -}}
{{- $_ := set $to "ingest-client-ca-file" "/etc/bellwire/secrets/client-ca/ca.crt" -}}
{{- end -}}
{{- with $values.openitcockpit.userCheck }}{{ $_ := set $to "user-check" . }}{{ end -}}
{{- with $values.ingest.webhookUserLabel }}{{ $_ := set $to "webhook-user-label" . }}{{ end -}}
{{- end -}}

{{/* The TOML file of a component. Takes root, component. */}}
{{- define "bellwire.settings" -}}
{{- $own := get .root.Values .component -}}
{{- $to := dict -}}
{{- include "bellwire.settings.node" (dict "root" .root "component" .component "own" $own "into" $to) -}}
{{- if ne .component "ingest" -}}
{{- include "bellwire.settings.gateway" (dict "root" .root "into" $to) -}}
{{- end -}}
{{- if ne .component "gateway" -}}
{{- $setting := ternary "listen" "ingest-listen" (eq .component "ingest") -}}
{{- include "bellwire.settings.ingest" (dict "root" .root "into" $to "setting" $setting) -}}
{{- end -}}
# Made by the chart out of its values; `config` is merged over it.
{{- include "bellwire.toml" (mergeOverwrite $to (deepCopy .root.Values.config) (deepCopy $own.config)) }}
{{ end -}}
