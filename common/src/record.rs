//! The envelope in which everything crosses the log.
//!
//! Small, binary-safe and versioned. The head of a [`Notify`] is enough for the delivery state machine;
//! its payload stays opaque until a gateway shows it.
//!
//! ```text
//! record  = version(1 byte = 1) kind(1 byte) body
//! notify  = text(id) text(user) varint(accepted_at) varint(expires_at) payload(the rest)
//! report  = node(8 bytes) varint(number) varint(at) { entry }
//! status  = text(key) varint(version) value(the rest)
//! text    = length(1 byte) bytes
//! varint  = LEB128, at most 10 bytes
//! opened  = varint(session) text(user) text(browser) since cursor from (optional offsets) flags(1 byte: 1 stalled, 2 digests)
//! optional offset = varint(offset + 1), 0 for none
//! ```

use bytes::{Buf, BufMut, Bytes, BytesMut};

use self::wire::{id_of, optional_of, put_numbered, put_optional, put_text, put_varint, text_of, u8_of, varint_of};
use crate::ids::{BrowserId, ID_BYTES_MAX, IdError, NodeId, NotificationId, Offset, UnixMillis, UserId};

mod wire;

const VERSION: u8 = 1;
const KIND_NOTIFY: u8 = 1;
const KIND_REPORT: u8 = 2;
const KIND_STATUS: u8 = 3;

const ENTRY_OPENED: u8 = 1;
const ENTRY_CLOSED: u8 = 2;
const ENTRY_CONFIRMED: u8 = 3;
const ENTRY_STALLED: u8 = 4;
const ENTRY_BEAT: u8 = 5;
const ENTRY_ROUND: u8 = 6;
const ENTRY_LEAVE: u8 = 7;

const OPENED_STALLED: u8 = 1;
const OPENED_DIGESTS: u8 = 2;

/// Key of the [`Status`] whose boolean value V2 tabs get as `ExportStatus`: openITCOCKPIT's refresh of the monitoring
/// configuration is running.
pub const EXPORT_STATUS_KEY: &str = "export_running";

/// Longest [`Status`] key and value, in bytes.
pub const STATUS_KEY_BYTES_MAX: usize = 64;
/// See [`STATUS_KEY_BYTES_MAX`].
pub const STATUS_VALUE_BYTES_MAX: usize = 1024;

/// A text's length is one byte.
const TEXT_BYTES_MAX: usize = u8::MAX as usize;
const _: () = assert!(STATUS_KEY_BYTES_MAX <= TEXT_BYTES_MAX && ID_BYTES_MAX <= TEXT_BYTES_MAX);

/// One element of a shard's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    /// A notification, appended by ingest (or by a gateway for a tab's test).
    Notify(Notify),
    /// What a gateway tells the others.
    Report(Report),
    /// A last value for every session.
    Status(Status),
}

/// A notification for one user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notify {
    /// The same id twice for one user is the same notification.
    pub id: NotificationId,
    /// Who receives.
    pub user: UserId,
    /// When it was accepted, by the clock of who accepted it; for measuring only.
    pub accepted_at: UnixMillis,
    /// When it is no longer worth showing.
    pub expires_at: UnixMillis,
    /// The checked notification as JSON ([`crate::notification::Notification`]).
    pub payload: Bytes,
}

/// What one node tells of its sessions of one shard. Soft: lost ones are made good by later ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Who tells.
    pub node: NodeId,
    /// Rises with each report of the node for the shard.
    pub number: u64,
    /// The node's clock.
    pub at: UnixMillis,
    /// What happened, in this order.
    pub entries: Vec<Entry>,
}

/// One line of a report. `session` is the node's own number of the tab.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// The session is connected and wants notifications; complete, so that it may be told again.
    Opened(Opened),
    /// The session's connection has ended.
    Closed {
        /// Which session.
        session: u64,
    },
    /// The session has proved that it has everything up to `upto`.
    Confirmed {
        /// Which session.
        session: u64,
        /// The last offset that it has.
        upto: Offset,
    },
    /// The session does not answer.
    Stalled {
        /// Which session.
        session: u64,
    },
    /// The node is alive and has read back its previous heartbeat.
    Beat {
        /// Rises with each heartbeat.
        number: u64,
    },
    /// Every open session has been named since the previous round.
    Round,
    /// The node has ended its last session and goes.
    Leave,
}

