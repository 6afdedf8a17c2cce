//! The route `POST /revoke`: ends the sessions of a user on this node.

use std::sync::Arc;

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde_json::json;
use tracing::info;

use bellwire_common::admin::REVOKE_PATH;
use bellwire_common::http::problem;
use bellwire_common::ids::{BrowserId, UserId};

use crate::hub::Hub;
use crate::query::{self, Wrong};

/// Whose sessions are to end.
#[derive(Debug, PartialEq, Eq)]
struct Revoked {
    user: UserId,
    /// Only those of this browser.
    browser: Option<BrowserId>,
}

/// The route, for the admin server.
pub(crate) fn router(hub: Arc<Hub>) -> Router {
    Router::new().route(REVOKE_PATH, post(revoke)).with_state(hub)
}

async fn revoke(State(hub): State<Arc<Hub>>, RawQuery(query): RawQuery) -> Response {
    let revoked = match revoked(query.as_deref().unwrap_or_default()) {
        Ok(revoked) => revoked,
        Err(wrong) => return problem(StatusCode::BAD_REQUEST, &wrong.to_string()),
    };
    let sessions = hub.revoke(&revoked.user, revoked.browser.as_ref());
    info!(user = %revoked.user, sessions, "sessions revoked");
    let answer = json!({ "user": revoked.user.as_str(), "sessions": sessions });
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
    (headers, answer.to_string()).into_response()
}

fn revoked(query: &str) -> Result<Revoked, Wrong> {
    let (mut user, mut browser) = (None, None);
    query::read(query, |name, value| match name {
        "user" => query::set(&mut user, "user", value, UserId::try_new),
        "browser" => query::set(&mut browser, "browser", value, BrowserId::try_new),
        _ => Err(Wrong::Unknown(name.to_owned(), "user and browser")),
    })?;
    let user = user.ok_or(Wrong::Missing("user is missing: whose sessions are to end"))?;
    Ok(Revoked { user, browser })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_read() {
        let whose = |query| {
            revoked(query)
                .map(|Revoked { user, browser }| (user.to_string(), browser.map(|browser| browser.to_string())))
        };
        assert_eq!(whose("user=7"), Ok(("7".to_owned(), None)));
        assert_eq!(whose("browser=b%31&user=7"), Ok(("7".to_owned(), Some("b1".to_owned()))));
        for (query, words) in [
            ("", "user is missing"),
            ("browser=b", "user is missing"),
            ("user=", "user must not be empty"),
            ("user=a%20b", "visible"),
            ("user=%zz", "escape"),
            ("user=7&user=7", "given once"),
            ("user=7&usr=8", "only user and browser"),
            (&"x".repeat(513), "512"),
        ] {
            let error = whose(query).unwrap_err().to_string();
            assert!(error.contains(words), "{query}: {error}");
        }
    }
}
