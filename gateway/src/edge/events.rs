//! `GET /events` and `POST /events`: sessions for networks that break WebSockets.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tokio::time::timeout;

use bellwire_common::http::{Place, Traffic};
use bellwire_common::metrics::{GATEWAY_EVENTS_POSTS, GATEWAY_HANDSHAKES_REFUSED};
use bellwire_common::notification::FieldError;

use super::{FULL_ADDRESS, FULL_NODE, FULL_USER, GOING, admit, hold};
use crate::admission::Full;
use crate::hub::Hub;
use crate::protocol::events::{self, Asked, BODY_BYTES_MAX};
use crate::protocol::{FRAME_BYTES_MAX, Protocol, SharedKey, TabEvent};
use crate::session::{self, Socket, Stream};
use crate::streams::NotSaid;

pub(super) const PATH: &str = "/events";

/// The cookie that a site sets for its pages, HttpOnly, with the key as its value.
const COOKIE: &str = "bellwire_token";
const FETCH_SITE: &str = "sec-fetch-site";
const LAST_EVENT_ID: &str = "last-event-id";
const ACCEL_BUFFERING: &str = "x-accel-buffering";

/// When who is refused for the moment may ask again.
const RETRY_AFTER_SECONDS: &str = "2";
/// So long may the body of a POST take.
const BODY_WITHIN: Duration = Duration::from_secs(10);

/// Why a request is refused; the label of the counter, and the answer.
struct Refusal {
    label: &'static str,
    status: StatusCode,
    detail: String,
    field: Option<FieldError>,
}

pub(super) async fn answer(hub: Arc<Hub>, request: Request) -> Response {
    match *request.method() {
        Method::GET => open(hub, request.into_parts().0).await.unwrap_or_else(|refusal| {
            GATEWAY_HANDSHAKES_REFUSED.count(&[refusal.label]);
            refusal.into_response()
        }),
        Method::POST => {
            let said = say(&hub, request).await;
            GATEWAY_EVENTS_POSTS.count(&[said.as_ref().map_or_else(|refusal| refusal.label, |()| "taken")]);
            said.map_or_else(Refusal::into_response, |()| StatusCode::NO_CONTENT.into_response())
        }
        _ => {
            GATEWAY_HANDSHAKES_REFUSED.count(&["not_websocket"]);
            (StatusCode::METHOD_NOT_ALLOWED, [(header::ALLOW, "GET, POST")]).into_response()
        }
    }
}

async fn open(hub: Arc<Hub>, parts: Parts) -> Result<Response, Refusal> {
    let going = || Refusal::new("draining", StatusCode::SERVICE_UNAVAILABLE, GOING.trim_end());
    if hub.is_draining() {
        return Err(going());
    }
    may(&parts.headers, hub.key.as_ref())?;
    let last = parts.headers.get(LAST_EVENT_ID).and_then(|value| value.to_str().ok());
    let Asked { identity, cursor } = events::asked(parts.uri.query().unwrap_or(""), last)
        .map_err(|wrong| Refusal::of_field("identity", StatusCode::BAD_REQUEST, wrong))?;
    let ticket = admit(&hub, &parts, Some(&identity))?;
    hold(&hub).await;
    if hub.is_draining() {
        return Err(going());
    }
    // Admission counts it from now on: streams must not keep other connections out.
    if let Some(place) = parts.extensions.get::<Place>() {
        place.give_up();
    }
    let traffic = parts.extensions.get::<Traffic>().cloned().unwrap_or_default();
    let seat = hub.seat(Protocol::Events, ticket);
    let (stream, body) = Stream::new(hub.streams.open(seat.number), traffic);
    let hello = TabEvent::Announce { identity, cursor };
    tokio::spawn(session::serve(Socket::Stream(stream), seat, Protocol::Events, None, Some(hello)));
    Ok(stream_of(body))
}

fn stream_of(body: Body) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // It has left its place among the connections.
        (header::CONNECTION, "close"),
    ];
    (headers, [(ACCEL_BUFFERING, "no")], body).into_response()
}

