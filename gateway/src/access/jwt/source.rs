//! Where keys come from, and how they stay fresh.

use std::path::Path;
use std::sync::PoisonError;
use std::time::Duration;

use bellwire_common::fetch::{Client, Terms};
use bellwire_common::settings::{Access, JwtKeys};
use bellwire_common::watched::{Purpose, Watched, WatchedError};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::Tokens;
use super::keys::{KEYS_BYTES_MAX, KeySet, KeysError};

/// An address is asked again.
const FETCH_EVERY: Duration = Duration::from_secs(600);

/// And at most so often for a key that is not known, or when it did not answer.
const FETCH_AT_MOST_EVERY: Duration = Duration::from_secs(30);

/// Keys of an address that does not hand out any longer count for so long: what it took back would else count for ever.
const KEYS_FOR: Duration = Duration::from_secs(KEYS_FOR_HOURS * 3600);
const KEYS_FOR_HOURS: u64 = 24;

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
        JwtKeys::Url(url) => Ok((Source::Address(Address::of(settings, url)), KeySet::default())),
    }
}

/// The keys that an address hands out now, if they come within `time`: for `bellwire doctor`, which asks as the node does.
pub async fn fetch(settings: &Access, url: &str, time: Duration) -> Result<KeySet, KeysError> {
    let mut address = Address::of(settings, url);
    address.terms.timeout = time;
    address.fetch().await
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
    fn of(settings: &Access, url: &str) -> Self {
        // openITCOCKPIT's authorities are for openITCOCKPIT only.
        let site = settings.openitcockpit.as_ref().filter(|site| is_of(url, &site.origin));
        Self::new(url, site.and_then(|site| site.ca.clone()))
    }

    pub(super) fn new(url: &str, ca: Option<String>) -> Self {
        let terms = Terms { timeout: FETCH_WITHIN, concurrency: 1, answer_bytes_max: KEYS_BYTES_MAX as u64, ca };
        Self { url: url.to_owned(), terms, at_most_every: FETCH_AT_MOST_EVERY }
    }

    #[cfg(test)]
    pub(super) fn at_most_every(self, at_most_every: Duration) -> Self {
        Self { at_most_every, ..self }
    }

    async fn follow(&self, tokens: &Tokens) {
        let mut news = News { good_at: Instant::now(), fails: false };
        loop {
            let (asked, fetched) = (Instant::now(), self.fetch().await);
            let next = if fetched.is_ok() { FETCH_EVERY } else { self.at_most_every };
            news.take(tokens, fetched, Instant::now());
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
        let client = Client::to(&self.url, &self.terms).map_err(|error| failed(error.to_string()))?;
        let answer = client.get(&self.url, &[("Accept", b"application/json")]).await;
        let answer = answer.map_err(|error| failed(error.to_string()))?;
        if answer.status != 200 {
            return Err(failed(format!("the answer was {}", answer.status)));
        }
        KeySet::of_answer(&answer.body)
    }
}

/// What came from an address last.
struct News {
    /// When there were keys.
    good_at: Instant,
    fails: bool,
}

impl News {
    /// Takes new keys; or keeps those that there are, for [`KEYS_FOR`], and says so once.
    fn take(&mut self, tokens: &Tokens, fetched: Result<KeySet, KeysError>, now: Instant) {
        let known = tokens.keys().len();
        match fetched {
            Ok(keys) => {
                self.good_at = now;
                if std::mem::take(&mut self.fails) || keys.len() != known {
                    say(&keys);
                }
                tokens.replace(keys);
            }
            Err(error) if known > 0 && now.duration_since(self.good_at) >= KEYS_FOR => {
                error!(%error, hours = KEYS_FOR_HOURS, "keys of users' tokens could not be fetched for so long: those that were known count no longer");
                tokens.replace(KeySet::default());
            }
            Err(error) if !std::mem::replace(&mut self.fails, true) => {
                warn!(%error, keys = known, hours = KEYS_FOR_HOURS, "keys of users' tokens cannot be fetched; those that are known stay for so long");
            }
            Err(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> KeySet {
        KeySet::of_file(br#"{"keys":[{"kty":"oct","k":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}]}"#).unwrap()
    }

    fn failed() -> Result<KeySet, KeysError> {
        Err(KeysError::Fetch("away".into()))
    }

    #[test]
    fn keys_of_an_address_that_is_silent_end() {
        let (tokens, start) = (Tokens::of("bellwire", None, key()), Instant::now());
        let mut news = News { good_at: start, fails: false };
        for (after, count) in [(KEYS_FOR - Duration::from_secs(1), 1), (KEYS_FOR, 0), (KEYS_FOR * 2, 0)] {
            news.take(&tokens, failed(), start + after);
            assert_eq!(tokens.keys().len(), count, "{after:?}");
        }
        news.take(&tokens, Ok(key()), start + KEYS_FOR * 3);
        news.take(&tokens, failed(), start + KEYS_FOR * 3 + Duration::from_secs(1));
        assert_eq!(tokens.keys().len(), 1);
    }

    #[test]
    fn an_address_may_take_all_keys_back() {
        let (tokens, start) = (Tokens::of("bellwire", None, key()), Instant::now());
        let mut news = News { good_at: start, fails: false };
        news.take(&tokens, KeySet::of_answer(br#"{"keys":[]}"#), start);
        assert!(tokens.keys().is_empty());
        assert!(KeySet::of_file(br#"{"keys":[]}"#).is_err(), "an empty file is a mistake");
    }

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
