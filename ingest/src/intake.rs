//! What becomes of a notification that was sent. Pure: no clock, no log, no HTTP.

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use bellwire_common::directory::{Known, User};
use bellwire_common::ids::{NotificationId, Shard, UnixMillis};
use bellwire_common::notification::surrogates::replace_lone;
use bellwire_common::notification::{Checked, Draft, Field, FieldError, Kind, check};
use bellwire_common::record::{Notify, Record};
use bellwire_common::settings::UserCheck;

use crate::id;
use crate::lookup::Found;

/// Most notifications in one request.
pub const BATCH_ITEMS_MAX: usize = 1000;

/// What a decision depends on beside the draft.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Terms {
    pub(crate) now: UnixMillis,
    pub(crate) ttl_ms: u64,
    pub(crate) shards: u16,
}

/// A notification and what is to be done with it.
#[derive(Debug)]
pub(crate) struct Decision {
    /// None where the sender gave none that could be kept.
    pub(crate) id: Option<NotificationId>,
    pub(crate) verdict: Verdict,
    /// Names of fields that were sent and are none.
    pub(crate) ignored: Vec<String>,
}

/// See [`Decision`].
#[derive(Debug)]
pub(crate) enum Verdict {
    /// To be appended.
    Append(Shard, Bytes),
    /// It has expired.
    Stale,
    /// Its fields are not as they must be.
    Invalid(Vec<FieldError>),
}

/// The body of `POST /v1/notifications`.
#[derive(Debug)]
pub(crate) enum Batch<'a> {
    One(Box<Draft<'a>>),
    Many(Vec<Draft<'a>>),
    /// More than [`BATCH_ITEMS_MAX`].
    TooMany,
}

/// The body as text. Engines pass on what plugins print, whatever its encoding; a notification with a replaced
/// character is better than none.
pub(crate) fn text(body: &[u8]) -> Cow<'_, str> {
    // The lossy conversion alone is several times slower on what is text already.
    str::from_utf8(body).map_or_else(|_| String::from_utf8_lossy(body), Cow::Borrowed)
}

/// Reads a body of JSON. Halves of characters are replaced, like bytes that are no text; `mended` is the room for that,
/// which only such a body needs.
pub(crate) fn parse<'a, T: Deserialize<'a>>(body: &'a str, mended: &'a mut String) -> serde_json::Result<T> {
    let error = match serde_json::from_str(body) {
        Ok(parsed) => return Ok(parsed),
        Err(error) => error,
    };
    *mended = replace_lone(body).ok_or(error)?;
    serde_json::from_str(mended)
}

/// Decides on a draft of `/v1`, with what was found for it: without an id it gets a random one.
pub(crate) fn decide(mut draft: Draft<'_>, found: Found, terms: Terms) -> Decision {
    let ignored = std::mem::take(&mut draft.ignored);
    match checked(&mut draft, found, terms) {
        Ok(mut checked) => {
            let id = checked.id.take().unwrap_or_else(id::random);
            Decision { verdict: verdict(checked, id.clone(), terms), id: Some(id), ignored }
        }
        Err(errors) => {
            let id = if let Field::Text(text) = &draft.id { NotificationId::try_new(text).ok() } else { None };
            Decision { id, verdict: Verdict::Invalid(errors), ignored }
        }
    }
}

/// Checks a draft, named by what was found for it, and its user.
pub(crate) fn checked(draft: &mut Draft<'_>, found: Found, terms: Terms) -> Result<Checked, Vec<FieldError>> {
    for (object, name) in [(&mut draft.host, found.names.host), (&mut draft.service, found.names.service)] {
        if let (true, Some(name)) = (object.name.is_blank(), name) {
            object.name = Field::from(name);
        }
    }
    let checked = check(draft, terms.now, terms.ttl_ms)?;
    let (user, check) = (found.user, found.check);
    let Some(must) = unwelcome(user, checked.notification.kind, check) else { return Ok(checked) };
    Err(vec![FieldError { field: "user".into(), message: must.to_owned() }])
}

/// What the user must be and is not. One that the database says nothing of is welcome.
fn unwelcome(user: Known<User>, kind: Kind, check: UserCheck) -> Option<&'static str> {
    match (user, check) {
        (_, UserCheck::Off) | (Known::Unknown, _) | (Known::Yes(_), UserCheck::Exists) => None,
        (Known::No, UserCheck::Exists | UserCheck::Push) => Some("must be the id of a user of openITCOCKPIT"),
        (Known::Yes(user), UserCheck::Push) => match kind {
            Kind::Host if !user.host_push => Some("must have a contact with push notifications for hosts switched on"),
            Kind::Service if !user.service_push => {
                Some("must have a contact with push notifications for services switched on")
            }
            Kind::Message if !(user.host_push || user.service_push) => {
                Some("must have a contact with push notifications switched on")
            }
            Kind::Host | Kind::Service | Kind::Message => None,
        },
    }
}