async fn say(hub: &Hub, request: Request) -> Result<(), Refusal> {
    let (parts, body) = request.into_parts();
    may(&parts.headers, hub.key.as_ref())?;
    // What a form of another site can send has another type.
    if !is_json(&parts.headers) {
        return Err(Refusal::bad(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "the header Content-Type must be application/json",
        ));
    }
    let body = whole(body).await?;
    let said =
        std::str::from_utf8(&body).map_err(|_| Refusal::bad(StatusCode::BAD_REQUEST, "the body must be UTF-8"))?;
    let said = events::said(said).map_err(|wrong| Refusal::of_field("bad_request", StatusCode::BAD_REQUEST, wrong))?;
    if said.say.len() > FRAME_BYTES_MAX {
        return Err(too_large());
    }
    let unknown = || {
        let detail = "this node has no such session, or this is not its token: open the stream again, with your cursor";
        Refusal::new("unknown", StatusCode::NOT_FOUND, detail)
    };
    if said.session.node != hub.node {
        return Err(unknown());
    }
    hub.streams.say(said.session.number, &said.token, said.say).map_err(|not_said| match not_said {
        NotSaid::Unknown => unknown(),
        NotSaid::Busy => {
            Refusal::new("busy", StatusCode::TOO_MANY_REQUESTS, "the session has more to read than it may")
        }
    })
}

fn is_json(headers: &HeaderMap) -> bool {
    let given = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    given.split(';').next().is_some_and(|given| given.trim().eq_ignore_ascii_case("application/json"))
}

async fn whole(body: Body) -> Result<bytes::Bytes, Refusal> {
    let late = |_| Refusal::bad(StatusCode::REQUEST_TIMEOUT, "the body did not come in time");
    let body = timeout(BODY_WITHIN, to_bytes(body, BODY_BYTES_MAX)).await.map_err(late)?;
    body.map_err(|error| {
        use std::error::Error;
        let is_large = error.source().is_some_and(|source| source.is::<http_body_util::LengthLimitError>());
        if is_large { too_large() } else { Refusal::bad(StatusCode::BAD_REQUEST, "the body ended too early") }
    })
}

fn too_large() -> Refusal {
    let message = format!("must have at most {FRAME_BYTES_MAX} bytes");
    let wrong = FieldError { field: "say".into(), message };
    Refusal::of_field("too_large", StatusCode::PAYLOAD_TOO_LARGE, wrong)
}

/// Whether whoever asks knows the key: by the header that a script sets, or by the cookie, which browsers also send for
/// pages of other sites. It never stands in the address: that is kept in logs and histories.
fn may(headers: &HeaderMap, key: Option<&SharedKey>) -> Result<(), Refusal> {
    let is_key = |given: &str| key.is_some_and(|key| key.matches(given));
    // What has another scheme is for a proxy.
    if let Some(given) = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).and_then(bearer) {
        return if is_key(given) { Ok(()) } else { Err(no_key()) };
    }
    if !cookie(headers).is_some_and(is_key) {
        return Err(no_key());
    }
    if is_of_another_site(headers) {
        let detail = "the cookie counts only for pages of this very origin; where a proxy stands between, it must pass on the header Host";
        return Err(Refusal::new("cross_site", StatusCode::FORBIDDEN, detail));
    }
    Ok(())
}

fn no_key() -> Refusal {
    let detail =
        format!("the key is missing or wrong: send it as Authorization: Bearer KEY, or in the cookie {COOKIE}");
    Refusal::new("key", StatusCode::UNAUTHORIZED, &detail)
}

fn bearer(value: &str) -> Option<&str> {
    let (scheme, key) = value.trim().split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(key.trim())
}

fn cookie(headers: &HeaderMap) -> Option<&str> {
    let values = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = values.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == COOKIE).map(|(_, value)| value)
}

/// Browsers say it where the connection is secure. Elsewhere the origin must be that of the host that was asked, or where they
/// leave it out, as for pictures and for pages of this origin, the address of the page if they tell that. Without TLS a page can
/// make them tell neither: there only `SameSite` protects the cookie (docs/protocol.md).
fn is_of_another_site(headers: &HeaderMap) -> bool {
    if let Some(site) = headers.get(FETCH_SITE) {
        return site != "same-origin" && site != "none";
    }
    let Some(origin) = headers.get(header::ORIGIN).or_else(|| headers.get(header::REFERER)) else { return false };
    let authority = |value: &HeaderValue| value.to_str().ok().map(str::to_ascii_lowercase);
    let (origin, host) = (authority(origin), headers.get(header::HOST).and_then(authority));
    let authority =
        origin.as_deref().and_then(|origin| origin.split_once("://")).map(|(_, rest)| rest.split('/').next());
    authority.flatten() != host.as_deref()
}

// === impl Refusal ===

