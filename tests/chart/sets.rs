//! The sets of values that everything is rendered with.

use crate::helm::{Values, chart};

/// The least that a cluster needs.
pub(crate) fn minimal() -> Values {
    Values::text(
        "minimal",
        "
existingSecret: all-secrets
openitcockpit: {url: 'https://monitoring.example'}
rabbitmq: {external: {hosts: [rabbit.example]}}
",
    )
}

/// The least that the one process needs.
pub(crate) fn standalone() -> Values {
    Values::text(
        "standalone",
        "mode: standalone\nexistingSecret: all-secrets\nopenitcockpit: {url: 'https://monitoring.example'}\n",
    )
}

/// The presets of the chart, each with what it leaves to the user.
pub(crate) fn presets() -> Vec<Values> {
    let mut found: Vec<_> = files("").into_iter().filter(|file| file.starts_with("values-")).collect();
    found.sort();
    assert!(found.len() >= 2, "presets: {found:?}");
    found.iter().map(|file| Values::file(file).and("", SITE)).collect()
}

/// What a preset cannot know. The values of a file come before these.
pub(crate) const SITE: &str = "
existingSecret: all-secrets
openitcockpit: {url: 'https://monitoring.example'}
rabbitmq: {external: {hosts: [rabbit.example]}}
";

/// Everything that is rendered by the tests of all objects.
pub(crate) fn all() -> Vec<Values> {
    let mut all = vec![minimal(), standalone()];
    all.extend(presets());
    let ci = files("ci").into_iter().map(|file| Values::file(&format!("ci/{file}")));
    all.extend(ci);
    all.extend(MORE.iter().map(|(name, text)| minimal().and(name, text)));
    all.extend(MORE_STANDALONE.iter().map(|(name, text)| standalone().and(name, text)));
    all
}

fn files(folder: &str) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(chart().join(folder)) else { return Vec::new() };
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".yaml") && name.contains("values"))
        .collect();
    names.sort();
    names
}

