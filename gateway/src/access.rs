//! Who may listen (docs/access.md): decisions apart from what is asked and kept for them.
//!
//! - [`origin`]: pages of which sites may connect at all
//! - [`failures`]: how often an address may fail
//! - [`keys`]: the shared key, which may change
//! - [`jwt`]: users' tokens
//! - [`site`], [`verdict`], [`login`], [`logins`]: the login in openITCOCKPIT that a browser's cookies carry
//! - [`pass`], [`denied`]: what comes of it
//! - [`revoke`]: ends the sessions of a user

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use axum::http::HeaderMap;
use axum::http::header::{AUTHORIZATION, COOKIE, ORIGIN};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use bellwire_common::fetch::TrustError;
use bellwire_common::ids::{CHECK_USER, UnixMillis, UserId};
use bellwire_common::metrics::{GATEWAY_ACCESS_MODE, GATEWAY_SESSIONS_UNCHECKED, GATEWAY_TOKENS_REFUSED};
use bellwire_common::settings::{self, SessionCheck};
use bellwire_common::watched::WatchedError;

use crate::pace::{Rate, Telling};
use crate::protocol::{End, is_token};
use crate::tab::Tab;

mod denied;
mod failures;
pub mod jwt;
mod keys;
mod login;
mod logins;
pub(crate) mod origin;
mod pass;
pub(crate) mod revoke;
pub mod site;
pub mod verdict;

pub(crate) use denied::Denied;
use failures::Failures;
pub use keys::{KeyRing, KeyWriter};
use login::Login;
use logins::Logins;
pub(crate) use pass::{Pass, Standing};
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
    told: Telling,
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