/// See [`Entry::Opened`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// Which session.
    pub session: u64,
    /// Whose tab it is.
    pub user: UserId,
    /// Which browser.
    pub browser: BrowserId,
    /// Offset of its first announcement; none when this is the first.
    pub since: Option<Offset>,
    /// What the browser is known to have; none where nothing is known.
    pub cursor: Option<Offset>,
    /// What the node had applied when it greeted the tab; none when nothing.
    pub from: Option<Offset>,
    /// The session does not answer at present.
    pub stalled: bool,
    /// What a storm brings is shown there in digests.
    pub digests: bool,
}

/// A last value for every session, such as openITCOCKPIT's export status. Made by [`Status::try_new`] only.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Status {
    /// What it is about.
    pub key: String,
    /// A value with a lower version than the last one is ignored.
    pub version: u64,
    /// JSON.
    pub value: Bytes,
}

/// Why something cannot be a [`Status`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StatusError {
    /// The key is empty.
    #[error("key must not be empty")]
    NoKey,
    /// The key is longer than [`STATUS_KEY_BYTES_MAX`].
    #[error("key must be at most {STATUS_KEY_BYTES_MAX} bytes")]
    Key,
    /// The value is longer than [`STATUS_VALUE_BYTES_MAX`].
    #[error("value must be at most {STATUS_VALUE_BYTES_MAX} bytes")]
    Value,
}

/// Why bytes are not a record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// It ends too early.
    #[error("cut off in {0}")]
    Short(&'static str),
    /// A later version wrote it.
    #[error("unknown version {0}")]
    Version(u8),
    /// A later version wrote it.
    #[error("unknown kind {0}")]
    Kind(u8),
    /// A field breaks its limit.
    #[error("{field} {error}")]
    Id {
        /// Which field.
        field: &'static str,
        /// What is wrong.
        error: IdError,
    },
    /// A field is not what it must be.
    #[error("bad {0}")]
    Field(&'static str),
}

// === impl Record ===

impl Record {
    /// The bytes that cross the log.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(self.size_hint());
        out.put_u8(VERSION);
        match self {
            Self::Notify(notify) => notify.encode(&mut out),
            Self::Report(report) => report.encode(&mut out),
            Self::Status(status) => status.encode(&mut out),
        }
        out.freeze()
    }

    /// Reads what [`Record::encode`] wrote; payloads share the memory of `bytes`.
    pub fn decode(mut bytes: Bytes) -> Result<Self, DecodeError> {
        let version = u8_of(&mut bytes, "version")?;
        if version != VERSION {
            return Err(DecodeError::Version(version));
        }
        match u8_of(&mut bytes, "kind")? {
            KIND_NOTIFY => Notify::decode(bytes).map(Self::Notify),
            KIND_REPORT => Report::decode(bytes).map(Self::Report),
            KIND_STATUS => Status::decode(bytes).map(Self::Status),
            kind => Err(DecodeError::Kind(kind)),
        }
    }

    fn size_hint(&self) -> usize {
        match self {
            Self::Notify(n) => 16 + n.id.as_str().len() + n.user.as_str().len() + n.payload.len(),
            Self::Report(r) => 32 + 96 * r.entries.len(),
            Self::Status(s) => 16 + s.key.len() + s.value.len(),
        }
    }
}

// === impl Notify ===

impl Notify {
    fn encode(&self, out: &mut BytesMut) {
        out.put_u8(KIND_NOTIFY);
        put_text(out, self.id.as_str());
        put_text(out, self.user.as_str());
        put_varint(out, self.accepted_at.0);
        put_varint(out, self.expires_at.0);
        out.put_slice(&self.payload);
    }

    fn decode(mut bytes: Bytes) -> Result<Self, DecodeError> {
        Ok(Self {
            id: id_of(&mut bytes, "id", NotificationId::try_new)?,
            user: id_of(&mut bytes, "user", UserId::try_new)?,
            accepted_at: UnixMillis(varint_of(&mut bytes, "accepted_at")?),
            expires_at: UnixMillis(varint_of(&mut bytes, "expires_at")?),
            payload: bytes,
        })
    }
}

// === impl Report ===

impl Report {
    fn encode(&self, out: &mut BytesMut) {
        out.put_u8(KIND_REPORT);
        out.put_u64(self.node.0);
        put_varint(out, self.number);
        put_varint(out, self.at.0);
        for entry in &self.entries {
            entry.encode(out);
        }
    }

    fn decode(mut bytes: Bytes) -> Result<Self, DecodeError> {
        if bytes.len() < 8 {
            return Err(DecodeError::Short("node"));
        }
        let node = NodeId(bytes.get_u64());
        let number = varint_of(&mut bytes, "number")?;
        let at = UnixMillis(varint_of(&mut bytes, "at")?);
        let mut entries = Vec::new();
        while bytes.has_remaining() {
            entries.push(Entry::decode(&mut bytes)?);
        }
        Ok(Self { node, number, at, entries })
    }
}

