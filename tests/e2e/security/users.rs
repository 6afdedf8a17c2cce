//! Nobody hears what is another user's, and no page of another site connects by somebody's login.

use std::net::SocketAddr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bellwire_common::ids::UnixMillis;
use bellwire_testkit::bellwire::{Bellwire, KEY, Setup};
use bellwire_testkit::login::Login;
use bellwire_testkit::nginx::Nginx;
use bellwire_testkit::tab::{Front, Profile, Tab};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use rcgen::KeyPair;
use serde_json::{Value, json};
use tempfile::NamedTempFile;

use super::{Ear, UPGRADE, get};
use crate::support::{FRONTS, PATIENCE, send};

/// The victim, 7, and who would like to hear what is for 7.
const VICTIM: &str = "PHPSESSID=login-of-seven";
const OTHER: &str = "PHPSESSID=login-of-eight";

const REFUSED: &str = "bellwire_gateway_handshakes_refused_total";

/// A node that checks logins and takes tokens.
struct Site {
    node: Bellwire,
    login: Login,
    signer: KeyPair,
    _keys: NamedTempFile,
}

impl Site {
    async fn start(origins: &str) -> Self {
        let login = Login::start().await.unwrap();
        login.log_in(VICTIM, 7);
        login.log_in(OTHER, 8);
        let (signer, keys) = (KeyPair::generate().unwrap(), NamedTempFile::new().unwrap());
        std::fs::write(keys.path(), signer.public_key_pem()).unwrap();
        let node = Setup::default()
            .arg("standalone")
            .env("BELLWIRE_LOG", "memory:")
            .env("BELLWIRE_SHARED_KEY", KEY)
            .env("BELLWIRE_OPENITCOCKPIT_URL", login.url())
            .env("BELLWIRE_ORIGINS", origins)
            .env("BELLWIRE_JWT_KEYS_FILE", keys.path().display().to_string())
            .env("BELLWIRE_JWT_AUDIENCE", "bellwire");
        Self { node: node.start().await.unwrap(), login, signer, _keys: keys }
    }

    fn token(&self, user: &str) -> String {
        sign(&self.signer, &Header::new(Algorithm::ES256), &claims(user))
    }

    async fn tab(&self, front: Front, user: &str, cookie: &str) -> Tab {
        let profile = Profile::new(front, user, &format!("browser-{front:?}"), self.node.listen);
        profile.header("cookie", cookie).open().await.unwrap()
    }
}

fn claims(user: &str) -> Value {
    let now = UnixMillis::now().0 / 1_000;
    json!({ "sub": user, "aud": "bellwire", "iat": now - 60, "exp": now + 300 })
}

fn sign(key: &KeyPair, header: &Header, claims: &Value) -> String {
    encode(header, claims, &EncodingKey::from_ec_pem(key.serialize_pem().as_bytes()).unwrap()).unwrap()
}

fn v1(user: &Value) -> String {
    v1_as("x", user)
}

fn v1_as(uuid: &str, user: &Value) -> String {
    let data = json!({ "userId": user, "browserUuid": "browser-V1" });
    json!({ "task": "register", "key": KEY, "uuid": uuid, "data": data }).to_string()
}

/// The payload of a registration has no user; what has one all the same gets nothing by it.
fn v2(uuid: &str) -> String {
    let payload = json!({ "clientUuid": uuid, "browserUuid": "browser-V2", "userId": 7, "user": 7 });
    json!({ "type": "RegisterBrowserPushNotification", "message": "", "payload": payload }).to_string()
}

fn hello(user: &str) -> String {
    json!({ "op": "hello", "user": user, "browser": "browser-Native" }).to_string()
}

/// What 8 has connected, and whether it has asked for nothing but what is 7's.
type Attempt = (Ear, bool);

