//! Who may listen (docs/access.md): decisions apart from what is asked and kept for them.
//!
//! - [`origin`]: pages of which sites may connect at all
//! - [`failures`]: how often an address may fail
//! - [`keys`]: the shared key, which may change
//! - [`jwt`]: users' tokens
//! - [`verdict`], [`login`], [`logins`]: the login in openITCOCKPIT that a browser's cookies carry
//! - [`revoke`]: ends the sessions of a user

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::http::header::{AUTHORIZATION, COOKIE, ORIGIN};
use axum::http::{HeaderMap, StatusCode};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use bellwire_common::fetch::TrustError;
use bellwire_common::ids::{CHECK_USER, UnixMillis, UserId};
use bellwire_common::metrics::{GATEWAY_ACCESS_MODE, GATEWAY_SESSIONS_UNCHECKED, GATEWAY_TOKENS_REFUSED};
use bellwire_common::settings::{self, SessionCheck};
use bellwire_common::watched::WatchedError;

use crate::pace::{Pace, Rate};
use crate::protocol::is_token;
use crate::tab::Tab;

mod failures;
pub mod jwt;
mod keys;
mod login;
mod logins;
pub(crate) mod origin;
pub(crate) mod revoke;
pub mod verdict;

use failures::Failures;
pub use keys::{KeyRing, KeyWriter};
use login::{Login, Stay};
use logins::Logins;
use verdict::{Judgement, Verdict};

/// The cookie that a site sets for its pages, `HttpOnly`, with the key or a token as its value.
pub(crate) const COOKIE_NAME: &str = "bellwire_token";

/// The log tells of refused origins three times at once, and once a minute. Milliseconds.
const TELL: Rate = Rate { every: 60_000, burst: 3 };
/// So much of one is told.
const ORIGIN_CHARS_TOLD: usize = 128;

/// See the module.
#[derive(Debug)]
pub struct Access {
    keys: KeyRing,
    mode: SessionCheck,
    /// None where no login is checked.
    logins: Option<Logins>,
    tokens: Option<jwt::Tokens>,
    origins: Option<Vec<String>>,
    /// What the log says of refused origins.
    told: Mutex<Pace>,
    started: Instant,
    failures: Failures,
}

/// Why there is no [`Access`].
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// openITCOCKPIT cannot be asked.
    #[error("openitcockpit-ca-file: {0}")]
    Trust(#[from] TrustError),
    /// The keys of users' tokens cannot be used.
    #[error("jwt-keys-file: {0}")]
    Keys(#[from] WatchedError),
}

/// Why somebody is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Denied {
    /// By the site that the page is of.
    Origin,
    /// This address has failed too often, for so long.
    Failures(Duration),
    /// There is no login of the user that is claimed.
    Login,
    /// openITCOCKPIT cannot be asked.
    Away,
    /// By a user's token.
    Token,
}

/// Somebody who knows the shared key, or has a token.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Caller<'a> {
    /// The token; none for the key.
    pub(crate) token: Option<&'a str>,
    /// Who it is, if that is said already.
    pub(crate) user: Option<&'a UserId>,
    /// Speaks the native protocol.
    pub(crate) is_native: bool,
    /// Where it is, if that is known.
    pub(crate) address: Option<IpAddr>,
}

/// By what somebody has come in.
#[derive(Debug, Clone)]
pub(crate) enum Pass {
    /// By the shared key, as any user.
    Key,
    /// By the shared key, as the user of checks.
    CheckUser,
    /// By the shared key and a login, as the user of that; none where nobody could be asked whose it is.
    Login(Arc<Login>, Option<UserId>),
    /// By a token, as its user, until it expires.
    Token { user: UserId, until: UnixMillis },
}

/// A [`Pass`] while its session lasts.
pub(crate) enum Standing {
    Key,
    CheckUser,
    Login(Stay),
    Token { user: UserId },
}

// === impl Access ===

impl Access {
    /// By the settings. `keys` has the shared key.
    pub fn open(settings: &settings::Access, keys: KeyRing) -> Result<Self, AccessError> {
        zero(settings.session_check);
        let asks = settings.session_check != SessionCheck::KeyOnly;
        let site = settings.openitcockpit.as_ref().filter(|_| asks);
        Ok(Self {
            keys,
            mode: settings.session_check,
            logins: site.map(|site| Logins::try_new(site, settings.recheck)).transpose()?,
            tokens: jwt::Tokens::open(settings)?,
            origins: settings.origins.clone(),
            told: Mutex::default(),
            started: Instant::now(),
            failures: Failures::new(settings.failures_per_address),
        })
    }

