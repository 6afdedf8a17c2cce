//! Where somebody is in a log.

use bellwire_common::ids::Offset;

/// A place between records: everything below it has been had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Position(u64);

impl Position {
    /// Everything up to and with `offset`.
    #[must_use]
    pub fn after(offset: Offset) -> Self {
        Self(offset.0.saturating_add(1))
    }

    /// Nothing for none, else everything up to and with it.
    #[must_use]
    pub fn after_optional(offset: Option<Offset>) -> Self {
        offset.map_or(Self::default(), Self::after)
    }

    /// As a number, for the payload of a ping.
    #[must_use]
    pub fn as_u64(self) -> u64 {
        self.0
    }

    /// What [`Position::as_u64`] gave.
    #[must_use]
    pub const fn from_u64(number: u64) -> Self {
        Self(number)
    }

    /// The last offset that has been had; none for nothing.
    #[must_use]
    pub fn last(self) -> Option<Offset> {
        self.0.checked_sub(1).map(Offset)
    }

    /// Whether `offset` has been had.
    #[must_use]
    pub fn covers(self, offset: Offset) -> bool {
        offset.0 < self.0
    }
}
