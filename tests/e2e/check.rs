//! The plugin, on real nodes and on broken ones.

use std::net::SocketAddr;
use std::process::Output;

use bellwire_testkit::bellwire::{KEY, Setup};
use bellwire_testkit::broker::Broker;
use bellwire_testkit::login::Login;
use bellwire_testkit::mariadb::MariaDb;
use bellwire_testkit::nginx::Nginx;
use bellwire_testkit::ports;
use futures_util::future::join_all;
use tokio::process::Command;

use crate::support::{program, standalone};

/// The command, with the key.
fn check(args: &[&str]) -> Command {
    let mut command = program("bellwire");
    command.arg("check").args(args).env("BELLWIRE_SHARED_KEY", KEY);
    command
}

/// The exit code and what is on standard output. The key is never in it, nor on standard error.
async fn said(mut command: Command) -> (i32, String) {
    let Output { status, stdout, stderr } = command.output().await.unwrap();
    let (stdout, stderr) = (String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap());
    assert!(!stdout.contains(KEY) && !stderr.contains(KEY), "{stdout}{stderr}");
    assert!(stderr.is_empty(), "{stderr}");
    (status.code().unwrap(), stdout)
}

async fn expect(args: &[&str], code: i32, words: &[&str]) -> String {
    let (status, text) = said(check(args)).await;
    assert_eq!(status, code, "{text}");
    let state = ["OK", "WARNING", "CRITICAL", "UNKNOWN"][usize::try_from(code).unwrap()];
    assert!(text.starts_with(&format!("BELLWIRE {state} - ")), "{text}");
    for word in words {
        assert!(text.contains(word), "{word}: {text}");
    }
    text
}

fn url(address: SocketAddr) -> String {
    format!("http://{address}")
}

#[tokio::test]
async fn the_whole_way_is_measured() {
    let node = standalone("memory:").await;
    let place = url(node.listen);
    let args = ["--gateway", &place, "--ingest", &place, "-w", "60", "-c", "60", "-t", "60"];
    let text = expect(&args, 0, &["notify to tab ", " ms | total=0.", "s;60;60;0 accepted=0.", " connected=0."]).await;
    assert_eq!(text.lines().count(), 1, "{text}");
    let verbose =
        expect(&[&args[..], &["-v"]].concat(), 0, &["greeted a tab after", "accepted after", "shown by"]).await;
    assert!(verbose.lines().count() > 1, "{verbose}");
    // Any time at all is too long for this one.
    expect(&["--gateway", &place, "--ingest", &place, "-w", "@0:60", "-c", "60", "-t", "60"], 1, &["(limit @0:60)"])
        .await;
    expect(&["--gateway", &place, "--ingest", &place, "-c", "@0:60", "-t", "60"], 2, &["(limit @0:60)"]).await;
}

#[tokio::test]
async fn many_at_once_do_not_disturb_each_other() {
    let node = standalone("memory:").await;
    let place = url(node.listen);
    let args = ["--gateway", &place, "--ingest", &place, "-w", "60", "-c", "60", "-t", "60"];
    // More than there are browsers that a user's log remembers, and far more than a storm needs.
    join_all((0..24).map(|_| expect(&args, 0, &["notify to tab"]))).await;
    expect(&args, 0, &["notify to tab"]).await;
}

#[tokio::test]
async fn a_nodes_own_settings_are_enough() {
    let node = standalone("memory:").await;
    let dir = tempfile::tempdir().unwrap();
    let (file, key) = (dir.path().join("bellwire.toml"), dir.path().join("key"));
    std::fs::write(&key, KEY).unwrap();
    let settings = format!(
        "listen = \"{}\"\nadmin-listen = \"{}\"\nshared-key-file = \"{}\"\n",
        node.listen,
        node.admin,
        key.display()
    );
    std::fs::write(&file, settings).unwrap();
    let mut command = program("bellwire");
    command.args(["check", "-c", "60", "-w", "60", "-t", "60", "--config"]).arg(&file);
    let (code, text) = said(command).await;
    assert_eq!(code, 0, "{text}");
}

