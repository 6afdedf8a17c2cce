{{/* The pod of each component. Everything here takes root, component, own (the component's values). */}}

{{- define "bellwire.podAnnotations" -}}
{{- $values := .root.Values -}}
{{- $to := dict "checksum/config" (include "bellwire.settings" (dict "root" .root "component" .component) | sha256sum) -}}
{{- with include "bellwire.ownSecret" .root }}{{ $_ := set $to "checksum/secret" (sha256sum .) }}{{ end -}}
{{- if $values.metrics.podAnnotations -}}
{{- $_ := set $to "prometheus.io/scrape" "true" -}}
{{- $_ := set $to "prometheus.io/port" (include "bellwire.adminPort" .component) -}}
{{- $_ := set $to "prometheus.io/path" "/metrics" -}}
{{- if eq (include "bellwire.adminScheme" .root) "https" }}{{ $_ := set $to "prometheus.io/scheme" "https" }}{{ end -}}
{{- end -}}
{{- merge $to .own.podAnnotations $values.commonAnnotations | toYaml -}}
{{- end -}}

{{- define "bellwire.spread" -}}
{{- $selector := include "bellwire.selector" . | fromYaml -}}
{{- $ours := dict "labelSelector" (dict "matchLabels" $selector) "matchLabelKeys" (list "pod-template-hash") "nodeTaintsPolicy" "Honor" -}}
{{- range .own.topologySpreadConstraints }}
- {{ merge (deepCopy .) $ours | toYaml | nindent 2 | trim }}
{{- end }}
{{- end -}}

{{- define "bellwire.env" -}}
- name: BELLWIRE_CONFIG
  value: /etc/bellwire/bellwire.toml
{{- range $name, $value := .own.extraEnv }}
- name: {{ $name }}
  {{- if kindIs "map" $value }}
  {{- toYaml $value | nindent 2 }}
  {{- else }}
  value: {{ include "bellwire.text" $value | quote }}
  {{- end }}
{{- end }}
{{- end -}}

{{- define "bellwire.ports" -}}
- name: http
  containerPort: {{ ternary 8084 8083 (eq .component "ingest") }}
  protocol: TCP
{{- if eq .component "standalone" }}
- name: ingest
  containerPort: 8084
  protocol: TCP
{{- end }}
- name: admin
  containerPort: {{ include "bellwire.adminPort" .component }}
  protocol: TCP
{{- end -}}

{{/* A probe, which speaks TLS where the admin listener does. Takes root, probe. */}}
{{- define "bellwire.probe" -}}
{{- $probe := deepCopy .probe -}}
{{- if and (hasKey $probe "httpGet") (eq (include "bellwire.adminScheme" .root) "https") -}}
{{- $_ := set $probe "httpGet" (merge $probe.httpGet (dict "scheme" "HTTPS")) -}}
{{- end -}}
{{- toYaml $probe -}}
{{- end -}}

