//! Keys that tokens are checked with, and which of them a token is checked with.

use jsonwebtoken::{Algorithm, DecodingKey, crypto};

use super::{Refused, jwks, pem};

/// Largest file or answer with keys, in bytes.
pub const KEYS_BYTES_MAX: usize = 256 * 1024;

/// Most keys in it.
pub const KEYS_LEN_MAX: usize = 64;

/// Most keys that one token is tried with: each may take as long as an RSA signature does.
const TRIES_MAX: usize = 4;

/// Shortest secret of HS256 (RFC 7518, 3.2), in bytes.
const SECRET_BYTES_MIN: usize = 32;

/// RSA keys that are strong enough (RFC 7518, 3.3), and no larger than the library takes. In bits.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=4096;

/// Why there are no keys.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// The address does not hand out keys.
    #[error("cannot fetch the keys: {0}")]
    Fetch(String),
    /// There is more than [`KEYS_BYTES_MAX`].
    #[error("keys must have at most {KEYS_BYTES_MAX} bytes")]
    TooLarge,
    /// There are more than [`KEYS_LEN_MAX`].
    #[error("there must be at most {KEYS_LEN_MAX} keys")]
    TooMany,
    /// It is neither a JWKS nor PEM.
    #[error("keys must be a JWKS, or public keys in PEM form: {0}")]
    Form(String),
    /// A PEM file has something else than public keys.
    #[error(
        "has a {0} in PEM form; only public keys belong here (`openssl pkey -pubout` and `openssl x509 -pubkey` make them)"
    )]
    Label(String),
    /// None of the keys is of use.
    #[error("no key is of use, the first of {skipped} because it {why}")]
    NoneUsable {
        /// How many there are.
        skipped: usize,
        /// What is wrong with the first.
        why: Unusable,
    },
}

/// Why a key is passed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// It is of a type that is not known, or for another algorithm.
    #[error("is not RSA for RS256, EC P-256 for ES256, OKP Ed25519 for EdDSA or oct for HS256")]
    Type,
    /// It is not meant for this.
    #[error("is not for checking signatures (use, key_ops)")]
    Use,
    /// It is spelled wrongly.
    #[error("is spelled wrongly")]
    Form,
    /// It is too weak or too large.
    #[error(
        "is too weak or too large: RSA keys must have {} to {} bits, oct at least {SECRET_BYTES_MIN} bytes",
        RSA_BITS.start(),
        RSA_BITS.end()
    )]
    Size,
    /// A secret came from an address.
    #[error("is a secret (oct), and a secret that is handed out at an address is none")]
    Secret,
}

/// The keys of a file or of an address.
#[derive(Debug, Default)]
pub struct KeySet {
    keys: Vec<Key>,
    skipped: usize,
}

impl KeySet {
    /// Reads a file: a JWKS, or public keys in PEM form. Keys that are of no use here are passed over.
    ///
    /// # Errors
    /// It is too large, neither of the two, or has no key of use.
    pub fn of_file(bytes: &[u8]) -> Result<Self, KeysError> {
        if bytes.len() > KEYS_BYTES_MAX {
            return Err(KeysError::TooLarge);
        }
        match bytes.trim_ascii_start().first() {
            Some(b'{') => Self::of(jwks::read(bytes)?),
            _ => Self::of(pem::read(bytes)?),
        }
    }

    /// Reads what came from an address: a JWKS without secrets. Without any key it takes all back.
    ///
    /// # Errors
    /// It is too large, no JWKS, or none of its keys is of use.
    pub fn of_answer(bytes: &[u8]) -> Result<Self, KeysError> {
        if bytes.len() > KEYS_BYTES_MAX {
            return Err(KeysError::TooLarge);
        }
        let public = |key: Key| if key.algorithm == Algorithm::HS256 { Err(Unusable::Secret) } else { Ok(key) };
        let keys = jwks::read(bytes)?;
        if keys.is_empty() {
            return Ok(Self::default());
        }
        Self::of(keys.into_iter().map(|key| key.and_then(public)).collect())
    }

    fn of(keys: Vec<Result<Key, Unusable>>) -> Result<Self, KeysError> {
        if keys.is_empty() {
            return Err(KeysError::Form("there is no key".into()));
        }
        let mut set = Self::default();
        let mut first = None;
        for key in keys {
            match key {
                Ok(key) => set.keys.push(key),
                Err(why) => {
                    first.get_or_insert(why);
                    set.skipped += 1;
                }
            }
        }
        match first {
            Some(why) if set.keys.is_empty() => Err(KeysError::NoneUsable { skipped: set.skipped, why }),
            _ => Ok(set),
        }
    }

