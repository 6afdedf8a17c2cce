{{/* The `spec` of the RabbitmqCluster. Takes root, selector (of its pods). */}}
{{- define "bellwire.rabbitmq.spec" -}}
{{- $operator := .root.Values.rabbitmq.operator -}}
{{- $spec := dict "replicas" ($operator.replicas | int) "resources" $operator.resources -}}
{{- with $operator.image }}{{ $_ := set $spec "image" . }}{{ end -}}
{{- with .root.Values.global.imagePullSecrets -}}
{{- $secrets := list -}}
{{- range . }}{{ $secrets = append $secrets (dict "name" .) }}{{ end -}}
{{- $_ := set $spec "imagePullSecrets" $secrets -}}
{{- end -}}
{{- $persistence := dict "storage" $operator.persistence.storage -}}
{{- with $operator.persistence.storageClassName }}{{ $_ := set $persistence "storageClassName" . }}{{ end -}}
{{- $_ := set $spec "persistence" $persistence -}}
{{- if $operator.tls.enabled -}}
{{- $_ := set $spec "tls" (dict "secretName" $operator.tls.existingSecret "disableNonTLSListeners" true) -}}
{{- end -}}
{{- $_ := set $spec "rabbitmq" (dict "additionalConfig" (include "bellwire.rabbitmq.conf" .root)) -}}
{{- with include "bellwire.rabbitmq.affinity" . | fromYaml }}{{ $_ := set $spec "affinity" . }}{{ end -}}
{{- with $operator.tolerations }}{{ $_ := set $spec "tolerations" . }}{{ end -}}
{{- if $operator.zoneSpread -}}
{{- $spread := dict "maxSkew" 1 "topologyKey" "topology.kubernetes.io/zone" "whenUnsatisfiable" "ScheduleAnyway" "labelSelector" .selector -}}
{{- /* The operator wants `containers`, empty or not. */ -}}
{{- $pod := dict "containers" list "topologySpreadConstraints" (list $spread) -}}
{{- $_ := set $spec "override" (dict "statefulSet" (dict "spec" (dict "template" (dict "spec" $pod)))) -}}
{{- end -}}
{{- mergeOverwrite $spec (deepCopy $operator.spec) | toYaml -}}
{{- end -}}

{{/* The side of a network split with fewer nodes stops, and with it the danger of two truths. */}}
{{- define "bellwire.rabbitmq.conf" -}}
cluster_partition_handling = pause_minority
disk_free_limit.absolute = 1GB
{{- $operator := .Values.rabbitmq.operator }}
{{- if and (ne $operator.vhost "/") (not $operator.topologyOperator.enabled) }}
default_vhost = {{ $operator.vhost }}
{{- end }}
{{- with .Values.rabbitmq.operator.additionalConfig }}
{{ . }}
{{- end }}
{{- end -}}

{{- define "bellwire.rabbitmq.affinity" -}}
{{- $how := .root.Values.rabbitmq.operator.antiAffinity -}}
{{- if eq $how "hard" }}
podAntiAffinity:
  requiredDuringSchedulingIgnoredDuringExecution:
    - topologyKey: kubernetes.io/hostname
      labelSelector:
        {{- toYaml .selector | nindent 8 }}
{{- else if eq $how "soft" }}
podAntiAffinity:
  preferredDuringSchedulingIgnoredDuringExecution:
    - weight: 100
      podAffinityTerm:
        topologyKey: kubernetes.io/hostname
        labelSelector:
          {{- toYaml .selector | nindent 10 }}
{{- end }}
{{- end -}}
