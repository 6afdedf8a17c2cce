//! The doctor, on things that are really broken.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use bellwire_testkit::bellwire::{KEY, Setup};
use bellwire_testkit::broker::Broker;
use bellwire_testkit::certs::Authority;
use bellwire_testkit::mariadb::{self, MariaDb};
use bellwire_testkit::nginx::Nginx;
use bellwire_testkit::ports;
use tokio::process::Command;

use crate::support::{embedded, program, standalone};

/// Free addresses, and an empty home.
fn doctor(home: &Path, args: &[&str]) -> Command {
    let mut command = program("bellwire");
    command.arg("doctor").args(args).env("HOME", home);
    command.env("BELLWIRE_LISTEN", ports::free().to_string()).env("BELLWIRE_ADMIN_LISTEN", ports::free().to_string());
    command
}

/// A key is enough for it, and that is said.
fn with_key(mut command: Command) -> Command {
    command.env("BELLWIRE_SHARED_KEY", "0123456789abcdef".repeat(10)).env("BELLWIRE_SESSION_CHECK", "key-only");
    command
}

/// Its lines contain these; the exit code tells whether one has failed.
async fn expect(mut command: Command, lines: &[&str]) -> String {
    let output = command.output().await.unwrap();
    let (text, stderr) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    for line in lines {
        assert!(text.contains(line), "{line}:\n{text}{stderr}");
    }
    let failed = text.lines().any(|line| line.starts_with("FAIL "));
    assert_eq!(output.status.code(), Some(i32::from(failed)), "{text}{stderr}");
    for line in text.lines() {
        assert!(["ok   ", "warn ", "FAIL "].iter().any(|word| line.starts_with(word)), "{line}");
    }
    text
}

#[tokio::test]
async fn a_fresh_machine_is_well() {
    let home = tempfile::tempdir().unwrap();
    let text = expect(
        doctor(home.path(), &[]),
        &["ok   settings: all are valid", "ok   node: at admin-listen", "ok   key: none is set", "is free", " log: "],
    )
    .await;
    assert!(!text.contains("FAIL "), "{text}");
    assert!(home.path().read_dir().unwrap().next().is_none(), "nothing was made");
}

#[tokio::test]
async fn beside_a_running_node_it_takes_nothing_away() {
    let dir = tempfile::tempdir().unwrap();
    let node = standalone(&embedded(&dir)).await;
    let mut command = with_key(doctor(dir.path(), &["--log", &embedded(&dir)]));
    command.env("BELLWIRE_LISTEN", node.listen.to_string()).env("BELLWIRE_ADMIN_LISTEN", node.admin.to_string());
    let lines = [
        "runs at admin-listen",
        "and is ready",
        "ok   listen: listen",
        "is held, and bellwire runs here",
        "(the node that runs)",
        "is in use by a node",
        "ok   key: 160 characters",
        "warn key: whoever has the key can listen as any user",
    ];
    let text = expect(command, &lines).await;
    assert!(!text.contains("FAIL "), "{text}");
}

#[tokio::test]
async fn wrong_settings_are_all_named() {
    let home = tempfile::tempdir().unwrap();
    let mut command = doctor(home.path(), &["gateway", "--shards", "65", "--ttl", "never"]);
    command.env("BELLWIRE_SHRADS", "4");
    let text = expect(command, &["FAIL settings: BELLWIRE_SHRADS"]).await;
    assert!(text.contains("did you mean"), "{text}");
    let command = doctor(home.path(), &["gateway", "--shards", "65", "--ttl", "never"]);
    expect(command, &["FAIL settings: shards", "FAIL settings: ttl", "FAIL settings: log"]).await;
    for wrong in
        [&["--idle", "9"][..], &["--through", "ftp://x"], &["gateway", "--through", "ftp://x", "--shards", "65"]]
    {
        let output = doctor(home.path(), wrong).output().await.unwrap();
        let (code, stderr) = (output.status.code(), String::from_utf8(output.stderr).unwrap());
        assert!(code == Some(64) && stderr.contains("--help"), "{code:?} {stderr}");
    }
    // Nobody can read what it found: that is no fault of the call.
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let status = doctor(home.path(), &[]).stdout(full).status().await.unwrap();
    assert_eq!(status.code(), Some(1));
}

#[tokio::test]
async fn secrets_that_others_read_and_guess_have_failed() {
    let home = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str, mode: u32| {
        let path = home.path().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        path.display().to_string()
    };
    let (key, tokens) = (file("key", "secret-key\n", 0o644), file("tokens", "short\n", 0o600));
    let args = ["--shared-key-file", &key, "--session-check", "key-only", "--ingest-tokens-file", &tokens];
    let lines = [
        "FAIL secrets: shared-key-file",
        "chmod 640 ",
        "FAIL key: 10 characters",
        "ok   secrets: ingest-tokens-file",
        "warn tokens: ",
        "line 1",
    ];
    let text = expect(doctor(home.path(), &args), &lines).await;
    assert!(!text.contains("secret-key"), "{text}");
}

