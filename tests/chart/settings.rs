//! The settings that the chart renders: the real program must take them, and find in its pod the files that they name.

use std::process::{Command, Stdio};
use std::sync::LazyLock;

use bellwire_testkit::certs::{Authority, Pair};
use bellwire_testkit::process::binary;
use serde_json::Value;

use crate::helm::{Helm, text as said};
use crate::objects::{Objects, Pod, list, pairs, text};
use crate::sets;

/// A pod's settings.
pub(crate) struct Settings {
    role: String,
    flags: Vec<String>,
    file: String,
}

/// What the file that a pod's `BELLWIRE_CONFIG` names has in it.
pub(crate) fn of(objects: &Objects, pod: Pod<'_>) -> Option<Settings> {
    let container = pod.spec.pointer("/containers/0")?;
    let path = list(container, "/env").iter().find(|variable| text(variable, "/name") == "BELLWIRE_CONFIG")?["value"]
        .as_str()?;
    let mount = list(container, "/volumeMounts").iter().find(|mount| path.starts_with(text(mount, "/mountPath")))?;
    let volume = list(pod.spec, "/volumes").iter().find(|volume| volume["name"] == mount["name"])?;
    let map = objects.find("ConfigMap", text(volume, "/configMap/name"))?;
    let file = map.0["data"].get(path.rsplit('/').next()?)?.as_str()?.to_owned();
    let mut flags = list(container, "/args").iter().filter_map(Value::as_str).map(str::to_owned);
    Some(Settings { role: flags.next()?, flags: flags.collect(), file })
}

// === impl Settings ===

impl Settings {
    pub(crate) fn table(&self) -> toml::Table {
        toml::from_str(&self.file).unwrap_or_else(|error| panic!("{error}:\n{}", self.file))
    }

    /// Over how long its tabs or requests are ended.
    pub(crate) fn drain_seconds(&self) -> u64 {
        let own = |table: &toml::Table| u64::try_from(table.get("drain-seconds")?.as_integer()?).ok();
        own(&self.table()).expect("the chart sets drain-seconds")
    }

    /// Paths that it names.
    fn files(&self) -> Vec<String> {
        let words = self.table().into_iter().filter_map(|(_, value)| value.as_str().map(str::to_owned));
        words
            .filter_map(|word| word.strip_prefix("embedded:").unwrap_or(&word).starts_with('/').then_some(word))
            .collect()
    }

    /// The program's complaint about it in a pod with these files.
    fn complaint(&self, variables: &[(&str, &str)], files: &[String]) -> Option<String> {
        let dir = tempfile::tempdir().unwrap();
        for file in files.iter().filter(|file| file.starts_with(SECRETS)) {
            let file = dir.path().join(file.trim_start_matches('/'));
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(&file, example(file.file_name().unwrap().to_str().unwrap())).unwrap();
        }
        let settings = self.file.replace(SECRETS, &format!("{}{SECRETS}", dir.path().display()));
        let file = dir.path().join("bellwire.toml");
        std::fs::write(&file, settings).unwrap();
        let mut command = Command::new(binary("bellwire"));
        command.env_clear().envs(variables.iter().copied()).stdin(Stdio::null());
        let output = command.args(["config", &self.role, "--config"]).arg(&file).args(&self.flags).output().unwrap();
        let complaint = said(&output.stderr);
        (!output.status.success() || !complaint.is_empty()).then_some(complaint)
    }
}

/// Where the chart mounts secrets.
const SECRETS: &str = "/etc/bellwire/secrets";

/// What may stand in a file of this name.
fn example(name: &str) -> String {
    static AUTHORITY: LazyLock<(String, Pair)> = LazyLock::new(|| {
        let authority = Authority::try_new("the tests").unwrap();
        (authority.pem().to_owned(), authority.server().unwrap())
    });
    match name {
        "ca.crt" => AUTHORITY.0.clone(),
        "tls.crt" => AUTHORITY.1.cert.clone(),
        "tls.key" => AUTHORITY.1.key.clone(),
        "mysql.cnf" => "[client]\ndatabase = a\nuser = b\npassword = c\nhost = 127.0.0.1\n".to_owned(),
        // That of RFC 8037.
        "keys" => r#"{"keys": [{"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": "a", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#.to_owned(),
        _ => "a-word-for-the-tests-0123456789abcdef0123456789\n".to_owned(),
    }
}

/// Files that a pod has where the program looks for them.
fn mounted(pod: Pod<'_>) -> Vec<String> {
    let mut files = Vec::new();
    for mount in list(pod.spec, "/containers/0/volumeMounts") {
        let path = text(mount, "/mountPath");
        let volume = list(pod.spec, "/volumes").iter().find(|volume| volume["name"] == mount["name"]);
        let items = ["secret", "configMap"].map(|kind| format!("/{kind}/items"));
        let items = items.iter().flat_map(|pointer| volume.map_or(&[][..], |volume| list(volume, pointer)));
        files.extend(items.map(|item| format!("{path}/{}", text(item, "/path"))));
        if !path.starts_with(SECRETS) {
            files.push(path.to_owned());
        }
    }
    files
}

