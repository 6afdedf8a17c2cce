{{/* What must hold between values; the schema checks each by itself. Each prints one line for each problem, which names the value. */}}

{{- define "bellwire.validate.drain" -}}
{{- range $component := include "bellwire.components" . | fromJsonArray -}}
{{- $own := get $.Values $component -}}
{{- $least := add (int $own.drain.preStopSeconds) (int $own.drain.seconds) 30 -}}
{{- if lt (int $own.terminationGracePeriodSeconds) (int $least) -}}
{{ println (printf "%s.terminationGracePeriodSeconds is %v, but must be at least %d: drain.preStopSeconds + drain.seconds + 30. Else pods are killed before their last writes are done." $component $own.terminationGracePeriodSeconds (int $least)) }}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "bellwire.validate.access" -}}
{{- $of := .Values.openitcockpit -}}
{{- $hasDatabase := include "bellwire.mysql.secret" . -}}
{{- $hasKey := or (include "bellwire.sharedKey.secret" .) $hasDatabase -}}
{{- $hasJwt := or .Values.jwt.existingSecret .Values.jwt.url -}}
{{- if not (or $hasKey $hasJwt) -}}
{{ println "openitcockpit.sharedKey.existingSecret must name the Secret with the shared key; or set existingSecret, openitcockpit.mysql.existingSecret (the key is in openITCOCKPIT's database), or jwt (users' tokens)." }}
{{- end -}}
{{- if and $hasKey (not $of.url) (ne $of.sessionCheck "key-only") -}}
{{ println "openitcockpit.url must be openITCOCKPIT's address, https://HOST, so that logins are checked. Without it whoever knows the shared key can listen as any user; if that is wanted: openitcockpit.sessionCheck=key-only." }}
{{- end -}}
{{- if and $of.sessionCheck (ne $of.sessionCheck "key-only") (not $of.url) -}}
{{ println (printf "openitcockpit.sessionCheck=%s needs openitcockpit.url." $of.sessionCheck) }}
{{- end -}}
{{- if and (or $of.ca.existingSecret $of.ca.existingConfigMap) (not $of.url) -}}
{{ println "openitcockpit.ca is of no use without openitcockpit.url." }}
{{- end -}}
{{- if and .Values.jwt.existingSecret .Values.jwt.url -}}
{{ println "jwt.existingSecret and jwt.url are both set: give one of the two." }}
{{- end -}}
{{- if and $hasJwt (not .Values.jwt.audience) -}}
{{ println "jwt.audience must be set beside jwt.existingSecret or jwt.url: without it tokens made for other services would open this one." }}
{{- end -}}
{{- if and (not $hasJwt) (or .Values.jwt.audience .Values.jwt.issuer) -}}
{{ println "jwt.audience and jwt.issuer are of no use without jwt.existingSecret or jwt.url." }}
{{- end -}}
{{- if and $of.mobileRelay.enabled (not $hasDatabase) -}}
{{ println "openitcockpit.mobileRelay.enabled needs openitcockpit.mysql.existingSecret: relay and devices are in openITCOCKPIT's database." }}
{{- end -}}
{{- if and (not $of.mobileRelay.enabled) (or $of.mobileRelay.ca.existingSecret $of.mobileRelay.ca.existingConfigMap) -}}
{{ println "openitcockpit.mobileRelay.ca is of no use without openitcockpit.mobileRelay.enabled." }}
{{- end -}}
{{- if and $of.userCheck (ne $of.userCheck "off") (not $hasDatabase) -}}
{{ println (printf "openitcockpit.userCheck=%s needs openitcockpit.mysql.existingSecret: users are known to openITCOCKPIT's database." $of.userCheck) }}
{{- end -}}
{{- end -}}

