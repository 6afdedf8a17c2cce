{{/* Budgets and autoscalers. Everything here takes root, component, own (the component's values). */}}

{{- define "bellwire.pdb" -}}
{{- $pdb := .own.podDisruptionBudget -}}
apiVersion: policy/v1
kind: PodDisruptionBudget
{{ include "bellwire.metadata" (dict "root" .root "component" .component "suffix" (printf "-%s" .component)) }}
spec:
  {{- if not (kindIs "invalid" $pdb.minAvailable) }}
  minAvailable: {{ $pdb.minAvailable }}
  {{- else }}
  maxUnavailable: {{ ternary 1 $pdb.maxUnavailable (kindIs "invalid" $pdb.maxUnavailable) }}
  {{- end }}
  unhealthyPodEvictionPolicy: {{ $pdb.unhealthyPodEvictionPolicy }}
  selector:
    matchLabels:
      {{- include "bellwire.selector" . | nindent 6 }}
{{- end -}}

{{- define "bellwire.hpa" -}}
{{- $autoscaling := .own.autoscaling -}}
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
{{ include "bellwire.metadata" (dict "root" .root "component" .component "suffix" (printf "-%s" .component)) }}
spec:
  scaleTargetRef:
    apiVersion: apps/v1
    kind: Deployment
    name: {{ include "bellwire.fullname" .root }}-{{ .component }}
  minReplicas: {{ $autoscaling.minReplicas }}
  maxReplicas: {{ $autoscaling.maxReplicas }}
  metrics:
    {{- $connections := default dict $autoscaling.connections }}
    {{- if gt (int64 $connections.target) 0 }}
    - type: Pods
      pods:
        metric:
          name: {{ $connections.metric }}
        target:
          type: AverageValue
          averageValue: {{ $connections.target | int64 | quote }}
    {{- end }}
    {{- if gt (int $autoscaling.cpu) 0 }}
    - type: Resource
      resource:
        name: cpu
        target:
          type: Utilization
          averageUtilization: {{ $autoscaling.cpu }}
    {{- end }}
  {{- with $autoscaling.behavior }}
  behavior:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}
