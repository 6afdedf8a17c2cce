use std::os::unix::fs::symlink;

use crate::Notify;
use crate::server::{Server, refusing};

#[test]
fn wrong_usage_ends_with_2_and_tries_nothing() {
    let server = Server::accepting();
    Notify::problem(&server.address)
        .arg("--frobnicate")
        .run()
        .said(2, "unknown option \"--frobnicate\"; see bellwire-notify --help");
    Notify::bare().run().said(2, "--user-id is missing");
    Notify::bare().arg("flush").run().said(2, "--spool is missing");
    assert!(server.received().is_empty());
}

#[test]
fn nobody_to_notify_ends_with_0_and_tries_nothing() {
    let server = Server::accepting();
    for user in ["$", "0", "", "$_CONTACTOITCUSERID$"] {
        Notify::problem(&server.address).args(["--user-id", user]).run().silent();
    }
    assert!(server.received().is_empty());
}

#[test]
fn help_and_version_go_to_standard_output() {
    let help = Notify::bare().arg("--help").run();
    assert_eq!((help.code, help.stderr.as_str()), (0, ""));
    for part in ["--hostuuid", "Naemon", "Icinga 2", "Checkmk", "openITCOCKPIT", "Exit status"] {
        assert!(help.stdout.contains(part), "{part}");
    }
    let version = Notify::bare().arg("--version").run();
    assert_eq!(version.stdout, concat!("bellwire-notify ", env!("CARGO_PKG_VERSION"), "\n"));
}

#[test]
fn the_old_name_behaves_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let link = dir.path().join("send_push_notification");
    symlink(env!("CARGO_BIN_EXE_bellwire-notify"), &link).unwrap();
    let server = Server::accepting();
    let call = || Notify::program(&link).args(["-t", "host", "-hostuuid", "h", "-state", "0", "-output", "fine"]);
    call().args(["-user-id", "1", "-ingest", &server.address]).run().silent();
    assert_eq!(server.received()[0].body["user"], "1");
    call().args(["-user-id", "1", "-ingest", &refusing()]).run().said(1, "send_push_notification: not delivered");
}

#[test]
fn stray_words_are_named_but_the_notification_goes_out() {
    let server = Server::accepting();
    let ended = Notify::bare().args(["stray", "send_push_notification"]).arg("--type=host").run();
    ended.said(2, "--user-id is missing");
    Notify::problem(&server.address).arg("stray\nline").run().said(0, r#"ignored the argument "stray\nline""#);
    assert_eq!(server.received().len(), 1);
}

/// Go's command ignores what follows the first stray word; values that are not quoted look like this.
#[test]
fn a_value_that_is_not_quoted_does_not_lose_the_notification() {
    let server = Server::accepting();
    let call = ["-user-id", "7", "-hostuuid", "h", "-state", "1", "-output", "DISK", "CRITICAL", "-free", "5%"];
    let ended = Notify::bare().args(["-ingest", &server.address]).args(call).run();
    for word in ["CRITICAL", "-free", "5%"] {
        ended.said(0, &format!("ignored the argument {word:?}"));
    }
    let received = server.received();
    assert_eq!((&received[0].body["output"], &received[0].body["state"]), (&"DISK".into(), &1.into()));
}

#[test]
fn a_state_that_is_no_number_does_not_lose_the_notification() {
    let server = Server::accepting();
    let ended = Notify::problem(&server.address).args(["--state", "bad"]).run();
    ended.said(0, "--state must be a whole number, not \"bad\"; taken as 0");
    assert_eq!(server.received()[0].body["state"], 0);
}
