{{/* The authorities that the test trusts, as JSON: a Secret or a ConfigMap with its key; nothing: the system's. */}}
{{- define "bellwire.test.ca" -}}
{{- $ca := .Values.tests.ca -}}
{{- if or $ca.existingSecret $ca.existingConfigMap -}}
{{- toJson $ca -}}
{{- else if and .Values.tls.enabled .Values.tls.certManager.enabled -}}
{{- dict "existingSecret" (include "bellwire.tls.secret" .) "existingConfigMap" "" "key" "ca.crt" | toJson -}}
{{- else -}}
{}
{{- end -}}
{{- end -}}

{{- define "bellwire.test.volumes" -}}
{{- if include "bellwire.sharedKey.secret" . }}
{{- include "bellwire.sharedKey.volume" . }}
{{- else }}
{{- include "bellwire.mysql.volume" . }}
{{- end }}
{{- include "bellwire.tokens.volume" . }}
{{- with include "bellwire.test.ca" . | fromJson }}
{{- include "bellwire.caVolume" (dict "name" "ca" "ca" .) }}
{{- end }}
{{- with .Values.tests.clientCert.existingSecret }}
- name: client-cert
  secret:
    secretName: {{ . }}
    defaultMode: 0440
    items:
      - key: tls.crt
        path: tls.crt
      - key: tls.key
        path: tls.key
{{- end }}
{{- end -}}