{{- define "bellwire.container" -}}
name: {{ .component }}
image: {{ include "bellwire.image" .root }}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
args:
  - {{ .component }}
  {{- with .own.extraArgs }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
env:
  {{- include "bellwire.env" . | nindent 2 }}
{{- with .own.extraEnvFrom }}
envFrom:
  {{- toYaml . | nindent 2 }}
{{- end }}
ports:
  {{- include "bellwire.ports" . | nindent 2 }}
{{- range $name := list "startupProbe" "livenessProbe" "readinessProbe" }}
{{- with get $.own $name }}
{{ $name }}:
  {{- include "bellwire.probe" (dict "root" $.root "probe" .) | nindent 2 }}
{{- end }}
{{- end }}
{{- if gt (int .own.drain.preStopSeconds) 0 }}
lifecycle:
  preStop:
    sleep:
      seconds: {{ .own.drain.preStopSeconds }}
{{- end }}
{{- with .own.resources }}
resources:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  {{- toYaml .own.securityContext | nindent 2 }}
volumeMounts:
  - name: config
    mountPath: /etc/bellwire/bellwire.toml
    subPath: bellwire.toml
    readOnly: true
  - name: tmp
    mountPath: /tmp
  {{- if eq .component "standalone" }}
  - name: log
    mountPath: /var/lib/bellwire
  {{- end }}
  {{- with include "bellwire.secretVolumes" . | trim }}
  {{- include "bellwire.secretMounts" . | trim | nindent 2 }}
  {{- end }}
  {{- with .own.extraVolumeMounts }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}

{{- define "bellwire.volumes" -}}
{{- $fullname := include "bellwire.fullname" .root -}}
- name: config
  configMap:
    name: {{ $fullname }}-{{ .component }}
    defaultMode: 0444
- name: tmp
  emptyDir:
    sizeLimit: {{ .own.tmpSizeLimit }}
{{- if eq .component "standalone" }}
{{- $persistence := .own.persistence }}
{{- if not $persistence.enabled }}
- name: log
  emptyDir:
    sizeLimit: {{ $persistence.size }}
{{- else if $persistence.existingClaim }}
- name: log
  persistentVolumeClaim:
    claimName: {{ $persistence.existingClaim }}
{{- end }}
{{- end }}
{{- with include "bellwire.secretVolumes" . | trim }}
{{ . }}
{{- end }}
{{- with .own.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Fields of a pod that are left out where they are empty. Takes the component's values. */}}
{{- define "bellwire.placement" -}}
{{- range $name := list "priorityClassName" "runtimeClassName" "schedulerName" "dnsPolicy" }}
{{- with get $ $name }}
{{ $name }}: {{ . }}
{{- end }}
{{- end }}
{{- if kindIs "bool" .hostUsers }}
hostUsers: {{ .hostUsers }}
{{- end }}
{{- range $name := list "hostAliases" "dnsConfig" "nodeSelector" "tolerations" "affinity" }}
{{- with get $ $name }}
{{ $name }}:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "bellwire.pullSecrets" -}}
{{- with .Values.global.imagePullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- end -}}

{{- define "bellwire.podTemplate" -}}
metadata:
  labels:
    {{- $labels := include "bellwire.selector" . | fromYaml }}
    {{- merge $labels .own.podLabels .root.Values.commonLabels | toYaml | nindent 4 }}
  annotations:
    {{- include "bellwire.podAnnotations" . | nindent 4 }}
spec:
  serviceAccountName: {{ include "bellwire.serviceAccountName" .root }}
  automountServiceAccountToken: false
  enableServiceLinks: false
  terminationGracePeriodSeconds: {{ .own.terminationGracePeriodSeconds }}
  {{- with include "bellwire.pullSecrets" .root | trim }}
  {{- . | nindent 2 }}
  {{- end }}
  {{- with include "bellwire.placement" .own | trim }}
  {{- . | nindent 2 }}
  {{- end }}
  {{- with include "bellwire.spread" . | trim }}
  topologySpreadConstraints:
    {{- . | nindent 4 }}
  {{- end }}
  securityContext:
    {{- include "bellwire.podSecurityContext" (dict "root" .root "context" .own.podSecurityContext) | nindent 4 }}
  {{- with .own.initContainers }}
  initContainers:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  containers:
    - {{ include "bellwire.container" . | nindent 6 | trim }}
    {{- with .own.extraContainers }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  volumes:
    {{- include "bellwire.volumes" . | nindent 4 }}
{{- end -}}

{{/* A Deployment. */}}
{{- define "bellwire.deployment" -}}
apiVersion: apps/v1
kind: Deployment
{{ include "bellwire.metadata" (dict "root" .root "component" .component "suffix" (printf "-%s" .component) "annotations" .own.annotations) }}
spec:
  {{- if not (include "bellwire.scaled" .own) }}
  replicas: {{ .own.replicaCount }}
  {{- end }}
  revisionHistoryLimit: {{ .own.revisionHistoryLimit }}
  minReadySeconds: {{ .own.minReadySeconds }}
  strategy:
    {{- toYaml .own.strategy | nindent 4 }}
  selector:
    matchLabels:
      {{- include "bellwire.selector" . | nindent 6 }}
  template:
    {{- include "bellwire.podTemplate" . | nindent 4 }}
{{- end -}}