#[tokio::test]
async fn each_node_of_a_cluster_is_checked() {
    let broker = Broker::start().await.unwrap();
    let log = broker.url();
    let start = |role: &'static str| Setup::new(role, &log).start();
    let (in1, in2, out1, out2) = tokio::join!(start("ingest"), start("ingest"), start("gateway"), start("gateway"));
    let (in1, mut in2, out1, mut out2) = (in1.unwrap(), in2.unwrap(), out1.unwrap(), out2.unwrap());
    let (ingests, gateways) = (format!("{},{}", in1.listen, in2.listen), format!("{},{}", out1.listen, out2.listen));
    let args = ["--gateway", &gateways, "--ingest", &ingests, "-w", "60", "-c", "60", "-t", "60"];
    let each = format!("'total ws://{}'=", out2.listen);
    expect(&args, 0, &["the slowest of 2 ingests and 2 gateways", &each]).await;

    in2.stop().await.unwrap();
    let name = format!("ingest http://{} cannot be reached", in2.listen);
    expect(&args, 1, &[&name, "total="]).await;
    out2.kill().await.unwrap();
    let name = format!("- gateway ws://{} cannot be reached: Connection refused; ingest", out2.listen);
    expect(&args, 2, &[&name]).await;
}

#[tokio::test]
async fn an_ingest_without_its_log_is_named() {
    let mut broker = Broker::start().await.unwrap();
    let log = broker.url();
    let start = |role: &'static str| Setup::new(role, &log).start();
    let (ingest, gateway) = tokio::join!(start("ingest"), start("gateway"));
    let (ingest, gateway) = (ingest.unwrap(), gateway.unwrap());
    broker.kill();
    let args = ["--gateway", &url(gateway.listen), "--ingest", &url(ingest.listen), "-t", "60"];
    expect(&args, 2, &["ingest http://", "has it not safe (503): its log"]).await;
}

#[tokio::test]
async fn the_way_from_the_log_to_the_tab_is_named() {
    // Two that do not share a log: what one accepts never comes to the other.
    let (here, there) = tokio::join!(standalone("memory:"), standalone("memory:"));
    let admin = here.admin.to_string();
    let args = ["--gateway", &url(here.listen), "--ingest", &url(there.listen), "-t", "2", "--admin", &admin];
    let words = [
        "accepted, but gateway ws://",
        "did not show it within 2 s",
        "is ready, 0 records behind the log",
        "has not read the notification",
    ];
    expect(&args, 2, &words).await;
}

#[tokio::test]
async fn no_node_is_asked_about_what_was_never_accepted() {
    let node = standalone("memory:").await;
    let (place, admin) = (url(node.listen), node.admin.to_string());
    // The first takes no notifications, the second does, and delivers them.
    let ingests = format!("{admin},{place}");
    let args = ["--gateway", &place, "--ingest", &ingests, "--admin", &admin, "-w", "60", "-c", "60", "-t", "60"];
    let text = expect(&args, 1, &["is no ingest (404)", "total="]).await;
    assert!(!text.contains("has not read"), "{text}");
}

#[tokio::test]
async fn broken_gateways_are_told_apart() {
    let node = standalone("memory:").await;
    let place = url(node.listen);
    let dead = ports::free().to_string();
    expect(&["--gateway", &dead, "--ingest", &place], 2, &["cannot be reached: Connection refused"]).await;
    expect(&["--gateway", "host.invalid", "--ingest", &place], 2, &["the name host.invalid leads nowhere"]).await;
    let tls = format!("wss://localhost:{}", node.listen.port());
    expect(&["--gateway", &tls, "--ingest", &place], 2, &["TLS fails", "is TLS spoken there"]).await;
    let (code, text) = said({
        let mut command = check(&["--gateway", &place, "--ingest", &place]);
        command.env("BELLWIRE_SHARED_KEY", "another-key");
        command
    })
    .await;
    assert!(code == 2 && text.contains("refuses with 401") && text.contains("is the key the gateway's?"), "{text}");
    expect(&["--gateway", &node.admin.to_string(), "--ingest", &place], 2, &["404", "no gateway at this address"])
        .await;

    let proxy = Nginx::start(&format!(
        "location = /bare {{ proxy_pass http://{0}; }} location = /away {{ proxy_pass http://{dead}; }}",
        node.listen
    ))
    .await
    .unwrap();
    let bare = format!("ws://{}/bare", proxy.address);
    expect(
        &["--gateway", &bare, "--ingest", &place],
        2,
        &["gateway ws://", "does a proxy on the way leave out Upgrade and Connection?"],
    )
    .await;
    let away = format!("ws://{}/away", proxy.address);
    expect(&["--gateway", &away, "--ingest", &place], 2, &["refuses with 502", "the proxy in front"]).await;
    // Nobody was notified while no tab was open.
    assert_eq!(node.metric("bellwire_ingest_notifications_total", &["accepted"]).await.unwrap(), 0.0);
}