#[test]
fn the_program_takes_every_rendered_file_and_finds_what_it_names() {
    let mut roles = std::collections::BTreeSet::new();
    for values in sets::all() {
        let objects = Helm::V4.objects(&values);
        for pod in objects.pods().into_iter().filter(|pod| !pod.of.is_hook()) {
            let settings = of(&objects, pod).unwrap_or_else(|| panic!("{}: {} has no settings", values.name, pod.of));
            let variables = list(pod.spec, "/containers/0/env").iter();
            let variables: Vec<_> = variables
                .map(|variable| (text(variable, "/name"), text(variable, "/value")))
                .filter(|(name, _)| name.starts_with("BELLWIRE_") && *name != "BELLWIRE_CONFIG")
                .collect();
            let mounted = mounted(pod);
            let complaint = settings.complaint(&variables, &mounted);
            assert_eq!(complaint, None, "{}: {}\n{}", values.name, pod.of, settings.file);
            for file in settings.files() {
                let file = file.strip_prefix("embedded:").unwrap_or(&file);
                assert!(mounted.iter().any(|path| path == file), "{}: {} has no {file}", values.name, pod.of);
            }
            roles.insert(settings.role);
        }
    }
    assert_eq!(roles.into_iter().collect::<Vec<_>>(), ["gateway", "ingest", "standalone"]);
}

#[test]
fn a_value_reaches_the_setting_that_it_is_for() {
    let values = sets::minimal().and(
        "settings",
        "
ttl: 5m
shards: {count: 8, next: 16, ingest: 16}
logging: {level: 'warn,bellwire_gateway=debug', format: text}
config: {max-failures-per-address: 7}
gateway: {limits: {maxSessions: 1000000}, digests: [v1, v2], config: {max-sessions-per-user: 3}, drain: {seconds: 60}}
ingest: {webhookUserLabel: person}
openitcockpit: {origins: ['https://a.example', 'https://b.example'], trustedProxies: [10.1.0.0/16], sessionRecheck: 90s}
",
    );
    let objects = Helm::V4.objects(&values);
    let table = |end: &str| of(&objects, objects.get("Deployment", end).pod().unwrap()).unwrap().table();
    let (gateway, ingest) = (table("-gateway"), table("-ingest"));
    let is = |table: &toml::Table, name: &str, wanted: Value| {
        assert_eq!(table.get(name).map(|value| serde_json::to_value(value).unwrap()), Some(wanted), "{name}");
    };
    for table in [&gateway, &ingest] {
        is(table, "ttl", "5m".into());
        is(table, "log-level", "warn,bellwire_gateway=debug".into());
        is(table, "log-format", "text".into());
        is(table, "max-failures-per-address", 7.into());
    }
    // Whole numbers of seven digits are floating in Helm.
    is(&gateway, "max-sessions", 1_000_000.into());
    is(&gateway, "max-sessions-per-user", 3.into());
    is(&gateway, "drain-seconds", 60.into());
    is(&gateway, "digests", "v1,v2".into());
    is(&gateway, "origins", "https://a.example,https://b.example".into());
    is(&gateway, "trusted-proxies", "127.0.0.0/8,::1,10.1.0.0/16".into());
    is(&gateway, "session-recheck", "90s".into());
    is(&ingest, "webhook-user-label", "person".into());
    // While the number of shards changes: gateways read both, ingests write where they are told.
    is(&gateway, "shards", 8.into());
    is(&gateway, "shards-also", 16.into());
    is(&ingest, "shards", 16.into());
    assert_eq!(ingest.get("shards-also"), None);
}

/// A change of a file must bring new pods, and nothing else may.
#[test]
fn a_change_of_settings_brings_new_pods() {
    let hash = |values: &str, of: &str| {
        let objects = Helm::V4.objects(&sets::minimal().and("", values));
        let pod = objects.get("Deployment", of).pod().unwrap();
        let annotations = pairs(pod.metadata, "/annotations");
        let all: Vec<_> = annotations
            .iter()
            .filter(|(name, _)| name.starts_with("checksum/"))
            .map(|(n, v)| format!("{n} {v}"))
            .collect();
        assert!(!all.is_empty());
        all
    };
    assert_eq!(hash("", "-gateway"), hash("image: {pullPolicy: Always}", "-gateway"));
    assert_ne!(hash("", "-gateway"), hash("gateway: {drain: {seconds: 61}}", "-gateway"));
    assert_eq!(hash("", "-ingest"), hash("gateway: {drain: {seconds: 61}}", "-ingest"));
    let key = |key: &str| format!("openitcockpit: {{sharedKey: {{value: {key}}}}}");
    assert_ne!(hash(&key("one-of-them"), "-gateway"), hash(&key("another-one"), "-gateway"));
}
