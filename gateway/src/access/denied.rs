//! Why somebody is not let in, and what it is told.

use std::time::Duration;

use axum::http::StatusCode;

use super::login::NO_FOR_MS;

/// Seconds after which a login may be asked about again: whether openITCOCKPIT is away is remembered for so long.
const AWAY_RETRY_AFTER: u64 = NO_FOR_MS.div_ceil(1_000);

/// Why somebody is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Denied {
    /// By the site that the page is of.
    Origin,
    /// It has failed as others of its address did, too often; for so long.
    Failures(Duration),
    /// By the key: it is wrong, or missing.
    Key,
    /// There is no login of the user that is claimed.
    Login,
    /// openITCOCKPIT cannot be asked.
    Away,
    /// By a user's token.
    Token,
}

impl Denied {
    /// Label `reason` of `GATEWAY_HANDSHAKES_REFUSED`.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Origin => "origin",
            Self::Failures(_) => "failures",
            Self::Key => "key",
            Self::Login => "session",
            Self::Away => "session_away",
            Self::Token => "token",
        }
    }

    pub(crate) fn status(self) -> StatusCode {
        match self {
            Self::Origin => StatusCode::FORBIDDEN,
            Self::Failures(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::Key | Self::Login | Self::Token => StatusCode::UNAUTHORIZED,
            Self::Away => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// What it is told, if it is a program that can read it.
    pub(crate) fn detail(self) -> &'static str {
        match self {
            Self::Origin => "pages of this origin may not connect (origins)",
            Self::Failures(_) => "this address has failed too often (max-failures-per-address); try again later",
            Self::Key => {
                "the key is missing or wrong: send it as Authorization: Bearer KEY, or in the cookie bellwire_token"
            }
            Self::Login => "the cookies are no login of this user in openITCOCKPIT",
            Self::Away => "openITCOCKPIT cannot be asked for the login; try again later",
            Self::Token => "the token opens nothing: it has expired, is another user's, or is not one for this service",
        }
    }

    /// Seconds after which it may try again.
    pub(crate) fn retry_after(self) -> Option<u64> {
        match self {
            Self::Failures(wait) => Some(wait.as_secs() + 1),
            Self::Away => Some(AWAY_RETRY_AFTER),
            Self::Origin | Self::Key | Self::Login | Self::Token => None,
        }
    }
}
