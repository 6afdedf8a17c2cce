//! What is asked of the database, and what it answers. Pure.

use std::fmt;
use std::sync::Arc;

use crate::ids::UserId;

/// A UUID in the one form in which it is looked up: the database compares without regard to case. Safe in SQL.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Uuid([u8; 36]);

/// Something to look up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Key {
    /// Name of a host.
    Host(Uuid),
    /// Name of a service.
    Service(Uuid),
    /// A user, by `users.id`.
    User(i32),
}

/// Which of them a [`Key`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    Host,
    Service,
    User,
}

/// What the database says; none: there is no such thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    /// Of [`Key::Host`] and [`Key::Service`].
    Name(Arc<str>),
    /// Of [`Key::User`].
    User(User),
    /// There is none.
    Nothing,
}

/// A user that openITCOCKPIT knows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct User {
    /// A contact of the user has push notifications for hosts switched on.
    pub host_push: bool,
    /// As [`User::host_push`], for services.
    pub service_push: bool,
}

impl Uuid {
    /// None if it is no UUID, and so nothing that openITCOCKPIT knows: other engines have names there.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut bytes: [u8; 36] = text.trim().as_bytes().try_into().ok()?;
        for (index, byte) in bytes.iter_mut().enumerate() {
            byte.make_ascii_lowercase();
            let is_right = if [8, 13, 18, 23].contains(&index) { *byte == b'-' } else { byte.is_ascii_hexdigit() };
            if !is_right {
                return None;
            }
        }
        Some(Self(bytes))
    }

    pub(super) fn as_str(&self) -> &str {
        str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Debug for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Key {
    /// None if no row can have this id.
    pub(super) fn user(user: &UserId) -> Option<Self> {
        let text = user.as_str();
        // Another spelling of the number would be another user to everybody else.
        text.parse().ok().filter(|id: &i32| *id > 0 && id.to_string() == text).map(Self::User)
    }

    pub(super) fn kind(&self) -> Kind {
        match self {
            Self::Host(_) => Kind::Host,
            Self::Service(_) => Kind::Service,
            Self::User(_) => Kind::User,
        }
    }
}

impl Kind {
    pub(super) const ALL: [Self; 3] = [Self::Host, Self::Service, Self::User];

    /// As the metric of lookups names it.
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Service => "service",
            Self::User => "user",
        }
    }
}

impl Answer {
    /// Bytes on the heap.
    pub(super) fn heap_bytes(&self) -> usize {
        match self {
            Self::Name(name) => name.len(),
            Self::User(_) | Self::Nothing => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_uuids_are_looked_up_in_one_spelling() {
        let uuid = Uuid::parse(" CD13D22E-acd4-4a67-997b-6e120e0d3153 ").unwrap();
        assert_eq!(uuid.as_str(), "cd13d22e-acd4-4a67-997b-6e120e0d3153");
        for text in ["", "web-01", "cd13d22e-acd4-4a67-997b-6e120e0d315'", "cd13d22eaacd4-4a67-997b-6e120e0d3153"] {
            assert_eq!(Uuid::parse(text), None, "{text}");
        }
    }

    #[test]
    fn only_a_row_number_is_a_user() {
        let key = |text: &str| Key::user(&UserId::try_new(text).unwrap());
        assert_eq!(key("7"), Some(Key::User(7)));
        for text in ["0", "-1", "007", "+7", "alice", "2147483648"] {
            assert_eq!(key(text), None, "{text}");
        }
    }
}
