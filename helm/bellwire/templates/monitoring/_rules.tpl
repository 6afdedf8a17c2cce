{{/*
The groups of files/prometheus, as the values want them: without the alerts that are left out, with further labels, with
whole addresses of runbooks, and with the user's own rules. The file's text is no template: it is data.
*/}}
{{- define "bellwire.rules" -}}
{{- $rule := .Values.metrics.prometheusRule -}}
{{- $text := .Files.Get "files/prometheus/bellwire.rules.yaml" -}}
{{- if not $text }}{{ fail "files/prometheus/bellwire.rules.yaml is missing in this copy of the chart: metrics.prometheusRule.enabled has nothing to show." }}{{ end -}}
{{- $groups := list -}}
{{- $names := list -}}
{{- range $group := (fromYaml $text).groups -}}
{{- $rules := list -}}
{{- range $one := $group.rules -}}
{{- with $one.alert }}{{ $names = append $names . }}{{ end -}}
{{- if not (has (default "" $one.alert) $rule.disabled) -}}
{{- if $one.alert -}}
{{- $_ := set $one "labels" (merge (deepCopy $rule.additionalRuleLabels) (default dict $one.labels)) -}}
{{- with dig "annotations" "runbook_url" "" $one }}{{ $_ := set $one.annotations "runbook_url" (printf "%s%s" $rule.runbookBase .) }}{{ end -}}
{{- end -}}
{{- $rules = append $rules $one -}}
{{- end -}}
{{- end -}}
{{- if $rules -}}
{{- $_ := set $group "rules" $rules -}}
{{- $groups = append $groups $group -}}
{{- end -}}
{{- end -}}
{{- range $rule.disabled -}}
{{- if not (has . $names) }}{{ fail (printf "metrics.prometheusRule.disabled names %s, but there is no such alert in files/prometheus/bellwire.rules.yaml." .) }}{{ end -}}
{{- end -}}
{{- with $rule.extraRules }}{{ $groups = append $groups (dict "name" "bellwire-extra" "rules" .) }}{{ end -}}
{{- dict "groups" $groups | toYaml -}}
{{- end -}}