#[tokio::test]
async fn a_taken_port_and_a_log_that_cannot_be_written_have_failed() {
    let home = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let file = home.path().join("file");
    std::fs::write(&file, "").unwrap();
    let mut command = doctor(home.path(), &[]);
    command.env("BELLWIRE_LISTEN", taken.local_addr().unwrap().to_string());
    expect(command, &["FAIL listen: listen", "is taken by another program"]).await;
    let log = format!("embedded:{}", file.join("log").display());
    expect(doctor(home.path(), &["--log", &log]), &["FAIL log: ", "file is no directory"]).await;
}

#[tokio::test]
async fn the_broker_is_asked() {
    let home = tempfile::tempdir().unwrap();
    let broker = Broker::start().await.unwrap();
    let url = broker.url();
    let text = expect(with_key(doctor(home.path(), &["gateway", "--log", &url])), &["ok   log: amqp://"]).await;
    assert!(text.contains("takes our login, and has the 4 streams"), "{text}");
    // While the number of shards changes a gateway needs those of both.
    let both = ["takes our login, and has the 4 streams", "takes our login, and has the 7 streams"];
    expect(with_key(doctor(home.path(), &["gateway", "--shards-also", "7", "--log", &url])), &both).await;
    let wrong = url.replacen("://", "://nobody:wrong@", 1);
    let wrong =
        if url.contains('@') { format!("amqp://nobody:wrong@{}", url.rsplit_once('@').unwrap().1) } else { wrong };
    let text = expect(
        with_key(doctor(home.path(), &["gateway", "--log", &wrong])),
        &["FAIL log: amqp://", "Login was refused"],
    )
    .await;
    assert!(!text.contains("nobody:wrong"), "{text}");
    let dead = format!("amqp://{}", ports::free());
    expect(with_key(doctor(home.path(), &["ingest", "--log", &dead])), &["FAIL log: amqp://", "Connection refused"])
        .await;
}

