{{/* The Services of each part: the public one, and one for metrics. */}}

{{/* Takes root, part. In standalone mode both parts are the same pod. */}}
{{- define "bellwire.service" -}}
{{- $component := include "bellwire.component" . -}}
{{- $own := get .root.Values .part -}}
{{- $service := $own.service -}}
{{- $annotations := deepCopy $service.annotations -}}
{{- /* Traefik asks the Service whether its pods speak TLS. */ -}}
{{- if and .root.Values.tls.enabled $own.ingress.enabled (eq (include "bellwire.ingress.controller" .) "traefik") -}}
{{- $annotations = merge $annotations (dict "traefik.ingress.kubernetes.io/service.serversscheme" "https") -}}
{{- end -}}
apiVersion: v1
kind: Service
{{ include "bellwire.metadata" (dict "root" .root "component" $component "suffix" (printf "-%s" .part) "labels" $service.labels "annotations" $annotations) }}
spec:
  type: {{ $service.type }}
  {{- /* Kubernetes refuses what does not fit to the type, and a preset may have set it. */}}
  {{- $balanced := eq $service.type "LoadBalancer" }}
  {{- $outside := ne $service.type "ClusterIP" }}
  {{- range $name := concat (list "clusterIP" "ipFamilyPolicy" "trafficDistribution") (ternary (list "externalTrafficPolicy") list $outside) (ternary (list "loadBalancerClass") list $balanced) }}
  {{- with get $service $name }}
  {{ $name }}: {{ . }}
  {{- end }}
  {{- end }}
  {{- range $name := concat (list "ipFamilies") (ternary (list "loadBalancerSourceRanges") list $balanced) }}
  {{- with get $service $name }}
  {{ $name }}:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- end }}
  ports:
    - name: http
      port: {{ $service.port }}
      targetPort: {{ ternary "ingest" "http" (and (eq .part "ingest") (eq $component "standalone")) }}
      protocol: TCP
      {{- with $service.nodePort }}
      nodePort: {{ . }}
      {{- end }}
      {{- with $service.appProtocol }}
      appProtocol: {{ . }}
      {{- end }}
  selector:
    {{- include "bellwire.selector" (dict "root" .root "component" $component) | nindent 4 }}
{{- end -}}

{{/* For Prometheus: without an address of its own, and also of pods that are not ready. Takes root, component. */}}
{{- define "bellwire.adminService" -}}
apiVersion: v1
kind: Service
{{ include "bellwire.metadata" (dict "root" .root "component" .component "suffix" (printf "-%s-admin" .component) "labels" (dict "bellwire/port" "admin")) }}
spec:
  type: ClusterIP
  clusterIP: None
  publishNotReadyAddresses: true
  ports:
    - name: admin
      port: {{ include "bellwire.adminPort" .component }}
      targetPort: admin
      protocol: TCP
  selector:
    {{- include "bellwire.selector" . | nindent 4 }}
{{- end -}}
