//! Names of things, each with its own type and limit.

use std::fmt;
use std::sync::Arc;

/// Longest [`UserId`], [`BrowserId`] and [`NotificationId`], in bytes.
pub const ID_BYTES_MAX: usize = 64;

/// Most shards that a cluster may be set to: above this, reading them costs more than it spreads.
pub const SHARDS_MAX: u16 = 64;

/// Why a text cannot be an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// The text is empty.
    #[error("must not be empty")]
    Empty,
    /// The text is longer than [`ID_BYTES_MAX`].
    #[error("must be at most {ID_BYTES_MAX} bytes")]
    TooLong,
    /// The text has a space, a control character or something outside ASCII.
    #[error("must consist of visible ASCII characters")]
    Character,
}

fn check(text: &str) -> Result<(), IdError> {
    if text.is_empty() {
        return Err(IdError::Empty);
    }
    if text.len() > ID_BYTES_MAX {
        return Err(IdError::TooLong);
    }
    if !text.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(IdError::Character);
    }
    Ok(())
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Takes 1 to [`ID_BYTES_MAX`] bytes of visible ASCII.
            pub fn try_new(text: &str) -> Result<Self, IdError> {
                check(text)?;
                Ok(Self(text.into()))
            }

            /// The id as it was given.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, f)
            }
        }
    };
}

/// The user that `bellwire check` listens and sends as. The shared key is enough for it whatever `session-check` says, and
/// ingest takes it whatever `user-check` says: nobody else is notified under this name.
pub const CHECK_USER: &str = "bellwire.check";

text_id!(
    /// Who receives. In openITCOCKPIT the integer user id as text.
    UserId
);
text_id!(
    /// One browser profile of a user: the `browserUuid` that it keeps in its local storage.
    BrowserId
);
text_id!(
    /// One notification of a user. The same id twice is the same notification.
    NotificationId
);

impl NotificationId {
    /// An id of random bits, for a notification that came without one.
    #[must_use]
    pub fn of_bits(bits: u128) -> Self {
        Self(format!("{bits:032x}").into())
    }
}

/// A running gateway process; new and random at every start.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(pub u64);

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// One connected tab: the node that serves it, and that node's own count of its tabs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId {
    /// The node that holds the connection.
    pub node: NodeId,
    /// Unique on that node.
    pub number: u64,
}

/// A place in a shard's log. Offsets only grow and may skip.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Offset(pub u64);

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// Milliseconds since 1970 by some machine's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UnixMillis(pub u64);

impl UnixMillis {
    /// This time and `millis` more, at most the end of the type.
    #[must_use]
    pub fn plus(self, millis: u64) -> Self {
        Self(self.0.saturating_add(millis))
    }

    /// This time less `millis`, at least 1970.
    #[must_use]
    pub fn minus(self, millis: u64) -> Self {
        Self(self.0.saturating_sub(millis))
    }

    /// As people read it, in UTC: `2026-01-02T03:04:05.678Z`.
    #[must_use]
    pub fn utc(self) -> Utc {
        Utc(self)
    }

    /// What this machine's clock says now.
    #[cfg(feature = "runtime")]
    #[must_use]
    pub fn now() -> Self {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        Self(since.map_or(0, |d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX)))
    }
}

/// A time as RFC 3339 writes it, in UTC and with milliseconds.
#[derive(Debug, Clone, Copy)]
pub struct Utc(UnixMillis);

impl fmt::Display for Utc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const DAY_MS: u64 = 86_400_000;
        let (days, millis) = (self.0.0 / DAY_MS, self.0.0 % DAY_MS);
        // Days since the 1st of March of year 0, in cycles of 400 years: the leap day comes last in its year.
        let days = days + 719_468;
        let (cycle, day) = (days / 146_097, days % 146_097);
        let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
        let day = day - (365 * year + year / 4 - year / 100);
        // Months since March, whose lengths repeat every five.
        let month = (5 * day + 2) / 153;
        let day = day - (153 * month + 2) / 5 + 1;
        let (month, new_year) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
        let year = cycle * 400 + year + new_year;
        let (seconds, millis) = (millis / 1_000, millis % 1_000);
        let (hour, minute, second) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
    }
}

/// One of the logs that users are spread over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Shard(pub u16);

impl Shard {
    /// The shard of a user. Every node of a cluster must agree on it, in every version: FNV-1a of
    /// the id's bytes with a final mix, modulo the number of shards (`shards` is at least 1).
    #[must_use]
    pub fn of(user: &UserId, shards: u16) -> Self {
        let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
        for byte in user.as_str().bytes() {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        // FNV's low bits alone spread short decimal ids unevenly.
        hash ^= hash >> 32;
        Self((hash % u64::from(shards.max(1))) as u16)
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_have_limits() {
        assert_eq!(UserId::try_new("").unwrap_err(), IdError::Empty);
        assert_eq!(UserId::try_new(&"x".repeat(65)).unwrap_err(), IdError::TooLong);
        assert_eq!(UserId::try_new("a b").unwrap_err(), IdError::Character);
        assert_eq!(UserId::try_new("ä").unwrap_err(), IdError::Character);
        assert_eq!(UserId::try_new(&"x".repeat(64)).unwrap().as_str().len(), 64);
    }

    #[test]
    fn times_are_written_in_utc() {
        let text = |millis| UnixMillis(millis).utc().to_string();
        assert_eq!(text(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(text(951_782_399_999), "2000-02-28T23:59:59.999Z");
        assert_eq!(text(951_782_400_000), "2000-02-29T00:00:00.000Z");
        assert_eq!(text(951_868_800_000), "2000-03-01T00:00:00.000Z");
        assert_eq!(text(1_767_225_599_001), "2025-12-31T23:59:59.001Z");
        assert_eq!(text(1_767_225_600_000), "2026-01-01T00:00:00.000Z");
        assert_eq!(text(4_107_542_400_000), "2100-03-01T00:00:00.000Z");
        assert_eq!(text(253_402_300_799_999), "9999-12-31T23:59:59.999Z");
        assert!(text(u64::MAX).ends_with('Z'));
    }

    #[test]
    fn shards_of_users_never_change() {
        let shard = |id: &str| Shard::of(&UserId::try_new(id).unwrap(), 4).0;
        assert_eq!(["1", "2", "3", "7", "1000", "alice"].map(shard), [0, 1, 2, 2, 0, 0]);
    }

    #[test]
    fn users_spread_over_the_shards() {
        let mut counts = [0u32; 4];
        for id in 1..=4000 {
            counts[usize::from(Shard::of(&UserId::try_new(&id.to_string()).unwrap(), 4).0)] += 1;
        }
        assert!(counts.iter().all(|&n| (900..1100).contains(&n)), "{counts:?}");
    }
}
