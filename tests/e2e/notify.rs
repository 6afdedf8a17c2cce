//! The command that the engine runs, by every way.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Output;

use bellwire_testkit::bellwire::{Bellwire, Setup};
use bellwire_testkit::process::binary;
use bellwire_testkit::tab::{Front, Tab};
use bellwire_testkit::{http, ports};
use serde_json::json;
use tokio::process::Command;

use crate::support::{embedded, open, program, standalone};

const HOST: &[&str] =
    &["--type", "Host", "--notificationtype", "PROBLEM", "--hostuuid", "h", "--state", "1", "--user-id", "1"];

async fn output(command: &mut Command) -> Output {
    command.output().await.unwrap()
}

/// It exits with 0 and says nothing.
async fn quietly(command: &mut Command) {
    let output = output(command).await;
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && output.stdout.is_empty() && output.stderr.is_empty(), "{command:?}: {said}");
}

async fn node_and_tab() -> (Bellwire, Tab, String) {
    let node = standalone("memory:").await;
    let tab = open(Front::Native, "1", "browser", node.listen).await;
    let address = format!("http://{}", node.listen);
    (node, tab, address)
}

async fn shows(tab: &Tab, bodies: &[&str]) {
    let shown = tab.wait_shown(bodies.len()).await.unwrap();
    assert_eq!(shown.iter().map(|shown| shown.body.as_str()).collect::<Vec<_>>(), bodies);
}

#[tokio::test]
async fn every_name_and_spelling_arrives() {
    let (_node, tab, address) = node_and_tab().await;
    let bin = tempfile::tempdir().unwrap();
    let link = bin.path().join("send_push_notification");
    symlink(binary("bellwire-notify"), &link).unwrap();

    quietly(program("bellwire-notify").args(["--ingest", &address]).args(HOST).args(["--output", "small binary"]))
        .await;
    quietly(program("bellwire").arg("notify").args(["--ingest", &address]).args(HOST).args(["--output", "subcommand"]))
        .await;
    let mut old_name = Command::new(&link);
    quietly(old_name.env_clear().env("BELLWIRE_INGEST", &address).args(HOST).args(["--output", "old name"])).await;
    let go =
        ["-t", "service", "-notificationtype=PROBLEM", "-hostuuid=h", "-serviceuuid", "s", "-state", "2", "-user-id=1"];
    quietly(program("bellwire-notify").env("BELLWIRE_INGEST", &address).args(go).arg("-output=one dash")).await;
    shows(&tab, &["small binary", "subcommand", "old name", "one dash"]).await;
}

#[tokio::test]
async fn addresses_are_tried_in_turn() {
    let (_node, tab, address) = node_and_tab().await;
    let list = format!("http://{},{address}", ports::free());
    quietly(program("bellwire-notify").args(["--ingest", &list]).args(HOST).args(["--output", "second address"])).await;
    shows(&tab, &["second address"]).await;
}

#[tokio::test]
async fn nobody_is_nothing_to_do() {
    for user in ["", "0", "$", "$_CONTACTOITCUSERID$"] {
        let dead = format!("http://{}", ports::free());
        let args =
            ["--type", "Host", "--notificationtype", "PROBLEM", "--hostuuid", "h", "--state", "", "--user-id", user];
        quietly(program("bellwire-notify").args(["--ingest", &dead]).args(args)).await;
    }
}

#[tokio::test]
async fn exit_codes_tell_whose_fault_it_is() {
    let dead = format!("http://{}", ports::free());
    let unreachable = output(program("bellwire-notify").args(["--ingest", &dead]).args(HOST)).await;
    assert_eq!(unreachable.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&unreachable.stderr).contains(&dead[7..]), "the error names the address");
    let wrong = output(program("bellwire-notify").args(HOST).arg("--no-such-option")).await;
    assert_eq!(wrong.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("no-such-option"));
}

#[tokio::test]
async fn a_token_opens_the_door() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let (tokens, right, wrong) = (
        file("tokens", "one-token-of-a-sender-that-is-long\nthe-other-token-that-is-long-too\n"),
        file("right", "the-other-token-that-is-long-too\n"),
        file("wrong", "a-token-that-nobody-gave-to-anyone\n"),
    );
    let node = Setup::new("standalone", "memory:").arg("--ingest-tokens-file").arg(tokens).start().await.unwrap();
    let tab = open(Front::Native, "1", "browser", node.listen).await;
    let address = format!("http://{}", node.listen);
    let command = |token: &str, text: &str| {
        let mut command = program("bellwire-notify");
        command.args(["--ingest", &address, "--token-file", token]).args(HOST).args(["--output", text]);
        command
    };
    quietly(&mut command(&right, "with a token")).await;
    let refused = output(&mut command(&wrong, "with a wrong one")).await;
    assert_eq!(refused.status.code(), Some(1));
    let bare = http::post(node.listen, "/v1/notifications", &json!({})).await.unwrap();
    assert_eq!(bare.status, 401);
    shows(&tab, &["with a token"]).await;
}

fn waiting(spool: &Path) -> usize {
    let files = std::fs::read_dir(spool).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|path| path.extension().is_some_and(|extension| extension == "json")).count()
}

#[tokio::test]
async fn what_nobody_took_waits_in_the_spool() {
    let dir = tempfile::tempdir().unwrap();
    let spool = dir.path().join("spool");
    std::fs::create_dir(&spool).unwrap();
    let mut node = standalone(&embedded(&dir)).await;
    node.kill().await.unwrap();
    let address = format!("http://{}", node.listen);
    let command = |text: &str| {
        let mut command = program("bellwire-notify");
        command.args(["--ingest", &address, "--spool"]).arg(&spool).args(HOST).args(["--output", text]);
        command
    };
    for text in ["one", "two"] {
        let spooled = output(&mut command(text)).await;
        assert_eq!(spooled.status.code(), Some(0), "{}", String::from_utf8_lossy(&spooled.stderr));
    }
    assert_eq!(waiting(&spool), 2);
    node.restart().await.unwrap();
    let tab = open(Front::Native, "1", "browser", node.listen).await;
    quietly(&mut command("three")).await;
    let mut bodies: Vec<_> = tab.wait_shown(3).await.unwrap().into_iter().map(|shown| shown.body).collect();
    bodies.sort();
    assert_eq!(bodies, ["one", "three", "two"]);
    assert_eq!(waiting(&spool), 0);

    node.kill().await.unwrap();
    assert_eq!(output(&mut command("four")).await.status.code(), Some(0));
    node.restart().await.unwrap();
    let flush = output(program("bellwire-notify").args(["flush", "--ingest", &address, "--spool"]).arg(&spool)).await;
    assert_eq!(flush.status.code(), Some(0), "{}", String::from_utf8_lossy(&flush.stderr));
    assert_eq!(waiting(&spool), 0);
    tab.wait("what was flushed", |seen| seen.shown.iter().any(|shown| shown.body == "four")).await.unwrap();
}
