//! Ids of notifications whose sender gave none.

use std::borrow::Cow;
use std::fmt::Write;

use sha2::{Digest, Sha256};

use bellwire_common::ids::NotificationId;
use bellwire_common::notification::{Draft, Field};

/// A new id of 128 random bits. It must differ from the user's others of the last half hour, not be secret.
pub(crate) fn random() -> NotificationId {
    hex(fastrand::u128(..).to_be_bytes())
}

/// The id of a notification that came without one and may come again: the same content, the same id.
pub(crate) fn derived(draft: &Draft<'_>) -> NotificationId {
    let parts = [
        &draft.user,
        &draft.kind,
        &draft.host.id,
        &draft.service.id,
        &draft.notification_type,
        &draft.state,
        &draft.output,
        &draft.author,
        &draft.comment,
        &draft.timestamp,
    ];
    let bytes = parts.map(|part| match part {
        Field::Absent | Field::Other(_) => Cow::Borrowed(&[][..]),
        Field::Text(text) => Cow::Borrowed(text.as_bytes()),
        Field::Integer(value) => Cow::Owned(value.to_be_bytes().to_vec()),
    });
    of(bytes.iter().map(AsRef::as_ref))
}

/// The id of what has these parts. Each is preceded by its length, so that no text can pass for two.
pub(crate) fn of<'a>(parts: impl Iterator<Item = &'a [u8]>) -> NotificationId {
    let mut hash = Sha256::new();
    for bytes in parts {
        hash.update((bytes.len() as u64).to_be_bytes());
        hash.update(bytes);
    }
    let digest: [u8; 32] = hash.finalize().into();
    let mut half = [0; 16];
    half.copy_from_slice(&digest[..16]);
    hex(half)
}

fn hex(bytes: [u8; 16]) -> NotificationId {
    let mut text = String::with_capacity(32);
    for byte in bytes {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    NotificationId::try_new(&text).expect("32 hexadecimal digits are an id")
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use bellwire_common::notification::ObjectDraft;

    use super::*;

    fn draft() -> Draft<'static> {
        let object = |id| ObjectDraft { id: Field::from(id), ..ObjectDraft::default() };
        Draft {
            user: "7".into(),
            kind: "service".into(),
            host: object("h"),
            service: object("s"),
            notification_type: "PROBLEM".into(),
            state: 2.into(),
            output: "out".into(),
            author: "a".into(),
            comment: "c".into(),
            timestamp: 1_700_000_000.into(),
            ..Draft::default()
        }
    }

    #[test]
    fn derived_ids_never_change() {
        assert_eq!(derived(&draft()).as_str(), GOLDEN);
    }

    #[test]
    fn every_part_counts_and_nothing_else() {
        let object = |id| ObjectDraft { id: Field::from(id), ..ObjectDraft::default() };
        let changed = [
            draft(),
            Draft { user: "8".into(), ..draft() },
            Draft { kind: "host".into(), ..draft() },
            Draft { host: object("x"), ..draft() },
            Draft { service: object("x"), ..draft() },
            Draft { notification_type: "RECOVERY".into(), ..draft() },
            Draft { state: 1.into(), ..draft() },
            Draft { output: "other".into(), ..draft() },
            Draft { author: "x".into(), ..draft() },
            Draft { comment: "x".into(), ..draft() },
            Draft { timestamp: 1_700_000_001.into(), ..draft() },
            Draft { host: object("hs"), service: object(""), ..draft() },
        ];
        let ids: HashSet<_> = changed.iter().map(derived).collect();
        assert_eq!(ids.len(), changed.len());
        let renamed = Draft { host: ObjectDraft { name: "shown".into(), ..object("h") }, icon: "/x".into(), ..draft() };
        assert_eq!(derived(&renamed), derived(&draft()));
    }

    #[test]
    fn random_ids_differ() {
        let ids: HashSet<_> = (0..1000).map(|_| random()).collect();
        assert_eq!(ids.len(), 1000);
    }

    const GOLDEN: &str = "358f2b1b51a72eb86cf37f94da5da6c9";
}
