//! What is spoken with a tab: pure codecs, text in and events out, state in and frames out.
//!
//! No runtime, no clock, no randomness: what they need of those is passed in. `docs/protocol.md` is the
//! promise; its examples run as tests against this module. Sections named here are those of
//! openITCOCKPIT's two wire protocols as that page retells them.
//!
//! - [`decide`]: which protocol a handshake asks for, and whether it may
//! - [`Dialect`]: one tab's conversation
//! - [`events`]: what is spoken without WebSocket
//! - [`encode`], [`status`]: frames that all tabs share
//! - [`End`]: every way a session ends, and what its tab is told

use bellwire_common::ids::{BrowserId, NotificationId, UserId};
use bellwire_common::notification::Notification;

mod cast;
mod dialect;
mod end;
pub mod events;
mod fields;
mod greeting;
mod handshake;
mod json;
mod key;
pub mod native;
mod v1;
mod v2;

#[cfg(test)]
mod tests;

pub use bellwire_common::record::EXPORT_STATUS_KEY;
pub use dialect::{Dialect, Proof, Step, TabEvent, TestMessage};
pub use end::{Advice, End};
pub(crate) use handshake::decoded;
use handshake::parameter;
pub use handshake::{Handshake, NATIVE_SUBPROTOCOL, Offer, V2_SUBPROTOCOL, decide, is_token};
pub use key::{KEY_BYTES_MAX, KEY_BYTES_MIN, KeyError, SharedKey};

/// Largest message that a tab may send, in bytes, in every protocol. openITCOCKPIT's V2 server has this limit.
pub const FRAME_BYTES_MAX: usize = 8192;

/// Whose tab it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Who receives.
    pub user: UserId,
    /// The browser profile, in which one tab shows each notification.
    pub browser: BrowserId,
}

/// What a tab speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// openITCOCKPIT 5.3 and older: no subprotocol, the key in each message.
    V1,
    /// openITCOCKPIT's new front end: subprotocol `access_token`, the key in the handshake.
    V2,
    /// Bellwire's own: subprotocol `bellwire.v1`.
    Native,
    /// The messages of [`Native`](Self::Native) in an event stream ([`events`]).
    Events,
}

impl Protocol {
    /// Every protocol.
    pub const ALL: [Self; 4] = [Self::V1, Self::V2, Self::Native, Self::Events];

    /// Those that have messages of their own: all that is spoken over WebSocket.
    pub const SPOKEN: [Self; 3] = [Self::V1, Self::V2, Self::Native];

    /// Whose messages it has, one of [`Protocol::SPOKEN`].
    #[must_use]
    pub fn spoken(self) -> Self {
        if self == Self::Events { Self::Native } else { self }
    }

    /// Whether its messages are those of `bellwire.v1`.
    #[must_use]
    pub fn is_native(self) -> bool {
        self.spoken() == Self::Native
    }

    /// The value of the metrics' label `protocol`.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::V1 => "v1",
            Self::V2 => "v2",
            Self::Native => "native",
            Self::Events => "events",
        }
    }
}

/// What a frame says of a notification beside itself, where the protocol has a word for it.
#[derive(Debug, Clone, Copy)]
pub struct Head<'a> {
    /// Its id.
    pub id: &'a NotificationId,
    /// The native token of its offset ([`native::cursor_token`]).
    pub cursor: &'a str,
    /// It came in a storm: to be shown in a digest.
    pub digested: bool,
}

/// One notification as one text frame, the same for all tabs of the user that speak `protocol`. None where the protocol cannot say
/// it: V1 and V2 know users by positive integers only, so no tab of theirs can be waiting for another one.
#[must_use]
pub fn encode(protocol: Protocol, user: &UserId, head: Head<'_>, n: &Notification) -> Option<String> {
    match protocol {
        Protocol::V1 => v1::notification(user, n),
        Protocol::V2 => v2::notification(user, n),
        Protocol::Native | Protocol::Events => Some(native::notification(head, n)),
    }
}

/// A last value as one text frame for every tab that speaks `protocol`; `value_json` is JSON.
///
/// None where the protocol has no word for it (V1: for nothing; V2: for all but [`EXPORT_STATUS_KEY`] with a
/// boolean), and where the value is not JSON.
#[must_use]
pub fn status(protocol: Protocol, key: &str, value_json: &[u8]) -> Option<String> {
    match protocol {
        Protocol::V1 => None,
        Protocol::V2 if key == EXPORT_STATUS_KEY => v2::export_status(value_json),
        Protocol::V2 => None,
        Protocol::Native | Protocol::Events => native::status(key, value_json),
    }
}
