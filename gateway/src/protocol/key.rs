//! The key that openITCOCKPIT's front ends and server share.

use std::fmt;
use std::sync::Arc;

use subtle::ConstantTimeEq;

/// Shortest [`SharedKey`], in bytes: an empty key would let everybody in.
pub const KEY_BYTES_MIN: usize = 1;

/// Longest [`SharedKey`], in bytes. openITCOCKPIT makes 160 and keeps at most 255.
pub const KEY_BYTES_MAX: usize = 1024;

/// Why a text cannot be the shared key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Shorter than [`KEY_BYTES_MIN`].
    #[error("the shared key must have at least {KEY_BYTES_MIN} byte")]
    Short,
    /// Longer than [`KEY_BYTES_MAX`].
    #[error("the shared key must have at most {KEY_BYTES_MAX} bytes")]
    Long,
}

/// The key that opens V1, V2 and the native protocol; beside it a login may be needed, and users' tokens may be taken in its place.
///
/// It is never shown, not by `Debug` either. Clones share it.
#[derive(Clone)]
pub struct SharedKey(Arc<str>);

impl SharedKey {
    /// Takes [`KEY_BYTES_MIN`] to [`KEY_BYTES_MAX`] bytes.
    ///
    /// To pass through a handshake it must consist of characters that a subprotocol may have
    /// (letters, digits, and ``!#$%&'*+-.^_`|~``); with others only V1 tabs can connect.
    pub fn try_new(text: &str) -> Result<Self, KeyError> {
        match text.len() {
            ..KEY_BYTES_MIN => Err(KeyError::Short),
            KEY_BYTES_MIN..=KEY_BYTES_MAX => Ok(Self(text.into())),
            _ => Err(KeyError::Long),
        }
    }

    /// Whether it can pass through a handshake ([`SharedKey::try_new`]).
    #[must_use]
    pub fn is_subprotocol(&self) -> bool {
        self.0.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
    }

    /// Whether it is the same key.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        self.matches(&other.0)
    }

    /// Whether `text` is the key. The time it takes tells at most whether the lengths are equal.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        self.0.as_bytes().ct_eq(text.as_bytes()).into()
    }
}

impl fmt::Debug for SharedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SharedKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_tokens_pass_through_a_handshake() {
        for (key, passes) in [("0aF-_.~!", true), ("a/b", false), ("a=", false), ("a,b", false), ("ä", false)] {
            assert_eq!(SharedKey::try_new(key).unwrap().is_subprotocol(), passes, "{key}");
        }
    }

    #[test]
    fn only_the_key_matches() {
        let key = SharedKey::try_new("secret").unwrap();
        assert!(key.matches("secret"));
        for wrong in ["", "secre", "secret ", "Secret", "secrets"] {
            assert!(!key.matches(wrong), "{wrong}");
        }
    }

    #[test]
    fn lengths_are_checked() {
        assert_eq!(SharedKey::try_new("").unwrap_err(), KeyError::Short);
        assert_eq!(SharedKey::try_new(&"x".repeat(KEY_BYTES_MAX + 1)).unwrap_err(), KeyError::Long);
        assert!(SharedKey::try_new(&"x".repeat(KEY_BYTES_MAX)).is_ok());
    }

    #[test]
    fn it_is_not_shown() {
        assert_eq!(format!("{:?}", SharedKey::try_new("secret").unwrap()), "SharedKey(..)");
    }
}