    /// The shared key is enough, from anywhere.
    #[must_use]
    pub fn key_only(keys: KeyRing) -> Self {
        zero(SessionCheck::KeyOnly);
        Self {
            keys,
            mode: SessionCheck::KeyOnly,
            logins: None,
            tokens: None,
            origins: None,
            told: Mutex::default(),
            started: Instant::now(),
            failures: Failures::new(u32::MAX),
        }
    }

    /// Keeps what it knows fresh, until `stop`: asks again about the logins of open sessions, and follows the keys of tokens.
    pub(crate) async fn follow(&self, stop: CancellationToken) {
        let logins = async {
            if let Some(logins) = &self.logins {
                logins.follow().await;
            }
        };
        let tokens = async {
            if let Some(tokens) = self.tokens.clone() {
                tokens.follow().await;
            }
        };
        let both = async { tokio::join!(logins, tokens) };
        stop.run_until_cancelled(both).await;
    }

    /// The shared key that counts for those who come now.
    pub(crate) fn keys(&self) -> &KeyRing {
        &self.keys
    }

    pub(crate) fn takes_tokens(&self) -> bool {
        self.tokens.is_some()
    }

    /// Whether somebody may try at all: before any key is looked at.
    pub(crate) fn may_try(&self, headers: &HeaderMap, address: Option<IpAddr>) -> Result<(), Denied> {
        if !origin::may_connect(headers, self.origins.as_deref()) {
            self.tell_of_origin(headers);
            return Err(Denied::Origin);
        }
        self.failures.wait(address).map_or(Ok(()), |wait| Err(Denied::Failures(wait)))
    }

    /// A name that is missing in the settings keeps everybody out, and no page can say why. Whoever runs the node is told, but
    /// not by every stranger.
    fn tell_of_origin(&self, headers: &HeaderMap) {
        let now = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.free_at(TELL) <= now {
            told.take(now, TELL, 1);
            let origin = headers.get(ORIGIN).map(|origin| String::from_utf8_lossy(origin.as_bytes()));
            let origin: String = origin.unwrap_or_default().chars().take(ORIGIN_CHARS_TOLD).collect();
            warn!(?origin, "a page of this origin may not connect; if it is one of yours, name it in origins");
        }
    }

    /// Somebody had a wrong key, or none of its user's.
    pub(crate) fn failed(&self, address: Option<IpAddr>) {
        self.failures.count(address);
    }

    /// A user's token that came in a header; in a cookie it counts only for pages that may use cookies.
    pub(crate) fn token_of<'a>(&self, headers: &'a HeaderMap) -> Option<&'a str> {
        let cookie = || cookie(headers).filter(|_| self.may_use_cookie(headers));
        bearer(headers).or_else(cookie).filter(|token| is_token(token))
    }

    /// Whether a cookie with a key or a token counts.
    pub(crate) fn may_use_cookie(&self, headers: &HeaderMap) -> bool {
        origin::may_use_cookie(headers, self.origins.as_deref())
    }

    /// Lets somebody in, or not. Failures are counted.
    pub(crate) async fn admit(&self, caller: Caller<'_>, headers: &HeaderMap) -> Result<Pass, Denied> {
        let pass = match caller.token {
            Some(token) => self.by_token(token, caller.user),
            None => self.by_key(caller, headers).await,
        };
        if matches!(pass, Err(Denied::Login | Denied::Token)) {
            self.failed(caller.address);
        }
        pass
    }

    fn by_token(&self, token: &str, claimed: Option<&UserId>) -> Result<Pass, Denied> {
        let tokens = self.tokens.as_ref().ok_or(Denied::Token)?;
        let claims = tokens.check(token, UnixMillis::now()).map_err(|refused| {
            GATEWAY_TOKENS_REFUSED.count(&[refused.label()]);
            Denied::Token
        })?;
        if claimed.is_some_and(|claimed| *claimed != claims.user) {
            return Err(Denied::Token);
        }
        Ok(Pass::Token { user: claims.user, until: claims.expires_at })
    }

    async fn by_key(&self, caller: Caller<'_>, headers: &HeaderMap) -> Result<Pass, Denied> {
        let Some(logins) = &self.logins else {
            GATEWAY_SESSIONS_UNCHECKED.count(&["key_only"]);
            return Ok(Pass::Key);
        };
        if caller.is_native && caller.user.is_some_and(|user| user.as_str() == CHECK_USER) {
            return Ok(Pass::CheckUser);
        }
        let login = logins.of(headers);
        let verdict = match &login {
            Some(login) => logins.ask(login).await,
            None => Verdict::No,
        };
        let judgement = verdict::judge(self.mode, &verdict, caller.user, caller.is_native);
        let user = if let Verdict::Yes(user) = verdict { Some(user) } else { None };
        match (judgement, login) {
            (Judgement::Login, Some(login)) => Ok(Pass::Login(login, user)),
            (Judgement::Unchecked, Some(login)) => {
                GATEWAY_SESSIONS_UNCHECKED.count(&["away"]);
                Ok(Pass::Login(login, None))
            }
            (Judgement::CheckUser, _) => Ok(Pass::CheckUser),
            (Judgement::RefuseForNow, _) => Err(Denied::Away),
            (Judgement::Refuse, _) | (_, None) => Err(Denied::Login),
        }
    }

    /// Whether a token opens anything at this moment; for requests that a session's own token stands behind.
    pub(crate) fn is_token_good(&self, token: &str) -> bool {
        self.by_token(token, None).is_ok()
    }

    /// The pass of a session that begins.
    pub(crate) fn enter(&self, pass: Pass, number: u64, tab: &Arc<Tab>) -> Standing {
        match pass {
            Pass::Key => Standing::Key,
            Pass::CheckUser => Standing::CheckUser,
            Pass::Token { user, .. } => Standing::Token { user },
            Pass::Login(login, own) => {
                let due = self.logins.as_ref().map_or(u64::MAX, Logins::due);
                Standing::Login(login.enter(number, Arc::clone(tab), own, due))
            }
        }
    }

    /// Forgets the logins of this user and ends their sessions; how many.
    pub(crate) fn revoke(&self, user: &UserId) -> usize {
        self.logins.as_ref().map_or(0, |logins| logins.revoke(user))
    }
}