{{/* Authorities come out of a Secret or a ConfigMap. */}}
{{- define "bellwire.validate.authorities" -}}
{{- $all := dict "openitcockpit.ca" .Values.openitcockpit.ca "openitcockpit.mobileRelay.ca" .Values.openitcockpit.mobileRelay.ca "rabbitmq.external.tls.ca" .Values.rabbitmq.external.tls.ca "rabbitmq.operator.tls.ca" .Values.rabbitmq.operator.tls.ca "ingest.clientCa" .Values.ingest.clientCa "tests.ca" .Values.tests.ca -}}
{{- range $path, $ca := $all -}}
{{- if and $ca.existingSecret $ca.existingConfigMap -}}
{{ println (printf "%s has existingSecret and existingConfigMap: give one of the two." $path) }}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "bellwire.validate.standalone" -}}
{{- range $component := list "gateway" "ingest" -}}
{{- if include "bellwire.scaled" (get $.Values $component) -}}
{{ println (printf "%s cannot be scaled with mode=standalone: it is one pod, whose log belongs to one process. Leave out autoscaling and keda, or set mode=cluster." $component) }}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "bellwire.validate.intake" -}}
{{- $ca := .Values.ingest.clientCa -}}
{{- $hasCa := or $ca.existingSecret $ca.existingConfigMap -}}
{{- if and $hasCa (not .Values.tls.enabled) -}}
{{ println "ingest.clientCa needs tls.enabled: there are no certificates without TLS." }}
{{- end -}}
{{- if not (or $hasCa (include "bellwire.tokens.secret" .)) -}}
{{ println "ingest.tokens.existingSecret must name the Secret with the tokens of those who may send; or set existingSecret, or ingest.clientCa." }}
{{- end -}}
{{- end -}}

{{- define "bellwire.validate.tls" -}}
{{- $tls := .Values.tls -}}
{{- if and $tls.enabled (not $tls.certManager.enabled) (not $tls.existingSecret) -}}
{{ println "tls.enabled needs tls.existingSecret, or tls.certManager.enabled." }}
{{- end -}}
{{- if and $tls.certManager.enabled $tls.existingSecret -}}
{{ println "tls.existingSecret and tls.certManager.enabled are both set: give one of the two." }}
{{- end -}}
{{- if and (not $tls.enabled) (or $tls.certManager.enabled $tls.existingSecret $tls.admin) -}}
{{ println "tls.existingSecret, tls.certManager and tls.admin are of no use without tls.enabled." }}
{{- end -}}
{{- if and $tls.certManager.enabled (not $tls.certManager.issuerRef.name) -}}
{{ println "tls.certManager.issuerRef.name must name the issuer." }}
{{- end -}}
{{- end -}}

{{- define "bellwire.validate.rabbitmq" -}}
{{- $rabbitmq := .Values.rabbitmq -}}
{{- $external := $rabbitmq.external -}}
{{- if eq $rabbitmq.mode "external" -}}
{{- if not $external.hosts -}}
{{ println "rabbitmq.external.hosts must name RabbitMQ's nodes. Or: rabbitmq.mode=operator, and the chart makes a RabbitMQ; mode=standalone, and there is none." }}
{{- end -}}
{{- if not (include "bellwire.rabbitmq.secret" .) -}}
{{ println "rabbitmq.external.existingSecret must name the Secret with RabbitMQ's user and password; or set existingSecret." }}
{{- end -}}
{{- if and $external.password (not $external.username) -}}
{{ println "rabbitmq.external.username must be set beside rabbitmq.external.password." }}
{{- end -}}
{{- else -}}
{{- if ne (mod (int $rabbitmq.operator.replicas) 2) 1 -}}
{{ println (printf "rabbitmq.operator.replicas is %v, but must be odd: an even number has no majority when half of the nodes are away." $rabbitmq.operator.replicas) }}
{{- end -}}
{{- if and $rabbitmq.operator.tls.enabled (not $rabbitmq.operator.tls.existingSecret) -}}
{{ println "rabbitmq.operator.tls.enabled needs rabbitmq.operator.tls.existingSecret." }}
{{- end -}}
{{- end -}}
{{- $tls := (get $rabbitmq $rabbitmq.mode).tls -}}
{{- if and (not $tls.enabled) (or $tls.ca.existingSecret $tls.ca.existingConfigMap) -}}
{{ println (printf "rabbitmq.%s.tls.ca is of no use without rabbitmq.%s.tls.enabled." $rabbitmq.mode $rabbitmq.mode) }}
{{- end -}}
{{- end -}}

