//! The keys that sign users' tokens.

use std::fs;
use std::time::Duration;

use bellwire_common::fetch::{Client, Terms};
use bellwire_common::settings::JwtKeys;
use bellwire_gateway::access::jwt::{KEYS_BYTES_MAX, KeySet, KeysError};

use super::context::Context;
use super::finding::Finding;

const JWT: &str = "jwt";
const ANSWER_WITHIN: Duration = Duration::from_secs(4);

/// Whether there are keys, and they can be used.
pub(crate) async fn jwt(context: &Context) -> Vec<Finding> {
    let Some(jwt) = context.tabs.as_ref().and_then(|(_, access)| access.jwt.as_ref()) else { return Vec::new() };
    vec![match &jwt.keys {
        JwtKeys::File(path) => {
            let path_shown = path.display();
            match fs::read(path) {
                Ok(bytes) => usable(&path_shown.to_string(), KeySet::of_file(&bytes)),
                Err(error) => Finding::fail(JWT, format!("{path_shown} cannot be read: {error}")),
            }
        }
        JwtKeys::Url(url) => fetched(url).await,
    }]
}

async fn fetched(url: &str) -> Finding {
    let answer_bytes_max = u64::try_from(KEYS_BYTES_MAX).unwrap_or(u64::MAX);
    let terms = Terms { timeout: ANSWER_WITHIN, concurrency: 1, answer_bytes_max, ca: None };
    let client = match Client::try_new(&terms) {
        Ok(client) => client,
        Err(error) => return Finding::fail(JWT, format!("{url}: {error}")),
    };
    match client.get(url, &[("accept", b"application/json")]).await {
        Ok(answer) if answer.status == 200 => usable(url, KeySet::of_answer(&answer.body)),
        Ok(answer) => {
            Finding::fail(JWT, format!("{url} answers {}: no token is taken until it hands out keys", answer.status))
        }
        Err(error) => Finding::fail(JWT, format!("{url}: {error}: no token is taken until it hands out keys")),
    }
}

fn usable(place: &str, keys: Result<KeySet, KeysError>) -> Finding {
    match keys {
        Ok(_) => Finding::ok(JWT, format!("{place} has keys that tokens can be checked with")),
        Err(error) => Finding::fail(JWT, format!("{place}: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Level;
    use super::*;

    #[test]
    fn what_holds_no_key_has_failed() {
        let oct = br#"{"keys":[{"kty":"oct","k":"c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldA"}]}"#;
        assert_eq!(usable("f", KeySet::of_file(oct)).level, Level::Ok);
        // A secret that is handed out is none.
        assert_eq!(usable("u", KeySet::of_answer(oct)).level, Level::Fail);
        assert_eq!(usable("f", KeySet::of_file(b"<html>")).level, Level::Fail);
    }
}
