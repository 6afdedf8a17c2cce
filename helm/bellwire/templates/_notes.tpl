{{/* Words of NOTES.txt that depend on how a part is exposed. Takes root, part. */}}

{{/* The address of a part from inside the cluster. */}}
{{- define "bellwire.address.inside" -}}
{{- $scheme := ternary "https" "http" .root.Values.tls.enabled -}}
{{- printf "%s://%s-%s.%s.svc:%v" $scheme (include "bellwire.fullname" .root) .part (include "bellwire.namespace" .root) (get .root.Values .part).service.port -}}
{{- end -}}

{{/* Its address from outside, with words in capitals where only the cluster knows; nothing where there is none. */}}
{{- define "bellwire.address.outside" -}}
{{- $own := get .root.Values .part -}}
{{- $scheme := ternary "https" "http" .root.Values.tls.enabled -}}
{{- if and $own.httpRoute.enabled $own.httpRoute.hostnames -}}
{{- printf "https://%s" (first $own.httpRoute.hostnames) -}}
{{- else if $own.ingress.enabled -}}
{{- printf "%s://%s" (ternary "https" "http" (not (empty $own.ingress.tls))) (first $own.ingress.hosts) -}}
{{- else if eq $own.service.type "LoadBalancer" -}}
{{- printf "%s://ADDRESS:%v" $scheme $own.service.port -}}
{{- else if eq $own.service.type "NodePort" -}}
{{- printf "%s://NODE:%v" $scheme (default "PORT" $own.service.nodePort) -}}
{{- end -}}
{{- end -}}

{{/* How to find out what stands in capitals in the address. */}}
{{- define "bellwire.address.how" -}}
{{- $own := get .root.Values .part -}}
{{- $service := printf "%s-%s" (include "bellwire.fullname" .root) .part -}}
{{- $routed := or (and $own.httpRoute.enabled $own.httpRoute.hostnames) $own.ingress.enabled -}}
{{- if and (not $routed) (ne $own.service.type "ClusterIP") -}}
kubectl -n {{ include "bellwire.namespace" .root }} get service {{ $service }}
{{- end -}}
{{- end -}}

{{/* Whether who comes to a part by the address that is shown meets the pods' own certificate, not that of a route or an Ingress. */}}
{{- define "bellwire.ownCertificate" -}}
{{- $own := get .root.Values .part -}}
{{- $routed := or (and $own.httpRoute.enabled $own.httpRoute.hostnames) $own.ingress.enabled -}}
{{- if and .root.Values.tls.enabled (not $routed) }}true{{ end -}}
{{- end -}}

{{/* Lines for openITCOCKPIT's nginx. Takes root. */}}
{{- define "bellwire.nginx" -}}
{{- $own := .Values.gateway -}}
{{- $outside := include "bellwire.address.outside" (dict "root" . "part" "gateway") -}}
{{- $routed := or (and $own.httpRoute.enabled $own.httpRoute.hostnames) $own.ingress.enabled -}}
location = /push_notifications {
    proxy_pass {{ default "http://ADDRESS:8083" $outside }};
    proxy_http_version 1.1;
    proxy_set_header Upgrade $http_upgrade;
    proxy_set_header Connection "upgrade";
    {{- if $routed }}
    proxy_set_header Host {{ regexReplaceAll "^https?://" $outside "" }};
    {{- else }}
    proxy_set_header Host $http_host;
    {{- end }}
    {{- if hasPrefix "https://" $outside }}
    proxy_ssl_server_name on;
    {{- end }}
    proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    proxy_set_header X-Forwarded-Proto $scheme;
    proxy_read_timeout 1h;
    proxy_send_timeout 1h;
}
{{- end -}}

{{/* What is worth a word, one line each. Takes root. */}}
{{- define "bellwire.warnings" -}}
{{- $values := .Values -}}
{{- $of := $values.openitcockpit -}}
{{- if eq $of.sessionCheck "key-only" }}
{{ println "openitcockpit.sessionCheck=key-only: whoever knows the shared key, every user of openITCOCKPIT that is, can listen as any other." }}
{{- end -}}
{{- if include "bellwire.ownSecret" . }}
{{ println "Secrets were given in plain: they are in the release's values, too. Name Secrets that exist (existingSecret) for more than a trial." }}
{{- end -}}
{{- if eq $values.mode "cluster" -}}
{{- range $component := list "gateway" "ingest" -}}
{{- if lt (include "bellwire.fewest" (get $values $component) | int) 2 }}
{{ println (printf "%s has a single pod: while it is replaced or its node is gone, there is none." $component) }}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and (eq $values.mode "standalone") (not $values.standalone.persistence.enabled) }}
{{ println "standalone.persistence is off: what was accepted and not yet shown is lost with the pod." }}
{{- end -}}
{{- if not $of.trustedProxies }}
{{ println "openitcockpit.trustedProxies is empty: limits by address count the proxy in front, not the people behind it." }}
{{- end -}}
{{- if and (not $values.tls.enabled) (has $values.ingest.service.type (list "LoadBalancer" "NodePort")) }}
{{ println "ingest is reached from outside without TLS: tokens can be read on the way (tls.enabled)." }}
{{- end -}}
{{- $manager := $values.tls.certManager }}
{{- if and $manager.enabled (not $manager.dnsNames) (not $manager.ipAddresses) (has $values.ingest.service.type (list "LoadBalancer" "NodePort")) (include "bellwire.ownCertificate" (dict "root" . "part" "ingest")) }}
{{ println "ingest is reached from outside, but the certificate has the names inside the cluster only: engines refuse it. Add theirs to tls.certManager.dnsNames or ipAddresses." }}
{{- end -}}
{{- range $part := list "gateway" "ingest" }}
{{- if and $values.tls.enabled (get $values $part).ingress.enabled (not (include "bellwire.ingress.controller" (dict "root" $ "part" $part))) }}
{{ println (printf "Pods speak TLS (tls.enabled), which an Ingress does not know by itself: set %s.ingress.controller, or annotations for it." $part) }}
{{- end -}}
{{- end -}}
{{- if and $values.tls.enabled (or $values.gateway.httpRoute.enabled $values.ingest.httpRoute.enabled) }}
{{ println "Pods speak TLS (tls.enabled), which a route does not know by itself: it needs a BackendTLSPolicy (docs/kubernetes.md)." }}
{{- end -}}
{{- if $values.shards.next }}
{{ println (printf "The number of shards is being changed from %v to %v: go on with docs/kubernetes.md." $values.shards.count $values.shards.next) }}
{{- end -}}
{{- if not (or (include "bellwire.sharedKey.secret" .) (include "bellwire.mysql.secret" .)) }}
{{ println "There is no shared key: tabs need tokens (jwt), and helm test has nothing to connect with." }}
{{- end -}}
{{- end -}}
