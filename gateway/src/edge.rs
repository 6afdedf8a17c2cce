//! The gateway's HTTP edge: turns handshakes, and requests for event streams, into sessions.

use std::net::IpAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{FromRequestParts, Request, State, WebSocketUpgrade};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::any;

use bellwire_common::http::{Peer, Traffic};
use bellwire_common::metrics::{GATEWAY_HANDSHAKES_HELD, GATEWAY_HANDSHAKES_REFUSED};

use crate::access::{Caller, Denied, Pass};
use crate::admission::{Full, Ticket};
use crate::assets;
use crate::hub::{Hub, Owner};
use crate::peer;
use crate::protocol::{FRAME_BYTES_MAX, Handshake, Identity, Offer, Protocol, decide};
use crate::session::{self, Arrival, Socket, WebSocket};

mod events;

/// What a tab says fits in; larger messages grow the buffer while they are read. Measured in docs/performance.md.
const READ_BUFFER_BYTES: usize = 512;
/// Frames are joined in one write up to this many bytes. A session keeps up to twice as much once it had a burst.
const WRITE_BUFFER_BYTES: usize = 4 * 1024;
/// The write buffer holds one more frame than [`WRITE_BUFFER_BYTES`], the largest one included.
const WRITE_BUFFER_BYTES_MAX: usize = 128 * 1024;

const UNAUTHORIZED: &str = "Unauthorized\n";
const GOING: &str = "this node is going; connect again\n";
const FULL_NODE: &str = "this node has as many tabs as it may (max-sessions); connect again later\n";
const FULL_USER: &str = "this user has as many tabs here as one may (max-sessions-per-user); close some\n";
const FULL_ADDRESS: &str = "this address has as many tabs here as one may (max-sessions-per-address); close some\n";
/// To a handshake that is none any more.
const NOT_UPGRADED: &str =
    "this is a WebSocket's handshake without its header Upgrade: a proxy on the way does not pass it on\n";
const FORWARDED_FOR: &str = "x-forwarded-for";

/// Routes of the gateway. WebSockets are taken on every path that nobody else has: proxies change it.
pub(crate) fn router(hub: Arc<Hub>) -> Router {
    Router::new().route("/healthz", any(|| async { "ok" })).fallback(dispatch).with_state(hub)
}

async fn dispatch(State(hub): State<Arc<Hub>>, request: Request) -> Response {
    if !is_handshake(request.headers())
        && let Some(answer) = assets::answer(request.method(), request.uri().path(), request.headers())
    {
        return answer;
    }
    if !is_handshake(request.headers()) && request.uri().path() == events::PATH {
        return events::answer(hub, request).await;
    }
    handshake(hub, request).await
}

async fn handshake(hub: Arc<Hub>, request: Request) -> Response {
    let (parts, _body) = request.into_parts();
    // Both are answers.
    enter(hub, parts).await.unwrap_or_else(|refused| refused)
}

async fn enter(hub: Arc<Hub>, mut parts: Parts) -> Result<Response, Response> {
    if !wants_websocket(&parts.headers) {
        if is_handshake(&parts.headers) {
            return Err(not_upgraded());
        }
        if !has_query_identity(&parts.uri) {
            return Err(refuse(StatusCode::NOT_FOUND, "not found\n", "not_websocket"));
        }
    }
    let going = || refuse(StatusCode::SERVICE_UNAVAILABLE, GOING, "draining");
    if hub.is_draining() {
        return Err(going());
    }
    let address = address(&hub, &parts);
    hub.access.may_connect(&parts.headers).map_err(turn_away)?;
    let accepted = decided(&hub, &parts).map_err(|reason| match reason {
        "key" => turn_away(hub.access.failed(address, Denied::Key)),
        _ => refuse(StatusCode::UNAUTHORIZED, UNAUTHORIZED, reason),
    })?;
    let upgrade = WebSocketUpgrade::from_request_parts(&mut parts, &()).await.map_err(|rejection| {
        GATEWAY_HANDSHAKES_REFUSED.count(&["not_websocket"]);
        rejection.into_response()
    })?;
    let mut ticket = hub.admission.admit(address).map_err(full_up)?;
    hold(&hub).await;
    let user = accepted.identity.as_ref().map(|identity| &identity.user);
    let (is_native, knows_key) = (accepted.protocol.is_native(), accepted.protocol != Protocol::V1);
    let caller = Caller { token: accepted.token.as_deref(), user, knows_key, is_native, address };
    let pass = hub.access.admit(caller, &parts.headers).await.map_err(turn_away)?;
    // Not before it is known to be this user: others could take all places.
    user.map_or(Ok(()), |user| ticket.belongs_to(user)).map_err(full_up)?;
    if hub.is_draining() {
        return Err(going());
    }
    let traffic = parts.extensions.get::<Traffic>().cloned().unwrap_or_default();
    Ok(accept(hub, upgrade, accepted, pass, ticket, traffic))
}

