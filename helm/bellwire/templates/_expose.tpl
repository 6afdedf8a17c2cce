{{/* The ways in from outside the cluster. Everything here takes root, part (`gateway` or `ingest`). */}}

{{- define "bellwire.httpRoute" -}}
{{- $own := get .root.Values .part -}}
{{- $route := $own.httpRoute -}}
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
{{ include "bellwire.metadata" (dict "root" .root "component" (include "bellwire.component" .) "suffix" (printf "-%s" .part) "labels" $route.labels "annotations" $route.annotations) }}
spec:
  parentRefs:
    {{- toYaml $route.parentRefs | nindent 4 }}
  {{- with $route.hostnames }}
  hostnames:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  rules:
    - matches:
        {{- range $route.paths }}
        - path:
            type: {{ .type }}
            value: {{ .path }}
        {{- end }}
      {{- with $route.filters }}
      filters:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      backendRefs:
        - name: {{ include "bellwire.fullname" .root }}-{{ .part }}
          port: {{ $own.service.port }}
      {{- with $route.timeouts }}
      timeouts:
        {{- toYaml . | nindent 8 }}
      {{- end }}
    {{- with $route.additionalRules }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end -}}

{{/* The controller of a part's Ingress; usually the same one has both. */}}
{{- define "bellwire.ingress.controller" -}}
{{- default .root.Values.gateway.ingress.controller (get .root.Values .part).ingress.controller -}}
{{- end -}}

{{/* What a controller must be told, so that it leaves connections alone that last. Takes root; as YAML. */}}
{{- define "bellwire.ingress.lasting" -}}
{{- $controller := .Values.gateway.ingress.controller -}}
{{- if eq $controller "haproxy-ingress" }}
haproxy-ingress.github.io/timeout-tunnel: 1h
{{- else if eq $controller "nginx" }}
nginx.org/websocket-services: {{ include "bellwire.fullname" . }}-gateway
nginx.org/proxy-read-timeout: 3600s
nginx.org/proxy-send-timeout: 3600s
{{- else if eq $controller "ingress-nginx" }}
nginx.ingress.kubernetes.io/proxy-read-timeout: "3600"
nginx.ingress.kubernetes.io/proxy-send-timeout: "3600"
{{- end }}
{{- end -}}

{{/* What a controller must be told, so that it speaks TLS to pods that do; as YAML. Traefik looks at the Service (_service.tpl). */}}
{{- define "bellwire.ingress.encrypted" -}}
{{- $controller := include "bellwire.ingress.controller" . -}}
{{- if not .root.Values.tls.enabled -}}
{{- else if eq $controller "haproxy" }}
haproxy.org/server-ssl: "true"
{{- else if eq $controller "haproxy-ingress" }}
haproxy-ingress.github.io/secure-backends: "true"
{{- else if eq $controller "nginx" }}
nginx.org/ssl-services: {{ include "bellwire.fullname" .root }}-{{ .part }}
{{- else if eq $controller "ingress-nginx" }}
nginx.ingress.kubernetes.io/backend-protocol: HTTPS
{{- end }}
{{- end -}}

{{/* What a controller must be told, so that all tabs of a user go to one pod. Takes root; as YAML. */}}
{{- define "bellwire.ingress.byUser" -}}
{{- $affinity := .Values.gateway.affinityByUser -}}
{{- if $affinity.enabled -}}
{{- if eq $affinity.controller "haproxy" }}
haproxy.org/load-balance: url_param userId
{{- else if eq $affinity.controller "haproxy-ingress" }}
haproxy-ingress.github.io/balance-algorithm: url_param userId
{{- else if eq $affinity.controller "nginx" }}
nginx.org/lb-method: hash $arg_userId consistent
{{- else if eq $affinity.controller "ingress-nginx" }}
nginx.ingress.kubernetes.io/upstream-hash-by: $arg_userId
{{- end }}
{{- end -}}
{{- end -}}

{{- define "bellwire.ingress" -}}
{{- $own := get .root.Values .part -}}
{{- $ingress := $own.ingress -}}
{{- $backend := printf "%s-%s" (include "bellwire.fullname" .root) .part -}}
{{- $annotations := merge (deepCopy $ingress.annotations) (include "bellwire.ingress.encrypted" . | fromYaml) -}}
{{- if eq .part "gateway" -}}
{{- $annotations = merge $annotations (include "bellwire.ingress.lasting" .root | fromYaml) (include "bellwire.ingress.byUser" .root | fromYaml) -}}
{{- end -}}
apiVersion: networking.k8s.io/v1
kind: Ingress
{{ include "bellwire.metadata" (dict "root" .root "component" (include "bellwire.component" .) "suffix" (printf "-%s" .part) "labels" $ingress.labels "annotations" $annotations) }}
spec:
  {{- with $ingress.className }}
  ingressClassName: {{ . }}
  {{- end }}
  {{- with $ingress.tls }}
  tls:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  rules:
    {{- range $host := $ingress.hosts }}
    - host: {{ $host | quote }}
      http:
        paths:
          {{- range $ingress.paths }}
          - path: {{ .path }}
            pathType: {{ .pathType }}
            backend:
              service:
                name: {{ $backend }}
                port:
                  name: http
          {{- end }}
    {{- end }}
{{- end -}}