/// Every way to ask for what is 7's, as 8. `round` is new each time.
async fn attempts(site: &Site, round: u8) -> Vec<Attempt> {
    let mut attempts = Vec::new();
    for (how, cookie) in [
        ("with no login", String::new()),
        ("with another login", format!("cookie: {OTHER}\r\n")),
        ("with another login and token", format!("cookie: {OTHER}; bellwire_token={}\r\n", site.token("8"))),
    ] {
        by_key(site, round, how, &cookie, &mut attempts).await;
    }
    by_token(site, &mut attempts).await;
    for (ear, _) in &mut attempts {
        match ear.status() {
            101 => ear.settle().await,
            200 => ear.until("\"welcome\"").await,
            _ => ear.until("nothing more").await,
        }
    }
    attempts
}

async fn by_key(site: &Site, round: u8, how: &str, cookie: &str, attempts: &mut Vec<Attempt>) {
    let key = |protocol: &str| format!("{UPGRADE}{cookie}sec-websocket-protocol: {protocol}, {KEY}\r\n");
    let mut open = async |what: String, only_seven: bool, head: String, says: &[String]| {
        attempts.push((Ear::open(site.node.listen, &format!("{what} {how}"), &head, says).await, only_seven));
    };
    for (query, only_seven) in [
        ("userId=7", true),
        ("userId=7&userId=8", true),
        ("user%49d=7", true),
        ("userId=8;userId=7&userId=7", true),
        ("userId=8&userId=7", false),
    ] {
        let target = format!("/push_notifications?{query}&browserUuid=browser-V2");
        open(query.to_owned(), only_seven, get(&target, &key("access_token")), &[v2("x"), v2("y")]).await;
    }
    for (users, only_seven) in [
        ([json!(7), json!(7)], true),
        ([json!(7), json!(8)], true),
        ([json!(8), json!(7)], false),
        ([json!("7"), json!([7])], false),
        ([json!(7.0), json!(8)], false),
    ] {
        let head = get("/push_notifications", &format!("{UPGRADE}{cookie}"));
        open(format!("V1 {users:?}"), only_seven, head, &users.each_ref().map(v1)).await;
    }
    for (users, only_seven) in [(["7", "7"], true), (["7", "8"], true), (["8", "7"], false)] {
        open(format!("native {users:?}"), only_seven, get("/", &key("bellwire.v1")), &users.map(hello)).await;
    }
    for (query, only_seven) in [("user=7", true), ("user=7&user=8", true), ("user=8&user=7", false)] {
        let lines = format!("{cookie}authorization: Bearer {KEY}\r\nconnection: close\r\n");
        let browser = if only_seven { "browser-Native".to_owned() } else { format!("{round}{}", how.len()) };
        let head = get(&format!("/events?{query}&browser={browser}"), &lines);
        open(format!("events {query}"), only_seven, head, &[]).await;
    }
}

async fn by_token(site: &Site, attempts: &mut Vec<Attempt>) {
    let (address, token) = (site.node.listen, site.token("8"));
    let native = format!("{UPGRADE}sec-websocket-protocol: bellwire.v1");
    for (what, lines) in [
        ("subprotocol", format!("{native}, {token}\r\n")),
        ("bearer", format!("{native}\r\nauthorization: Bearer {token}\r\n")),
        ("cookie", format!("{native}\r\ncookie: bellwire_token={token}; {OTHER}\r\n")),
    ] {
        for (users, only_seven) in [(["7", "7"], true), (["7", "8"], true), (["8", "7"], false)] {
            let name = format!("token by {what} {users:?}");
            attempts.push((Ear::open(address, &name, &get("/", &lines), &users.map(hello)).await, only_seven));
        }
    }
    for lines in [format!("authorization: Bearer {token}\r\n"), format!("cookie: bellwire_token={token}\r\n")] {
        let head = get("/events?user=7&browser=browser-Native", &format!("{lines}connection: close\r\n"));
        attempts.push((Ear::open(address, "events by token", &head, &[]).await, true));
    }
}

