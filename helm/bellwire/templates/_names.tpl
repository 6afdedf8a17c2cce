{{/* Names, labels, the image: what every object has. */}}

{{- define "bellwire.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{/* At most 40 characters, so that the longest suffix still makes a name of at most 63; Services' names have no dots. */}}
{{- define "bellwire.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- $name := include "bellwire.name" . -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | replace "." "-" | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | replace "." "-" | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* A number, truth or text as text: Helm has large whole numbers as 1e+06. */}}
{{- define "bellwire.text" -}}
{{- if and (kindIs "float64" .) (eq (floor .) .) }}{{ int64 . }}{{ else }}{{ toString . }}{{ end -}}
{{- end -}}

{{- define "bellwire.namespace" -}}
{{- default .Release.Namespace .Values.namespaceOverride -}}
{{- end -}}

{{/* What selects the pods of a component; never changes between versions. Takes root, component. */}}
{{- define "bellwire.selector" -}}
app.kubernetes.io/name: {{ include "bellwire.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{/* Takes root, component, labels (further ones, which may not replace the chart's). */}}
{{- define "bellwire.labels" -}}
{{- $own := include "bellwire.selector" . | fromYaml -}}
{{- $_ := set $own "app.kubernetes.io/managed-by" .root.Release.Service -}}
{{- $_ := set $own "app.kubernetes.io/part-of" "bellwire" -}}
{{- $_ := set $own "app.kubernetes.io/version" .root.Chart.AppVersion -}}
{{- $_ := set $own "helm.sh/chart" (printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-") -}}
{{- merge $own (default dict .labels) .root.Values.commonLabels | toYaml -}}
{{- end -}}

{{/*
The metadata of an object. Takes root, component; name or suffix; namespace, labels and annotations where there are any.
*/}}
{{- define "bellwire.metadata" -}}
metadata:
  name: {{ default (printf "%s%s" (include "bellwire.fullname" .root) (default "" .suffix)) .name }}
  namespace: {{ default (include "bellwire.namespace" .root) .namespace }}
  labels:
    {{- include "bellwire.labels" (dict "root" .root "component" .component "labels" .labels) | nindent 4 }}
  {{- with merge (dict) (default dict .annotations) .root.Values.commonAnnotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}

{{- define "bellwire.image" -}}
{{- $image := .Values.image -}}
{{- $registry := default $image.registry .Values.global.imageRegistry -}}
{{- with $registry }}{{ . }}/{{ end -}}
{{- $image.repository -}}
{{- if $image.digest }}@{{ $image.digest }}{{ else }}:{{ default .Chart.AppVersion $image.tag }}{{ end -}}
{{- end -}}

{{- define "bellwire.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "bellwire.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/* The component whose pods serve this part: `gateway` or `ingest`, or standalone for both. Takes root, part. */}}
{{- define "bellwire.component" -}}
{{- ternary "standalone" .part (eq .root.Values.mode "standalone") -}}
{{- end -}}

{{/* The components that run, as a list. */}}
{{- define "bellwire.components" -}}
{{- if eq .Values.mode "standalone" }}["standalone"]{{ else }}["gateway", "ingest"]{{ end -}}
{{- end -}}

{{- define "bellwire.adminPort" -}}
{{- ternary 9084 9083 (eq . "ingest") -}}
{{- end -}}

{{- define "bellwire.adminScheme" -}}
{{- ternary "https" "http" (and .Values.tls.enabled .Values.tls.admin) -}}
{{- end -}}

{{/* Whether something beyond `replicaCount` decides how many pods there are. Takes a component's values. */}}
{{- define "bellwire.scaled" -}}
{{- if or (dig "autoscaling" "enabled" false .) (dig "keda" "enabled" false .) }}true{{ end -}}
{{- end -}}

{{/* Fewest pods of a component. Takes its values. */}}
{{- define "bellwire.fewest" -}}
{{- if dig "keda" "enabled" false . -}}
{{- .keda.minReplicas -}}
{{- else if dig "autoscaling" "enabled" false . -}}
{{- .autoscaling.minReplicas -}}
{{- else -}}
{{- .replicaCount -}}
{{- end -}}
{{- end -}}

{{/* Whether OpenShift chooses user and group ids. */}}
{{- define "bellwire.openshift" -}}
{{- $adapt := .Values.global.compatibility.openshift.adaptSecurityContext -}}
{{- if or (eq $adapt "force") (and (eq $adapt "auto") (.Capabilities.APIVersions.Has "security.openshift.io/v1")) }}true{{ end -}}
{{- end -}}

{{/* A pod's security context. Takes root, context. */}}
{{- define "bellwire.podSecurityContext" -}}
{{- $context := .context -}}
{{- if include "bellwire.openshift" .root -}}
{{- $context = omit $context "runAsUser" "runAsGroup" "fsGroup" -}}
{{- end -}}
{{- toYaml $context -}}
{{- end -}}
