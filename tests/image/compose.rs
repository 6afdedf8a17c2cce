//! The try-out in packaging/compose, read as compose and the programs in it would.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use bellwire_testkit::process::binary;
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::Command;

use crate::container::run;
use crate::dockerfile::stages;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/compose")
}

/// The compose file, which is what the schema of the specification asks for.
async fn compose() -> Value {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/image");
    run(&mut Command::new(tests.join("tools"))).await;
    let script = tests.join("compose.mjs");
    let said = run(Command::new("node").arg(script).arg(folder().join("compose.yaml"))).await;
    serde_json::from_str(&said).unwrap()
}

fn services(compose: &Value) -> impl Iterator<Item = (&String, &Value)> {
    compose["services"].as_object().unwrap().iter()
}

/// Those that run our image.
fn ours(compose: &Value) -> impl Iterator<Item = (&String, &Value)> {
    services(compose).filter(|(_, service)| service["image"].as_str().unwrap().starts_with("bellwire:"))
}

fn words(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().map(|word| word.as_str().unwrap().to_owned()).collect()
}

/// What is mounted from beside the compose file: from where, to where.
fn binds(service: &Value) -> Vec<(String, String)> {
    let volumes = words(&service["volumes"]).into_iter();
    let split = volumes.map(|volume| volume.split(':').map(str::to_owned).collect::<Vec<_>>());
    split.filter(|parts| parts[0].starts_with('.')).map(|parts| (parts[0].clone(), parts[1].clone())).collect()
}

/// Keys and passwords as the page's command makes them.
async fn secrets() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    run(Command::new(folder().join("make-secrets")).arg(dir.path().join("secrets"))).await;
    dir
}

#[tokio::test]
async fn secrets_are_made_once_and_closed_to_others() {
    use std::os::unix::fs::MetadataExt;
    let dir = secrets().await;
    let all = || {
        let files = std::fs::read_dir(dir.path().join("secrets")).unwrap().map(|file| file.unwrap().path());
        let mut texts: Vec<_> = files.map(|path| (std::fs::read_to_string(&path).unwrap(), path)).collect();
        texts.sort();
        texts
    };
    let first = all();
    assert_eq!(first.len(), 5);
    run(Command::new(folder().join("make-secrets")).arg(dir.path().join("secrets"))).await;
    assert_eq!(all(), first);
    assert_eq!(std::fs::metadata(dir.path().join("secrets")).unwrap().mode() & 0o777, 0o700);
    let tree = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut ignored = Command::new("git");
    ignored.args(["check-ignore", "packaging/compose/secrets/shared-key"]).current_dir(tree);
    assert!(!run(&mut ignored).await.is_empty(), "they could be committed");
    let of_broker = std::fs::read_to_string(dir.path().join("secrets/rabbitmq.conf")).unwrap();
    let password = std::fs::read_to_string(dir.path().join("secrets/amqp-password")).unwrap();
    assert_eq!(of_broker, format!("default_user = bellwire\ndefault_pass = {password}"));
}

#[tokio::test]
async fn everything_that_is_mounted_or_named_is_there() {
    let (compose, secrets) = (compose().await, secrets().await);
    let is_there = |path: &str| match path.strip_prefix("./secrets/") {
        Some(name) => secrets.path().join("secrets").join(name).exists(),
        None => folder().join(path).exists(),
    };
    let mut mounts = 0;
    for (name, service) in services(&compose) {
        for (from, _) in binds(service) {
            assert!(is_there(&from), "{name} mounts {from}");
            mounts += 1;
        }
        for secret in words(&service["secrets"]) {
            assert!(is_there(compose["secrets"][&secret]["file"].as_str().unwrap()), "{name}: {secret}");
        }
        for port in words(&service["ports"]) {
            assert!(port.starts_with("127.0.0.1:"), "{name} would be reached from other machines: {port}");
        }
    }
    assert!(mounts >= 6, "{mounts}");
    let (_, stage) = stages();
    assert!(ours(&compose).all(|(_, service)| service["build"]["dockerfile"] == "packaging/Dockerfile"));
    assert!(
        folder()
            .join(compose["x-bellwire"]["build"]["context"].as_str().unwrap())
            .join("packaging/Dockerfile")
            .exists()
    );
    let tag = format!("bellwire:${{BELLWIRE_VERSION:-{}}}", env!("CARGO_PKG_VERSION"));
    assert!(
        ours(&compose).all(|(_, service)| service["image"] == tag),
        "the version of Cargo.toml is another than {tag}"
    );
    assert_eq!(stage.words("ENTRYPOINT"), ["/usr/bin/bellwire"], "what `command` is behind");
}