#[tokio::test]
async fn one_user_does_not_hear_another_in_any_protocol() {
    let site = Site::start("any").await;
    // Before the other user is there at all: a place that was taken then would count.
    let mut ears = attempts(&site, 1).await;
    let mut tabs = Vec::new();
    for front in FRONTS {
        tabs.push(site.tab(front, "7", VICTIM).await);
    }
    let key = site.token("7");
    tabs.push(Profile { key, ..Profile::new(Front::Native, "7", "by-token", site.node.listen) }.open().await.unwrap());
    ears.extend(attempts(&site, 2).await);
    for title in ["for-seven-1", "for-seven-2"] {
        send(site.node.listen, "7", title).await;
    }
    send(site.node.listen, "8", "for-eight").await;
    for tab in &tabs {
        tab.wait_shown(2).await.unwrap();
        tab.settle().await.unwrap();
        assert_eq!(tab.titles(), ["for-seven-1", "for-seven-2"], "each of them, once");
        assert!(tab.seen().ends.is_empty());
    }
    for (ear, only_seven) in &mut ears {
        match ear.status() {
            101 => ear.settle().await,
            200 => ear.until("for-eight").await,
            _ => {}
        }
        assert!(!ear.text().contains("for-seven"), "{}: {}", ear.name, ear.text());
        assert!(ear.is_over || !*only_seven, "{} stays: {}", ear.name, ear.text());
    }
    // These would have heard it: they hear what is their own.
    let own = ears.iter().filter(|(ear, _)| ear.text().contains("for-eight")).count();
    assert!(own >= 4, "{own}");
    for (metric, reason) in
        [(REFUSED, "session"), (REFUSED, "token"), ("bellwire_gateway_sessions_closed_total", "wrong_user")]
    {
        let label = format!("reason=\"{reason}\"");
        assert!(site.node.metric(metric, &[&label]).await.unwrap() > 0.0, "{metric} {reason}");
    }
}

/// The last value of this field in what was heard.
fn last(ear: &Ear, field: &str) -> String {
    let text = ear.text();
    let (_, rest) = text.rsplit_once(&format!("\"{field}\":\"")).unwrap_or_else(|| panic!("no {field}: {text}"));
    rest.split('"').next().unwrap().to_owned()
}

/// A tab of 7 that is shown something and says nothing to it; what it could have proved that with.
async fn shown(site: &Site, front: Front, title: &str) -> (Ear, String) {
    let cookie = format!("{UPGRADE}cookie: {VICTIM}\r\n");
    let head = match front {
        Front::V1 => get("/push_notifications", &cookie),
        Front::V2 => {
            let lines = format!("{cookie}sec-websocket-protocol: access_token, {KEY}\r\n");
            get("/push_notifications?userId=7&browserUuid=browser-V2", &lines)
        }
        Front::Native => get("/", &format!("{cookie}sec-websocket-protocol: bellwire.v1, {KEY}\r\n")),
    };
    let (register, field, again) = match front {
        Front::V1 => (v1(&json!(7)), "uuid", "\"type\":\"connection\""),
        Front::V2 => (v2("x"), "clientUuid", "ConnectionEstablished"),
        Front::Native => (hello("7"), "cursor", "\"op\":\"notification\""),
    };
    let mut ear = Ear::open(site.node.listen, title, &head, &[register]).await;
    ear.settle().await;
    let greeted = ear.times(again);
    send(site.node.listen, "7", title).await;
    ear.until(title).await;
    // The greeting is repeated with an id that stands for what was shown.
    ear.until_times(again, greeted + 1).await;
    let proof = last(&ear, field);
    (ear, proof)
}

/// Says on connections of others what only the tab itself can say.
async fn replay(site: &Site, front: Front, proof: &str) {
    for (user, cookie) in [(7, VICTIM), (8, OTHER)] {
        let lines = format!("{UPGRADE}cookie: {cookie}\r\n");
        let v2_target = format!("/push_notifications?userId={user}&browserUuid=another");
        let another = json!({ "userId": user, "browserUuid": "another" });
        let (head, says) = match front {
            Front::V1 => {
                let own = json!({ "task": "register", "key": KEY, "uuid": "x", "data": another }).to_string();
                (get("/push_notifications", &lines), [own, v1_as(proof, &json!(user))])
            }
            Front::V2 => {
                let lines = format!("{lines}sec-websocket-protocol: access_token, {KEY}\r\n");
                (get(&v2_target, &lines), [v2("x"), v2(proof)])
            }
            Front::Native => {
                let own = json!({ "op": "hello", "user": user.to_string(), "browser": "another" }).to_string();
                let lines = format!("{lines}sec-websocket-protocol: bellwire.v1, {KEY}\r\n");
                (get("/", &lines), [own, json!({ "op": "ack", "cursor": proof }).to_string()])
            }
        };
        let mut ear = Ear::open(site.node.listen, "a replay", &head, &says).await;
        ear.settle().await;
        assert_eq!(ear.status(), 101, "{}", ear.text());
    }
}