/// Over [`minimal`].
const MORE: &[(&str, &str)] = &[
    ("one pod of each", "gateway: {replicaCount: 1}\ningest: {replicaCount: 1}\n"),
    ("no pods", "gateway: {replicaCount: 0}\ningest: {replicaCount: 0}\n"),
    (
        "secrets as values",
        "
existingSecret: ''
openitcockpit: {sharedKey: {value: a-key}, mysql: {value: '[client]'}}
ingest: {tokens: {value: a-token}}
rabbitmq: {external: {username: user, password: word}}
",
    ),
    (
        "a secret for each",
        "
existingSecret: ''
openitcockpit:
  sharedKey: {existingSecret: key-of-site, key: it}
  ca: {existingConfigMap: ca-of-site, key: it.pem}
ingest: {tokens: {existingSecret: tokens-of-site, key: it}}
rabbitmq:
  external:
    hosts: ['rabbit-1.example', 'rabbit-2.example:5673']
    vhost: push/one
    existingSecret: rabbit-of-site
    existingSecretKeys: {username: user, password: word}
    tls: {enabled: true, ca: {existingSecret: rabbit-ca, key: it.pem}}
",
    ),
    (
        "the key from the database, and the relay",
        "
existingSecret: ''
openitcockpit:
  mysql: {existingSecret: mysql-of-site}
  userCheck: push
  mobileRelay: {enabled: true, ca: {existingConfigMap: relay-ca}}
ingest: {tokens: {existingSecret: tokens-of-site}}
rabbitmq: {external: {existingSecret: rabbit-of-site}}
",
    ),
    (
        "tls by cert-manager, senders with certificates",
        "
tls: {enabled: true, admin: true, certManager: {enabled: true, issuerRef: {name: site, kind: ClusterIssuer}, dnsNames: [push.example], ipAddresses: [192.0.2.10, '2001:db8::10'], duration: 2160h, renewBefore: 360h}}
ingest: {clientCa: {existingSecret: senders-ca}}
tests: {clientCert: {existingSecret: check-cert}}
metrics: {serviceMonitor: {enabled: true}}
",
    ),
    ("tls by a secret", "tls: {enabled: true, existingSecret: tls-of-site}\ntests: {ca: {existingConfigMap: ca-of-site}}\n"),
    ("users' tokens", "jwt: {existingSecret: jwt-of-site, audience: bellwire, issuer: 'https://idp.example'}\n"),
    ("users' tokens by address", "jwt: {url: 'https://idp.example/jwks', audience: bellwire}\nopenitcockpit: {sessionCheck: key-if-away}\n"),
    (
        "an operator",
        "
rabbitmq:
  mode: operator
  operator:
    topologyOperator: {enabled: true}
    tls: {enabled: true, existingSecret: rabbit-tls, ca: {existingSecret: rabbit-ca}}
    image: registry.example/rabbitmq:4
    persistence: {storageClassName: fast}
    additionalConfig: 'log.console.level = info'
    antiAffinity: soft
    tolerations: [{key: broker, operator: Exists}]
    labels: {team: push}
    annotations: {note: it}
    spec: {terminationGracePeriodSeconds: 600}
",
    ),
    ("an operator, simple", "rabbitmq: {mode: operator, operator: {antiAffinity: none, zoneSpread: false, podDisruptionBudget: {enabled: false}}}\n"),
    (
        "services outside",
        "
gateway:
  service:
    type: LoadBalancer
    port: 443
    nodePort: 30443
    loadBalancerClass: site/lb
    loadBalancerSourceRanges: [192.0.2.0/24]
    externalTrafficPolicy: Local
    ipFamilyPolicy: PreferDualStack
    ipFamilies: [IPv4, IPv6]
    appProtocol: kubernetes.io/ws
    annotations: {a: b}
    labels: {c: d}
ingest: {service: {type: NodePort, nodePort: 30084, trafficDistribution: PreferClose}}
listenAddress: '[::]'
",
    ),
    (
        "a balancer turned off again",
        "
gateway:
  service: {type: ClusterIP, externalTrafficPolicy: Local, loadBalancerClass: site/lb, loadBalancerSourceRanges: [192.0.2.0/24]}
  httpRoute: {enabled: true, parentRefs: [{name: web}]}
ingest: {service: {type: NodePort, externalTrafficPolicy: Local, loadBalancerClass: site/lb, loadBalancerSourceRanges: [192.0.2.0/24]}}
",
    ),
    (
        "routes with a hash by envoy",
        "
gateway:
  httpRoute: {enabled: true, parentRefs: [{name: web, namespace: edge, sectionName: https}], hostnames: [push.example], timeouts: {request: 0s}, annotations: {a: b}, labels: {c: d}, additionalRules: [{matches: [{path: {type: Exact, value: /events}}], backendRefs: [{name: push-bellwire-gateway, port: 8083}]}]}
  affinityByUser: {enabled: true, controller: envoy-gateway}
ingest:
  httpRoute: {enabled: true, parentRefs: [{name: web}], hostnames: [ingest.example], filters: [{type: RequestHeaderModifier, requestHeaderModifier: {remove: [x-a]}}]}
",
    ),
    (
        "an ingress with a hash by istio",
        "
gateway:
  ingress: {enabled: true, controller: traefik, className: traefik, hosts: [a.example, b.example], tls: [{hosts: [a.example], secretName: a-tls}], annotations: {a: b}, labels: {c: d}}
  affinityByUser: {enabled: true, controller: istio}
ingest: {ingress: {enabled: true, hosts: [ingest.example]}}
",
    ),
    ("haproxy", "gateway: {ingress: {enabled: true, controller: haproxy, hosts: [a.example]}, affinityByUser: {enabled: true, controller: haproxy}}\n"),
    ("haproxy-ingress", "gateway: {ingress: {enabled: true, controller: haproxy-ingress, hosts: [a.example]}, affinityByUser: {enabled: true, controller: haproxy-ingress}}\n"),
    ("f5 nginx", "gateway: {ingress: {enabled: true, controller: nginx, hosts: [a.example]}, affinityByUser: {enabled: true, controller: nginx}}\n"),
    ("ingress-nginx", "gateway: {ingress: {enabled: true, controller: ingress-nginx, hosts: [a.example]}, affinityByUser: {enabled: true, controller: ingress-nginx}}\n"),
    (
        "scaled",
        "
gateway: {autoscaling: {enabled: true}, podDisruptionBudget: {maxUnavailable: 25%, unhealthyPodEvictionPolicy: IfHealthyBudget}}
ingest: {autoscaling: {enabled: true}, podDisruptionBudget: {maxUnavailable: null, minAvailable: 1}}
",
    ),
    ("scaled by keda, which stays at a number", "gateway: {keda: {enabled: true, serverAddress: 'http://prometheus.example:9090', fallback: {behavior: static, replicas: 9}}}\n"),
    ("scaled by keda", "gateway: {keda: {enabled: true, serverAddress: 'http://prometheus.example:9090', authentication: prometheus, metadata: {authModes: basic}}}\n"),
    (
        "watched",
        "
metrics:
  podAnnotations: true
  podMonitor: {enabled: true, namespace: '', labels: {release: prom}, annotations: {a: b}, scrapeTimeout: 10s, jobLabel: app.kubernetes.io/name, sampleLimit: 5000, relabelings: [{action: replace, targetLabel: cluster, replacement: a}], metricRelabelings: [{action: drop, sourceLabels: [__name__], regex: go_.*}]}
  prometheusRule: {enabled: true, labels: {release: prom}, additionalRuleLabels: {team: push}, runbookBase: 'https://git.example/', extraRules: [{alert: Mine, expr: 'vector(1)'}]}
  dashboards: {enabled: true, annotations: {grafana_folder: Push}}
networkPolicy:
  enabled: true
  browsers: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: edge}}}]
  senders: [{ipBlock: {cidr: 192.0.2.0/24}}]
  monitoring: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: monitoring}}}]
  rabbitmq: [{ipBlock: {cidr: 198.51.100.0/24}}]
  openitcockpit: {to: [{ipBlock: {cidr: 203.0.113.0/24}}]}
