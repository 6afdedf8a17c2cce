{{/* What monitors and rules share. */}}

{{/* An endpoint of a monitor. Takes root, monitor (its values). */}}
{{- define "bellwire.monitor.endpoint" -}}
- port: admin
  path: /metrics
  interval: {{ .monitor.interval }}
  {{- with .monitor.scrapeTimeout }}
  scrapeTimeout: {{ . }}
  {{- end }}
  {{- if eq (include "bellwire.adminScheme" .root) "https" }}
  scheme: https
  # Pods are asked by their addresses, which no certificate has.
  tlsConfig:
    insecureSkipVerify: true
  {{- end }}
  {{- with .monitor.relabelings }}
  relabelings:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .monitor.metricRelabelings }}
  metricRelabelings:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}

{{/* Fields of both kinds. Takes root, monitor. */}}
{{- define "bellwire.monitor.fields" -}}
{{- with .monitor.jobLabel }}
jobLabel: {{ . }}
{{- end }}
{{- /* Not by `with`: Helm 3.18.0 takes a number for a text, and no text but the empty one is false. */}}
{{- if gt (int64 .monitor.sampleLimit) 0 }}
sampleLimit: {{ .monitor.sampleLimit | int64 }}
{{- end }}
namespaceSelector:
  matchNames:
    - {{ include "bellwire.namespace" .root }}
{{- end -}}

{{/* Selects the release, but not its tests and its RabbitMQ. Takes root. */}}
{{- define "bellwire.monitor.matches" -}}
app.kubernetes.io/name: {{ include "bellwire.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}
