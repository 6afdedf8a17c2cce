//! The gateway's HTTP edge: turns handshakes, and requests for event streams, into sessions.

use std::sync::Arc;

use axum::Router;
use axum::extract::{FromRequestParts, Request, State, WebSocketUpgrade};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::any;

use bellwire_common::http::{Peer, Traffic};
use bellwire_common::metrics::{GATEWAY_HANDSHAKES_HELD, GATEWAY_HANDSHAKES_REFUSED};

use crate::admission::{Full, Ticket};
use crate::assets;
use crate::hub::Hub;
use crate::peer;
use crate::protocol::{FRAME_BYTES_MAX, Handshake, Identity, Protocol, decide};
use crate::session::{self, Socket, WebSocket};

mod events;

/// What a tab says fits in; larger messages grow the buffer while they are read. Measured in docs/performance.md.
const READ_BUFFER_BYTES: usize = 512;
/// Frames are joined in one write up to this many bytes. A session keeps up to twice as much once it had a burst.
const WRITE_BUFFER_BYTES: usize = 4 * 1024;
/// The write buffer holds one more frame than [`WRITE_BUFFER_BYTES`], the largest one included.
const WRITE_BUFFER_BYTES_MAX: usize = 128 * 1024;

const GOING: &str = "this node is going; connect again\n";
const FULL_NODE: &str = "this node has as many tabs as it may (max-sessions); connect again later\n";
const FULL_USER: &str = "this user has as many tabs here as one may (max-sessions-per-user); close some\n";
const FULL_ADDRESS: &str = "this address has as many tabs here as one may (max-sessions-per-address); close some\n";
const FORWARDED_FOR: &str = "x-forwarded-for";

/// Routes of the gateway. WebSockets are taken on every path that nobody else has: proxies change it.
pub(crate) fn router(hub: Arc<Hub>) -> Router {
    Router::new().route("/healthz", any(|| async { "ok" })).fallback(dispatch).with_state(hub)
}

async fn dispatch(State(hub): State<Arc<Hub>>, request: Request) -> Response {
    if !wants_websocket(request.headers())
        && let Some(answer) = assets::answer(request.method(), request.uri().path(), request.headers())
    {
        return answer;
    }
    if !wants_websocket(request.headers()) && request.uri().path() == events::PATH {
        return events::answer(hub, request).await;
    }
    handshake(hub, request).await
}

async fn handshake(hub: Arc<Hub>, request: Request) -> Response {
    let (mut parts, _body) = request.into_parts();
    if !wants_websocket(&parts.headers) && !has_query_identity(&parts.uri) {
        return refuse(StatusCode::NOT_FOUND, "not found\n", "not_websocket");
    }
    if hub.is_draining() {
        return refuse(StatusCode::SERVICE_UNAVAILABLE, GOING, "draining");
    }
    let offered = offered(&parts.headers);
    let accepted = match decide(offered.as_deref(), parts.uri.query(), hub.key.as_ref()) {
        Handshake::Refuse { status, body, reason } => {
            return refuse(StatusCode::from_u16(status).unwrap_or(StatusCode::UNAUTHORIZED), body, reason);
        }
        Handshake::Accept { protocol, subprotocol, identity } => Accepted { protocol, subprotocol, identity },
    };
    let upgrade = match WebSocketUpgrade::from_request_parts(&mut parts, &()).await {
        Ok(upgrade) => upgrade,
        Err(rejection) => {
            GATEWAY_HANDSHAKES_REFUSED.count(&["not_websocket"]);
            return rejection.into_response();
        }
    };
    let ticket = match admit(&hub, &parts, accepted.identity.as_ref()) {
        Ok(ticket) => ticket,
        Err(full) => return full_up(full),
    };
    hold(&hub).await;
    if hub.is_draining() {
        return refuse(StatusCode::SERVICE_UNAVAILABLE, GOING, "draining");
    }
    let traffic = parts.extensions.get::<Traffic>().cloned().unwrap_or_default();
    accept(hub, upgrade, accepted, ticket, traffic)
}

struct Accepted {
    protocol: Protocol,
    subprotocol: Option<&'static str>,
    identity: Option<Identity>,
}

/// A place for the session; V2 says in the handshake for which user.
fn admit(hub: &Arc<Hub>, parts: &Parts, identity: Option<&Identity>) -> Result<Ticket, Full> {
    let forwarded = parts.headers.get_all(FORWARDED_FOR).iter().map(HeaderValue::as_bytes);
    let peer = parts.extensions.get::<Peer>().map(|Peer(peer)| peer.ip());
    let client = peer.and_then(|peer| peer::client(peer, forwarded, &hub.trusted_proxies));
    let mut ticket = hub.admission.admit(client)?;
    if let Some(identity) = identity {
        ticket.belongs_to(&identity.user)?;
    }
    Ok(ticket)
}

/// Tabs that come back in step are let in one by one. Refusing them would bring them all back in step again.
async fn hold(hub: &Hub) {
    let turn = hub.admission.turn();
    if !turn.wait.is_zero() {
        GATEWAY_HANDSHAKES_HELD.count(&[]);
        tokio::time::sleep(turn.wait).await;
    }
    turn.take();
}

fn full_up(full: Full) -> Response {
    match full {
        Full::Node => refuse(StatusCode::SERVICE_UNAVAILABLE, FULL_NODE, "full"),
        Full::User => refuse(StatusCode::TOO_MANY_REQUESTS, FULL_USER, "user_limit"),
        Full::Address => refuse(StatusCode::TOO_MANY_REQUESTS, FULL_ADDRESS, "address_limit"),
    }
}

fn accept(hub: Arc<Hub>, upgrade: WebSocketUpgrade, accepted: Accepted, ticket: Ticket, traffic: Traffic) -> Response {
    let Accepted { protocol, subprotocol, identity } = accepted;
    let mut upgrade = upgrade
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(WRITE_BUFFER_BYTES)
        .max_write_buffer_size(WRITE_BUFFER_BYTES_MAX)
        .max_message_size(FRAME_BYTES_MAX)
        .max_frame_size(FRAME_BYTES_MAX);
    if let Some(subprotocol) = subprotocol {
        upgrade.set_selected_protocol(HeaderValue::from_static(subprotocol));
    }
    // A task of its own: the one that upgraded is ten times as large, and would stay as long as the tab.
    upgrade.on_upgrade(move |socket| {
        let seat = hub.seat(protocol, ticket);
        let socket = Socket::WebSocket(WebSocket::new(socket, traffic));
        tokio::spawn(session::serve(socket, seat, protocol, identity, None));
        std::future::ready(())
    })
}

fn wants_websocket(headers: &HeaderMap) -> bool {
    headers.get(header::UPGRADE).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

/// V2's server answers a plain request with its own refusals when it looks like a tab's.
fn has_query_identity(uri: &Uri) -> bool {
    uri.query().is_some_and(|query| query.contains("userId="))
}

fn offered(headers: &HeaderMap) -> Option<String> {
    let mut values = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter().peekable();
    values.peek()?;
    // What is no text matches no key: the refusal is the same.
    Some(values.map(|value| value.to_str().unwrap_or("?")).collect::<Vec<_>>().join(","))
}

fn refuse(status: StatusCode, body: &'static str, reason: &'static str) -> Response {
    GATEWAY_HANDSHAKES_REFUSED.count(&[reason]);
    let headers = [(header::CONTENT_TYPE, "text/plain; charset=utf-8"), (header::X_CONTENT_TYPE_OPTIONS, "nosniff")];
    (status, headers, body).into_response()
}
