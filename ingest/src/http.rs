//! Where HTTP meets ingest: it translates and decides nothing.
//!
//! A request passes, in this order: the method, who sends it, the limits of its body, JSON. What fails there
//! is refused as a whole, counted by its reason.

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::body::{Body, HttpBody};
use axum::extract::Request;
use axum::http::header::CONTENT_ENCODING;
use axum::http::request::Parts;
use axum::routing::{MethodRouter, get, post};
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};

use bellwire_common::ids::UnixMillis;
use bellwire_common::notification;

use crate::alerts::Users;
use crate::app::{Ingest, Reservation};
use crate::intake::Terms;
use crate::tokens::Grant;

mod alertmanager;
mod auth;
mod message;
mod openapi;
mod problem;
mod v1;

pub use openapi::document;
use problem::Refusal;
pub use problem::{ERRORS_MAX, not_found};

/// Largest body, in bytes.
pub const BODY_BYTES_MAX: usize = 1024 * 1024;

/// What the smallest body counts in [`crate::Limits::bodies_bytes_max`]: the request around it takes memory too.
pub const BODY_COST_MIN: usize = 4 * 1024;

/// Seconds after which a sender may try again (`Retry-After`).
pub const RETRY_AFTER_SECONDS: u64 = 2;

/// The routes of ingest, by whole path: `POST` of `/v1/notifications`, `/message` and `/v1/alertmanager`, with or without
/// users behind it; `GET` of `/openapi.json`, which says so to programs. It has no fallback, so that it can be merged with others; ingest alone adds [`not_found`].
///
/// Requests must carry the extension [`bellwire_common::http::Peer`]. One without it counts as coming from another
/// machine.
pub fn router(ingest: Ingest) -> Router {
    let add = |router: Router<Ingest>, (path, methods)| router.route(path, methods);
    routes().into_iter().fold(Router::new(), add).with_state(ingest)
}

fn routes() -> [(&'static str, MethodRouter<Ingest>); 5] {
    let only = |method: &'static str, methods: MethodRouter<Ingest>| {
        methods.fallback(move || async move { Refusal::Method(method).into_response() })
    };
    [
        (notification::PATH, only("POST", post(v1::post))),
        ("/message", only("POST", post(message::post))),
        ("/v1/alertmanager", only("POST", post(alertmanager::post))),
        ("/v1/alertmanager/{users}", only("POST", post(alertmanager::post_to))),
        ("/openapi.json", only("GET", get(openapi::get))),
    ]
}

/// The record that `POST /message` appends for a body that comes at `now`: its codec alone, so that it can be held to
/// its promises. None where the answer is an error, or that it is stale.
#[must_use]
pub fn message_record(body: &[u8], now: UnixMillis, ttl_ms: u64) -> Option<Bytes> {
    message::record(body, Terms { now, ttl_ms, shards: 1, grant: &Grant::default() })
}

/// The records that `POST /v1/alertmanager` appends for a body that comes at `now`, like [`message_record`]. `label` names
/// the users.
#[must_use]
pub fn alert_records(body: &[u8], label: &str, now: UnixMillis, ttl_ms: u64) -> Vec<Bytes> {
    let terms = Terms { now, ttl_ms, shards: 1, grant: &Grant::default() };
    alertmanager::records(body, Users::Label(label), terms)
}

/// What a request that may send brings.
struct Received {
    /// When its head was read.
    began: Instant,
    /// What its sender may do.
    grant: Arc<Grant>,
    /// All of it.
    body: Bytes,
    /// Lasts as long as the request.
    _reservation: Reservation,
}

async fn receive(ingest: &Ingest, request: Request) -> Result<Received, Refusal> {
    let began = Instant::now();
    let (parts, body) = request.into_parts();
    let grant = auth::admit(ingest, &parts)?;
    if is_encoded(&parts) {
        return Err(Refusal::MediaType);
    }
    let announced = body.size_hint();
    if announced.lower() > BODY_BYTES_MAX as u64 {
        return Err(Refusal::BodyTooLarge);
    }
    let cost = announced.exact().map_or(BODY_BYTES_MAX, |bytes| (bytes as usize).max(BODY_COST_MIN));
    let reservation = ingest.reserve(cost).ok_or(Refusal::Overloaded)?;
    let body = tokio::time::timeout(ingest.settings().limits.body_timeout, read(body));
    let body = body.await.map_err(|_| Refusal::Timeout)??;
    Ok(Received { began, grant, body, _reservation: reservation })
}

async fn read(body: Body) -> Result<Bytes, Refusal> {
    match Limited::new(body, BODY_BYTES_MAX).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(Refusal::BodyTooLarge),
        Err(_) => Err(Refusal::Incomplete),
    }
}

fn is_encoded(parts: &Parts) -> bool {
    parts.headers.get_all(CONTENT_ENCODING).iter().any(|value| !value.as_bytes().eq_ignore_ascii_case(b"identity"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// What is said of each of them is held to the router by `tests/it/openapi.rs`.
    #[test]
    fn the_document_names_the_routes_and_no_others() {
        let document = document();
        let named: BTreeSet<&str> = document["paths"].as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(named, routes().iter().map(|(path, _)| *path).collect());
    }
}
