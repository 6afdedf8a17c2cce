//! The engine as openITCOCKPIT configures it: UUIDs for names, its two commands, users in a custom variable.

use bellwire_testkit::engine::{Engine, SETTINGS, openitcockpit};
use bellwire_testkit::eventually::eventually;
use bellwire_testkit::tab::Front;

use super::nagios::cleaned;
use super::{Trap, address, block, notify, story};
use crate::support::{PATIENCE, open, program, standalone};

const HOST: &str = "c36b8048-93ce-4385-ac19-ab5c90574b77";
const SERVICE: &str = "74fd8f59-1348-4e16-85f0-4a5c57c7dd62";
const CONTACT: &str = "152aef40-ae38-4a01-b8f4-bb0b8a4a4b0b";
const CONTACT_WITHOUT_USER: &str = "5a1a7c53-bb35-4b4a-92a5-7d9b84ea1a1c";

/// What `bellwire openitcockpit commands` prints: the lines for hosts and for services.
async fn printed(args: &[&str]) -> [String; 2] {
    let output = program("bellwire").args(["openitcockpit", "commands"]).args(args).output().await.unwrap();
    let page = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines: Vec<_> = page.lines().filter_map(|line| line.strip_prefix("    ")).map(str::to_owned).collect();
    lines.try_into().unwrap()
}

fn configuration(lines: &[String; 2]) -> String {
    openitcockpit(HOST, SERVICE, &[(CONTACT, Some(7)), (CONTACT_WITHOUT_USER, None)], lines)
}

#[tokio::test]
async fn the_documentation_shows_what_the_command_prints() {
    let [host, service] = printed(&["--program", &notify()]).await;
    assert_eq!(block("openitcockpit.md", "lines"), format!("{host}\n{service}\n"));
}

#[tokio::test]
async fn the_printed_commands_reach_both_front_ends() {
    let node = standalone("memory:").await;
    let native = open(Front::Native, "7", "one", node.listen).await;
    let v2 = open(Front::V2, "7", "two", node.listen).await;
    let trap = Trap::new();
    let objects = configuration(&printed(&["--program", &notify(), "--", "--ingest", &address(&node)]).await);
    let engine = Engine::nagios(SETTINGS, &objects, &[]).await.unwrap();
    let bodies = story(&engine, &native, HOST, SERVICE, &trap).await;
    assert_eq!(bodies, trap.comments().map(|comment| cleaned(&format!("O'Neil: {comment}"))));
    let shown = v2.wait_shown(5).await.unwrap();
    assert_eq!(shown.iter().map(|shown| &shown.title).collect::<Vec<_>>(), native.titles().iter().collect::<Vec<_>>());
    assert_eq!(shown[0].frame["payload"]["hostUuid"], HOST);
    // The contact without a user was notified too, and its commands found nothing to complain of.
    let log = engine.output();
    assert!(log.contains(&format!("SERVICE NOTIFICATION: {CONTACT_WITHOUT_USER}")), "{log}");
    assert!(!log.contains("NOTIFY job") && !log.contains("stderr"), "{log}");
}

#[tokio::test]
async fn where_nagios_is_the_engine_the_environment_does_for_both() {
    let node = standalone("memory:").await;
    let tab = open(Front::Native, "7", "one", node.listen).await;
    let trap = Trap::new();
    let line = block("openitcockpit.md", "environment").trim().to_owned();
    let settings = format!("{SETTINGS}enable_environment_macros=1\n");
    let objects = configuration(&[line.clone(), line]);
    let engine = Engine::nagios(&settings, &objects, &[("BELLWIRE_INGEST", &address(&node))]).await.unwrap();
    let bodies = story(&engine, &tab, HOST, SERVICE, &trap).await;
    assert_eq!(bodies, trap.comments().map(|comment| format!("O'Neil: {comment}")));
}

/// The danger is real, and the trap springs: openITCOCKPIT's own lines run what is in a comment. Naemon never cleans
/// comments; Nagios 4.4 does, unless it is told to clean nothing.
#[tokio::test]
async fn the_old_lines_run_what_a_comment_says() {
    let trap = Trap::new();
    let lines = printed(&["--old"]).await;
    let engine = Engine::nagios("", &configuration(&lines), &[]).await.unwrap();
    engine.command(&format!("PROCESS_HOST_CHECK_RESULT;{HOST};1;no answer")).await.unwrap();
    let problem = || async { Ok(engine.output().contains("HOST ALERT").then_some(())) };
    eventually("the problem", PATIENCE, problem).await.unwrap();
    engine.command(&format!("ACKNOWLEDGE_HOST_PROBLEM;{HOST};1;1;0;Bob;{}", trap.comments()[0])).await.unwrap();
    let sprung = || async { Ok((!trap.caught().is_empty()).then_some(())) };
    eventually("a file of the comment's", PATIENCE, sprung).await.unwrap();
}
