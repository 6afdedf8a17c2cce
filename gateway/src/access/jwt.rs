//! Users' tokens (JWT, RFC 7519): whose tab it is, said by a site whose keys this node knows.
//!
//! The type of the key decides the algorithm, never the token: an RSA key checks RS256, a P-256 key ES256, an Ed25519
//! key EdDSA, a secret HS256, and none anything else. A token that asks for another one is refused before any key is
//! touched. What is in a token counts only after its signature was checked.
//!
//! - [`jwks`], [`pem`]: the two forms of keys
//! - [`keys`]: which of them a token is checked with
//! - [`payload`]: what the claims must say
//! - [`source`]: where keys come from, and how they stay fresh

mod jwks;
mod keys;
mod payload;
mod pem;
mod source;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bellwire_common::ids::{UnixMillis, UserId};
use bellwire_common::metrics::GATEWAY_JWT_KEYS;
use bellwire_common::settings::Access;
use bellwire_common::watched::WatchedError;
use jsonwebtoken::Algorithm;
use serde::Deserialize;
use tokio::sync::Notify;

pub use keys::{KEYS_BYTES_MAX, KEYS_LEN_MAX, KeySet, KeysError};
use payload::Payload;
use source::Source;
pub use source::fetch;

/// Largest token, in bytes: it must fit in a header of a handshake, beside all cookies.
pub const TOKEN_BYTES_MAX: usize = 4096;

/// How far ahead of this node's clock the issuer's may be (`nbf`, `iat`).
pub const SKEW_MS: u64 = 30_000;

/// How long a token is taken after its `exp`; [`Claims::expires_at`] has it in it.
pub const EXPIRY_LEEWAY_MS: u64 = 5_000;

/// Longest time from `iat`, or from now where a token has none, to `exp`.
pub const LIFETIME_MAX_MS: u64 = 24 * 3_600_000;

/// What a good token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    /// `sub`.
    pub user: UserId,
    /// `exp` and [`EXPIRY_LEEWAY_MS`]: when the session must have a new token.
    pub expires_at: UnixMillis,
}

/// Why a token opens nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// It is not a signed JWT as RFC 7515 writes it, has a claim twice or of a wrong type, or no `exp`.
    Malformed,
    /// It is signed (or not signed) in a way that no key is for.
    Algorithm,
    /// It names a key that this node does not know.
    UnknownKey,
    /// The signature is wrong.
    Signature,
    /// `exp` is over.
    Expired,
    /// `nbf` or `iat` is to come.
    NotYet,
    /// It was made for another service, or for none.
    Audience,
    /// It was made by somebody else.
    Issuer,
    /// There is no `sub`, or it cannot be a user's id.
    Subject,
    /// It is valid for longer than [`LIFETIME_MAX_MS`].
    TooLong,
    /// It has more than [`TOKEN_BYTES_MAX`].
    TooLarge,
}

impl Refused {
    /// Every reason.
    pub const ALL: [Self; 11] = [
        Self::Malformed,
        Self::Algorithm,
        Self::UnknownKey,
        Self::Signature,
        Self::Expired,
        Self::NotYet,
        Self::Audience,
        Self::Issuer,
        Self::Subject,
        Self::TooLong,
        Self::TooLarge,
    ];

    /// Label `reason` of `GATEWAY_TOKENS_REFUSED`.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Algorithm => "algorithm",
            Self::UnknownKey => "unknown_key",
            Self::Signature => "signature",
            Self::Expired => "expired",
            Self::NotYet => "not_yet",
            Self::Audience => "audience",
            Self::Issuer => "issuer",
            Self::Subject => "subject",
            Self::TooLong => "too_long",
            Self::TooLarge => "too_large",
        }
    }
}

/// Checks tokens. Clones share the keys.
#[derive(Clone)]
pub struct Tokens(Arc<Inner>);

