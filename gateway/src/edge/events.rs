//! `GET /events` and `POST /events`: sessions for networks that break WebSockets.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tokio::time::timeout;

use bellwire_common::http::{Place, Traffic, problem_with};
use bellwire_common::metrics::{GATEWAY_EVENTS_POSTS, GATEWAY_HANDSHAKES_REFUSED};
use bellwire_common::notification::FieldError;

use super::{FULL_ADDRESS, FULL_NODE, FULL_USER, GOING, address, hold};
use crate::access::{self, Caller, Denied};
use crate::admission::Full;
use crate::hub::{Hub, Owner};
use crate::protocol::events::{self, Asked, BODY_BYTES_MAX};
use crate::protocol::{FRAME_BYTES_MAX, Protocol, SharedKey, TabEvent, is_token};
use crate::session::{self, Arrival, Socket, Stream};
use crate::streams::NotSaid;

pub(super) const PATH: &str = "/events";

const LAST_EVENT_ID: &str = "last-event-id";
const ACCEL_BUFFERING: &str = "x-accel-buffering";

/// When who is refused for the moment may ask again.
const RETRY_AFTER_SECONDS: u64 = 2;
/// So long may the body of a POST take.
const BODY_WITHIN: Duration = Duration::from_secs(10);

/// Why a request is refused; the label of the counter, and the answer.
struct Refusal {
    label: &'static str,
    status: StatusCode,
    detail: String,
    field: Option<FieldError>,
    retry_after: u64,
}

/// What was sent to show who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shown<'a> {
    Key,
    Token(&'a str),
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
    let from = address(&hub, &parts);
    let shown = may(&hub, &parts.headers, from)?;
    let last = parts.headers.get(LAST_EVENT_ID).and_then(|value| value.to_str().ok());
    let Asked { identity, cursor } = events::asked(parts.uri.query().unwrap_or(""), last)
        .map_err(|wrong| Refusal::of_field("identity", StatusCode::BAD_REQUEST, wrong))?;
    let mut ticket = hub.admission.admit(from)?;
    hold(&hub).await;
    let token = if let Shown::Token(token) = shown { Some(token) } else { None };
    let caller = Caller { token, user: Some(&identity.user), knows_key: true, is_native: true, address: from };
    let pass = hub.access.admit(caller, &parts.headers).await?;
    ticket.belongs_to(&identity.user)?;
    if hub.is_draining() {
        return Err(going());
    }
    // Admission counts it from now on: streams must not keep other connections out.
    if let Some(place) = parts.extensions.get::<Place>() {
        place.give_up();
    }
    let traffic = parts.extensions.get::<Traffic>().cloned().unwrap_or_default();
    let seat = hub.seat(Protocol::Events, ticket, Owner::of(Some(&identity), None));
    let (stream, body) = Stream::new(hub.streams.open(seat.number), traffic);
    let hello = TabEvent::Announce { identity, cursor };
    let arrival = Arrival { protocol: Protocol::Events, identity: None, first: Some(hello), pass };
    tokio::spawn(session::serve(Socket::Stream(stream), seat, arrival));
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
    let from = address(hub, &parts);
    if let Shown::Token(token) = may(hub, &parts.headers, from)?
        && !hub.access.is_token_good(token)
    {
        return Err(hub.access.failed(from, Denied::Token).into());
    }
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

/// What whoever asks has shown, if it may ask at all.
fn may<'a>(hub: &Hub, headers: &'a HeaderMap, from: Option<IpAddr>) -> Result<Shown<'a>, Refusal> {
    hub.access.may_connect(headers)?;
    let key = hub.access.keys().current();
    let may_use_cookie = hub.access.may_use_cookie(headers);
    shown(headers, key.as_ref(), hub.access.takes_tokens(), may_use_cookie).map_err(|refusal| match refusal.status {
        StatusCode::UNAUTHORIZED => hub.access.failed(from, Denied::Key).into(),
        _ => refusal,
    })
}

/// The key, or a token that is still to be checked: by the header that a script sets, or by the cookie, which browsers also
/// send for pages of other sites. It never stands in the address: that is kept in logs and histories.
fn shown<'a>(
    headers: &'a HeaderMap,
    key: Option<&SharedKey>,
    takes_tokens: bool,
    may_use_cookie: bool,
) -> Result<Shown<'a>, Refusal> {
    let known = |given: &'a str| match key {
        Some(key) if key.matches(given) => Some(Shown::Key),
        _ => (takes_tokens && is_token(given)).then_some(Shown::Token(given)),
    };
    if let Some(given) = access::bearer(headers) {
        return known(given).ok_or_else(no_key);
    }
    let shown = access::cookie(headers).and_then(known).ok_or_else(no_key)?;
    if !may_use_cookie {
        let detail = "the cookie counts only for pages of this very origin; where a proxy stands between, it must pass on the header Host";
        return Err(Refusal::new("cross_site", StatusCode::FORBIDDEN, detail));
    }
    Ok(shown)
}

fn no_key() -> Refusal {
    Denied::Key.into()
}

// === impl Refusal ===

impl Refusal {
    fn new(label: &'static str, status: StatusCode, detail: &str) -> Self {
        Self { label, status, detail: detail.to_owned(), field: None, retry_after: RETRY_AFTER_SECONDS }
    }

    fn bad(status: StatusCode, detail: &str) -> Self {
        Self::new("bad_request", status, detail)
    }

    fn of_field(label: &'static str, status: StatusCode, wrong: FieldError) -> Self {
        let detail = [&*wrong.field, &*wrong.message].join(" ").trim_start().to_owned();
        Self { field: Some(wrong), ..Self::new(label, status, &detail) }
    }
}

impl From<Denied> for Refusal {
    fn from(denied: Denied) -> Self {
        let retry_after = denied.retry_after().unwrap_or(RETRY_AFTER_SECONDS);
        Self { retry_after, ..Self::new(denied.label(), denied.status(), denied.detail()) }
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
        struct Fields<'a> {
            #[serde(skip_serializing_if = "<[_]>::is_empty")]
            errors: &'a [FieldError],
        }
        let mut response = problem_with(self.status, &self.detail, Fields { errors: self.field.as_slice() });
        let mut set = |name, value| response.headers_mut().insert(name, HeaderValue::from_static(value));
        set(header::CACHE_CONTROL, "no-store");
        set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
        match self.status {
            StatusCode::UNAUTHORIZED => drop(set(header::WWW_AUTHENTICATE, "Bearer")),
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => {
                response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(self.retry_after));
            }
            _ => {}
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::origin;

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        lines.iter().map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value))).collect()
    }

    fn answered(lines: &[(&'static str, &'static str)]) -> u16 {
        let (key, headers) = (SharedKey::try_new("secret").unwrap(), headers(lines));
        let may_use_cookie = origin::may_use_cookie(&headers, None);
        shown(&headers, Some(&key), false, may_use_cookie).map_or_else(|refusal| refusal.status.as_u16(), |_| 200)
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
        let bearer = headers(&[("authorization", "Bearer secret")]);
        assert!(shown(&bearer, None, false, true).is_err(), "without a key nobody gets in");
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
