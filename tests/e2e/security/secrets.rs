//! What nobody may read stands in nothing that a process writes or shows, however much it is told to write.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Output;

use bellwire_testkit::bellwire::{Bellwire, Setup};
use bellwire_testkit::broker::Broker;
use bellwire_testkit::http::{get, request};
use bellwire_testkit::login::{Login, Mood};
use bellwire_testkit::mariadb::{MariaDb, PASSWORD};
use bellwire_testkit::ports;
use serde_json::json;
use tempfile::TempDir;
use tokio::process::Command;

use super::{Ear, UPGRADE, get as head};
use crate::support::{embedded, program};

const KEY: &str = "secret-shared-key-of-more-than-thirty-two-characters";
const WRONG_KEY: &str = "secret-key-that-is-wrong";
const TOKEN: &str = "secret-token-of-a-sender";
const WRONG_TOKEN: &str = "secret-token-that-is-wrong";
const COOKIE: &str = "PHPSESSID=secret-login";
const SIGNER: &str = "secret-of-the-tokens-signature-32-bytes-or-more";
const AMQP: &str = "secret-pass-of-rabbitmq";
const RELAY: &str = "secret-key-of-the-relay";
const TEXT: &str = "secret-text-of-a-notification";

/// Everything that tells; a JWT by its parts.
fn secrets(token: &str) -> Vec<String> {
    let mut secrets = [KEY, WRONG_KEY, TOKEN, WRONG_TOKEN, "secret-login", SIGNER, AMQP, RELAY, TEXT, PASSWORD]
        .map(str::to_owned)
        .to_vec();
    // As the process reads it, and as an address would have it.
    secrets.extend([r#"p#a;s's"#, "p%23a"].map(str::to_owned));
    secrets.extend(token.split('.').map(str::to_owned));
    secrets
}

/// The files that hold secrets, and what all roles are told.
struct Place {
    folder: TempDir,
    login: Login,
    /// Must stay.
    _database: MariaDb,
    cnf: String,
    token: String,
}

impl Place {
    async fn new() -> Self {
        let (login, database) = (Login::start().await.unwrap(), MariaDb::start().await.unwrap());
        login.log_in(COOKIE, 7);
        let uuid = |n: u8| format!("{n}{n}{n}{n}{n}{n}{n}{n}-5b1a-40b4-b614-17837dc376af");
        database.seed(&uuid(1), &uuid(2), &uuid(3), KEY).await.unwrap();
        let relay = "INSERT INTO push_notifications_relay (address, port, auth_key, enabled) VALUES";
        database
            .run(&format!("{relay} ('https://127.0.0.1/x', {}, '{RELAY}', 1)", ports::free().port()))
            .await
            .unwrap();
        database.run("INSERT INTO mobile_devices (user_id, device_id) VALUES (7, 'device')").await.unwrap();
        // Asked once: it is written anew each time.
        let cnf = database.cnf().display().to_string();
        let folder = tempfile::tempdir().unwrap();
        let place = Self { folder, login, _database: database, cnf, token: token() };
        let jwks = json!({ "keys": [{ "kty": "oct", "k": base64url(SIGNER.as_bytes()) }] });
        for (name, text) in [
            ("key", format!("{KEY}\n")),
            ("tokens", format!("sender:{TOKEN}\n")),
            ("jwks", jwks.to_string()),
            ("amqp", format!("{AMQP}\n")),
        ] {
            fs::write(place.folder.path().join(name), text).unwrap();
        }
        place
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// As settings of the environment; `role` does not know all of them.
    fn env(&self, role: &str, log: &str, format: &str) -> Vec<(&'static str, String)> {
        let mut env = vec![
            ("BELLWIRE_LOG", log.to_owned()),
            ("BELLWIRE_LOG_FORMAT", format.to_owned()),
            ("BELLWIRE_LOG_LEVEL", "trace,lapin=trace".to_owned()),
            ("BELLWIRE_MYSQL_FILE", self.cnf.clone()),
        ];
        if log.starts_with("amqp") {
            env.push(("BELLWIRE_AMQP_PASSWORD_FILE", self.path("amqp")));
        }
        if role != "gateway" {
            env.push(("BELLWIRE_INGEST_TOKENS_FILE", self.path("tokens")));
        }
        if role != "ingest" {
            env.extend([
                ("BELLWIRE_SHARED_KEY_FILE", self.path("key")),
                ("BELLWIRE_OPENITCOCKPIT_URL", self.login.url()),
                ("BELLWIRE_JWT_KEYS_FILE", self.path("jwks")),
                ("BELLWIRE_JWT_AUDIENCE", "bellwire".to_owned()),
                ("BELLWIRE_MOBILE_RELAY", "on".to_owned()),
            ]);
        }
        env
    }

    async fn start(&self, role: &str, log: &str, format: &str) -> Bellwire {
        let setup = Setup::default().arg(role);
        self.env(role, log, format)
            .into_iter()
            .fold(setup, |setup, (name, value)| setup.env(name, value))
            .start()
            .await
            .unwrap()
    }

    /// What a command of the program says with the settings of a role.
    async fn said(&self, command: &str, role: &str, log: &str) -> String {
        let mut program = program("bellwire");
        program.args([command, role]).envs(self.env(role, log, "text")).env("HOME", self.folder.path());
        all(&output(program).await)
    }
}

async fn output(mut command: Command) -> Output {
    command.output().await.unwrap()
}

fn all(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned()
}

fn base64url(bytes: &[u8]) -> String {
    use base64::Engine;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
}

fn token() -> String {
    use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
    let now = bellwire_common::ids::UnixMillis::now().0 / 1_000;
    let claims = json!({ "sub": "7", "aud": "bellwire", "iat": now, "exp": now + 300 });
    encode(&Header::new(Algorithm::HS256), &claims, &EncodingKey::from_secret(SIGNER.as_bytes())).unwrap()
}

/// Good and bad tabs of every protocol, secrets wherever a client can put them.
async fn listen(address: SocketAddr, place: &Place) -> usize {
    let token = &place.token;
    let (cookie, broken) = (format!("cookie: {COOKIE}\r\n"), format!("{token}x"));
    let upgrade = |rest: &str| format!("{UPGRADE}{cookie}{rest}\r\n");
    let register = |key: &str| {
        json!({ "task": "register", "key": key, "uuid": "x", "data": { "userId": 7, "browserUuid": "b" } }).to_string()
    };
    let hello = json!({ "op": "hello", "user": "7", "browser": "n" }).to_string();
    let v2 = "/push_notifications?userId=7&browserUuid=v2";
    let mut opened = 0;
    for (target, lines, say) in [
        (v2, upgrade(&format!("sec-websocket-protocol: access_token, {KEY}")), String::new()),
        (v2, upgrade(&format!("sec-websocket-protocol: access_token, {WRONG_KEY}")), String::new()),
        (
            v2,
            upgrade(&format!("sec-websocket-protocol: access_token, {KEY}\r\norigin: https://evil.example")),
            String::new(),
        ),
        (&format!("{v2}&key={WRONG_KEY}"), upgrade(&format!("sec-websocket-protocol: {WRONG_KEY}")), String::new()),
        ("/push_notifications", upgrade("x: y"), register(KEY)),
        ("/push_notifications", upgrade("x: y"), register(WRONG_KEY)),
        ("/push_notifications", upgrade("x: y"), format!("{WRONG_KEY} is no JSON")),
        ("/", upgrade(&format!("sec-websocket-protocol: bellwire.v1, {token}")), hello.clone()),
        ("/", upgrade(&format!("sec-websocket-protocol: bellwire.v1, {broken}")), hello.clone()),
        (
            "/",
            format!("{UPGRADE}cookie: bellwire_token={token}\r\nsec-websocket-protocol: bellwire.v1\r\n"),
            hello.clone(),
        ),
        ("/events?user=7&browser=e", format!("authorization: Bearer {token}\r\n"), String::new()),
        ("/events?user=7&browser=e", format!("authorization: Bearer {broken}\r\nconnection: close\r\n"), String::new()),
        (
            "/events?user=7&browser=e",
            format!("authorization: Bearer {WRONG_KEY}\r\nconnection: close\r\n"),
            String::new(),
        ),
        ("/healthz", format!("content-length: {WRONG_KEY}\r\n"), String::new()),
        ("/healthz", format!("x: {}{WRONG_KEY}\r\n", "y".repeat(20_000)), String::new()),
    ] {
        let says: Vec<String> = if say.is_empty() { Vec::new() } else { vec![say] };
        let mut ear = Ear::open(address, target, &head(target, &lines), &says).await;
        if ear.status() == 101 {
            ear.settle().await;
            opened += usize::from(!ear.is_over);
        }
    }
    opened
}

/// Good and bad senders.
async fn send(address: SocketAddr) {
    let message = json!({ "user": "7", "title": TEXT, "body": TEXT }).to_string();
    let lies = format!(r#"{{"user":"{}","title":"{TEXT}"}}"#, "x".repeat(99));
    for (token, path, body, status) in [
        (TOKEN, "/v1/notifications", &message, 202),
        (TOKEN, "/v1/notifications", &lies, 400),
        (TOKEN, "/v1/notifications", &TEXT.to_owned(), 400),
        (TOKEN, "/message", &message, 400),
        (WRONG_TOKEN, "/v1/notifications", &message, 401),
    ] {
        let headers = [("authorization", &format!("Bearer {token}")[..])];
        let answer = request(address, "POST", path, &headers, body.as_bytes()).await.unwrap();
        assert_eq!(answer.status, status, "{}", answer.text());
    }
}

/// All that a node has written, and what it shows those who ask.
async fn shown(node: &mut Bellwire) -> String {
    let mut text = String::new();
    for path in ["/metrics", "/trace?user=7", "/readyz", "/trace?user=secret", "/nothing"] {
        text += &get(node.admin, path).await.unwrap().text();
    }
    text += &fs::read_to_string(format!("/proc/{}/cmdline", node.process().pid())).unwrap();
    node.stop().await.unwrap();
    text + &node.process().output()
}

fn expect_none(what: &str, text: &str, secrets: &[String]) {
    for secret in secrets {
        assert!(!text.contains(secret.as_str()), "{secret} is in what {what} shows:\n{text}");
    }
    // Nothing was looked at, or a secret was written otherwise than it was looked for.
    assert!(!text.is_empty() && !text.contains("secret-"), "{what}:\n{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_secret_is_in_what_processes_write_and_show() {
    let (place, broker) = tokio::join!(Place::new(), Broker::start());
    let broker = broker.unwrap();
    broker.rabbitmqctl(&["add_user", "bell", AMQP]).await.unwrap();
    broker.rabbitmqctl(&["set_permissions", "bell", ".*", ".*", ".*"]).await.unwrap();
    let amqp = format!("amqp://bell@127.0.0.1:{}", broker.port());
    let log = embedded(&place.folder);
    let (standalone, ingest, gateway) = tokio::join!(
        place.start("standalone", &log, "text"),
        place.start("ingest", &amqp, "text"),
        place.start("gateway", &amqp, "json"),
    );
    let (secrets, mut nodes) = (secrets(&place.token), [standalone, ingest, gateway]);
    for (listens, sends) in [(0, 0), (2, 1)] {
        assert!(listen(nodes[listens].listen, &place).await >= 4, "V1, V2 and both tokens");
        send(nodes[sends].listen).await;
    }
    // What fails on the other side is told, too.
    place.login.set(Mood::Away);
    listen(nodes[0].listen, &place).await;
    fs::write(place.path("tokens"), format!("{WRONG_TOKEN} {WRONG_TOKEN}=x\n")).unwrap();
    fs::write(place.path("key"), format!("{WRONG_KEY} é\n")).unwrap();
    fs::write(place.path("jwks"), format!("{{\"keys\": \"{SIGNER}\"")).unwrap();
    for (node, words) in nodes.iter().zip([&["tokens", "key", "jwks"][..], &["tokens"], &["key", "jwks"]]) {
        for file in words {
            node.process().line(&place.path(file), crate::support::PATIENCE).await.unwrap();
        }
    }
    for (role, log) in [("standalone", &log), ("ingest", &amqp), ("gateway", &amqp)] {
        for command in ["config", "doctor"] {
            expect_none(&format!("{command} {role}"), &place.said(command, role, log).await, &secrets);
        }
    }
    for node in &mut nodes {
        let text = shown(node).await;
        assert!(text.contains("DEBUG") && text.len() > 10_000, "{text}");
        expect_none("a node", &text, &secrets);
    }
}

#[tokio::test]
async fn settings_that_are_refused_are_not_quoted_where_they_may_be_secret() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| write(&folder, name, text);
    for (name, value) in [
        ("BELLWIRE_SHARED_KEY", "secret-key é".to_owned()),
        ("BELLWIRE_SHARED_KEY", format!("secret-{}", "x".repeat(2_000))),
        ("BELLWIRE_SHARED_KEE", "secret-key".to_owned()),
        ("BELLWIRE_LOG", "amqp://u:secret-pass@h:99999999".to_owned()),
        ("BELLWIRE_LOG", "amqp//u:secret-pass@h".to_owned()),
        ("BELLWIRE_LOG", "u:secret-pass@h".to_owned()),
        ("BELLWIRE_LOG", "secret-pass".to_owned()),
        ("BELLWIRE_AMQP_PASSWORD", "secret-pass".to_owned()),
        ("BELLWIRE_OPENITCOCKPIT_URL", "https://u:secret-pass@h/x".to_owned()),
        ("BELLWIRE_ORIGINS", "https://u:secret-pass@h".to_owned()),
        ("BELLWIRE_JWT_KEYS_URL", "https://u:secret-pass@h/jwks".to_owned()),
        ("BELLWIRE_INGEST_TOKENS_FILE", file("tokens", "secret-token secret-word\n")),
        ("BELLWIRE_SHARED_KEY_FILE", file("key", "secret-key é\n")),
        ("BELLWIRE_MYSQL_FILE", file("cnf", "[client]\npassword = secret-pass\nport = secret-port\n")),
        ("BELLWIRE_CONFIG", file("toml", "shared-key = secret-key\n")),
        ("BELLWIRE_CONFIG", file("more.toml", "shraed-key = \"secret-key\"\nlog = [\"secret\"]\nttl = \"x\"\n")),
    ] {
        for (command, ends) in [("config", true), ("doctor", false), ("standalone", true)] {
            let mut program = program("bellwire");
            program.args([command].into_iter().chain((command != "standalone").then_some("standalone")));
            program.env("HOME", folder.path()).env(name, &value);
            for setting in ["BELLWIRE_LISTEN", "BELLWIRE_ADMIN_LISTEN"] {
                program.env(setting, ports::free().to_string());
            }
            let output = output(program).await;
            let text = all(&output);
            assert!(!text.contains("secret-"), "{command} {name}={value}:\n{text}");
            assert!(!ends || output.status.code() == Some(64), "{command} {name}={value}:\n{text}");
        }
    }
}

fn write(folder: &TempDir, name: &str, text: &str) -> String {
    let path: &Path = &folder.path().join(name);
    fs::write(path, text).unwrap();
    path.display().to_string()
}