#[tokio::test]
async fn what_another_tab_would_prove_proves_nothing() {
    let site = Site::start("any").await;
    for front in FRONTS {
        let title = format!("unproved-{front:?}");
        let (ear, proof) = shown(&site, front, &title).await;
        replay(&site, front, &proof).await;
        drop(ear);
        // The browser's next tab is shown what the first one never had.
        let next = site.tab(front, "7", VICTIM).await;
        let shows = |titles: &bellwire_testkit::tab::Seen| titles.shown.iter().any(|shown| shown.title == title);
        next.wait("what nobody has confirmed", shows).await.unwrap();
        next.close().await.unwrap();
    }
}

/// What the handshakes of a browser that is logged in as 7 are answered with, in every protocol, from a page of this origin.
async fn from_page(address: SocketAddr, origin: &str, token: &str) -> Vec<u16> {
    let lines = format!("cookie: {VICTIM}\r\n{origin}");
    let with = |protocol: &str| format!("{UPGRADE}{lines}sec-websocket-protocol: {protocol}, {KEY}\r\n");
    let token = format!("{UPGRADE}cookie: bellwire_token={token}\r\n{origin}sec-websocket-protocol: bellwire.v1\r\n");
    let events = format!("{lines}authorization: Bearer {KEY}\r\nconnection: close\r\n");
    let mut statuses = Vec::new();
    for head in [
        get("/push_notifications?userId=7&browserUuid=b", &with("access_token")),
        get("/push_notifications", &format!("{UPGRADE}{lines}")),
        get("/push_notifications", &with("bellwire.v1")),
        get("/push_notifications", &token),
        get("/events?user=7&browser=b", &events),
    ] {
        statuses
            .push(Ear::open(address, origin, &head.replace("host: x", "host: monitoring.example"), &[]).await.status());
    }
    statuses
}

#[tokio::test]
async fn pages_of_other_sites_cannot_use_the_login_of_who_looks_at_them() {
    let site = Site::start("https://monitoring.example").await;
    let token = site.token("7");
    let lines = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/packaging/nginx/bellwire.conf")).unwrap();
    let lines = lines.replace("127.0.0.1:8083", &site.node.listen.to_string());
    let nginx = Nginx::start(&lines).await.unwrap();
    for (address, events) in [(site.node.listen, true), (nginx.address, false)] {
        let mut allowed = from_page(address, "origin: https://monitoring.example\r\n", &token).await;
        // The lines for nginx pass on one path.
        assert_eq!(allowed.pop(), Some(if events { 200 } else { 404 }));
        assert_eq!(allowed, [101; 4]);
        let asked = site.login.asked("");
        for origin in [
            "https://evil.example",
            "http://monitoring.example.evil.example",
            "https://monitoring.example.evil",
            "https://evil.monitoring.example",
            "https://evil-monitoring.example",
            "https://monitoring.example:8443",
            "https://monitoring.example@evil.example",
            "https://monitoring.example, https://evil.example",
            "https://monitoring.example\r\norigin: https://evil.example",
            "https://evil.example\r\norigin: https://monitoring.example",
            "https://monitoring.example\r\norigin: https://monitoring.example",
            "null",
            "file://",
            "",
        ] {
            let mut statuses = from_page(address, &format!("origin: {origin}\r\n"), &token).await;
            if !events {
                statuses.pop();
            }
            assert!(statuses.iter().all(|status| matches!(status, 400 | 401 | 403)), "{origin:?}: {statuses:?}");
            assert_eq!(statuses[..3], [403; 3], "{origin:?}");
        }
        assert_eq!(site.login.asked(""), asked, "openITCOCKPIT is not troubled");
    }
    assert!(site.node.metric(REFUSED, &["reason=\"origin\""]).await.unwrap() > 0.0);
}