struct Accepted {
    protocol: Protocol,
    subprotocol: Option<&'static str>,
    identity: Option<Identity>,
    token: Option<String>,
}

/// What the handshake asks for, or the reason for which it is refused.
fn decided(hub: &Hub, parts: &Parts) -> Result<Accepted, &'static str> {
    let offered = offered(&parts.headers);
    let takes_tokens = hub.access.takes_tokens();
    let elsewhere = if takes_tokens { hub.access.token_of(&parts.headers) } else { None };
    let offer = Offer { subprotocols: offered.as_deref(), query: parts.uri.query(), token: elsewhere };
    match decide(offer, hub.access.keys().current().as_ref(), takes_tokens) {
        Handshake::Refuse { reason, .. } => Err(reason),
        Handshake::Accept { protocol, subprotocol, identity, token } => {
            Ok(Accepted { protocol, subprotocol, identity, token: token.map(str::to_owned) })
        }
    }
}

/// From where a request comes, if that is known.
fn address(hub: &Hub, parts: &Parts) -> Option<IpAddr> {
    let forwarded = parts.headers.get_all(FORWARDED_FOR).iter().map(HeaderValue::as_bytes);
    let peer = parts.extensions.get::<Peer>().map(|Peer(peer)| peer.ip());
    peer.and_then(|peer| peer::client(peer, forwarded, &hub.trusted_proxies))
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

fn not_upgraded() -> Response {
    let mut refused = refuse(StatusCode::UPGRADE_REQUIRED, NOT_UPGRADED, "not_websocket");
    refused.headers_mut().insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    // What stands in `Upgrade` is for the next hop only, and this says so.
    refused.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    refused
}

fn full_up(full: Full) -> Response {
    match full {
        Full::Node => refuse(StatusCode::SERVICE_UNAVAILABLE, FULL_NODE, "full"),
        Full::User => refuse(StatusCode::TOO_MANY_REQUESTS, FULL_USER, "user_limit"),
        Full::Address => refuse(StatusCode::TOO_MANY_REQUESTS, FULL_ADDRESS, "address_limit"),
    }
}

fn accept(
    hub: Arc<Hub>,
    upgrade: WebSocketUpgrade,
    accepted: Accepted,
    pass: Pass,
    ticket: Ticket,
    traffic: Traffic,
) -> Response {
    let Accepted { protocol, subprotocol, identity, .. } = accepted;
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
        let owner = Owner::of(identity.as_ref(), pass.user());
        let seat = hub.seat(protocol, ticket, owner);
        let socket = Socket::WebSocket(WebSocket::new(socket, traffic));
        tokio::spawn(session::serve(socket, seat, Arrival { protocol, identity, first: None, pass }));
        std::future::ready(())
    })
}

fn wants_websocket(headers: &HeaderMap) -> bool {
    headers.get(header::UPGRADE).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

/// Proxies that do not pass on `Upgrade` pass on the rest of a handshake.
fn is_handshake(headers: &HeaderMap) -> bool {
    wants_websocket(headers) || headers.contains_key(header::SEC_WEBSOCKET_KEY)
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

fn turn_away(denied: Denied) -> Response {
    let mut response = match denied {
        // As V2's own server says it, whatever is wrong.
        Denied::Key | Denied::Login | Denied::Token => refuse(denied.status(), UNAUTHORIZED, denied.label()),
        _ => refuse(denied.status(), format!("{}\n", denied.detail()), denied.label()),
    };
    if let Some(seconds) = denied.retry_after() {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

fn refuse(status: StatusCode, body: impl IntoResponse, reason: &'static str) -> Response {
    GATEWAY_HANDSHAKES_REFUSED.count(&[reason]);
    let headers = [(header::CONTENT_TYPE, "text/plain; charset=utf-8"), (header::X_CONTENT_TYPE_OPTIONS, "nosniff")];
    (status, headers, body).into_response()
}
