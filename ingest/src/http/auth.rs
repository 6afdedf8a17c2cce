//! Who may send (design, section 7): who has a token. Where there are no tokens, what runs on this machine.

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;

use bellwire_common::local;

use crate::tokens::Tokens;

use super::problem::Refusal;

/// Passes a request on, or refuses it.
pub(super) fn admit(tokens: &Tokens, parts: &Parts) -> Result<(), Refusal> {
    if tokens.are_required() {
        return if has_token(tokens, &parts.headers) { Ok(()) } else { Err(Refusal::Token) };
    }
    local::check(parts).map_err(Refusal::NotLocal)
}

fn has_token(tokens: &Tokens, headers: &HeaderMap) -> bool {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return false };
    let Some((scheme, token)) = value.as_bytes().split_at_checked("Bearer ".len()) else { return false };
    scheme.eq_ignore_ascii_case(b"Bearer ") && tokens.contain(token.trim_ascii())
}