{{- define "bellwire.validate.shards" -}}
{{- $shards := .Values.shards -}}
{{- if $shards.next -}}
{{- if eq .Values.mode "standalone" -}}
{{ println "shards.next has no meaning with mode=standalone: its log belongs to one process (docs/kubernetes.md)." }}
{{- end -}}
{{- if eq (int $shards.next) (int $shards.count) -}}
{{ println (printf "shards.next is %v, as shards.count is: leave it out when the change is done." $shards.next) }}
{{- end -}}
{{- end -}}
{{- if $shards.ingest -}}
{{- $known := list (int $shards.count) -}}
{{- with $shards.next }}{{ $known = append $known (int .) }}{{ end -}}
{{- if not (has (int $shards.ingest) $known) -}}
{{ println (printf "shards.ingest is %v, which no gateway reads: it must be shards.count or shards.next." $shards.ingest) }}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "bellwire.validate.scaling" -}}
{{- range $component := list "gateway" "ingest" -}}
{{- $own := get $.Values $component -}}
{{- if and (dig "autoscaling" "enabled" false $own) (dig "keda" "enabled" false $own) -}}
{{ println (printf "%s.autoscaling.enabled and %s.keda.enabled are both set: KEDA makes a HorizontalPodAutoscaler of its own, and two would fight." $component $component) }}
{{- end -}}
{{- range $name := list "autoscaling" "keda" -}}
{{- with get $own $name -}}
{{- if and .enabled (gt (int .minReplicas) (int .maxReplicas)) -}}
{{ println (printf "%s.%s.minReplicas is %v, more than maxReplicas, %v." $component $name .minReplicas .maxReplicas) }}
{{- end -}}
{{- end -}}
{{- end -}}
{{- $pdb := $own.podDisruptionBudget -}}
{{- $hasMin := not (kindIs "invalid" $pdb.minAvailable) -}}
{{- $hasMax := not (kindIs "invalid" $pdb.maxUnavailable) -}}
{{- if and $pdb.enabled $hasMin $hasMax -}}
{{ println (printf "%s.podDisruptionBudget has minAvailable and maxUnavailable: Kubernetes takes one of the two." $component) }}
{{- end -}}
{{- $fewest := include "bellwire.fewest" $own | int -}}
{{- if and $pdb.enabled (gt $fewest 1) -}}
{{- if and $hasMax (eq (toString $pdb.maxUnavailable | trimSuffix "%" | int) 0) -}}
{{ println (printf "%s.podDisruptionBudget.maxUnavailable is %v, but must be at least 1: else no node with such a pod could ever be drained." $component (include "bellwire.text" $pdb.maxUnavailable)) }}
{{- end -}}
{{- /* Kubernetes rounds a part of the pods up. */ -}}
{{- $text := include "bellwire.text" $pdb.minAvailable -}}
{{- $number := trimSuffix "%" $text | int -}}
{{- $stay := ternary (div (add (mul $number $fewest) 99) 100 | int) $number (hasSuffix "%" $text) -}}
{{- if and $hasMin (ge $stay $fewest) -}}
{{ println (printf "%s.podDisruptionBudget.minAvailable is %s, but must leave one of %d pods: else no node with such a pod could ever be drained." $component $text $fewest) }}
{{- end -}}
{{- end -}}
{{- end -}}
{{- with .Values.gateway.autoscaling -}}
{{- if and .enabled (eq (int64 .connections.target) 0) (eq (int64 .cpu) 0) -}}
{{ println "gateway.autoscaling needs connections.target or cpu: with neither there is nothing to go by." }}
{{- end -}}
{{- end -}}
{{- with .Values.gateway.keda -}}
{{- if and .enabled (not .serverAddress) -}}
{{ println "gateway.keda.serverAddress must be Prometheus' address." }}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "bellwire.validate.exposure" -}}
{{- range $part := list "gateway" "ingest" -}}
{{- $own := get $.Values $part -}}
{{- if and $own.httpRoute.enabled (not $own.httpRoute.parentRefs) -}}
{{ println (printf "%s.httpRoute.parentRefs must name the Gateway." $part) }}
{{- end -}}
{{- if and $own.ingress.enabled (not $own.ingress.hosts) -}}
{{ println (printf "%s.ingress.hosts must name the host." $part) }}
{{- end -}}
{{- if and $own.service.nodePort (eq $own.service.type "ClusterIP") -}}
{{ println (printf "%s.service.nodePort needs %s.service.type NodePort or LoadBalancer." $part $part) }}
{{- end -}}
{{- end -}}
{{- $affinity := .Values.gateway.affinityByUser -}}
{{- if $affinity.enabled -}}
{{- $route := list "envoy-gateway" -}}
{{- $ingress := list "nginx" "ingress-nginx" "haproxy" "haproxy-ingress" -}}
{{- if not $affinity.controller -}}
{{ println "gateway.affinityByUser.controller must say who does it." }}
{{- end -}}
{{- if and (has $affinity.controller $route) (not .Values.gateway.httpRoute.enabled) -}}
{{ println (printf "gateway.affinityByUser.controller=%s needs gateway.httpRoute.enabled." $affinity.controller) }}
{{- end -}}
{{- if and (has $affinity.controller $ingress) (not .Values.gateway.ingress.enabled) -}}
{{ println (printf "gateway.affinityByUser.controller=%s needs gateway.ingress.enabled." $affinity.controller) }}
{{- end -}}
{{- $controller := .Values.gateway.ingress.controller -}}
{{- if and (has $affinity.controller $ingress) $controller (ne $controller $affinity.controller) -}}
{{ println (printf "gateway.affinityByUser.controller=%s and gateway.ingress.controller=%s are not the same: one Ingress has one controller." $affinity.controller $controller) }}
{{- end -}}
{{- end -}}
{{- if and .Values.metrics.podMonitor.enabled .Values.metrics.serviceMonitor.enabled -}}
{{ println "metrics.podMonitor.enabled and metrics.serviceMonitor.enabled are both set: everything would be counted twice." }}
{{- end -}}
{{- end -}}