impl Refusal {
    fn new(label: &'static str, status: StatusCode, detail: &str) -> Self {
        Self { label, status, detail: detail.to_owned(), field: None }
    }

    fn bad(status: StatusCode, detail: &str) -> Self {
        Self::new("bad_request", status, detail)
    }

    fn of_field(label: &'static str, status: StatusCode, wrong: FieldError) -> Self {
        let detail = [&*wrong.field, &*wrong.message].join(" ").trim_start().to_owned();
        Self { label, status, detail, field: Some(wrong) }
    }
}

impl From<Full> for Refusal {
    fn from(full: Full) -> Self {
        let (label, status, detail) = match full {
            Full::Node => ("full", StatusCode::SERVICE_UNAVAILABLE, FULL_NODE),
            Full::User => ("user_limit", StatusCode::TOO_MANY_REQUESTS, FULL_USER),
            Full::Address => ("address_limit", StatusCode::TOO_MANY_REQUESTS, FULL_ADDRESS),
        };
        Self::new(label, status, detail.trim_end())
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        #[derive(Serialize)]
        struct Problem<'a> {
            r#type: &'a str,
            title: &'a str,
            status: u16,
            detail: &'a str,
            #[serde(skip_serializing_if = "<[_]>::is_empty")]
            errors: &'a [FieldError],
        }
        let problem = Problem {
            r#type: "about:blank",
            title: self.status.canonical_reason().unwrap_or_default(),
            status: self.status.as_u16(),
            detail: &self.detail,
            errors: self.field.as_slice(),
        };
        let body = serde_json::to_vec(&problem).unwrap_or_default();
        let mut response = (self.status, body).into_response();
        let mut set = |name, value| response.headers_mut().insert(name, HeaderValue::from_static(value));
        set(header::CONTENT_TYPE, "application/problem+json");
        set(header::CACHE_CONTROL, "no-store");
        set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
        match self.status {
            StatusCode::UNAUTHORIZED => drop(set(header::WWW_AUTHENTICATE, "Bearer")),
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => {
                set(header::RETRY_AFTER, RETRY_AFTER_SECONDS);
            }
            _ => {}
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        lines.iter().map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value))).collect()
    }

    fn answered(lines: &[(&'static str, &'static str)]) -> u16 {
        let key = SharedKey::try_new("secret").unwrap();
        may(&headers(lines), Some(&key)).map_or_else(|refusal| refusal.status.as_u16(), |()| 200)
    }

    #[test]
    fn the_key_comes_in_a_header_or_a_cookie() {
        assert_eq!(answered(&[("authorization", "Bearer secret")]), 200);
        assert_eq!(answered(&[("authorization", "bearer  secret ")]), 200);
        assert_eq!(answered(&[("cookie", "a=b; bellwire_token=secret; c")]), 200);
        for lines in [
            &[][..],
            &[("authorization", "Bearer wrong")],
            &[("authorization", "Basic secret")],
            &[("authorization", "secret")],
            &[("authorization", "Bearer wrong"), ("cookie", "bellwire_token=secret")],
            &[("cookie", "token=secret")],
            &[("cookie", "bellwire_token=")],
        ] {
            assert_eq!(answered(lines), 401, "{lines:?}");
        }
        assert!(may(&headers(&[("authorization", "Bearer secret")]), None).is_err(), "without a key nobody gets in");
    }

    #[test]
    fn a_cookie_counts_for_pages_of_this_origin_only() {
        let cookie = ("cookie", "bellwire_token=secret");
        let host = ("host", "Push.example:8083");
        for (line, status) in [
            (("sec-fetch-site", "same-origin"), 200),
            (("sec-fetch-site", "none"), 200),
            (("sec-fetch-site", "same-site"), 403),
            (("sec-fetch-site", "cross-site"), 403),
            (("origin", "https://push.example:8083"), 200),
            (("origin", "https://push.example"), 403),
            (("origin", "https://evil.example:8083"), 403),
            (("origin", "null"), 403),
        ] {
            assert_eq!(answered(&[cookie, host, line]), status, "{line:?}");
            assert_eq!(answered(&[("authorization", "Bearer secret"), host, line]), 200, "{line:?}");
        }
        // A proxy has changed the host; the browser's own word counts.
        let origin = ("origin", "https://site.example");
        assert_eq!(answered(&[cookie, host, origin, ("sec-fetch-site", "same-origin")]), 200);
    }
}