/// Somebody who knows the shared key, or has a token.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Caller<'a> {
    /// The token; none for the key.
    pub(crate) token: Option<&'a str>,
    /// Who it is, if that is said already.
    pub(crate) user: Option<&'a UserId>,
    /// Has shown the key; V1 tabs do so in their first message only.
    pub(crate) knows_key: bool,
    /// Speaks the native protocol.
    pub(crate) is_native: bool,
    /// Where it is, if that is known.
    pub(crate) address: Option<IpAddr>,
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
            told: Telling::default(),
            started: Instant::now(),
            failures: Failures::new(settings.failures_per_address),
        })
    }

    /// The shared key is enough, from anywhere.
    #[cfg(test)]
    pub(crate) fn key_only(keys: KeyRing) -> Self {
        zero(SessionCheck::KeyOnly);
        Self {
            keys,
            mode: SessionCheck::KeyOnly,
            logins: None,
            tokens: None,
            origins: None,
            told: Telling::default(),
            started: Instant::now(),
            failures: Failures::new(u32::MAX),
        }
    }

    /// Keeps what it knows fresh, until `stop` and no shorter: asks again about the logins of open sessions, and follows the keys of tokens.
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
        let both = async {
            tokio::join!(logins, tokens);
            std::future::pending::<()>().await;
        };
        stop.run_until_cancelled(both).await;
    }

    /// The shared key that counts for those who come now.
    pub(crate) fn keys(&self) -> &KeyRing {
        &self.keys
    }

    pub(crate) fn takes_tokens(&self) -> bool {
        self.tokens.is_some()
    }

    /// Whether a page of this site may connect at all.
    pub(crate) fn may_connect(&self, headers: &HeaderMap) -> Result<(), Denied> {
        if origin::may_connect(headers, self.origins.as_deref()) {
            return Ok(());
        }
        self.tell_of_origin(headers);
        Err(Denied::Origin)
    }

    /// A name that is missing in the settings keeps everybody out, and no page can say why. Whoever runs the node is told, but
    /// not by every stranger.
    fn tell_of_origin(&self, headers: &HeaderMap) {
        let now = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        if self.told.may(now, TELL) {
            let origin = headers.get(ORIGIN).map(|origin| String::from_utf8_lossy(origin.as_bytes()));
            let origin: String = origin.unwrap_or_default().chars().take(ORIGIN_CHARS_TOLD).collect();
            warn!(?origin, "a page of this origin may not connect; if it is one of yours, name it in origins");
        }
    }

    /// Somebody had a wrong key, or none of its user's: counts it, and says what it is told. Only those who are wrong are ever
    /// told to wait: behind one address there may be others who are right.
    pub(crate) fn failed(&self, address: Option<IpAddr>, denied: Denied) -> Denied {
        if let Some(wait) = self.failures.wait(address) {
            return Denied::Failures(wait);
        }
        self.failures.count(address);
        denied
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
        match caller.token {
            Some(token) => self.by_token(token, caller.user).map_err(|denied| self.failed(caller.address, denied)),
            None => self.by_key(caller, headers).await,
        }
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
            if !caller.knows_key {
                return Ok(Pass::KeyToCome);
            }
            by_key_only();
            return Ok(Pass::Key);
        };
        if caller.is_native && caller.user.is_some_and(|user| user.as_str() == CHECK_USER) {
            return Ok(Pass::CheckUser);
        }
        let Some(login) = logins.of(headers) else {
            let judgement = verdict::judge(self.mode, &Verdict::No, caller.user, caller.is_native);
            let is_check = judgement == Judgement::CheckUser;
            return if is_check { Ok(Pass::CheckUser) } else { Err(self.failed(caller.address, Denied::Login)) };
        };
        if !caller.knows_key {
            // Strangers must not make openITCOCKPIT work.
            return Ok(Pass::Unasked(login));
        }
        // Tabs ask again every few seconds, as long as nobody logs in: that is no guess.
        let is_new = !login.is_nobodys();
        self.by_login(logins, login, caller).await.map_err(|denied| match denied {
            Denied::Login if is_new => self.failed(caller.address, denied),
            _ => denied,
        })
    }

    async fn by_login(&self, logins: &Logins, login: Arc<Login>, caller: Caller<'_>) -> Result<Pass, Denied> {
        let verdict = logins.ask(&login).await;
        let judgement = verdict::judge(self.mode, &verdict, caller.user, caller.is_native);
        let user = if let Verdict::Yes(user) = verdict { Some(user) } else { None };
        match judgement {
            Judgement::Login => Ok(Pass::Login(login, user)),
            Judgement::Unchecked => {
                GATEWAY_SESSIONS_UNCHECKED.count(&["away"]);
                Ok(Pass::Login(login, None))
            }
            Judgement::CheckUser => Ok(Pass::CheckUser),
            Judgement::RefuseForNow => Err(Denied::Away),
            Judgement::Refuse => Err(Denied::Login),
        }
    }

    /// A session says, with the key, for which user it listens. A login that nobody was asked about yet is asked about now.
    pub(crate) async fn claim(&self, standing: &mut Standing, user: &UserId) -> Result<(), End> {
        if let (Standing::Unasked { login, number, tab }, Some(logins)) = (&*standing, &self.logins) {
            let caller = Caller { token: None, user: Some(user), knows_key: true, is_native: false, address: None };
            let pass = self.by_login(logins, Arc::clone(login), caller).await.map_err(|denied| match denied {
                Denied::Away => End::LoginAway,
                _ => End::WrongUser,
            })?;
            *standing = self.enter(pass, *number, &Arc::clone(tab));
        }
        if let Standing::KeyToCome = standing {
            by_key_only();
            *standing = Standing::Key;
        }
        if standing.claim(user) { Ok(()) } else { Err(End::WrongUser) }
    }

    /// Whether a token opens anything at this moment; for requests that a session's own token stands behind.
    pub(crate) fn is_token_good(&self, token: &str) -> bool {
        self.by_token(token, None).is_ok()
    }

    /// The pass of a session that begins.
    pub(crate) fn enter(&self, pass: Pass, number: u64, tab: &Arc<Tab>) -> Standing {
        let tab = Arc::clone(tab);
        match (pass, &self.logins) {
            (Pass::CheckUser, _) => Standing::CheckUser,
            (Pass::Token { user, .. }, _) => Standing::Token { user },
            (Pass::Unasked(login), _) => Standing::Unasked { login, number, tab },
            (Pass::Login(login, own), Some(logins)) => Standing::Login(logins.enter(login, number, tab, own)),
            // Without logins there is no pass by one.
            (Pass::Login(login, _), None) => Standing::Unasked { login, number, tab },
            (Pass::Key, _) => Standing::Key,
            (Pass::KeyToCome, _) => Standing::KeyToCome,
        }
    }

    /// Forgets the logins of this user and ends their sessions; how many.
    pub(crate) fn revoke(&self, user: &UserId) -> usize {
        self.logins.as_ref().map_or(0, |logins| logins.revoke(user))
    }
}

/// The key was shown, and is enough.
fn by_key_only() {
    GATEWAY_SESSIONS_UNCHECKED.count(&["key_only"]);
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