{{- define "bellwire.validate.image" -}}
{{- if and (eq .Values.image.tag "latest") (not .Values.image.digest) -}}
{{ println "image.tag must not be latest: pods of one release would run different versions; name a version, or a digest." }}
{{- end -}}
{{- end -}}

{{/* Settings that the chart must know itself, and the value that they have. */}}
{{- define "bellwire.madeSettings" -}}
{{- dict "listen" "listenAddress" "ingest-listen" "listenAddress" "admin-listen" "listenAddress" "log" "rabbitmq, or standalone.persistence" "amqp-user-file" "rabbitmq" "amqp-password-file" "rabbitmq" "amqp-ca-file" "rabbitmq" "shards" "shards.count" "shards-also" "shards.next" "drain-seconds" "drain.seconds of the component" "tls-cert-file" "tls" "tls-key-file" "tls" "admin-tls" "tls.admin" "shared-key" "openitcockpit.sharedKey, because secrets are files" "shared-key-file" "openitcockpit.sharedKey" "mysql-file" "openitcockpit.mysql" "ingest-tokens-file" "ingest.tokens" "jwt-keys-file" "jwt" | toJson -}}
{{- end -}}

{{- define "bellwire.validate.config" -}}
{{- $known := include "bellwire.madeSettings" . | fromJson -}}
{{- $maps := dict "config" .Values.config "gateway.config" .Values.gateway.config "ingest.config" .Values.ingest.config "standalone.config" .Values.standalone.config -}}
{{- range $path := keys $maps | sortAlpha -}}
{{- range $name, $value := get $maps $path -}}
{{- if hasKey $known $name -}}
{{ println (printf "%s must not have %s; the chart's value is %s." $path $name (get $known $name)) }}
{{- end -}}
{{- end -}}
{{- end -}}
{{- range $component := list "gateway" "ingest" "standalone" -}}
{{- include "bellwire.validate.extra" (dict "component" $component "own" (get $.Values $component) "known" (set (deepCopy $known) "config" "config")) -}}
{{- end -}}
{{- end -}}

{{/* Environment and flags come before the file, so they must not have these settings either. Takes component, own, known. */}}
{{- define "bellwire.validate.extra" -}}
{{- range $name := keys .own.extraEnv | sortAlpha -}}
{{- $setting := trimPrefix "BELLWIRE_" $name | lower | replace "_" "-" -}}
{{- if and (hasPrefix "BELLWIRE_" $name) (hasKey $.known $setting) -}}
{{ println (printf "%s.extraEnv must not have %s; the chart's value is %s." $.component $name (get $.known $setting)) }}
{{- end -}}
{{- end -}}
{{- range $argument := .own.extraArgs -}}
{{- $setting := regexFind "^--[^=]+" $argument | trimPrefix "--" -}}
{{- if hasKey $.known $setting -}}
{{ println (printf "%s.extraArgs must not have --%s; the chart's value is %s." $.component $setting (get $.known $setting)) }}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "bellwire.validate" -}}
{{- $names := list "image" "drain" "access" "authorities" "intake" "tls" "shards" "exposure" "config" -}}
{{- if eq .Values.mode "cluster" }}{{ $names = concat $names (list "rabbitmq" "scaling") }}{{ else }}{{ $names = append $names "standalone" }}{{ end -}}
{{- $problems := list -}}
{{- range $name := $names -}}
{{- $problems = concat $problems (include (printf "bellwire.validate.%s" $name) $ | trim | splitList "\n" | compact) -}}
{{- end -}}
{{- with $problems -}}
{{- fail (printf "\n\nThese values do not fit together:\n- %s\n" (. | join "\n- ")) -}}
{{- end -}}
{{- end -}}
