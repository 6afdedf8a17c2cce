//! Who may send (design, section 7): who has a certificate, if one is needed, and a token. Where neither is needed, what
//! runs on this machine.

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;

use bellwire_common::http::ClientCertificate;
use bellwire_common::local;

use crate::app::IngestSettings;
use crate::tokens::Tokens;

use super::problem::Refusal;

/// Passes a request on, or refuses it.
pub(super) fn admit(settings: &IngestSettings, parts: &Parts) -> Result<(), Refusal> {
    if settings.needs_certificate && parts.extensions.get::<ClientCertificate>().is_none() {
        return Err(Refusal::ClientCertificate);
    }
    if settings.tokens.are_required() {
        return if has_token(&settings.tokens, &parts.headers) { Ok(()) } else { Err(Refusal::Token) };
    }
    if settings.needs_certificate {
        // A browser shows the certificate of its user for any page.
        return local::check_direct(&parts.headers).map_err(Refusal::NotLocal);
    }
    local::check(parts).map_err(Refusal::NotLocal)
}

fn has_token(tokens: &Tokens, headers: &HeaderMap) -> bool {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return false };
    let Some((scheme, token)) = value.as_bytes().split_at_checked("Bearer ".len()) else { return false };
    scheme.eq_ignore_ascii_case(b"Bearer ") && tokens.contain(token.trim_ascii())
}
