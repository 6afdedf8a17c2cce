//! `bellwire healthcheck`, as a container runs it beside its node.

use std::process::Stdio;

use bellwire_testkit::bellwire::{Bellwire, Setup};
use bellwire_testkit::certs::Authority;
use bellwire_testkit::ports;
use tokio::process::Command;

use crate::support::{PATIENCE, program, standalone};

fn healthcheck(words: &[&str]) -> Command {
    let mut command = program("bellwire");
    command.arg("healthcheck").args(words).stdin(Stdio::null());
    command
}

/// The exit code, and the one line; nothing else is written.
async fn asked(mut command: Command) -> (Option<i32>, String) {
    let output = command.output().await.unwrap();
    let line = String::from_utf8(output.stdout).unwrap();
    assert!(output.stderr.is_empty() && line.lines().count() == 1, "{line} {:?}", output.stderr);
    (output.status.code(), line)
}

#[tokio::test]
async fn a_node_lives_until_it_is_gone() {
    let mut node = standalone("memory:").await;
    // Where the node listens, said in each of the three ways.
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("bellwire.toml");
    std::fs::write(&file, format!("admin-listen = \"{}\"\n", node.admin)).unwrap();
    let by_env = || {
        let mut command = healthcheck(&[]);
        command.env("BELLWIRE_ADMIN_LISTEN", format!("0.0.0.0:{}", node.admin.port()));
        command
    };
    let by_flag = healthcheck(&["standalone", "--admin-listen", &node.admin.to_string()]);
    let by_file = healthcheck(&["--config", file.to_str().unwrap()]);
    for command in [by_env(), by_flag, by_file] {
        assert_eq!(asked(command).await, (Some(0), format!("alive: standalone at {}\n", node.admin)));
    }
    let by_env = by_env();
    node.kill().await.unwrap();
    let (code, line) = asked(by_env).await;
    let expected = format!("standalone does not answer at {}: ", node.admin);
    assert!(code == Some(1) && line.starts_with(&expected), "{code:?} {line}");
}

/// RabbitMQ being away is no reason to start a node anew.
#[tokio::test]
async fn ingest_lives_without_rabbitmq() {
    let node = Setup::new("ingest", &format!("amqp://{}", ports::free())).begin().unwrap();
    node.process().line("RabbitMQ cannot be used yet", PATIENCE).await.unwrap();
    let address = node.admin.to_string();
    let (code, line) = asked(healthcheck(&["ingest", "--admin-listen", &address])).await;
    assert_eq!((code, line), (Some(0), format!("alive: ingest at {address}\n")));
}

/// The certificate is for the name that others use, and the question must not show as somebody's failure.
#[tokio::test]
async fn a_node_with_tls_is_asked_with_tls() {
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::try_new("servers").unwrap();
    authority.server().unwrap().write(dir.path(), "server").unwrap();
    let path = |name: &str| dir.path().join(name).display().to_string();
    let setup = Setup::new("standalone", "memory:")
        .env("BELLWIRE_TLS_CERT_FILE", path("server.pem"))
        .env("BELLWIRE_TLS_KEY_FILE", path("server.key"))
        .env("BELLWIRE_ADMIN_TLS", "on")
        .admin_tls(authority.trusting(None).unwrap());
    let node: Bellwire = setup.start().await.unwrap();
    let mut command = healthcheck(&["--admin-listen", &node.admin.to_string()]);
    command.env("BELLWIRE_ADMIN_TLS", "on");
    assert_eq!(asked(command).await.0, Some(0));
    assert_eq!(node.metric("bellwire_http_tls_handshakes_failed_total", &[]).await.unwrap(), 0.0);
}