#[tokio::test]
async fn broken_ingests_are_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    let tokens = dir.path().join("tokens");
    std::fs::write(&tokens, "poller:a-token-that-is-long-enough\n").unwrap();
    let tokens = tokens.display().to_string();
    let node = Setup::new("standalone", "memory:").arg("--ingest-tokens-file").arg(&tokens).start().await.unwrap();
    let place = url(node.listen);
    expect(&["--gateway", &place, "--ingest", &place], 2, &["refuses the sender with 401", "--token-file"]).await;
    let args = ["--gateway", &place, "--ingest", &place, "--token-file", &tokens, "-w", "60", "-c", "60", "-t", "60"];
    expect(&args, 0, &["notify to tab"]).await;
    let dead = ports::free().to_string();
    expect(&["--gateway", &place, "--ingest", &dead], 2, &["ingest http://", "cannot be reached"]).await;
    expect(&["--gateway", &place, "--ingest", &node.admin.to_string()], 2, &["is no ingest (404)"]).await;
}

#[tokio::test]
async fn a_wrong_call_is_unknown() {
    for args in [
        &["--no-such-option"][..],
        &["-w", "fast"],
        &["-t", "0"],
        &["--gateway", "ftp://x"],
        &["--key-file", "/no/such/file"],
        &["--config", "/no/such/file"],
        &["--ca-file", "/no/such/file"],
    ] {
        let text = expect(args, 3, &[]).await;
        assert_eq!(text.lines().count(), 1, "{text}");
    }
    let mut command = program("bellwire");
    let (code, text) = said({
        command.arg("check");
        command
    })
    .await;
    assert!(code == 3 && text.contains("no shared key"), "{text}");
}

#[tokio::test]
async fn it_is_let_in_where_logins_are_checked_and_users_must_be_known() {
    let (login, database) = tokio::join!(Login::start(), MariaDb::start());
    let (login, database) = (login.unwrap(), database.unwrap());
    let cnf = database.cnf().display().to_string();
    let node = Setup::new("standalone", "memory:")
        .env("BELLWIRE_SESSION_CHECK", "required")
        .env("BELLWIRE_OPENITCOCKPIT_URL", url(login.address))
        .env("BELLWIRE_MYSQL_FILE", &cnf)
        .start()
        .await
        .unwrap();
    let place = url(node.listen);
    let args = ["--gateway", &place, "--ingest", &place, "-w", "60", "-c", "60", "-t", "60"];
    expect(&args, 0, &["notify to tab"]).await;

    // The key of the database, where nobody gives another one.
    database.set_key(KEY).await.unwrap();
    let mut command = program("bellwire");
    command.arg("check").args(args).env("BELLWIRE_MYSQL_FILE", &cnf);
    let (code, text) = said(command).await;
    assert_eq!(code, 0, "{text}");
}

#[tokio::test]
async fn tls_is_checked() {
    let node = standalone("memory:").await;
    let dir = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
    let (cert, key) = (dir.path().join("cert.pem"), dir.path().join("key.pem"));
    std::fs::write(&cert, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let tls = ports::free();
    let _proxy = Nginx::start(&format!(
        "listen {tls} ssl; ssl_certificate {}; ssl_certificate_key {}; location / {{ proxy_pass http://{}; \
         proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade; }}",
        cert.display(),
        key.display(),
        node.listen
    ))
    .await
    .unwrap();
    let (place, gateway) = (url(node.listen), format!("wss://localhost:{}/push_notifications", tls.port()));
    let ca = cert.display().to_string();
    let args = ["--gateway", &gateway, "--ingest", &place, "-w", "60", "-c", "60", "-t", "60"];
    expect(&[&args[..], &["--ca-file", &ca]].concat(), 0, &["notify to tab"]).await;
    expect(&args, 2, &["gateway wss://localhost", "TLS fails", "--ca-file names"]).await;
    let other = format!("wss://127.0.0.1:{}/", tls.port());
    expect(&["--gateway", &other, "--ingest", &place, "--ca-file", &ca], 2, &["TLS fails", "certificate"]).await;
}