    /// How many keys are of use.
    #[must_use]
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether none is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// How many were passed over.
    #[must_use]
    pub fn skipped(&self) -> usize {
        self.skipped
    }

    /// Checks a signature. A token that names its key is checked with the keys of that name, or else with those that have
    /// none; one that names none with all; of these with the first [`TRIES_MAX`] that are for its algorithm.
    pub(super) fn check(
        &self,
        message: &[u8],
        signature: &str,
        algorithm: Algorithm,
        kid: Option<&str>,
    ) -> Result<(), Refused> {
        let is_named = kid.is_some_and(|kid| self.keys.iter().any(|key| key.kid.as_deref() == Some(kid)));
        let is_meant = |key: &&Key| match kid {
            Some(kid) if is_named => key.kid.as_deref() == Some(kid),
            Some(_) => key.kid.is_none(),
            None => true,
        };
        let mut tried = false;
        for key in self.keys.iter().filter(is_meant).filter(|key| key.algorithm == algorithm).take(TRIES_MAX) {
            tried = true;
            if key.verifies(message, signature) {
                return Ok(());
            }
        }
        match () {
            () if tried => Err(Refused::Signature),
            () if is_named => Err(Refused::Algorithm),
            () => Err(Refused::UnknownKey),
        }
    }
}

/// One key, with the one algorithm that it is for.
#[derive(Debug)]
pub(super) struct Key {
    kid: Option<Box<str>>,
    algorithm: Algorithm,
    key: DecodingKey,
}

impl Key {
    /// An RSA key of this modulus and exponent, big-endian.
    pub(super) fn rsa(n: &[u8], e: &[u8]) -> Result<Self, Unusable> {
        let n = &n[n.iter().take_while(|byte| **byte == 0).count()..];
        let e = &e[e.iter().take_while(|byte| **byte == 0).count()..];
        let (Some(high), Some(n_low), Some(e_low)) = (n.first(), n.last(), e.last()) else {
            return Err(Unusable::Form);
        };
        if !RSA_BITS.contains(&(n.len() * 8 - high.leading_zeros() as usize)) {
            return Err(Unusable::Size);
        }
        // An exponent of 1 would let every signature pass.
        if n_low % 2 == 0 || e_low % 2 == 0 || e == [1] || e.len() > 4 {
            return Err(Unusable::Form);
        }
        Ok(Self::new(Algorithm::RS256, DecodingKey::from_rsa_raw_components(n, e)))
    }

    /// A point of P-256, as 4 and both coordinates (SEC 1, 2.3.3).
    pub(super) fn p256(point: &[u8]) -> Result<Self, Unusable> {
        if point.len() != 65 || point[0] != 4 {
            return Err(Unusable::Form);
        }
        Self::new(Algorithm::ES256, DecodingKey::from_ec_der(point)).tried()
    }

    /// A key of Ed25519 (RFC 8032, 5.1.5).
    pub(super) fn ed25519(x: &[u8]) -> Result<Self, Unusable> {
        if x.len() != 32 {
            return Err(Unusable::Form);
        }
        Self::new(Algorithm::EdDSA, DecodingKey::from_ed_der(x)).tried()
    }

    /// A secret.
    pub(super) fn secret(k: &[u8]) -> Result<Self, Unusable> {
        if k.len() < SECRET_BYTES_MIN {
            return Err(Unusable::Size);
        }
        Ok(Self::new(Algorithm::HS256, DecodingKey::from_secret(k)))
    }

    /// The same key under a name.
    pub(super) fn named(mut self, kid: Option<String>) -> Self {
        self.kid = kid.map(Into::into);
        self
    }

    pub(super) fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    fn new(algorithm: Algorithm, key: DecodingKey) -> Self {
        Self { kid: None, algorithm, key }
    }

    /// Some mistakes are only found by using it, such as a point that is not on the curve.
    fn tried(self) -> Result<Self, Unusable> {
        crypto::verify("", b"", &self.key, self.algorithm).map_err(|_| Unusable::Form)?;
        Ok(self)
    }

    fn verifies(&self, message: &[u8], signature: &str) -> bool {
        crypto::verify(signature, message, &self.key, self.algorithm).unwrap_or(false)
    }
}