struct Inner {
    keys: RwLock<Arc<KeySet>>,
    audience: Box<str>,
    issuer: Option<Box<str>>,
    /// A token named a key that is not known.
    unknown: Notify,
    source: Mutex<Source>,
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tokens({} keys)", self.keys().len())
    }
}

impl Tokens {
    /// Reads the keys of the settings, if they name any. Keys at an address are asked for by [`Tokens::follow`]; until
    /// they have come, each token is refused for [`Refused::UnknownKey`].
    ///
    /// # Errors
    /// The file cannot be read, or has no key of use.
    pub fn open(settings: &Access) -> Result<Option<Self>, WatchedError> {
        GATEWAY_JWT_KEYS.zero();
        let Some(jwt) = &settings.jwt else { return Ok(None) };
        let (source, keys) = source::open(settings, &jwt.keys)?;
        Ok(Some(Self::with(&jwt.audience, jwt.issuer.as_deref(), keys, source)))
    }

    /// Checks with these keys, which stay as they are.
    #[must_use]
    pub fn of(audience: &str, issuer: Option<&str>, keys: KeySet) -> Self {
        Self::with(audience, issuer, keys, Source::Nothing)
    }

    fn with(audience: &str, issuer: Option<&str>, keys: KeySet, source: Source) -> Self {
        GATEWAY_JWT_KEYS.with(&[]).set(keys.len() as f64);
        Self(Arc::new(Inner {
            keys: RwLock::new(Arc::new(keys)),
            audience: audience.into(),
            issuer: issuer.map(Into::into),
            unknown: Notify::new(),
            source: Mutex::new(source),
        }))
    }

    /// Keeps the keys fresh until it is dropped; once for all clones. A file is read again when it changes, an address is asked
    /// again at an interval and when a token names a key that is not known. What cannot be read changes nothing.
    pub async fn follow(self) {
        source::follow(&self).await;
    }

    /// Whose token it is, at this time of this node's clock.
    ///
    /// # Errors
    /// It opens nothing, for this reason.
    pub fn check(&self, token: &str, now: UnixMillis) -> Result<Claims, Refused> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(Refused::TooLarge);
        }
        let (message, signature) = token.rsplit_once('.').ok_or(Refused::Malformed)?;
        let (header, payload) = message.split_once('.').ok_or(Refused::Malformed)?;
        let header: Header = part(header)?;
        // Nothing that changes the meaning of a token is understood here (RFC 7515, 4.1.11).
        if header.crit.is_some() {
            return Err(Refused::Malformed);
        }
        let algorithm = algorithm_of(&header.alg).ok_or(Refused::Algorithm)?;
        let kid = header.kid.as_deref();
        let checked = self.keys().check(message.as_bytes(), signature, algorithm, kid);
        if checked == Err(Refused::UnknownKey) {
            self.0.unknown.notify_one();
        }
        checked?;
        part::<Payload>(payload)?.check(&self.0.audience, self.0.issuer.as_deref(), now)
    }

    fn keys(&self) -> Arc<KeySet> {
        Arc::clone(&self.0.keys.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn replace(&self, keys: KeySet) {
        GATEWAY_JWT_KEYS.with(&[]).set(keys.len() as f64);
        *self.0.keys.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(keys);
    }
}

/// What of a token's header counts. Keys in it, and addresses of keys, do not.
#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    crit: Option<serde::de::IgnoredAny>,
}

fn part<T: for<'a> Deserialize<'a>>(text: &str) -> Result<T, Refused> {
    let json = URL_SAFE_NO_PAD.decode(text).map_err(|_| Refused::Malformed)?;
    serde_json::from_slice(&json).map_err(|_| Refused::Malformed)
}

fn algorithm_of(name: &str) -> Option<Algorithm> {
    match name {
        "HS256" => Some(Algorithm::HS256),
        "RS256" => Some(Algorithm::RS256),
        "ES256" => Some(Algorithm::ES256),
        "EdDSA" => Some(Algorithm::EdDSA),
        _ => None,
    }
}
