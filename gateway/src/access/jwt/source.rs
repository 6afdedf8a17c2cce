//! Where keys come from, and how they stay fresh.

use std::path::Path;
use std::sync::PoisonError;
use std::time::Duration;

use bellwire_common::fetch::{Client, Terms};
use bellwire_common::settings::{Access, JwtKeys};
use bellwire_common::watched::{Purpose, Watched, WatchedError};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::Tokens;
use super::keys::{KEYS_BYTES_MAX, KeySet, KeysError};

/// An address is asked again.
const FETCH_EVERY: Duration = Duration::from_secs(600);

/// And at most so often for a key that is not known, or when it did not answer.
const FETCH_AT_MOST_EVERY: Duration = Duration::from_secs(30);

const FETCH_WITHIN: Duration = Duration::from_secs(10);

/// What there is to follow.
pub(super) enum Source {
    Nothing,
    File(Watched<KeySet>),
    Address(Address),
}

/// Where a JWKS is.
pub(super) struct Address {
    url: String,
    terms: Terms,
    at_most_every: Duration,
}

/// The keys that the settings name, as far as they are there at once.
pub(super) fn open(settings: &Access, keys: &JwtKeys) -> Result<(Source, KeySet), WatchedError> {
    match keys {
        JwtKeys::File(path) => file(path),
        JwtKeys::Url(url) => {
            // openITCOCKPIT's authorities are for openITCOCKPIT only.
            let site = settings.openitcockpit.as_ref().filter(|site| is_of(url, &site.origin));
            let address = Address::new(url, site.and_then(|site| site.ca.clone()));
            Ok((Source::Address(address), KeySet::default()))
        }
    }
}

pub(super) fn file(path: &Path) -> Result<(Source, KeySet), WatchedError> {
    let parse = |bytes: &[u8]| {
        let keys = KeySet::of_file(bytes).map_err(|error| error.to_string())?;
        say(&keys);
        Ok(keys)
    };
    let (watched, keys) = Watched::file(Purpose::JwtKeys, path, parse)?;
    Ok((Source::File(watched), keys))
}

/// Whether an address is one of a site.
fn is_of(url: &str, origin: &str) -> bool {
    url.strip_prefix(origin).is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '?']))
}

fn say(keys: &KeySet) {
    info!(keys = keys.len(), skipped = keys.skipped(), "keys of users' tokens were read");
}

/// Takes what comes new, until it is dropped.
pub(super) async fn follow(tokens: &Tokens) {
    match take_source(tokens) {
        Source::Nothing => {}
        Source::File(watched) => {
            let (stop, tokens) = (CancellationToken::new(), tokens.clone());
            let _stops = stop.clone().drop_guard();
            // It ends with the runtime.
            let _ = watched.start(move |keys| tokens.replace(keys), stop).await;
        }
        Source::Address(address) => address.follow(tokens).await,
    }
}

fn take_source(tokens: &Tokens) -> Source {
    let mut source = tokens.0.source.lock().unwrap_or_else(PoisonError::into_inner);
    std::mem::replace(&mut *source, Source::Nothing)
}

// === impl Address ===

impl Address {
    pub(super) fn new(url: &str, ca: Option<String>) -> Self {
        let terms = Terms { timeout: FETCH_WITHIN, concurrency: 1, answer_bytes_max: KEYS_BYTES_MAX as u64, ca };
        Self { url: url.to_owned(), terms, at_most_every: FETCH_AT_MOST_EVERY }
    }

    #[cfg(test)]
    pub(super) fn at_most_every(self, at_most_every: Duration) -> Self {
        Self { at_most_every, ..self }
    }

    async fn follow(&self, tokens: &Tokens) {
        let mut fails = false;
        loop {
            let (asked, fetched) = (Instant::now(), self.fetch().await);
            let next = if fetched.is_ok() { FETCH_EVERY } else { self.at_most_every };
            take(tokens, fetched, &mut fails);
            sleep_until(asked + self.at_most_every).await;
            tokio::select! {
                () = tokens.0.unknown.notified() => {}
                () = sleep_until(asked + next) => {}
            }
        }
    }

    async fn fetch(&self) -> Result<KeySet, KeysError> {
        let failed = |error: String| KeysError::Fetch(error);
        // Made anew each time: the system's authorities may have been mended since.
        let client = Client::try_new(&self.terms).map_err(|error| failed(error.to_string()))?;
        let answer = client.get(&self.url, &[("Accept", b"application/json")]).await;
        let answer = answer.map_err(|error| failed(error.to_string()))?;
        if answer.status != 200 {
            return Err(failed(format!("the answer was {}", answer.status)));
        }
        KeySet::of_answer(&answer.body)
    }
}

/// Takes new keys, or keeps those that there are and says so once.
fn take(tokens: &Tokens, fetched: Result<KeySet, KeysError>, fails: &mut bool) {
    match fetched {
        Ok(keys) => {
            if std::mem::take(fails) || keys.len() != tokens.keys().len() {
                say(&keys);
            }
            tokens.replace(keys);
        }
        Err(error) if !std::mem::replace(fails, true) => {
            let keys = tokens.keys().len();
            warn!(%error, keys, "keys of users' tokens cannot be fetched; those that are known stay");
        }
        Err(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_of_a_site_if_the_origin_is_the_same() {
        for (url, is) in [
            ("https://monitoring.example/keys", true),
            ("https://monitoring.example", true),
            ("https://monitoring.example?keys", true),
            ("https://monitoring.example:8443/keys", false),
            ("https://monitoring.example.org/keys", false),
            ("https://monitoring.example@other.org/keys", false),
            ("http://monitoring.example/keys", false),
        ] {
            assert_eq!(is_of(url, "https://monitoring.example"), is, "{url}");
        }
    }
}
