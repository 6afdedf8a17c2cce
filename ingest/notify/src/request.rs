//! The notification as ingest takes it at `/v1/notifications`.

use std::collections::hash_map::{DefaultHasher, RandomState};
use std::fmt;
use std::hash::{BuildHasher, Hash, Hasher};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// Longest text that is sent, in bytes: ingest shows 1 KiB, the rest would only fill spool and log.
pub(crate) const TEXT_BYTES_MAX: usize = 4096;
/// Longest author, in bytes, as ingest takes it.
pub(crate) const AUTHOR_BYTES_MAX: usize = 1024;
/// Longest notification type, in bytes, as ingest takes it.
pub(crate) const TYPE_BYTES_MAX: usize = 64;
/// The longest time to live that ingest grants (design, rule 5).
pub(crate) const TTL_MAX: Duration = Duration::from_secs(30 * 60);

/// One notification. In a spool the same JSON stands as what is posted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Request {
    /// Made before the first attempt and kept, so that repeating one is harmless.
    pub(crate) id: String,
    /// Who receives.
    pub(crate) user: String,
    /// This machine's clock at the call, in seconds since 1970.
    pub(crate) timestamp: u64,
    /// Seconds for which it is worth showing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ttl: Option<u64>,
    /// `host`, `service` or `message`.
    pub(crate) kind: String,
    #[serde(rename = "type", default, skip_serializing_if = "String::is_empty")]
    pub(crate) notification_type: String,
    #[serde(default)]
    pub(crate) state: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) host: Option<Object>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) service: Option<Object>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) output: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) author: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) comment: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) title: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) body: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) url: String,
}

/// A host or a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Object {
    /// The engine's name of it.
    pub(crate) id: String,
    /// What people call it; left out where the caller does not know, so that ingest may look it up.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) name: String,
}

impl Request {
    /// The body of the POST, and the content of a spool file.
    pub(crate) fn to_json(&self) -> Vec<u8> {
        // Strings, numbers and no maps: nothing in it can fail to serialize.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// An id that is the same at each attempt of an engine that runs the command again; `raised_at` tells its
    /// notifications apart.
    pub(crate) fn lasting_id(&self, raised_at: u64) -> String {
        let id_of = |object: &Option<Object>| object.as_ref().map(|object| object.id.clone());
        two_halves(|n| {
            let mut hasher = DefaultHasher::new();
            let objects = (id_of(&self.host), id_of(&self.service));
            (n, raised_at, &self.user, &self.kind, &self.notification_type, self.state, objects).hash(&mut hasher);
            hasher.finish()
        })
    }

    /// Whether ingest would call it stale whatever its settings are.
    pub(crate) fn has_expired(&self, now: SystemTime) -> bool {
        let ttl = self.ttl.unwrap_or(u64::MAX).min(TTL_MAX.as_secs());
        self.timestamp.saturating_add(ttl) < seconds(now)
    }
}

/// Names it for people, without its texts: those may be private.
impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.kind)?;
        for object in [&self.host, &self.service].into_iter().flatten() {
            write!(f, " {:?}", if object.name.is_empty() { &object.id } else { &object.name })?;
        }
        if !self.notification_type.is_empty() {
            write!(f, " {:?}", self.notification_type)?;
        }
        write!(f, " for user {:?}, id {}", self.user, self.id)
    }
}

/// A new id: 128 random bits, as hexadecimal digits.
pub(crate) fn new_id() -> String {
    // The standard library keys this hash with 128 bits from the operating system; two hashes of
    // different inputs give them back without another dependency.
    let state = RandomState::new();
    two_halves(|n| {
        let mut hasher = state.build_hasher();
        hasher.write_u64(n);
        hasher.finish()
    })
}

fn two_halves(half: impl Fn(u64) -> u64) -> String {
    format!("{:016x}{:016x}", half(1), half(2))
}

/// Seconds since 1970.
pub(crate) fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Cuts a text at `bytes_max`, between two characters: an alarm must not be refused for its length.
pub(crate) fn cut(mut text: String, bytes_max: usize) -> String {
    let mut end = text.len().min(bytes_max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_32_hexadecimal_digits_and_differ() {
        let ids: std::collections::HashSet<String> = (0..1000).map(|_| new_id()).collect();
        assert_eq!(ids.len(), 1000);
        assert!(ids.iter().all(|id| id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit())));
    }

    #[test]
    fn texts_are_cut_between_characters() {
        assert_eq!(cut("a".into(), 5), "a");
        let text = format!("{}äö", "x".repeat(TEXT_BYTES_MAX - 1));
        assert_eq!(cut(text, TEXT_BYTES_MAX), "x".repeat(TEXT_BYTES_MAX - 1));
    }

    #[test]
    fn expiry_counts_from_the_timestamp() {
        let request = |ttl| Request {
            timestamp: 1000,
            ttl,
            ..serde_json::from_str(r#"{"id":"1","user":"7","timestamp":0,"kind":"host"}"#).unwrap()
        };
        let at = |secs| UNIX_EPOCH + Duration::from_secs(secs);
        assert!(!request(Some(60)).has_expired(at(1060)));
        assert!(request(Some(60)).has_expired(at(1061)));
        assert!(!request(None).has_expired(at(2800)));
        assert!(request(None).has_expired(at(2801)));
        assert!(request(Some(u64::MAX)).has_expired(at(2801)));
    }
}
