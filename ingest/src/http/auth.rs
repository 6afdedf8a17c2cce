//! Who may send (design, section 7): who has a certificate, if one is needed, and a token. Where neither is needed, what
//! runs on this machine.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use tracing::debug;

use bellwire_common::http::{ClientCertificate, Peer};
use bellwire_common::local;

use crate::app::Ingest;
use crate::tokens::Grant;

use super::problem::Refusal;

/// Passes a request on with what it may do, or refuses it.
pub(super) fn admit(ingest: &Ingest, parts: &Parts) -> Result<Arc<Grant>, Refusal> {
    let settings = ingest.settings();
    if settings.needs_certificate && parts.extensions.get::<ClientCertificate>().is_none() {
        return Err(Refusal::ClientCertificate);
    }
    if !settings.tokens.are_required() {
        // A browser shows the certificate of its user for any page.
        let checked =
            if settings.needs_certificate { local::check_direct(&parts.headers) } else { local::check(parts) };
        return checked.map(|()| Arc::default()).map_err(Refusal::NotLocal);
    }
    // Before the failures of the address: behind a proxy, it is that of all senders.
    let Some(grant) = token(&parts.headers).and_then(|token| settings.tokens.grant(token)) else {
        let peer = parts.extensions.get::<Peer>().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |Peer(peer)| peer.ip());
        if let Some(seconds) = ingest.wait(peer) {
            return Err(Refusal::Failures(seconds));
        }
        ingest.count_failure(peer);
        return Err(Refusal::Token);
    };
    debug!(token = grant.name, path = parts.uri.path(), "a sender");
    if grant.has_path(parts.uri.path()) { Ok(grant) } else { Err(Refusal::Scope) }
}

fn token(headers: &HeaderMap) -> Option<&[u8]> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    let (scheme, token) = value.as_bytes().split_at_checked("Bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then(|| token.trim_ascii())
}
