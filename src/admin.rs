//! A node's admin server, asked from the machine that it runs on.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, anyhow};
use clap::{Arg, ArgMatches};

use bellwire_common::fetch::{Answer, Client, FetchError, Terms};
use bellwire_common::http::SPEAKS_TLS;
use bellwire_common::settings::defaults;

use crate::place::reachable;

/// Where a node's admin server listens unless told otherwise.
pub(crate) const ADMIN: SocketAddr = defaults::ADMIN.address;
const ADMIN_ENV: &str = "BELLWIRE_ADMIN_LISTEN";

/// Questions at one time.
const CONCURRENCY: usize = 3;
const DETAIL_CHARS_MAX: usize = 200;

/// The flag `--admin`, for commands that ask one node.
pub(crate) fn arg() -> Arg {
    let help = format!("The node's admin-listen [default: $BELLWIRE_ADMIN_LISTEN, else {ADMIN}]");
    Arg::new("admin").long("admin").value_name("IP:PORT").help(help)
}

/// Whom the flag, or else the environment, means.
pub(crate) fn address(flags: &ArgMatches, env: &BTreeMap<String, String>) -> Result<SocketAddr, String> {
    let from_env = || env.get(ADMIN_ENV).filter(|text| !text.is_empty());
    match (flags.get_one::<String>("admin"), from_env()) {
        (Some(text), _) => parsed(text, "--admin"),
        (None, Some(text)) => parsed(text, ADMIN_ENV),
        (None, None) => Ok(ADMIN),
    }
}

/// An address to connect to: a node that listens everywhere is reached on loopback.
pub(crate) fn parsed(text: &str, source: &str) -> Result<SocketAddr, String> {
    let on_loopback = text.strip_prefix("localhost:").map(|port| format!("127.0.0.1:{port}"));
    let address: SocketAddr = on_loopback
        .as_deref()
        .unwrap_or(text)
        .parse()
        .map_err(|_| format!("{source}: {text:?} is not IP:PORT, such as {ADMIN} or [::1]:{}", ADMIN.port()))?;
    if address.port() == 0 {
        return Err(format!("{source}: port 0 is any; the node's log says which it got (admin=...)"));
    }
    Ok(reachable(address))
}

/// See the module. It finds out by itself whether the server has TLS.
pub(crate) struct Admin {
    address: SocketAddr,
    client: Client,
    has_tls: AtomicBool,
}

impl Admin {
    /// Answers must come within this time, and be no longer.
    pub(crate) fn new(address: SocketAddr, timeout: Duration, answer_bytes_max: u64) -> Self {
        let terms = Terms { timeout, concurrency: CONCURRENCY, answer_bytes_max, ca: None };
        Self { address, client: Client::believing(&terms), has_tls: AtomicBool::new(false) }
    }

    /// The same, for who knows whether the server has TLS: a question without it would be counted there as a failure.
    pub(crate) fn with_tls(self, has_tls: bool) -> Self {
        Self { has_tls: AtomicBool::new(has_tls), ..self }
    }

    /// Asks for `path`, with its query.
    pub(crate) async fn get(&self, path: &str) -> Result<Answer, FetchError> {
        self.ask(async |url| self.client.get(&url, &[]).await, path).await
    }

    /// Posts nothing to `path`, with its query.
    pub(crate) async fn post(&self, path: &str) -> Result<Answer, FetchError> {
        self.ask(async |url| self.client.post(&url, &[], Vec::new()).await, path).await
    }

    async fn ask(
        &self,
        ask: impl AsyncFn(String) -> Result<Answer, FetchError>,
        path: &str,
    ) -> Result<Answer, FetchError> {
        if !self.has_tls.load(Ordering::Relaxed) {
            let answer = ask(format!("http://{}{path}", self.address)).await?;
            if answer.status != 400 || !String::from_utf8_lossy(&answer.body).contains(SPEAKS_TLS) {
                return Ok(answer);
            }
            self.has_tls.store(true, Ordering::Relaxed);
        }
        ask(format!("https://{}{path}", self.address)).await
    }
}