/// A token as whoever forges it writes it.
fn forged(header: &Value, claims: &Value, signature: &str) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}.{signature}", part(header), part(claims))
}

fn with(mut claims: Value, field: &str, value: Value) -> Value {
    claims[field] = value;
    claims
}

#[tokio::test]
async fn forged_tokens_open_nothing() {
    let site = Site::start("any").await;
    let (good, es256) = (site.token("7"), Header::new(Algorithm::ES256));
    let signature = good.rsplit('.').next().unwrap();
    let (stranger, public) = (KeyPair::generate().unwrap(), site.signer.public_key_pem());
    let hs256 = |secret: &[u8]| {
        encode(&Header::new(Algorithm::HS256), &claims("7"), &EncodingKey::from_secret(secret)).unwrap()
    };
    let signed = |claims: &Value| sign(&site.signer, &es256, claims);
    let now = UnixMillis::now().0 / 1_000;
    let mut own_key = es256.clone();
    own_key.jku = Some("https://evil.example/jwks.json".to_owned());
    for (what, token, reason) in [
        ("unsigned", forged(&json!({ "alg": "none" }), &claims("7"), ""), "algorithm"),
        ("unsigned, in another case", forged(&json!({ "alg": "nOnE" }), &claims("7"), ""), "algorithm"),
        ("none with a signature", forged(&json!({ "alg": "none" }), &claims("7"), signature), "algorithm"),
        ("signed with the public key as a secret", hs256(public.as_bytes()), "unknown_key"),
        ("the same without the last line's end", hs256(public.trim_end().as_bytes()), "unknown_key"),
        ("the same with the bare key", hs256(site.signer.public_key_raw()), "unknown_key"),
        ("said to be RSA", forged(&json!({ "alg": "RS256" }), &claims("7"), signature), "unknown_key"),
        ("signed by a stranger", sign(&stranger, &es256, &claims("7")), "signature"),
        ("brings its key", sign(&stranger, &own_key, &claims("7")), "signature"),
        ("without a signature", forged(&json!({ "alg": "ES256" }), &claims("7"), ""), "signature"),
        ("for another user", forged(&json!({ "alg": "ES256" }), &claims("7"), signature), "signature"),
        ("expired", signed(&with(claims("7"), "exp", json!(now - 60))), "expired"),
        ("for ever", signed(&with(claims("7"), "exp", Value::Null)), "malformed"),
        ("not yet", signed(&with(claims("7"), "nbf", json!(now + 120))), "not_yet"),
        ("for another service", signed(&with(claims("7"), "aud", json!("else"))), "audience"),
        ("for no service", signed(&with(claims("7"), "aud", Value::Null)), "audience"),
        ("too large", signed(&with(claims("7"), "x", json!("x".repeat(4096)))), "too_large"),
    ] {
        let native = format!("{UPGRADE}sec-websocket-protocol: bellwire.v1");
        let label = format!("reason=\"{reason}\"");
        let before = site.node.metric("bellwire_gateway_tokens_refused_total", &[&label]).await.unwrap();
        for (target, lines) in [
            ("/", format!("{native}, {token}\r\n")),
            ("/", format!("{native}\r\nauthorization: Bearer {token}\r\n")),
            ("/", format!("{native}\r\ncookie: bellwire_token={token}\r\n")),
            ("/events?user=7&browser=b", format!("authorization: Bearer {token}\r\nconnection: close\r\n")),
        ] {
            let ear = Ear::open(site.node.listen, what, &get(target, &lines), &[]).await;
            assert_eq!(ear.status(), 401, "{what}: {}", ear.text());
        }
        site.node
            .wait_metric("bellwire_gateway_tokens_refused_total", &[&label], before + 4.0, PATIENCE)
            .await
            .unwrap_or_else(|error| panic!("{what}: {error:#}"));
    }
    let lines = format!("{UPGRADE}sec-websocket-protocol: bellwire.v1, {good}\r\n");
    assert_eq!(Ear::open(site.node.listen, "good", &get("/", &lines), &[]).await.status(), 101);
}
