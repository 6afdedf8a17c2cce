//! The keys that sign users' tokens.

use std::fs;
use std::time::Duration;

use bellwire_common::settings::JwtKeys;
use bellwire_gateway::access::jwt::{KeySet, KeysError, fetch};

use super::context::Context;
use super::finding::Finding;

const JWT: &str = "jwt";
const ANSWER_WITHIN: Duration = Duration::from_secs(4);

/// Whether there are keys, and they can be used.
pub(crate) async fn jwt(context: &Context) -> Vec<Finding> {
    let Some((_, access)) = &context.tabs else { return Vec::new() };
    let Some(jwt) = &access.jwt else { return Vec::new() };
    vec![match &jwt.keys {
        JwtKeys::File(path) => {
            let path_shown = path.display();
            match fs::read(path) {
                Ok(bytes) => usable(&path_shown.to_string(), KeySet::of_file(&bytes)),
                Err(error) => Finding::fail(JWT, format!("{path_shown} cannot be read: {error}")),
            }
        }
        JwtKeys::Url(url) => usable(url, fetch(access, url, ANSWER_WITHIN).await),
    }]
}

fn usable(place: &str, keys: Result<KeySet, KeysError>) -> Finding {
    match keys {
        Ok(keys) if keys.is_empty() => Finding::fail(JWT, format!("{place} hands out no key: no token is taken")),
        Ok(_) => Finding::ok(JWT, format!("{place} has keys that tokens can be checked with")),
        Err(error @ KeysError::Fetch(_)) => {
            Finding::fail(JWT, format!("{place}: {error}: no token is taken until it hands out keys"))
        }
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
        assert_eq!(usable("u", KeySet::of_answer(br#"{"keys":[]}"#)).level, Level::Fail);
    }
}