/// Stands in for openITCOCKPIT: this status at its login check, with this header and body.
async fn site(status: u16, header: (&'static str, &'static str), body: &'static str) -> String {
    let answer = move || async move { (StatusCode::from_u16(status).unwrap(), [header], body) };
    let router = Router::new().route("/angular/push_configuration.json", get(answer));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

#[tokio::test]
async fn openitcockpit_is_asked_and_so_is_its_clock() {
    let home = tempfile::tempdir().unwrap();
    let asked = |url: &str| {
        let mut command = doctor(home.path(), &["--openitcockpit-url", url]);
        command.env("BELLWIRE_SHARED_KEY", KEY);
        command
    };
    let lines = ["ok   openitcockpit: http://127.0.0.1:", "without one it answers 401", "ok   clock: "];
    let plain = ("x-nothing", "");
    let text = expect(asked(&site(401, plain, "").await), &lines).await;
    assert!(!text.contains("session-check=key-only"), "{text}");
    let lines = ["warn clock: ", " s behind this machine's"];
    expect(asked(&site(401, ("date", "Wed, 01 Jan 2020 00:00:00 GMT"), "").await), &lines).await;
    let user = r#"{"user":{"id":7}}"#;
    expect(asked(&site(200, plain, user).await), &["FAIL openitcockpit: ", "user 7 without any cookie"]).await;
    let to_login = ("location", "/users/login?redirect=%2Fangular");
    expect(asked(&site(302, to_login, "").await), &["ok   openitcockpit: ", "without one it answers 302"]).await;
    expect(asked(&site(302, plain, "").await), &["FAIL openitcockpit: ", "redirects (302)"]).await;
    expect(asked(&site(403, plain, "").await), &["ok   openitcockpit: "]).await;
    expect(asked(&site(404, plain, "").await), &["FAIL openitcockpit: ", "no login check (404)"]).await;
    let dead = format!("http://{}", ports::free());
    expect(asked(&dead), &["FAIL openitcockpit: ", "is the address right"]).await;
}

#[tokio::test]
async fn a_proxy_is_looked_through() {
    let home = tempfile::tempdir().unwrap();
    let node = Setup::new("standalone", "memory:").start().await.unwrap();
    let upgrade =
        "proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;";
    let proxy = Nginx::start(&format!(
        "location = /good {{ proxy_pass http://{0}; {upgrade} }}
         location = /quick {{ proxy_pass http://{0}; {upgrade} proxy_read_timeout 1s; }}
         location = /bare {{ proxy_pass http://{0}; }}
         location = /away {{ proxy_pass http://{1}; {upgrade} }}",
        node.listen,
        ports::free()
    ))
    .await
    .unwrap();
    let through = |path: &str, idle: &str| {
        let url = format!("ws://{}{path}", proxy.address);
        let mut command = doctor(home.path(), &["--through", &url, "--idle", idle]);
        command.env("BELLWIRE_SHARED_KEY", KEY).env("BELLWIRE_SESSION_CHECK", "key-only");
        command
    };
    let lines = ["ok   through: ws://", "lets WebSockets through", "left a quiet tab alone for 2 s"];
    expect(through("/good", "2"), &lines).await;
    expect(through("/quick", "20"), &["FAIL through: ", "cut a quiet tab after", "proxy_read_timeout"]).await;
    expect(through("/bare", "0"), &["FAIL through: ", "does not pass on the handshake", "proxy_set_header Upgrade"])
        .await;
    expect(through("/away", "0"), &["FAIL through: ", "reaches no gateway"]).await;
}

#[tokio::test]
async fn the_database_is_asked() {
    let home = tempfile::tempdir().unwrap();
    let database = MariaDb::start().await.unwrap();
    let cnf = database.cnf();
    std::fs::set_permissions(&cnf, std::fs::Permissions::from_mode(0o660)).unwrap();
    let cnf = cnf.display().to_string();
    let asked = |key: &str| {
        let mut command = doctor(home.path(), &["--mysql-file", &cnf]);
        command.env("BELLWIRE_SESSION_CHECK", "key-only").env("BELLWIRE_SHARED_KEY", key);
        command
    };
    expect(asked(""), &["FAIL key: openITCOCKPIT's database has no SUDO_SERVER.API_KEY"]).await;
    let hex = "0123456789abcdef".repeat(10);
    database.set_key(&hex).await.unwrap();
    let lines = [
        "ok   database: the one of",
        "ok   key: none is set here: that of openITCOCKPIT's database counts",
        "ok   key: 160 characters",
        "ok   clock: that of the database agrees",
    ];
    let text = expect(asked(""), &lines).await;
    assert!(!text.contains("FAIL ") && !text.contains(&hex), "{text}");
    expect(asked("another-key-that-is-long-enough-too"), &["FAIL key: it is not that of openITCOCKPIT's database"])
        .await;
    expect(asked(&hex), &["ok   key: it is that of openITCOCKPIT's database"]).await;

    for host in ["localhost", "127.0.0.1"] {
        let (user, base) = (mariadb::USER, mariadb::DATABASE);
        let sql = format!(
            "REVOKE SELECT ON {base}.* FROM '{user}'@'{host}';\nGRANT SELECT ON {base}.users TO '{user}'@'{host}'"
        );
        database.run(&sql).await.unwrap();
    }
    let lines = ["FAIL database: hosts cannot be read", "GRANT SELECT", "FAIL database: systemsettings"];
    let text = expect(asked(""), &lines).await;
    assert!(!text.contains("users cannot be read"), "{text}");
    drop(database);
}

#[tokio::test]
async fn a_database_that_is_away_has_failed() {
    let home = tempfile::tempdir().unwrap();
    let cnf = home.path().join("mysql.cnf");
    let dead = ports::free();
    let text =
        format!("[client]\ndatabase = d\nuser = u\npassword = s3cret\nhost = {}\nport = {}\n", dead.ip(), dead.port());
    std::fs::write(&cnf, text).unwrap();
    std::fs::set_permissions(&cnf, std::fs::Permissions::from_mode(0o600)).unwrap();
    let mut command = doctor(home.path(), &["ingest", "--log", "amqp://127.0.0.1:1", "--mysql-file"]);
    command.arg(&cnf);
    let text = expect(command, &["FAIL database: the one of", "UUIDs in place of names"]).await;
    assert!(!text.contains("s3cret"), "{text}");
}

#[tokio::test]
async fn keys_of_tokens_are_read() {
    let home = tempfile::tempdir().unwrap();
    let keys = home.path().join("keys.json");
    let asked = |text: &str| {
        std::fs::write(&keys, text).unwrap();
        let mut command = doctor(home.path(), &["--jwt-audience", "bellwire", "--jwt-keys-file"]);
        command.arg(&keys);
        command
    };
    let oct = r#"{"keys":[{"kty":"oct","k":"c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldA"}]}"#;
    expect(asked(oct), &["ok   jwt: ", "has keys that tokens can be checked with"]).await;
    expect(asked("{}"), &["FAIL jwt: ", "keys must be a JWKS"]).await;
}

#[tokio::test]
async fn keys_at_openitcockpits_own_address_are_fetched_with_its_authority() {
    let home = tempfile::tempdir().unwrap();
    let authority = Authority::try_new("ours").unwrap();
    let (cert, key) = authority.server().unwrap().write(home.path(), "server").unwrap();
    let ca = home.path().join("ca.pem");
    std::fs::write(&ca, authority.pem()).unwrap();
    let keys = r#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
    let tls = ports::free();
    let _site = Nginx::start(&format!(
        "listen {tls} ssl; ssl_certificate {}; ssl_certificate_key {}; \
         location = /keys {{ default_type application/json; return 200 '{keys}'; }} location / {{ return 401; }}",
        cert.display(),
        key.display(),
    ))
    .await
    .unwrap();
    let origin = format!("https://{tls}");
    let mut command = doctor(home.path(), &["--jwt-audience", "bellwire", "--openitcockpit-url", &origin]);
    command.args(["--jwt-keys-url", &format!("{origin}/keys"), "--openitcockpit-ca-file"]).arg(&ca);
    expect(command, &["ok   jwt: https://127.0.0.1:", "ok   openitcockpit: https://127.0.0.1:"]).await;
}