/// Each node's settings are known and valid, and the health check of the image asks where they say.
#[tokio::test]
async fn settings_of_all_nodes_can_be_used() {
    let (compose, secrets) = (compose().await, secrets().await);
    let in_tree = |text: &str| text.replace("/run/secrets/", &format!("{}/secrets/", secrets.path().display()));
    let image = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/image/bellwire.toml");
    let mut roles = Vec::new();
    for (name, service) in ours(&compose).filter(|(_, service)| service["profiles"].is_null()) {
        let [role] = &words(&service["command"])[..] else { panic!("{name}: {}", service["command"]) };
        let used: Vec<_> = words(&service["secrets"]);
        let mut command = Command::new(binary("bellwire"));
        command.args(["config", role]).env_clear().env("BELLWIRE_CONFIG", &image);
        for (variable, value) in service["environment"].as_object().unwrap() {
            let value = value.as_str().unwrap();
            if let Some(secret) = value.strip_prefix("/run/secrets/") {
                assert!(used.iter().any(|name| name == secret), "{name} has no secret {secret}");
            }
            command.env(variable, in_tree(value));
        }
        let said = run(&mut command).await;
        let admin = said.lines().find_map(|line| line.strip_prefix("admin-listen = \"0.0.0.0:")?.split('"').next());
        roles.push((name.clone(), role.clone(), admin.unwrap().to_owned()));
    }
    assert_eq!(roles.len(), 3, "{roles:?}");
    let scraped = std::fs::read_to_string(folder().join("prometheus.yml")).unwrap();
    for (name, _, admin) in &roles {
        assert!(scraped.contains(&format!("\"{name}:{admin}\"")), "prometheus.yml does not ask {name}:{admin}");
    }
    // That of the image reads the same variables.
    assert!(ours(&compose).all(|(_, service)| service["healthcheck"].is_null()));
}

/// The page's `check`, as far as its flags and files go: nobody is there to answer.
#[tokio::test]
async fn the_check_is_a_call_that_can_be_made() {
    let (compose, secrets) = (compose().await, secrets().await);
    let service = &compose["services"]["check"];
    let in_tree = |text: String| text.replace("/run/secrets/", &format!("{}/secrets/", secrets.path().display()));
    let mut command = Command::new(binary("bellwire"));
    command.env_clear().args(words(&service["command"]).into_iter().map(in_tree)).args(["--timeout", "1"]);
    let output = command.stdin(Stdio::null()).output().await.unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.code() == Some(2) && said.contains("proxy"), "{:?}: {said}", output.status);
    for (name, port) in [("proxy", 8083), ("ingest", 8084)] {
        let listens =
            words(&compose["services"][name]["ports"]).iter().any(|p| p.ends_with(&format!(":{port}:{port}")));
        assert!(listens && service["command"].to_string().contains(&format!("//{name}:{port}")), "{name}");
    }
}

#[tokio::test]
async fn prometheus_reads_its_settings_and_the_shipped_rules() {
    let compose = compose().await;
    let dir = tempfile::tempdir().unwrap();
    for (from, to) in binds(&compose["services"]["prometheus"]) {
        let to = dir.path().join(to.trim_start_matches('/'));
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        run(Command::new("cp").arg("-R").arg(folder().join(from)).arg(to)).await;
    }
    let settings = dir.path().join("etc/prometheus/prometheus.yml");
    let said = run(Command::new("promtool").args(["check", "config"]).arg(&settings)).await;
    assert!(said.contains("bellwire.rules.yaml") && said.contains("rules found"), "{said}");
}

/// Names that compose's network would know, in a mount namespace of the test's own.
#[tokio::test]
async fn nginx_reads_its_settings() {
    let dir = tempfile::tempdir().unwrap();
    let hosts = dir.path().join("hosts");
    std::fs::write(&hosts, "127.0.0.1 localhost gateway-1 gateway-2\n").unwrap();
    let script = r#"mount --make-rprivate / && mount --bind "$1" /etc/hosts && exec /usr/sbin/nginx -t -q -e stderr -p "$2" -g "pid $2/pid;" -c "$3""#;
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-euc", script, "sh"]).arg(&hosts).arg(dir.path()).arg(folder().join("nginx.conf"));
    run(&mut command).await;
}

#[tokio::test]
async fn grafana_finds_the_shipped_dashboard() {
    let compose = compose().await;
    let mounted = binds(&compose["services"]["grafana"]);
    let from = |to: &str| mounted.iter().find(|(_, target)| target == to).unwrap().0.clone();
    let provider =
        std::fs::read_to_string(folder().join(from("/etc/grafana/provisioning/dashboards/bellwire.yaml"))).unwrap();
    let path = provider.lines().find_map(|line| line.trim().strip_prefix("path: ")).unwrap();
    let dashboard = folder().join(from(path)).join("bellwire.json");
    let dashboard: Value = serde_json::from_str(&std::fs::read_to_string(dashboard).unwrap()).unwrap();
    assert_eq!(dashboard["uid"], "bellwire", "compose.yaml names its address");
    let source =
        std::fs::read_to_string(folder().join(from("/etc/grafana/provisioning/datasources/bellwire.yaml"))).unwrap();
    assert!(source.contains("url: http://prometheus:9090") && source.contains("isDefault: true"), "{source}");
}
