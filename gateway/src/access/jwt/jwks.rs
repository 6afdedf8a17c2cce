//! Sets of keys in JSON (JWKS: RFC 7517, 7518 and 8037).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::algorithm_of;
use super::keys::{KEYS_LEN_MAX, Key, KeysError, Unusable};

#[derive(Deserialize)]
struct Set<'a> {
    #[serde(borrow)]
    keys: Vec<&'a RawValue>,
}

/// What of a key counts. The private part, if it is there, does not.
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    key_ops: Option<Vec<String>>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
    k: Option<String>,
}

/// Every key of a set, or why it is of no use.
pub(super) fn read(json: &[u8]) -> Result<Vec<Result<Key, Unusable>>, KeysError> {
    // A list would be read as the fields in their order.
    if json.trim_ascii_start().first() != Some(&b'{') {
        return Err(KeysError::Form("it is no JSON object".into()));
    }
    let set: Set = serde_json::from_slice(json).map_err(|error| KeysError::Form(told(&error)))?;
    if set.keys.len() > KEYS_LEN_MAX {
        return Err(KeysError::TooMany);
    }
    Ok(set.keys.into_iter().map(key).collect())
}

/// What is wrong, without the value that is: it may be a secret.
fn told(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.split_once(':') {
        None => text,
        Some((what, _)) => format!("{what} at line {} column {}", error.line(), error.column()),
    }
}

fn key(json: &RawValue) -> Result<Key, Unusable> {
    let jwk: Jwk = serde_json::from_str(json.get()).map_err(|_| Unusable::Form)?;
    let is_for_checking = jwk.usage.as_deref().is_none_or(|usage| usage == "sig")
        && jwk.key_ops.as_ref().is_none_or(|ops| ops.iter().any(|op| op == "verify"));
    if !is_for_checking {
        return Err(Unusable::Use);
    }
    let key = match (jwk.kty.as_str(), jwk.crv.as_deref()) {
        ("RSA", _) => Key::rsa(&bytes(jwk.n.as_ref())?, &bytes(jwk.e.as_ref())?),
        ("EC", Some("P-256")) => {
            let (x, y) = (bytes(jwk.x.as_ref())?, bytes(jwk.y.as_ref())?);
            // Both are as long as the field, whatever they begin with (RFC 7518, 6.2.1.2).
            if x.len() != 32 { Err(Unusable::Form) } else { Key::p256(&[&[4], &*x, &*y].concat()) }
        }
        ("OKP", Some("Ed25519")) => Key::ed25519(&bytes(jwk.x.as_ref())?),
        ("oct", _) => Key::secret(&bytes(jwk.k.as_ref())?),
        _ => Err(Unusable::Type),
    }?;
    match jwk.alg.as_deref() {
        Some(name) if algorithm_of(name) != Some(key.algorithm()) => Err(Unusable::Type),
        _ => Ok(key.named(jwk.kid)),
    }
}

fn bytes(text: Option<&String>) -> Result<Vec<u8>, Unusable> {
    URL_SAFE_NO_PAD.decode(text.ok_or(Unusable::Form)?).map_err(|_| Unusable::Form)
}
