//! Where keys come from, and how they stay fresh.

use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use bellwire_common::fetch::{Client, Terms};
use bellwire_common::settings::JwtKeys;
use tokio::time::{Instant, sleep, sleep_until};
use tracing::{info, warn};

use super::Tokens;
use super::keys::{KEYS_BYTES_MAX, KeySet, KeysError};

/// An address is asked again.
const FETCH_EVERY: Duration = Duration::from_secs(600);

/// And at most so often for a key that is not known, or when it did not answer.
const FETCH_AT_MOST_EVERY: Duration = Duration::from_secs(30);

/// Files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);

const FETCH_WITHIN: Duration = Duration::from_secs(10);

/// Whether the keys are fetched from this site.
pub(super) fn is_of(keys: &JwtKeys, origin: &str) -> bool {
    match keys {
        JwtKeys::File(_) => false,
        JwtKeys::Url(url) => {
            url.strip_prefix(origin).is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '?']))
        }
    }
}

/// Reads the keys of a file.
pub(super) fn read(path: &Path) -> Result<KeySet, KeysError> {
    let failed = |error| KeysError::File { path: path.display().to_string(), error };
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(failed)?;
    file.take(KEYS_BYTES_MAX as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
    KeySet::of_file(&bytes)
}

/// Never returns.
pub(super) async fn follow(tokens: &Tokens) {
    match &tokens.0.source {
        JwtKeys::File(path) => follow_file(tokens, path).await,
        JwtKeys::Url(url) => follow_url(tokens, url).await,
    }
}

async fn follow_file(tokens: &Tokens, path: &Path) {
    let (mut known, mut fails) = (stamp(path).await, false);
    loop {
        sleep(LOOK_EVERY).await;
        let stamp = stamp(path).await;
        // A file that is just being replaced is looked at again.
        if stamp == known || stamp.is_none() {
            continue;
        }
        known = stamp;
        let path = path.to_owned();
        let read = tokio::task::spawn_blocking(move || read(&path)).await;
        take(tokens, read.unwrap_or_else(|error| Err(KeysError::Form(error.to_string()))), &mut fails);
    }
}

/// What changes when a file does.
async fn stamp(path: &Path) -> Option<(SystemTime, u64, u64)> {
    let metadata = tokio::fs::metadata(path).await.ok()?;
    Some((metadata.modified().ok()?, metadata.len(), metadata.ino()))
}

/// Takes new keys, or keeps those that there are and says so once.
fn take(tokens: &Tokens, read: Result<KeySet, KeysError>, fails: &mut bool) {
    match read {
        Ok(keys) => {
            if std::mem::take(fails) || keys.len() != tokens.keys().len() {
                info!(keys = keys.len(), skipped = keys.skipped(), "keys of users' tokens were read");
            }
            tokens.replace(keys);
        }
        Err(error) if !std::mem::replace(fails, true) => {
            let keys = tokens.keys().len();
            warn!(%error, keys, "keys of users' tokens cannot be read; those that are known stay");
        }
        Err(_) => {}
    }
}

async fn follow_url(tokens: &Tokens, url: &str) {
    let terms = Terms {
        timeout: FETCH_WITHIN,
        concurrency: 1,
        answer_bytes_max: KEYS_BYTES_MAX as u64,
        ca: tokens.0.ca.clone(),
    };
    let mut fails = false;
    loop {
        let (asked, fetched) = (Instant::now(), fetch(&terms, url).await);
        let next = if fetched.is_ok() { FETCH_EVERY } else { FETCH_AT_MOST_EVERY };
        take(tokens, fetched, &mut fails);
        sleep_until(asked + FETCH_AT_MOST_EVERY).await;
        tokio::select! {
            () = tokens.0.unknown.notified() => {}
            () = sleep_until(asked + next) => {}
        }
    }
}

async fn fetch(terms: &Terms, url: &str) -> Result<KeySet, KeysError> {
    // Made anew each time: the system's authorities may have been mended since.
    let client = Client::try_new(terms).map_err(|error| KeysError::Fetch(error.to_string()))?;
    let answer = client.get(url, &[("Accept", b"application/json")]).await;
    let answer = answer.map_err(|error| KeysError::Fetch(error.to_string()))?;
    match answer.status {
        200 => KeySet::of_answer(&answer.body),
        status => Err(KeysError::Fetch(format!("the answer was {status}"))),
    }
}
