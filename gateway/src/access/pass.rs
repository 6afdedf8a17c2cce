//! By what somebody has come in.

use std::sync::Arc;

use bellwire_common::ids::{CHECK_USER, UnixMillis, UserId};

use super::login::{Login, Stay};
use crate::tab::Tab;

/// By what somebody has come in.
#[derive(Debug, Clone)]
pub(crate) enum Pass {
    /// By the shared key, as any user.
    Key,
    /// By the shared key, as any user, when it has shown it and says for whom it listens.
    KeyToCome,
    /// By the shared key, as the user of checks.
    CheckUser,
    /// By the shared key and a login, as the user of that; none where nobody could be asked whose it is.
    Login(Arc<Login>, Option<UserId>),
    /// By cookies that are still to be asked about, when it has shown the key and says for whom it listens.
    Unasked(Arc<Login>),
    /// By a token, as its user, until it expires.
    Token { user: UserId, until: UnixMillis },
}

/// A [`Pass`] while its session lasts.
pub(crate) enum Standing {
    Key,
    KeyToCome,
    CheckUser,
    Login(Stay),
    Unasked { login: Arc<Login>, number: u64, tab: Arc<Tab> },
    Token { user: UserId },
}

impl Pass {
    /// In how many milliseconds it expires, if it does.
    pub(crate) fn expires_in_ms(&self, now: UnixMillis) -> Option<u64> {
        if let Self::Token { until, .. } = self { Some(until.0.saturating_sub(now.0)) } else { None }
    }

    /// Whose session it will be, where that is known before it says so.
    pub(crate) fn user(&self) -> Option<&UserId> {
        if let Self::Token { user, .. } = self { Some(user) } else { None }
    }
}

impl Standing {
    /// The session says for which user it listens; whether it may.
    pub(super) fn claim(&self, user: &UserId) -> bool {
        match self {
            Self::Key => true,
            Self::KeyToCome | Self::Unasked { .. } => false,
            Self::CheckUser => user.as_str() == CHECK_USER,
            Self::Login(stay) => stay.claim(user),
            Self::Token { user: own } => own == user,
        }
    }
}