/// Stale, or the record for the user's shard.
pub(crate) fn verdict(checked: Checked, id: NotificationId, terms: Terms) -> Verdict {
    if checked.stale {
        return Verdict::Stale;
    }
    let shard = Shard::of(&checked.user, terms.shards);
    let payload = serde_json::to_vec(&checked.notification).expect("texts and numbers are always JSON");
    let (user, expires_at) = (checked.user, checked.expires_at);
    let notify = Notify { id, user, accepted_at: terms.now, expires_at, payload: payload.into() };
    Verdict::Append(shard, Record::Notify(notify).encode())
}

impl<'de> Deserialize<'de> for Batch<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(BatchVisitor)
    }
}

struct BatchVisitor;

impl<'de> Visitor<'de> for BatchVisitor {
    type Value = Batch<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a notification or a list of them")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        Draft::deserialize(MapAccessDeserializer::new(map)).map(|draft| Batch::One(Box::new(draft)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut drafts = Vec::new();
        while let Some(draft) = list.next_element()? {
            drafts.push(draft);
            if drafts.len() == BATCH_ITEMS_MAX {
                break;
            }
        }
        if drafts.len() == BATCH_ITEMS_MAX && list.next_element::<IgnoredAny>()?.is_some() {
            while list.next_element::<IgnoredAny>()?.is_some() {}
            return Ok(Batch::TooMany);
        }
        Ok(Batch::Many(drafts))
    }
}

#[cfg(test)]
mod tests {
    use bellwire_common::directory::Names;
    use bellwire_common::log::RECORD_BYTES_MAX;
    use bellwire_common::notification::{Notification, Object, limits};
    use proptest::prelude::*;
    use proptest::strategy::ValueTree;

    use super::*;

    const TERMS: Terms = Terms { now: UnixMillis(1_700_000_000_000), ttl_ms: 600_000, shards: 4 };

    fn decision(json: &str) -> Decision {
        decide(serde_json::from_str(json).unwrap(), Found::default(), TERMS)
    }

