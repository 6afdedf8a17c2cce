//! The service that stands for a cluster elsewhere.

use bellwire_testkit::ports;
use bellwire_testkit::process::{Process, Signal};

use crate::supervisor::Manager;
use crate::support::{PATIENCE, program, standalone};

fn watch(manager: &Manager, args: &[&str]) -> Process {
    let mut command = program("bellwire");
    command.arg("watch").args(args).env("NOTIFY_SOCKET", manager.address());
    Process::spawn("watch", command).unwrap()
}

#[tokio::test]
async fn it_stands_as_long_as_the_cluster_does() {
    let mut node = standalone("memory:").await;
    let (ready, page) = (format!("http://{}/readyz", node.admin), format!("http://{}/healthz", node.listen));
    let dead = format!("http://{}/readyz", ports::free());
    let mut manager = Manager::new();
    let either = format!("{dead},{ready}");
    let mut process = watch(&manager, &["--target", &either, "--target", &page, "--for", "2"]);
    manager.until("READY=1").await;
    node.kill().await.unwrap();
    process.line("the cluster cannot be reached; asking on", PATIENCE).await.unwrap();
    let status = manager.until("STATUS=not reached").await.pop().unwrap();
    assert!(status.contains(&page) && status.contains(&ready) && status.contains(&dead), "{status}");
    assert_eq!(process.wait(PATIENCE).await.unwrap().code(), Some(1));
    process.line("out of reach for 2 s", PATIENCE).await.unwrap();
}

#[tokio::test]
async fn it_bears_a_restart_of_the_cluster_and_ends_when_told() {
    let mut node = standalone("memory:").await;
    let mut manager = Manager::new();
    let mut process = watch(&manager, &["--target", &format!("http://{}/readyz", node.admin), "--for", "120"]);
    manager.until("READY=1").await;
    assert!(node.stop().await.unwrap().success());
    manager.until("STATUS=not reached").await;
    node.restart().await.unwrap();
    manager.until("STATUS=the cluster can be reached").await;
    process.signal(Signal::Term).await.unwrap();
    manager.until("STOPPING=1").await;
    assert!(process.wait(PATIENCE).await.unwrap().success());
}

#[tokio::test]
async fn a_cluster_that_never_was_there_is_no_success() {
    let mut manager = Manager::new();
    let mut process = watch(&manager, &["--target", &format!("http://{}/readyz", ports::free()), "--for", "1"]);
    assert_eq!(process.wait(PATIENCE).await.unwrap().code(), Some(1));
    let words = manager.until("STATUS=not reached").await;
    assert!(!words.contains(&"READY=1".to_owned()), "{words:?}");
}

#[tokio::test]
async fn a_wrong_call_is_no_outage() {
    let dir = tempfile::tempdir().unwrap();
    let empty = dir.path().join("ca.pem");
    std::fs::write(&empty, "nothing").unwrap();
    for (args, expected) in [
        (vec!["--target", "push1"], "is not an address"),
        (vec!["--target", "https://a/", "--ca-file", "/nowhere"], "--ca-file /nowhere"),
        (vec!["--target", "https://a/", "--ca-file", empty.to_str().unwrap()], "no usable certificate"),
    ] {
        let output = program("bellwire").arg("watch").args(&args).output().await.unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(64) && said.contains(expected), "{args:?}: {said}");
    }
}