// === impl Entry ===

impl Entry {
    fn encode(&self, out: &mut BytesMut) {
        match self {
            Self::Opened(opened) => {
                out.put_u8(ENTRY_OPENED);
                put_varint(out, opened.session);
                put_text(out, opened.user.as_str());
                put_text(out, opened.browser.as_str());
                put_optional(out, opened.since);
                put_optional(out, opened.cursor);
                put_optional(out, opened.from);
                out.put_u8(flag(OPENED_STALLED, opened.stalled) | flag(OPENED_DIGESTS, opened.digests));
            }
            Self::Closed { session } => put_numbered(out, ENTRY_CLOSED, *session),
            Self::Confirmed { session, upto } => {
                put_numbered(out, ENTRY_CONFIRMED, *session);
                put_varint(out, upto.0);
            }
            Self::Stalled { session } => put_numbered(out, ENTRY_STALLED, *session),
            Self::Beat { number } => put_numbered(out, ENTRY_BEAT, *number),
            Self::Round => out.put_u8(ENTRY_ROUND),
            Self::Leave => out.put_u8(ENTRY_LEAVE),
        }
    }

    fn decode(bytes: &mut Bytes) -> Result<Self, DecodeError> {
        Ok(match u8_of(bytes, "entry")? {
            ENTRY_OPENED => Self::Opened(Opened::decode(bytes)?),
            ENTRY_CLOSED => Self::Closed { session: varint_of(bytes, "session")? },
            ENTRY_CONFIRMED => {
                Self::Confirmed { session: varint_of(bytes, "session")?, upto: Offset(varint_of(bytes, "upto")?) }
            }
            ENTRY_STALLED => Self::Stalled { session: varint_of(bytes, "session")? },
            ENTRY_BEAT => Self::Beat { number: varint_of(bytes, "beat")? },
            ENTRY_ROUND => Self::Round,
            ENTRY_LEAVE => Self::Leave,
            _ => return Err(DecodeError::Field("entry")),
        })
    }
}

// === impl Opened ===

impl Opened {
    fn decode(bytes: &mut Bytes) -> Result<Self, DecodeError> {
        let mut opened = Self {
            session: varint_of(bytes, "session")?,
            user: id_of(bytes, "user", UserId::try_new)?,
            browser: id_of(bytes, "browser", BrowserId::try_new)?,
            since: optional_of(bytes, "since")?,
            cursor: optional_of(bytes, "cursor")?,
            from: optional_of(bytes, "from")?,
            stalled: false,
            digests: false,
        };
        let flags = u8_of(bytes, "flags")?;
        if flags & !(OPENED_STALLED | OPENED_DIGESTS) != 0 {
            return Err(DecodeError::Field("flags"));
        }
        opened.stalled = flags & OPENED_STALLED != 0;
        opened.digests = flags & OPENED_DIGESTS != 0;
        Ok(opened)
    }
}

fn flag(bit: u8, set: bool) -> u8 {
    if set { bit } else { 0 }
}

// === impl Status ===

impl Status {
    /// Takes a key of 1 to [`STATUS_KEY_BYTES_MAX`] bytes, and a value, which is JSON, of at most
    /// [`STATUS_VALUE_BYTES_MAX`].
    pub fn try_new(key: &str, version: u64, value: Bytes) -> Result<Self, StatusError> {
        if key.is_empty() {
            return Err(StatusError::NoKey);
        }
        if key.len() > STATUS_KEY_BYTES_MAX {
            return Err(StatusError::Key);
        }
        if value.len() > STATUS_VALUE_BYTES_MAX {
            return Err(StatusError::Value);
        }
        Ok(Self { key: key.to_owned(), version, value })
    }

    fn encode(&self, out: &mut BytesMut) {
        out.put_u8(KIND_STATUS);
        put_text(out, &self.key);
        put_varint(out, self.version);
        out.put_slice(&self.value);
    }

