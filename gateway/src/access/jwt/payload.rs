//! What the claims of a token must say (RFC 7519, 4.1).

use bellwire_common::ids::{UnixMillis, UserId};
use serde::Deserialize;

use super::{Claims, EXPIRY_LEEWAY_MS, LIFETIME_MAX_MS, Refused, SKEW_MS};

/// Claims that count. Each may come once; others are passed over.
#[derive(Debug, Deserialize)]
pub(super) struct Payload {
    iss: Option<String>,
    sub: Option<Subject>,
    aud: Option<Audience>,
    exp: f64,
    nbf: Option<f64>,
    iat: Option<f64>,
}

/// Sites whose user ids are numbers write them as such.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Subject {
    Text(String),
    Number(u64),
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

impl Payload {
    /// # Errors
    /// A claim does not hold.
    pub(super) fn check(self, audience: &str, issuer: Option<&str>, now: UnixMillis) -> Result<Claims, Refused> {
        let is_meant = match &self.aud {
            None => false,
            Some(Audience::One(one)) => one == audience,
            Some(Audience::Several(several)) => several.iter().any(|one| one == audience),
        };
        if !is_meant {
            return Err(Refused::Audience);
        }
        if issuer.is_some_and(|issuer| self.iss.as_deref() != Some(issuer)) {
            return Err(Refused::Issuer);
        }
        let expires_at = self.times(now)?;
        let user = match self.sub {
            None => return Err(Refused::Subject),
            Some(Subject::Text(text)) => UserId::try_new(&text),
            Some(Subject::Number(number)) => UserId::try_new(&number.to_string()),
        };
        Ok(Claims { user: user.map_err(|_| Refused::Subject)?, expires_at })
    }

    fn times(&self, now: UnixMillis) -> Result<UnixMillis, Refused> {
        let expires_at = millis(self.exp).plus(EXPIRY_LEEWAY_MS);
        if expires_at <= now {
            return Err(Refused::Expired);
        }
        let is_to_come = |time: Option<f64>| time.is_some_and(|time| millis(time) > now.plus(SKEW_MS));
        if is_to_come(self.nbf) || is_to_come(self.iat) {
            return Err(Refused::NotYet);
        }
        let since = self.iat.map_or(now, millis);
        // The leeway and the skew of the clocks are no fault of the issuer's.
        if expires_at > since.plus(LIFETIME_MAX_MS + EXPIRY_LEEWAY_MS + SKEW_MS) {
            return Err(Refused::TooLong);
        }
        Ok(expires_at)
    }
}

/// Of seconds since 1970, which may have a fraction; before that it is 1970, and what is too far for a number is its end.
fn millis(seconds: f64) -> UnixMillis {
    UnixMillis((seconds * 1000.0) as u64)
}
