//! Checkmk's notification script, called as Checkmk calls it.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Output;

use bellwire_testkit::ports;
use bellwire_testkit::tab::Front;
use tokio::process::Command;

use super::{Trap, address, block};
use crate::support::{open, standalone};

struct Site {
    home: tempfile::TempDir,
}

impl Site {
    fn new() -> Self {
        let site = Self { home: tempfile::tempdir().unwrap() };
        std::fs::create_dir_all(site.script().parent().unwrap()).unwrap();
        std::fs::write(site.script(), block("checkmk.md", "script")).unwrap();
        std::fs::set_permissions(site.script(), std::fs::Permissions::from_mode(0o755)).unwrap();
        site
    }

    fn script(&self) -> PathBuf {
        self.home.path().join("local/share/check_mk/notifications/bellwire")
    }

    async fn run(&self, ingest: &str, vars: &[(&str, &str)]) -> Output {
        self.call(Command::new(self.script()), ingest, vars).await
    }

    async fn call(&self, mut command: Command, ingest: &str, vars: &[(&str, &str)]) -> Output {
        command.env_clear().env("HOME", self.home.path()).env("BELLWIRE_INGEST", ingest).env("PATH", "/usr/bin:/bin");
        command.envs(vars.iter().copied()).output().await.unwrap()
    }
}

const DOWN: &[(&str, &str)] = &[
    ("NOTIFY_WHAT", "HOST"),
    ("NOTIFY_NOTIFICATIONTYPE", "PROBLEM"),
    ("NOTIFY_CONTACTNAME", "ann"),
    ("NOTIFY_HOSTNAME", "web01"),
    ("NOTIFY_HOSTSTATEID", "1"),
    ("NOTIFY_HOSTOUTPUT", "no answer\\nfor 3 checks"),
];

fn with<'a>(more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    [DOWN, more].concat()
}

#[tokio::test]
async fn the_documented_script_and_trial_reach_a_tab() {
    let node = standalone("memory:").await;
    let ann = open(Front::Native, "ann", "browser", node.listen).await;
    let seven = open(Front::V2, "7", "browser", node.listen).await;
    let (site, trap, ingest) = (Site::new(), Trap::new(), address(&node));
    let mut shell = Command::new("sh");
    shell.args(["-c", &block("checkmk.md", "try")]);
    let comment = &trap.comments()[0];
    let acknowledged = [
        ("NOTIFY_NOTIFICATIONTYPE", "ACKNOWLEDGEMENT"),
        ("NOTIFY_NOTIFICATIONCOMMENT", comment),
        ("NOTIFY_CONTACT_BELLWIRE", "7"),
    ];
    for output in [
        site.call(shell, &ingest, &[]).await,
        site.run(&ingest, DOWN).await,
        site.run(&ingest, &with(&acknowledged)).await,
    ] {
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        assert!(output.stdout.is_empty() && output.stderr.is_empty(), "{output:?}");
    }
    let shown = ann.wait_shown(2).await.unwrap();
    assert_eq!((&*shown[0].title, &*shown[0].body), ("web01/CPU load is CRITICAL (PROBLEM)", "load is 17"));
    assert_eq!((&*shown[1].title, &*shown[1].body), ("web01 is DOWN (PROBLEM)", "no answer\nfor 3 checks"));
    assert_eq!(seven.wait_shown(1).await.unwrap()[0].body, *comment);
    assert_eq!(trap.caught(), Vec::<String>::new());
}

#[tokio::test]
async fn exit_codes_tell_checkmk_whether_to_try_again() {
    let node = standalone("memory:").await;
    let (site, ingest) = (Site::new(), address(&node));
    let dead = format!("http://{}", ports::free());
    assert_eq!(site.run(&dead, DOWN).await.status.code(), Some(1));
    let long = "x".repeat(300);
    let refused = site.run(&ingest, &with(&[("NOTIFY_HOSTNAME", &long)])).await;
    assert_eq!(refused.status.code(), Some(2), "{refused:?}");
    assert!(String::from_utf8_lossy(&refused.stderr).contains("host.id"), "{refused:?}");
    assert_eq!(site.run(&ingest, &[]).await.status.code(), Some(2));
    let nobody = site.run(&dead, &with(&[("NOTIFY_CONTACTNAME", "")])).await;
    assert_eq!(nobody.status.code(), Some(0), "{nobody:?}");
    let old = site.run(&ingest, &with(&[("NOTIFY_MICROTIME", "1752739200123456")])).await;
    assert_eq!(old.status.code(), Some(0), "{old:?}");
    assert!(String::from_utf8_lossy(&old.stderr).contains("expired"), "{old:?}");
}

#[tokio::test]
async fn what_is_tried_again_is_shown_once() {
    let node = standalone("memory:").await;
    let tab = open(Front::Native, "ann", "browser", node.listen).await;
    let (site, ingest) = (Site::new(), address(&node));
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_micros().to_string();
    for _ in 0..2 {
        let output = site.run(&ingest, &with(&[("NOTIFY_MICROTIME", &now)])).await;
        assert_eq!(output.status.code(), Some(0), "{output:?}");
    }
    site.run(&ingest, &with(&[("NOTIFY_HOSTOUTPUT", "the last")])).await;
    let shown = tab.wait_shown(2).await.unwrap();
    assert_eq!(shown.iter().map(|shown| &*shown.body).collect::<Vec<_>>(), ["no answer\nfor 3 checks", "the last"]);
}
