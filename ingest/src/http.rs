//! Where HTTP meets ingest: it translates and decides nothing.
//!
//! A request passes, in this order: the method, who sends it, the limits of its body, JSON. What fails there
//! is refused as a whole, counted by its reason.

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::body::{Body, HttpBody};
use axum::extract::{Request, State};
use axum::http::header::CONTENT_ENCODING;
use axum::http::request::Parts;
use axum::response::Response;
use axum::routing::{get, post};
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};

use bellwire_common::ids::UnixMillis;

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
    Router::new()
        .route("/v1/notifications", post(v1::post).fallback(method_not_allowed))
        .route("/message", post(message::post).fallback(method_not_allowed))
        .route("/v1/alertmanager", post(alertmanager::post).fallback(method_not_allowed))
        .route("/v1/alertmanager/{users}", post(alertmanager::post_to).fallback(method_not_allowed))
        .route("/openapi.json", get(openapi::get))
        .with_state(ingest)
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

async fn method_not_allowed(State(_): State<Ingest>) -> Response {
    Refusal::Method.into_response()
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
