//! A standalone with every setting that brings metrics of its own, and a world around it that can be made to fail.

use std::fs;
use std::sync::Arc;

use bellwire_testkit::bellwire::{Bellwire, KEY, Setup};
use bellwire_testkit::certs::{self, Authority};
use bellwire_testkit::http::request_over;
use bellwire_testkit::login::Login;
use bellwire_testkit::ports;
use bellwire_testkit::tab::{Front, Profile};
use rustls::ClientConfig;
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

use crate::server::Target;

pub(crate) const NAMESPACE: &str = "spare";
const TOKEN: &str = "a-token-that-is-long-enough";
/// A warning, not yet critical.
const CERTIFICATE_DAYS: u64 = 5;
/// So that few tabs are many.
pub(crate) const SESSIONS_MAX: usize = 40;

pub(crate) struct Spare {
    pub(crate) node: Bellwire,
    /// openITCOCKPIT, as far as logins go.
    pub(crate) login: Login,
    authority: Authority,
    client: Arc<ClientConfig>,
    folder: TempDir,
}

impl Spare {
    /// Its database is not there.
    pub(crate) async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::write(&path, text).unwrap();
            path.display().to_string()
        };
        let authority = Authority::try_new("spare").unwrap();
        let (cert, key) = authority.server_for(CERTIFICATE_DAYS).unwrap().write(folder.path(), "server").unwrap();
        let keys = r#"{"keys":[{"kty":"oct","k":"c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldA"}]}"#;
        let nobody = ports::free();
        let mysql = format!("[client]\ndatabase=d\nuser=u\npassword=p\nhost={}\nport={}\n", nobody.ip(), nobody.port());
        let login = Login::start().await.unwrap();
        let set = [
            ("LOG", "memory:".to_owned()),
            ("SHARED_KEY_FILE", file("key", KEY)),
            ("OPENITCOCKPIT_URL", login.url()),
            ("MAX_SESSIONS", SESSIONS_MAX.to_string()),
            ("MYSQL_FILE", file("mysql.cnf", &mysql)),
            ("MOBILE_RELAY", "on".to_owned()),
            ("JWT_KEYS_FILE", file("keys.json", keys)),
            ("JWT_AUDIENCE", "bellwire".to_owned()),
            ("TLS_CERT_FILE", cert.display().to_string()),
            ("TLS_KEY_FILE", key.display().to_string()),
            ("INGEST_TOKENS_FILE", file("tokens", &format!("{TOKEN}\n"))),
        ];
        let setup = Setup::default().arg("standalone");
        let setup = set.into_iter().fold(setup, |setup, (name, value)| setup.env(&format!("BELLWIRE_{name}"), value));
        let client = authority.trusting(None).unwrap();
        Self { node: setup.start().await.unwrap(), login, authority, client, folder }
    }

    pub(crate) fn target(&self) -> Target {
        Target { job: "bellwire", namespace: NAMESPACE, admin: self.node.admin }
    }

    /// Posts with the right token; the status.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> u16 {
        self.post_as(TOKEN, path, body).await
    }

    pub(crate) async fn post_as(&self, token: &str, path: &str, body: &Value) -> u16 {
        let bearer = format!("Bearer {token}");
        let headers = [("content-type", "application/json"), ("authorization", bearer.as_str())];
        let body = body.to_string();
        let answer =
            request_over(Some(&self.client), self.node.listen, "POST", path, &headers, body.as_bytes()).await.unwrap();
        answer.status
    }

    /// Asks for an event stream with a user's token; the status.
    pub(crate) async fn listen_with(&self, token: &str) -> u16 {
        let bearer = format!("Bearer {token}");
        let headers = [("authorization", bearer.as_str())];
        let path = "/events?user=7&browser=b";
        request_over(Some(&self.client), self.node.listen, "GET", path, &headers, b"").await.unwrap().status
    }

    /// A V2 browser of a user who is logged in by this cookie.
    pub(crate) fn browser(&self, user: &str, name: &str, cookie: &str) -> Profile {
        let tls = Some(Arc::clone(&self.client));
        let profile = Profile::new(Front::V2, user, name, self.node.listen).header("cookie", cookie);
        Profile { tls, ..profile }
    }

    /// The status that the handshake of a V2 tab is answered with.
    pub(crate) async fn knock(&self, key: &str, headers: &[(&str, &str)]) -> u16 {
        let lines: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let request = format!(
            "GET /push_notifications?userId=7&browserUuid=b HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\n\
             upgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             sec-websocket-protocol: access_token, {key}\r\n{lines}\r\n"
        );
        let mut stream = certs::connect(self.node.listen, Some(&self.client)).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).await.unwrap();
        line.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_else(|| panic!("{line:?}"))
    }

    /// A new certificate for so many days, in place of that in use.
    pub(crate) fn renew_for(&self, days: u64) {
        self.authority.server_for(days).unwrap().write(self.folder.path(), "server").unwrap();
    }

    pub(crate) fn spoil_tokens(&self) {
        fs::write(self.folder.path().join("tokens"), "two words without an equals sign\n").unwrap();
    }
}