    #[test]
    fn a_good_draft_becomes_a_record_in_its_users_shard() {
        let decision = decision(r#"{"user":"2","title":"t","id":"x","titel":1}"#);
        let Verdict::Append(shard, record) = decision.verdict else { panic!("{decision:?}") };
        assert_eq!((shard, decision.ignored), (Shard(1), vec!["titel".to_owned()]));
        let Record::Notify(notify) = Record::decode(record).unwrap() else { panic!("no notification") };
        assert_eq!((notify.id.as_str(), notify.user.as_str()), ("x", "2"));
        assert_eq!(notify.expires_at, UnixMillis(1_700_000_600_000));
        assert!(notify.payload.starts_with(br#"{"timestamp":1700000000,"kind":"message""#));
    }

    #[test]
    fn names_that_were_found_stand_where_none_was_given() {
        let shown = |json: &str| {
            let names = Names { host: Some("web-01".into()), service: Some("Disk /".into()) };
            let found = Found { names, ..Found::default() };
            let decision = decide(serde_json::from_str(json).unwrap(), found, TERMS);
            let Verdict::Append(_, record) = decision.verdict else { panic!("{decision:?}") };
            let Record::Notify(notify) = Record::decode(record).unwrap() else { panic!("no notification") };
            let notification: Notification = serde_json::from_slice(&notify.payload).unwrap();
            let name = |object: Option<Object>| object.map(|object| (object.id, object.name));
            (notification.title, name(notification.host), name(notification.service))
        };
        let object = |id: &str, name: &str| Some((id.to_owned(), name.to_owned()));
        let (title, host, service) =
            shown(r#"{"user":"7","type":"PROBLEM","state":2,"host":{"id":"h","name":" "},"service":{"id":"s"}}"#);
        assert_eq!((host, service), (object("h", "web-01"), object("s", "Disk /")));
        assert_eq!(title, "PROBLEM: web-01/Disk / is CRITICAL!");
        assert_eq!(shown(r#"{"user":"7","host":{"id":"h","name":"Own"}}"#).1, object("h", "Own"));
        assert_eq!(shown(r#"{"user":"7","title":"t"}"#), ("t".into(), None, None));
    }

    #[test]
    fn users_are_held_to_what_the_check_asks() {
        let of = |host_push, service_push| Known::Yes(User { host_push, service_push });
        for (check, user, host, service, message) in [
            (UserCheck::Off, Known::No, true, true, true),
            (UserCheck::Exists, Known::Unknown, true, true, true),
            (UserCheck::Exists, Known::No, false, false, false),
            (UserCheck::Exists, of(false, false), true, true, true),
            (UserCheck::Push, Known::Unknown, true, true, true),
            (UserCheck::Push, Known::No, false, false, false),
            (UserCheck::Push, of(false, false), false, false, false),
            (UserCheck::Push, of(true, false), true, false, true),
            (UserCheck::Push, of(false, true), false, true, true),
        ] {
            for (json, is_welcome) in [
                (r#"{"user":"7","host":{"id":"h"}}"#, host),
                (r#"{"user":"7","host":{"id":"h"},"service":{"id":"s"}}"#, service),
                (r#"{"user":"7","title":"t"}"#, message),
            ] {
                let found = Found { user, check, ..Found::default() };
                match decide(serde_json::from_str(json).unwrap(), found, TERMS).verdict {
                    Verdict::Append(..) => assert!(is_welcome, "{check:?} {user:?} {json}"),
                    Verdict::Invalid(errors) => {
                        assert!(!is_welcome && errors.len() == 1 && errors[0].field == "user", "{errors:?}");
                    }
                    Verdict::Stale => panic!("stale"),
                }
            }
        }
    }

    #[test]
    fn ids_are_kept_or_made() {
        assert_eq!(decision(r#"{"user":"7","title":"t"}"#).id.unwrap().as_str().len(), 32);
        let stale = decision(r#"{"user":"7","title":"t","timestamp":1,"id":"x"}"#);
        assert!(matches!(stale.verdict, Verdict::Stale) && stale.id.unwrap().as_str() == "x");
        let invalid = decision(r#"{"id":"x"}"#);
        assert!(matches!(invalid.verdict, Verdict::Invalid(_)) && invalid.id.unwrap().as_str() == "x");
        assert!(decision(r#"{"id":"a b","user":"7","title":"t"}"#).id.is_none());
    }

    #[test]
    fn bytes_that_are_no_text_are_replaced() {
        let body = b"{\"user\":\"7\",\"title\":\"caf\xe9 \xf0\x9f\"}";
        let draft: Draft<'_> = serde_json::from_str(&text(body))
            .map(|draft: Draft<'_>| draft.title)
            .map(|title| {
                let Field::Text(title) = title else { panic!("{title:?}") };
                Draft { title: title.into_owned().into(), ..Draft::default() }
            })
            .unwrap();
        assert_eq!(draft.title, Field::from("caf\u{fffd} \u{fffd}"));
    }

    #[test]
    fn batches_are_bounded() {
        let batch = |items: usize| format!("[{}]", vec!["{}"; items].join(","));
        let full = batch(BATCH_ITEMS_MAX);
        assert!(matches!(serde_json::from_str(&full).unwrap(), Batch::Many(drafts) if drafts.len() == BATCH_ITEMS_MAX));
        let over = batch(BATCH_ITEMS_MAX + 3);
        assert!(matches!(serde_json::from_str(&over).unwrap(), Batch::TooMany));
        assert!(serde_json::from_str::<Batch<'_>>("7").is_err());
        assert!(serde_json::from_str::<Batch<'_>>("[{}").is_err());
    }

    #[test]
    fn no_record_is_too_large_for_a_log() {
        let longest = |bytes: usize| "\"".repeat(bytes);
        let json = serde_json::json!({
            "id": "x".repeat(64), "user": "y".repeat(64), "kind": "service", "type": longest(limits::TYPE_BYTES_MAX),
            "title": longest(limits::TITLE_BYTES_MAX), "body": longest(limits::BODY_BYTES_MAX),
            "host": {"id": longest(limits::OBJECT_ID_BYTES_MAX), "name": longest(limits::NAME_BYTES_MAX)},
            "service": {"id": longest(limits::OBJECT_ID_BYTES_MAX), "name": longest(limits::NAME_BYTES_MAX)},
            "output": longest(limits::OUTPUT_BYTES_MAX), "url": format!("/{}", "x".repeat(limits::URL_BYTES_MAX - 1)),
        });
        let Verdict::Append(_, record) = decision(&json.to_string()).verdict else { panic!("not appended") };
        assert!(record.len() <= limits::FRAME_BYTES_MAX && record.len() <= RECORD_BYTES_MAX, "{}", record.len());
    }

    /// Values that are right somewhere, and some that are right nowhere.
    const VALUES: [&str; 16] = [
        "\"7\"",
        "7",
        "\"t\"",
        "\"service\"",
        "{\"id\":\"h\"}",
        "{\"id\":\"s\",\"name\":\"S\"}",
        "{\"name\":[{}]}",
        "null",
        "-1",
        "1.5",
        "1e400",
        "true",
        "[]",
        "\"\\ud83d\"",
        "\"\\n\"",
        "1700000000",
    ];
    const FIELDS: [&str; 8] = ["id", "user", "kind", "state", "host", "service", "title", "timestamp"];

    /// A notification that is nearly right, and often is.
    fn any_object() -> impl Strategy<Value = String> {
        let field = (prop::sample::select(&FIELDS[..]), prop::sample::select(&VALUES[..]));
        (any::<bool>(), proptest::collection::vec(field, 0..4)).prop_map(|(is_whole, fields)| {
            let whole = if is_whole { &[("user", "\"7\""), ("title", "\"t\"")][..] } else { &[] };
            let fields = fields.iter().chain(whole).map(|(name, value)| format!("\"{name}\":{value}"));
            format!("{{{}}}", fields.collect::<Vec<_>>().join(","))
        })
    }

    /// One or a list, as it is or with some bytes changed.
    fn any_body() -> impl Strategy<Value = Vec<u8>> {
        let one = any_object();
        let list = proptest::collection::vec(any_object(), 0..4).prop_map(|items| format!("[{}]", items.join(",")));
        let edit = (any::<prop::sample::Index>(), any::<u8>());
        let edits = prop_oneof![2 => Just(Vec::new()), 1 => proptest::collection::vec(edit, 1..3)];
        (prop_oneof![one, list], edits).prop_map(|(body, edits)| {
            let mut body = body.into_bytes();
            edits.into_iter().for_each(|(at, byte)| *at.get_mut(&mut body) = byte);
            body
        })
    }

    /// Decides on all of a body, and says how many are to be appended; none if it is not JSON.
    fn decide_all(body: &[u8]) -> Result<Option<usize>, TestCaseError> {
        let (text, mut mended) = (text(body), String::new());
        let drafts = match parse(&text, &mut mended) {
            Ok(Batch::One(draft)) => vec![*draft],
            Ok(Batch::Many(drafts)) => drafts,
            Ok(Batch::TooMany) => return Err(TestCaseError::fail("too many")),
            Err(_) => return Ok(None),
        };
        let mut appended = 0;
        for draft in drafts {
            match decide(draft, Found::default(), TERMS).verdict {
                Verdict::Append(shard, record) => {
                    prop_assert!(shard.0 < TERMS.shards && Record::decode(record).is_ok());
                    appended += 1;
                }
                Verdict::Stale => {}
                Verdict::Invalid(errors) => prop_assert!(!errors.is_empty()),
            }
        }
        Ok(Some(appended))
    }

    /// Keeps the property below from becoming one of refusals only.
    #[test]
    fn bodies_of_the_property_reach_every_end() {
        let mut runner = proptest::test_runner::TestRunner::deterministic();
        let mut ends = [0; 3];
        for _ in 0..256 {
            let body = any_body().new_tree(&mut runner).unwrap().current();
            match decide_all(&body).unwrap() {
                None => ends[0] += 1,
                Some(0) => ends[1] += 1,
                Some(_) => ends[2] += 1,
            }
        }
        assert!(ends.iter().all(|count| *count > 25), "not JSON, none, some: {ends:?}");
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken_or_refused(body in any_body()) {
            decide_all(&body)?;
        }

        #[test]
        fn any_texts_become_a_record_or_errors(
            values in proptest::collection::vec(any::<String>(), 6), state in any::<i64>(), timestamp in any::<i64>(),
        ) {
            let json = serde_json::json!({"id": values[0], "user": "7", "type": values[1], "host": {"id": values[2]},
                "output": values[3], "url": values[4], "title": values[5], "state": state, "timestamp": timestamp});
            let json = json.to_string();
            match decide(serde_json::from_str(&json).unwrap(), Found::default(), TERMS).verdict {
                Verdict::Append(_, record) => prop_assert!(Record::decode(record).is_ok()),
                Verdict::Stale => prop_assert!(timestamp < 1_700_000_000),
                Verdict::Invalid(errors) => prop_assert!(!errors.is_empty()),
            }
        }
    }
}