/// Waits for an answer, for commands that have nothing else to do. `command` is for the advice where nobody answers.
pub(crate) fn wait(
    admin: SocketAddr,
    command: &str,
    asked: impl Future<Output = Result<Answer, FetchError>>,
) -> anyhow::Result<(u16, String)> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start threads")?;
    let answer = runtime.block_on(asked);
    runtime.shutdown_background();
    let answer = answer.map_err(|error| {
        anyhow!(
            "no node answers at {admin} ({error}). Does bellwire run on this machine? If its admin-listen is another \
             address: --admin IP:PORT. In a cluster run this where a gateway runs; in Kubernetes: kubectl exec POD -- \
             bellwire {command} ..."
        )
    })?;
    let body = String::from_utf8(answer.body).with_context(|| format!("what answers at {admin} is no node"))?;
    Ok((answer.status, body))
}

/// `?name=value&...`, with every byte escaped that may mean something there.
pub(crate) fn query<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let mut query = String::new();
    for (name, value) in pairs {
        query.push(if query.is_empty() { '?' } else { '&' });
        query += name;
        query.push('=');
        for byte in value.bytes() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => query.push(char::from(byte)),
                _ => query += &format!("%{byte:02X}"),
            }
        }
    }
    query
}

/// The words of a problem; of anything else the beginning.
pub(crate) fn detail(body: &str) -> String {
    let problem = serde_json::from_str::<serde_json::Value>(body).ok();
    let detail = problem.as_ref().and_then(|problem| problem.get("detail")?.as_str());
    detail.map_or_else(|| body.chars().take(DETAIL_CHARS_MAX).collect(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use clap::Command;

    use super::*;

    fn asked(line: &str, env: &[(&str, &str)]) -> String {
        let flags = Command::new("x").arg(arg()).try_get_matches_from(line.split_whitespace()).unwrap();
        let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        address(&flags, &env).map_or_else(|error| error, |address| address.to_string())
    }

    #[test]
    fn the_nearest_address_wins_and_everywhere_is_loopback() {
        let env = [("BELLWIRE_ADMIN_LISTEN", "0.0.0.0:9100")];
        assert_eq!(asked("x", &[]), "127.0.0.1:9083");
        assert_eq!(asked("x", &[("BELLWIRE_ADMIN_LISTEN", "")]), "127.0.0.1:9083");
        assert_eq!(asked("x", &env), "127.0.0.1:9100");
        assert_eq!(asked("x --admin [::]:1", &env), "[::1]:1");
        assert_eq!(asked("x --admin localhost:1", &env), "127.0.0.1:1");
        assert_eq!(asked("x --admin 10.0.0.1:1", &env), "10.0.0.1:1");
        for (line, env, source) in [
            ("x --admin 9083", &env[..], "--admin"),
            ("x --admin 127.0.0.1:0", &env[..], "--admin"),
            ("x", &[("BELLWIRE_ADMIN_LISTEN", "everywhere")][..], "BELLWIRE_ADMIN_LISTEN"),
        ] {
            let error = asked(line, env);
            assert!(error.starts_with(source), "{error}");
        }
    }

    #[test]
    fn ids_survive_a_query() {
        assert_eq!(query([]), "");
        assert_eq!(query([("user", "7"), ("id", "a&b=c%+#/é")]), "?user=7&id=a%26b%3Dc%25%2B%23%2F%C3%A9");
    }

    #[test]
    fn problems_are_told_in_their_words() {
        assert_eq!(detail(r#"{"status":403,"detail":"run it there"}"#), "run it there");
        assert_eq!(detail("<html>"), "<html>");
        assert_eq!(detail(&"x".repeat(999)).len(), 200);
    }
}