    fn decode(mut bytes: Bytes) -> Result<Self, DecodeError> {
        let key = text_of(&mut bytes, "key")?;
        let version = varint_of(&mut bytes, "version")?;
        Self::try_new(&key, version, bytes).map_err(|error| match error {
            StatusError::NoKey | StatusError::Key => DecodeError::Field("key"),
            StatusError::Value => DecodeError::Field("value"),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn id_text() -> impl Strategy<Value = String> {
        "[!-~]{1,64}"
    }

    fn offset() -> impl Strategy<Value = Offset> {
        (0..u64::MAX).prop_map(Offset)
    }

    fn opened() -> impl Strategy<Value = Opened> {
        let ids = (any::<u64>(), id_text(), id_text());
        let place = || proptest::option::of(offset());
        let places = (place(), place(), place(), any::<bool>(), any::<bool>());
        (ids, places).prop_map(|((session, user, browser), (since, cursor, from, stalled, digests))| Opened {
            session,
            user: UserId::try_new(&user).unwrap(),
            browser: BrowserId::try_new(&browser).unwrap(),
            since,
            cursor,
            from,
            stalled,
            digests,
        })
    }

    fn entry() -> impl Strategy<Value = Entry> {
        prop_oneof![
            opened().prop_map(Entry::Opened),
            any::<u64>().prop_map(|session| Entry::Closed { session }),
            (any::<u64>(), offset()).prop_map(|(session, upto)| Entry::Confirmed { session, upto }),
            any::<u64>().prop_map(|session| Entry::Stalled { session }),
            any::<u64>().prop_map(|number| Entry::Beat { number }),
            Just(Entry::Round),
            Just(Entry::Leave),
        ]
    }

    fn record() -> impl Strategy<Value = Record> {
        let bytes = proptest::collection::vec(any::<u8>(), 0..300).prop_map(Bytes::from);
        prop_oneof![
            (id_text(), id_text(), any::<[u64; 2]>(), bytes.clone()).prop_map(
                |(id, user, at, payload)| Record::Notify(Notify {
                    id: NotificationId::try_new(&id).unwrap(),
                    user: UserId::try_new(&user).unwrap(),
                    accepted_at: UnixMillis(at[0]),
                    expires_at: UnixMillis(at[1]),
                    payload,
                })
            ),
            (any::<u64>(), any::<u64>(), any::<u64>(), proptest::collection::vec(entry(), 0..20)).prop_map(
                |(node, number, at, entries)| Record::Report(Report {
                    node: NodeId(node),
                    number,
                    at: UnixMillis(at),
                    entries
                })
            ),
            ("[a-z]{1,64}", any::<u64>(), bytes)
                .prop_map(|(key, version, value)| Record::Status(Status::try_new(&key, version, value).unwrap())),
        ]
    }

    #[test]
    fn a_status_has_limits() {
        let made = |key: usize, value: usize| Status::try_new(&"k".repeat(key), 7, Bytes::from(vec![b'1'; value]));
        assert_eq!(made(0, 1), Err(StatusError::NoKey));
        assert_eq!(made(STATUS_KEY_BYTES_MAX + 1, 1), Err(StatusError::Key));
        assert_eq!(made(1, STATUS_VALUE_BYTES_MAX + 1), Err(StatusError::Value));
        for (key, value) in [(1, 0), (STATUS_KEY_BYTES_MAX, STATUS_VALUE_BYTES_MAX)] {
            let record = Record::Status(made(key, value).unwrap());
            assert_eq!(Record::decode(record.encode()).unwrap(), record);
        }
    }

    #[test]
    fn a_written_status_beyond_its_limits_is_refused() {
        for (key, value, field) in [
            (0, 1, "key"),
            (STATUS_KEY_BYTES_MAX + 1, 1, "key"),
            (TEXT_BYTES_MAX, 1, "key"),
            (1, STATUS_VALUE_BYTES_MAX + 1, "value"),
        ] {
            let mut bytes = vec![VERSION, KIND_STATUS, key as u8];
            bytes.extend(vec![b'k'; key]);
            bytes.push(7);
            bytes.extend(vec![b'1'; value]);
            assert_eq!(Record::decode(bytes.into()), Err(DecodeError::Field(field)), "{key} {value}");
        }
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(record in record()) {
            prop_assert_eq!(Record::decode(record.encode()).unwrap(), record);
        }

        #[test]
        fn any_cut_is_refused_or_shorter(record in record(), cut in any::<proptest::sample::Index>()) {
            let bytes = record.encode();
            let cut = bytes.slice(..cut.index(bytes.len()));
            if let Ok(other) = Record::decode(cut) {
                prop_assert_ne!(other, record);
            }
        }

        #[test]
        fn any_bytes_are_refused_or_stable(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(record) = Record::decode(Bytes::from(bytes)) {
                prop_assert_eq!(Record::decode(record.encode()).unwrap(), record);
            }
        }
    }
}
