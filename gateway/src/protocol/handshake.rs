//! Which protocol a handshake asks for, and whether it may.

use std::borrow::Cow;

use bellwire_common::ids::{BrowserId, UserId};

use super::{Identity, Protocol, SharedKey};

/// Subprotocol of V2. It must be answered: without it browsers fail the connection.
pub const V2_SUBPROTOCOL: &str = "access_token";

/// Subprotocol of the native protocol.
pub const NATIVE_SUBPROTOCOL: &str = "bellwire.v1";

const UNAUTHORIZED: u16 = 401;

/// What a handshake brings.
#[derive(Debug, Clone, Copy, Default)]
pub struct Offer<'a> {
    /// The values of `Sec-WebSocket-Protocol`, several headers joined by commas.
    pub subprotocols: Option<&'a str>,
    /// The query string without its `?`.
    pub query: Option<&'a str>,
    /// A user's token that came otherwise than as a subprotocol.
    pub token: Option<&'a str>,
}

/// What becomes of a handshake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Handshake<'a> {
    /// The connection becomes a session.
    Accept {
        /// What it speaks.
        protocol: Protocol,
        /// What to answer as `Sec-WebSocket-Protocol`; never the key.
        subprotocol: Option<&'static str>,
        /// Whose tab it is, where the handshake says so (V2).
        identity: Option<Identity>,
        /// The user's token that is still to be checked, and counts instead of the key.
        token: Option<&'a str>,
    },
    /// The connection is answered with an error.
    Refuse {
        /// HTTP status.
        status: u16,
        /// Body, as `text/plain; charset=utf-8`.
        body: &'static str,
        /// Label `reason` of `GATEWAY_HANDSHAKES_REFUSED`.
        reason: &'static str,
    },
}

/// Decides by what the handshake brings, the shared key, and whether users' tokens are taken. The path does not matter:
/// proxies change it.
///
/// Without a shared key only tokens open anything: a V1 tab could connect, but never register.
#[must_use]
pub fn decide<'a>(offer: Offer<'a>, key: Option<&SharedKey>, takes_tokens: bool) -> Handshake<'a> {
    let offered: Vec<&str> = match offer.subprotocols.map(str::trim) {
        None | Some("") => return v1(key),
        Some(offered) => offered.split(',').map(str::trim).take(OFFERED_LEN_MAX).collect(),
    };
    if offered[0] != NATIVE_SUBPROTOCOL {
        return v2(&offered, offer.query.unwrap_or(""), key);
    }
    native(&offered, key, offer.token.filter(|token| is_token(token)), takes_tokens)
}

/// Whether a text has the form of a user's token, three parts with dots between.
#[must_use]
pub fn is_token(text: &str) -> bool {
    text.split('.').count() == 3
}

/// Two are right; with a third one it is known that they are too many.
const OFFERED_LEN_MAX: usize = 3;

fn v1(key: Option<&SharedKey>) -> Handshake<'static> {
    if key.is_none() {
        return refuse("key");
    }
    Handshake::Accept { protocol: Protocol::V1, subprotocol: None, identity: None, token: None }
}

fn native<'a>(
    offered: &[&'a str],
    key: Option<&SharedKey>,
    elsewhere: Option<&'a str>,
    takes_tokens: bool,
) -> Handshake<'a> {
    let token = match offered {
        [_] if takes_tokens && elsewhere.is_some() => elsewhere,
        [_, given] if key.is_some_and(|key| key.matches(given)) => None,
        [_, given] if takes_tokens && is_token(given) => Some(*given),
        [_, _] => return refuse("key"),
        _ => return refuse("subprotocol"),
    };
    let subprotocol = Some(NATIVE_SUBPROTOCOL);
    Handshake::Accept { protocol: Protocol::Native, subprotocol, identity: None, token }
}

/// In the order of 2.1: the user id first, then the rest.
fn v2(offered: &[&str], query: &str, key: Option<&SharedKey>) -> Handshake<'static> {
    let Some(user) = parameter(query, "userId").and_then(|text| user_of(&text)) else { return refuse("identity") };
    let Some(browser) = parameter(query, "browserUuid").and_then(|text| BrowserId::try_new(&text).ok()) else {
        return refuse("identity");
    };
    let [V2_SUBPROTOCOL, given] = offered else { return refuse("subprotocol") };
    if !key.is_some_and(|key| key.matches(given)) {
        return refuse("key");
    }
    let identity = Some(Identity { user, browser });
    Handshake::Accept { protocol: Protocol::V2, subprotocol: Some(V2_SUBPROTOCOL), identity, token: None }
}

fn refuse(reason: &'static str) -> Handshake<'static> {
    Handshake::Refuse { status: UNAUTHORIZED, body: "Unauthorized\n", reason }
}

/// A positive decimal number of 64 bits, in its shortest spelling.
fn user_of(text: &str) -> Option<UserId> {
    let number: i64 = text.parse().ok()?;
    if number > 0 { UserId::try_new(&number.to_string()).ok() } else { None }
}

/// The first value of a query parameter, read as Go's `net/url` reads it: pairs that are spelled wrongly, and
/// those with a semicolon, do not count.
pub(super) fn parameter<'a>(query: &'a str, name: &str) -> Option<Cow<'a, str>> {
    query.split('&').filter(|pair| !pair.contains(';')).find_map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        if decoded(key)? == name { decoded(value) } else { None }
    })
}

/// `text` without its `%` and `+` escapes; none if one is spelled wrongly or the result is not UTF-8.
pub(crate) fn decoded(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains(['%', '+']) {
        return Some(Cow::Borrowed(text));
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        rest = tail;
        bytes.push(match first {
            b'+' => b' ',
            b'%' => {
                let (&[high, low], tail) = rest.split_first_chunk()?;
                rest = tail;
                (hex(high)? << 4) | hex(low)?
            }
            other => other,
        });
    }
    String::from_utf8(bytes).ok().map(Cow::Owned)
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|value| value as u8)
}