",
    ),
    (
        "everything that pods can have",
        "
global: {imageRegistry: registry.example, imagePullSecrets: [pull], compatibility: {openshift: {adaptSecurityContext: force}}}
image: {digest: 'sha256:0000000000000000000000000000000000000000000000000000000000000000'}
commonLabels: {team: push}
commonAnnotations: {note: it}
nameOverride: wire
namespaceOverride: alerting
serviceAccount: {name: own, annotations: {a: b}}
gateway: &all
  hostUsers: false
  nodeSelector: {disk: ssd}
  tolerations: [{key: edge, operator: Exists}]
  affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [{matchExpressions: [{key: a, operator: Exists}]}]}}}
  priorityClassName: high
  runtimeClassName: gvisor
  schedulerName: own
  podLabels: {side: edge}
  podAnnotations: {a: b}
  annotations: {reloader.stakater.com/auto: 'true'}
  hostAliases: [{ip: 192.0.2.1, hostnames: [monitoring.example]}]
  dnsPolicy: ClusterFirst
  dnsConfig: {options: [{name: ndots, value: '1'}]}
  extraEnv: {RUST_BACKTRACE: 1, NODE: {valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}}
  extraEnvFrom: [{configMapRef: {name: variables-of-site}}]
  extraVolumes: [{name: more, emptyDir: {}}]
  extraVolumeMounts: [{name: more, mountPath: /more}]
ingest: *all
extraObjects:
  - {apiVersion: v1, kind: ConfigMap, metadata: {name: '{{ .Release.Name }}-extra', namespace: '{{ .Release.Namespace }}', labels: {helm.sh/chart: x, app.kubernetes.io/name: x, app.kubernetes.io/instance: x, app.kubernetes.io/managed-by: x}}, data: {a: b}}
",
    ),
    ("no account of its own", "serviceAccount: {create: false}\ntests: {enabled: false}\n"),
    ("while the shards change", "shards: {count: 4, next: 8, ingest: 8}\n"),
];

/// Over [`standalone`].
const MORE_STANDALONE: &[(&str, &str)] = &[
    ("without a volume", "standalone: {persistence: {enabled: false}}\n"),
    ("with a claim of the site", "standalone: {persistence: {existingClaim: log-of-site}}\n"),
    (
        "in full",
        "
standalone: {persistence: {storageClassName: fast, annotations: {a: b}, accessModes: [ReadWriteOnce], whenDeleted: Delete}}
gateway: {ingress: {enabled: true, controller: traefik, hosts: [a.example]}}
metrics: {podMonitor: {enabled: true}}
networkPolicy: {enabled: true}
tls: {enabled: true, admin: true, existingSecret: tls-of-site}
",
    ),
];
