use proptest::prelude::*;
use proptest::strategy::ValueTree;

use super::*;

const NOW: UnixMillis = UnixMillis(1_700_000_000_500);
const TTL_MS: u64 = 600_000;

fn check_json(json: &str) -> Result<Checked, Vec<FieldError>> {
    check(&serde_json::from_str::<Draft<'_>>(json).unwrap(), NOW, TTL_MS)
}

fn checked(json: &str) -> Checked {
    check_json(json).unwrap()
}

fn errors(json: &str) -> Vec<(String, String)> {
    check_json(json).unwrap_err().into_iter().map(|error| (error.field.into_owned(), error.message)).collect()
}

fn service(extra: &str) -> String {
    format!(
        r#"{{"user":"7","kind":"service","host":{{"id":"h1","name":"web-1"}},"service":{{"id":"s1","name":"HTTP"}}{extra}}}"#
    )
}

#[test]
fn a_service_problem_has_everything() {
    let checked = checked(&service(r#","type":"PROBLEM","state":2,"output":"a\\nb","timestamp":1699999990,"id":"x""#));
    assert_eq!(checked.id.unwrap().as_str(), "x");
    assert_eq!(checked.user.as_str(), "7");
    assert_eq!(checked.expires_at, UnixMillis(1_699_999_990_000 + TTL_MS));
    assert!(!checked.stale);
    let json = serde_json::to_string(&checked.notification).unwrap();
    assert_eq!(
        json,
        r#"{"timestamp":1699999990,"kind":"service","type":"PROBLEM","state":2,"host":{"id":"h1","name":"web-1"},"service":{"id":"s1","name":"HTTP"},"title":"web-1/HTTP is CRITICAL (PROBLEM)","body":"a\nb","icon":"/img/push_notifications/wh/ServicePushIconCRITICAL.png"}"#
    );
}

#[test]
fn names_default_to_ids_and_numbers_are_taken_as_ids() {
    let checked = checked(r#"{"user":7,"host":{"id":12}}"#);
    assert_eq!(checked.user.as_str(), "7");
    assert_eq!(checked.notification.kind, Kind::Host);
    assert_eq!(checked.notification.host, Some(Object { id: "12".into(), name: "12".into() }));
    assert_eq!(checked.notification.title, "12 is UP");
}

#[test]
fn the_sender_may_word_it() {
    let notification = checked(&service(r#","title":"T","body":"B","url":"https://h/x","icon":"/i.png""#)).notification;
    let words = (notification.title.as_str(), notification.body.as_str(), notification.url.as_deref());
    assert_eq!(words, ("T", "B", Some("https://h/x")));
    assert_eq!(notification.icon.as_deref(), Some("/i.png"));
}

#[test]
fn a_message_needs_a_title_or_a_body() {
    assert_eq!(checked(r#"{"user":"7","body":"hello"}"#).notification.title, MESSAGE_TITLE);
    assert_eq!(checked(r#"{"user":"7","title":"hello"}"#).notification.body, "");
    assert_eq!(errors(r#"{"user":"7","kind":"message","output":"x"}"#)[0].0, "title");
    assert_eq!(errors(r#"{"user":"7","title":"\\n \u0001"}"#)[0].0, "title");
}

#[test]
fn kinds_are_told_apart_in_any_case() {
    assert_eq!(checked(r#"{"user":"7","kind":"Host","host":{"id":"h"}}"#).notification.kind, Kind::Host);
    assert_eq!(checked(&service("")).notification.kind, Kind::Service);
    let bad = [("kind".to_owned(), "must be host, service or message".to_owned())];
    assert_eq!(errors(r#"{"user":"7","kind":"hosts"}"#), bad);
    assert_eq!(errors(&service("").replace("\"service\",", "\"x\",")), bad, "no other error follows from it");
    assert_eq!(errors(r#"{"user":"7","kind":7}"#), [("kind".into(), "must be a text, is a number".into())]);
}

#[test]
fn objects_must_fit_the_kind() {
    assert_eq!(errors(r#"{"user":"7","kind":"host"}"#), [("host.id".into(), "must not be empty".into())]);
    assert_eq!(errors(r#"{"user":"7","host":{"name":"n"}}"#)[0].0, "host.id");
    assert_eq!(errors(r#"{"user":"7","service":{"id":"s"}}"#)[0].0, "host.id");
    assert_eq!(errors(r#"{"user":"7","kind":"host","host":{"id":"h"},"service":{"id":"s"}}"#)[0].0, "service");
    assert_eq!(errors(r#"{"user":"7","kind":"message","title":"t","host":{"id":"h"}}"#)[0].0, "host");
    assert_eq!(errors(r#"{"user":"7","host":"h"}"#)[0], ("host".into(), "must be an object, is a text".into()));
}

#[test]
fn anonymous_objects_pass_only_where_allowed() {
    let draft = Draft { user: "7".into(), kind: "service".into(), anonymous: true, ..Draft::default() };
    let notification = check(&draft, NOW, TTL_MS).unwrap().notification;
    assert_eq!((notification.host, notification.service), (None, None));
    assert_eq!(notification.title, "unknown host/unknown service is OK");
}

/// openITCOCKPIT's V1 tabs make a click lead to an empty id, but not to none.
#[test]
fn an_object_without_an_id_gives_its_name_to_the_words_only() {
    let named = |name: &'static str| ObjectDraft { name: name.into(), ..ObjectDraft::default() };
    let blank = ObjectDraft { id: " \t".into(), name: "web-1".into(), other: None };
    for host in [named("web-1"), blank] {
        let service = ObjectDraft { id: "s".into(), ..ObjectDraft::default() };
        let kind = "service".into();
        let draft = Draft { user: "7".into(), kind, host, service, anonymous: true, ..Draft::default() };
        let notification = check(&draft, NOW, TTL_MS).unwrap().notification;
        assert_eq!(notification.title, "web-1/s is OK");
        assert_eq!(notification.host, None);
        assert_eq!(notification.service, Some(Object { id: "s".into(), name: "s".into() }));
    }
}

#[test]
fn ids_are_kept_as_they_are() {
    let host = |id: &str| checked(&serde_json::json!({"user": "7", "host": {"id": id}}).to_string()).notification.host;
    let object = |id: &str, name: &str| Some(Object { id: id.into(), name: name.into() });
    assert_eq!(host(r"Disk C:\new"), object(r"Disk C:\new", "Disk C: ew"));
    assert_eq!(host("  a  b\n"), object("a  b", "a  b"));
    let longest = "x".repeat(limits::OBJECT_ID_BYTES_MAX);
    assert_eq!(host(&format!(" {longest} ")).unwrap().id, longest);
    for bad in ["a\nb", "a\tb", "\u{0}a", "a\u{7f}b", "a\u{85}b"] {
        let json = serde_json::json!({"user": "7", "host": {"id": bad, "name": "shown"}});
        let wanted = [("host.id".to_owned(), "must not contain control characters".to_owned())];
        assert_eq!(errors(&json.to_string()), wanted, "{bad:?}");
    }
}

#[test]
fn time_to_live_counts_from_the_earlier_clock() {
    let expires = |extra: &str| checked(&format!(r#"{{"user":"7","title":"t"{extra}}}"#)).expires_at.0;
    assert_eq!(expires(""), NOW.0 + TTL_MS);
    assert_eq!(expires(r#","ttl":30"#), NOW.0 + 30_000);
    assert_eq!(expires(r#","timestamp":1800000000"#), NOW.0 + TTL_MS);
    assert_eq!(expires(r#","timestamp":1699999999,"ttl":1800"#), 1_699_999_999_000 + 1_800_000);
    let draft = Draft { user: "7".into(), title: "t".into(), ..Draft::default() };
    assert_eq!(check(&draft, NOW, u64::MAX).unwrap().expires_at.0, NOW.0 + 1_800_000);
}

#[test]
fn what_has_expired_is_stale() {
    let stale = |timestamp: i64| checked(&format!(r#"{{"user":"7","title":"t","timestamp":{timestamp}}}"#)).stale;
    assert!(stale(0));
    assert!(stale(1_699_999_400));
    assert!(!stale(1_699_999_401));
    let draft = Draft { user: "7".into(), title: "t".into(), timestamp: 1_699_999_400.into(), ..Draft::default() };
    assert!(!check(&draft, UnixMillis(1_700_000_000_000), TTL_MS).unwrap().stale, "exactly as old as allowed");
}

#[test]
fn every_bad_field_is_named_once_with_its_limit() {
    let long = |bytes: usize| "x".repeat(bytes + 1);
    let json = serde_json::json!({
        "id": "a b", "user": "", "timestamp": limits::TIMESTAMP_SECONDS_MAX + 1, "ttl": limits::TTL_SECONDS_MAX + 1,
        "kind": "service", "type": long(limits::TYPE_BYTES_MAX), "state": "2",
        "host": {"id": long(limits::OBJECT_ID_BYTES_MAX), "name": long(limits::NAME_BYTES_MAX)}, "service": {"id": []},
        "output": long(limits::OUTPUT_BYTES_MAX), "author": long(limits::AUTHOR_BYTES_MAX),
        "comment": long(limits::COMMENT_BYTES_MAX), "title": long(limits::TITLE_BYTES_MAX),
        "body": long(limits::BODY_BYTES_MAX), "url": "javascript:alert(1)", "icon": "https://h/i.png",
    });
    let found = errors(&json.to_string());
    let expected = [
        ("id", "must consist of visible ASCII characters"),
        ("user", "must not be empty"),
        ("ttl", "must be a whole number from 1 to 1800"),
        ("timestamp", "must be a whole number from 0 to 253402300799"),
        ("type", "must be at most 64 bytes"),
        ("state", "must be a whole number from -255 to 255"),
        ("host.id", "must be at most 255 bytes"),
        ("host.name", "must be at most 6000 bytes"),
        ("service.id", "must be a text, is a list"),
        ("output", "must be at most 65536 bytes"),
        ("author", "must be at most 1024 bytes"),
        ("comment", "must be at most 65536 bytes"),
        ("title", "must be at most 4096 bytes"),
        ("body", "must be at most 65536 bytes"),
        ("url", "must be an http or https address, or a path that begins with one /"),
        ("icon", "must be a path that begins with one /"),
    ];
    let found: Vec<_> = found.iter().map(|(field, message)| (field.as_str(), message.as_str())).collect();
    assert_eq!(found, expected);
    assert_eq!(errors("7"), [(String::new(), "must be an object, is a number".to_owned())]);
}

/// What the largest frame comes to: openITCOCKPIT's protocols say the body twice, but neither names nor address.
fn largest_frame(checked: &Checked) -> usize {
    const ENVELOPE: usize = 512;
    let native = checked.notification.clone();
    let mut old = Notification { url: None, ..native.clone() };
    for object in [&mut old.host, &mut old.service].into_iter().flatten() {
        object.name.clear();
    }
    let size = |notification: &Notification| serde_json::to_string(notification).unwrap().len() + ENVELOPE;
    size(&native).max(size(&old) + serde_json::to_string(&old.body).unwrap().len())
}

#[test]
fn the_largest_notification_fits_a_frame() {
    let quotes = |bytes: usize| "\"".repeat(bytes);
    let json = serde_json::json!({
        "id": "x".repeat(64), "user": "y".repeat(64), "timestamp": limits::TIMESTAMP_SECONDS_MAX, "state": limits::STATE_MIN,
        "type": quotes(limits::TYPE_BYTES_MAX), "title": quotes(limits::TITLE_BYTES_MAX), "body": quotes(limits::BODY_BYTES_MAX),
        "host": {"id": quotes(limits::OBJECT_ID_BYTES_MAX), "name": quotes(limits::NAME_BYTES_MAX)},
        "service": {"id": quotes(limits::OBJECT_ID_BYTES_MAX), "name": quotes(limits::NAME_BYTES_MAX)},
        "url": "/".to_owned() + &"x".repeat(limits::URL_BYTES_MAX - 1), "icon": "/".to_owned() + &"x".repeat(limits::ICON_BYTES_MAX - 1),
    });
    let size = largest_frame(&checked(&json.to_string()));
    assert!((6 * 1024..=limits::FRAME_BYTES_MAX).contains(&size), "{size}");
}

/// A short text of anything, or one that comes close to its limit, with what takes twice its length in a frame. `over` lets
/// it be too long.
fn any_text(bytes_max: usize, over: bool) -> impl Strategy<Value = String> {
    let short = any::<String>().prop_filter("is too long", move |text| text.len() <= bytes_max);
    let long =
        (prop::sample::select(vec!["\"", "\\", "\\n", "ä", "x", "\n"]), 0..4_usize).prop_map(move |(what, less)| {
            let times = bytes_max / what.len() - less;
            "<".to_owned() + &what.repeat(times - 1) + if over { ">>>>" } else { "" }
        });
    prop_oneof![1 => short, 3 => long]
}

fn any_object() -> impl Strategy<Value = (String, String)> {
    (any_text(limits::OBJECT_ID_BYTES_MAX, false), any_text(limits::NAME_BYTES_MAX, false))
}

/// What a sender may say, mostly as it must be: host and service for the kind, texts up to their limits.
#[derive(Debug, Clone)]
struct Said {
    kind: &'static str,
    objects: [(String, String); 2],
    state: i64,
    texts: [String; 6],
    link: String,
}

fn any_said() -> impl Strategy<Value = Said> {
    let texts = [
        limits::TYPE_BYTES_MAX,
        limits::OUTPUT_BYTES_MAX,
        limits::AUTHOR_BYTES_MAX,
        limits::COMMENT_BYTES_MAX,
        limits::TITLE_BYTES_MAX,
        limits::BODY_BYTES_MAX,
    ];
    let texts = texts.map(|bytes_max| {
        prop_oneof![8 => Just(String::new()), 8 => any_text(bytes_max, false), 1 => any_text(bytes_max, true)]
    });
    let kind = prop::sample::select(vec!["host", "service", "message", ""]);
    let state = prop_oneof![20 => limits::STATE_MIN..=limits::STATE_MAX, 1 => any::<i64>()];
    let link = prop_oneof![Just(String::new()), "/[x/]{1020,1023}", "https://[a-z]{1,9}/[\\PC]{0,9}"];
    (kind, [any_object(), any_object()], state, texts, link).prop_map(|(kind, objects, state, texts, link)| Said {
        kind,
        objects,
        state,
        texts,
        link,
    })
}

fn draft(said: &Said) -> Draft<'_> {
    let object = |n: usize, wanted: bool| match (wanted, &said.objects[n]) {
        (true, (id, name)) => ObjectDraft { id: id.as_str().into(), name: name.as_str().into(), other: None },
        (false, _) => ObjectDraft::default(),
    };
    let text = |n: usize| Field::from(said.texts[n].as_str());
    Draft {
        user: "7".into(),
        kind: said.kind.into(),
        state: if said.kind == "message" { Field::Absent } else { said.state.into() },
        host: object(0, matches!(said.kind, "host" | "service" | "")),
        service: object(1, said.kind == "service"),
        notification_type: text(0),
        output: text(1),
        author: text(2),
        comment: text(3),
        title: text(4),
        body: text(5),
        url: said.link.as_str().into(),
        ..Draft::default()
    }
}

/// Keeps the property below from becoming one of refusals, or of short texts, only.
#[test]
fn what_the_property_generates_passes_for_each_kind_and_reaches_the_limits() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let said: Vec<_> = (0..256).map(|_| any_said().new_tree(&mut runner).unwrap().current()).collect();
    let checks = || said.iter().map(|said| check(&draft(said), NOW, TTL_MS));
    for kind in [Kind::Host, Kind::Service, Kind::Message] {
        let passed = checks().flatten().filter(|checked| checked.notification.kind == kind).count();
        assert!(passed > 8, "{kind:?}: {passed}");
    }
    assert!(checks().flatten().any(|checked| largest_frame(&checked) > limits::FRAME_BYTES_MAX / 2));
    assert!(checks().any(|checked| checked.is_err()));
}

proptest! {
    #[test]
    fn whatever_passes_is_fit_to_be_shown(said in any_said()) {
        match check(&draft(&said), NOW, TTL_MS) {
            Ok(checked) => {
                prop_assert!(!checked.notification.title.is_empty());
                prop_assert!(largest_frame(&checked) <= limits::FRAME_BYTES_MAX);
                let objects = [&checked.notification.host, &checked.notification.service];
                for (object, (id, _)) in objects.into_iter().zip(&said.objects) {
                    prop_assert!(object.as_ref().is_none_or(|object| object.id == id.trim()));
                }
                let json = serde_json::to_string(&checked.notification).unwrap();
                prop_assert_eq!(serde_json::from_str::<Notification>(&json).unwrap(), checked.notification);
            }
            Err(errors) => {
                let mut fields: Vec<_> = errors.iter().map(|error| &error.field).collect();
                fields.sort();
                fields.dedup();
                prop_assert_eq!(fields.len(), errors.len());
                prop_assert!(!errors.is_empty());
            }
        }
    }
}