fn zero(mode: SessionCheck) {
    GATEWAY_ACCESS_MODE.zero();
    GATEWAY_ACCESS_MODE.with(&[mode.name()]).set(1.0);
}

/// What follows `Bearer` in the header `Authorization`; what has another scheme is for a proxy.
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, key) = headers.get(AUTHORIZATION)?.to_str().ok()?.trim().split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(key.trim())
}

/// The value of our cookie.
pub(crate) fn cookie(headers: &HeaderMap) -> Option<&str> {
    let values = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = values.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == COOKIE_NAME).map(|(_, value)| value)
}

// === impl Denied ===

impl Denied {
    /// Label `reason` of `GATEWAY_HANDSHAKES_REFUSED`.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Origin => "origin",
            Self::Failures(_) => "failures",
            Self::Login => "session",
            Self::Away => "session_away",
            Self::Token => "token",
        }
    }

    pub(crate) fn status(self) -> StatusCode {
        match self {
            Self::Origin => StatusCode::FORBIDDEN,
            Self::Failures(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::Login | Self::Token => StatusCode::UNAUTHORIZED,
            Self::Away => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// What it is told, if it is a program that can read it.
    pub(crate) fn detail(self) -> &'static str {
        match self {
            Self::Origin => "pages of this origin may not connect (origins)",
            Self::Failures(_) => "this address has failed too often (max-failures-per-address); try again later",
            Self::Login => "the cookies are no login of this user in openITCOCKPIT",
            Self::Away => "openITCOCKPIT cannot be asked for the login; try again later",
            Self::Token => "the token opens nothing: it has expired, is another user's, or is not one for this service",
        }
    }

    /// Seconds after which it may try again.
    pub(crate) fn retry_after(self) -> Option<u64> {
        match self {
            Self::Failures(wait) => Some(wait.as_secs() + 1),
            Self::Away => Some(3),
            Self::Origin | Self::Login | Self::Token => None,
        }
    }
}

// === impl Pass ===

impl Pass {
    /// In how many milliseconds it expires, if it does.
    pub(crate) fn expires_in_ms(&self, now: UnixMillis) -> Option<u64> {
        if let Self::Token { until, .. } = self { Some(until.0.saturating_sub(now.0)) } else { None }
    }
}

// === impl Standing ===

impl Standing {
    /// The session says for which user it listens; whether it may.
    pub(crate) fn claim(&self, user: &UserId) -> bool {
        match self {
            Self::Key => true,
            Self::CheckUser => user.as_str() == CHECK_USER,
            Self::Login(stay) => stay.claim(user),
            Self::Token { user: own } => own == user,
        }
    }
}
