use bellwire_common::ids::UnixMillis;
use bellwire_common::notification::Notification;
use bellwire_common::record::{Notify, Record};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::tokens::Grant;

/// 2023-11-14T22:13:20Z.
const NOW: UnixMillis = UnixMillis(1_700_000_000_000);

fn decide_at(payload: &Value, users: Users<'_>, now: UnixMillis) -> Alerts {
    let terms = Terms { now, ttl_ms: 600_000, shards: 1, grant: &Grant::default() };
    decide(&serde_json::from_str(&payload.to_string()).unwrap(), users, terms)
}

fn notifies(alerts: Alerts) -> Vec<Notify> {
    let records = alerts.decisions.into_iter().map(|decision| match decision.verdict {
        Verdict::Append(_, record) => Record::decode(record).unwrap(),
        other => panic!("{other:?}"),
    });
    records.map(|record| if let Record::Notify(notify) = record { notify } else { panic!("{record:?}") }).collect()
}

/// What is told of one alert to user 7.
fn told(alert: Value, now: UnixMillis) -> (String, Notification) {
    let notify = notifies(decide_at(&json!({"alerts": [alert]}), Users::Path("7"), now)).remove(0);
    (notify.id.to_string(), serde_json::from_slice(&notify.payload).unwrap())
}

fn alert(status: &str) -> Value {
    json!({"status": status, "labels": {"alertname": "A", "instance": "i"}, "fingerprint": "f",
        "startsAt": "2023-11-14T22:13:00Z", "endsAt": "2023-11-14T22:13:10Z"})
}

fn minutes(count: u64) -> u64 {
    count * 60_000
}

#[test]
fn an_event_is_one_notification_for_a_while() {
    let id = |now| told(alert("firing"), now).0;
    let first = id(NOW);
    // A retry, the copy of another Alertmanager, and one whose clock is behind.
    for now in [NOW.plus(1), NOW.plus(minutes(9)), NOW.minus(minutes(1))] {
        assert_eq!(id(now), first);
    }
    // What its sender repeats on purpose.
    let repeat = id(NOW.plus(minutes(240)));
    assert_ne!(repeat, first);
    assert_eq!(id(NOW.plus(minutes(241))), repeat);
    assert_ne!(id(NOW.plus(minutes(480))), repeat);
}

#[test]
fn other_events_are_other_notifications() {
    let mut ids = vec![told(alert("firing"), NOW).0, told(alert("resolved"), NOW).0];
    for (field, value) in [
        ("fingerprint", json!("g")),
        ("fingerprint", json!("")),
        ("startsAt", json!("2023-11-14T22:13:01Z")),
        ("startsAt", Value::Null),
    ] {
        let mut other = alert("firing");
        other[field] = value;
        ids.push(told(other, NOW).0);
    }
    let all = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), all);
    // The same time in another zone.
    let mut same = alert("firing");
    same["startsAt"] = json!("2023-11-14T23:13:00+01:00");
    assert_eq!(told(same, NOW).0, told(alert("firing"), NOW).0);
}

#[test]
fn an_old_alert_is_shown_and_says_its_age() {
    let (_, late) = told(alert("firing"), NOW.plus(minutes(60 * 24)));
    assert_eq!((late.body.as_str(), late.timestamp), ("Firing since 2023-11-14 22:13 UTC.", 1_700_086_400));
    let (_, late) = told(alert("resolved"), NOW.plus(minutes(15)));
    assert_eq!(late.body, "Resolved at 2023-11-14 22:13 UTC.");
    assert_eq!(told(alert("firing"), NOW).1.body, "");
}

#[test]
fn severities_are_states() {
    let state = |severity: Value| {
        let mut alert = alert("firing");
        alert["labels"]["severity"] = severity;
        told(alert, NOW).1.state
    };
    assert_eq!(["critical", "Critical", "error", "page"].map(|word| state(word.into())), [2; 4]);
    assert_eq!(["warning", "WARN"].map(|word| state(word.into())), [1; 2]);
    assert_eq!([json!("info"), json!("none"), json!(""), json!(7), Value::Null].map(state), [3; 5]);
    assert_eq!(told(alert("resolved"), NOW).1.state, 0);
}

#[test]
fn words_are_the_summary_or_ours() {
    let title = |status: &str, summary: &str| {
        let mut alert = alert(status);
        alert["annotations"] = json!({"summary": summary});
        told(alert, NOW).1.title
    };
    assert_eq!(title("firing", "Load is\nhigh"), "Load is high");
    assert_eq!(title("resolved", "Load is high"), "Resolved: Load is high");
    assert_eq!(title("firing", " "), "i/A is UNKNOWN (PROBLEM)");
    assert_eq!(title("resolved", ""), "i/A is OK (RECOVERY)");
    assert!(title("firing", &"x".repeat(100_000)).len() <= 512);
    let (_, nameless) = told(json!({}), NOW);
    assert_eq!(nameless.title, "alert/alert is UNKNOWN (PROBLEM)");
}

#[test]
fn a_click_leads_to_the_best_page_that_is_one() {
    let url = |pages: [&str; 4]| {
        let [panel, dashboard, generator, external] = pages;
        let alert = json!({"panelURL": panel, "dashboardURL": dashboard, "generatorURL": generator});
        let payload = json!({"externalURL": external, "alerts": [alert]});
        let notify = notifies(decide_at(&payload, Users::Path("7"), NOW)).remove(0);
        serde_json::from_slice::<Notification>(&notify.payload).unwrap().url
    };
    assert_eq!(url(["http://p/", "http://d/", "http://g/", "http://e/"]).unwrap(), "http://p/");
    assert_eq!(url(["", "http://d/", "http://g/", "http://e/"]).unwrap(), "http://d/");
    assert_eq!(url(["javascript:x", "/d", "https://g/", "http://e/"]).unwrap(), "https://g/");
    let long = format!("http://g/{}", "x".repeat(1024));
    assert_eq!(url(["", "", &long, "http://e/"]).unwrap(), "http://e/");
    assert_eq!(url(["", "", "", "e"]), None);
}

#[test]
fn users_are_named_by_the_nearest_label() {
    let users = |payload: Value| {
        let alerts = decide_at(&payload, Users::Label("who"), NOW);
        let unmapped = alerts.unmapped;
        (notifies(alerts).iter().map(|notify| notify.user.to_string()).collect::<Vec<_>>().join(" "), unmapped)
    };
    let payload = |own: &str, common: &str, group: &str| json!({"groupLabels": {"who": group}, "commonLabels": {"who": common}, "alerts": [{"labels": {"who": own}}]});
    assert_eq!(users(payload("1,2", "3", "4")), ("1 2".into(), 0));
    assert_eq!(users(payload(" ", "3 , 3,", "4")), ("3".into(), 0));
    assert_eq!(users(payload("", "", "4")), ("4".into(), 0));
    assert_eq!(users(payload("", "", ",")), (String::new(), 1));
}

#[test]
fn there_is_room_for_so_many_and_the_last_says_what_is_missing() {
    let payload = |alerts: usize, users: &str| {
        let alert = json!({"labels": {"who": users}});
        json!({"truncatedAlerts": 5, "alerts": vec![alert; alerts]})
    };
    let alerts = decide_at(&payload(BATCH_ITEMS_MAX + 3, "1"), Users::Label("who"), NOW);
    assert_eq!((alerts.decisions.len(), alerts.left_out), (BATCH_ITEMS_MAX, 3));
    let body = |notify: &Notify| serde_json::from_slice::<Notification>(&notify.payload).unwrap().body;
    let all = notifies(alerts);
    assert_eq!(body(&all[BATCH_ITEMS_MAX - 1]), "More alerts that are not shown: 8.");
    assert!(all[..BATCH_ITEMS_MAX - 1].iter().all(|notify| body(notify).is_empty()));

    let alerts = decide_at(&payload(BATCH_ITEMS_MAX, "1,2,3"), Users::Label("who"), NOW);
    assert_eq!((alerts.decisions.len(), alerts.left_out), (999, 667));
    assert_eq!(notifies(alerts).iter().filter(|notify| !body(notify).is_empty()).count(), 3);
}

/// One of more is neither an alert for which there is no room nor one without users, also where a request has no other.
#[test]
fn an_alert_has_so_many_users() {
    let crowd = |users: usize| (0..users).map(|n| n.to_string()).collect::<Vec<_>>().join(",");
    let decided = |users: &str| {
        let payload = json!({"alerts": [{"labels": {"who": users}}, {"labels": {"who": "7"}}]});
        let alerts = decide_at(&payload, Users::Label("who"), NOW);
        (alerts.decisions.len(), alerts.crowded, alerts.left_out, alerts.unmapped)
    };
    assert_eq!(decided(&crowd(ALERT_USERS_MAX)), (ALERT_USERS_MAX, 0, 1, 0));
    assert_eq!(decided(&crowd(ALERT_USERS_MAX + 1)), (1, 1, 0, 0));
    assert_eq!(decided(&crowd(100_000)), (1, 1, 0, 0));
    let alerts = decide_at(&json!({"alerts": [alert("firing")]}), Users::Path(&crowd(ALERT_USERS_MAX + 1)), NOW);
    assert_eq!((alerts.decisions.len(), alerts.crowded), (0, 1));
}

#[test]
fn labels_are_bounded() {
    let named = |place: usize| {
        let labels = (0..place).map(|n| format!("\"l{n}\":\"x\",")).collect::<String>();
        let payload = format!("{{\"alerts\":[{{\"labels\":{{{labels}\"who\":\"7\"}}}}]}}");
        let terms = Terms { now: NOW, ttl_ms: 600_000, shards: 1, grant: &Grant::default() };
        decide(&serde_json::from_str(&payload).unwrap(), Users::Label("who"), terms).unmapped
    };
    assert_eq!((named(LABELS_MAX - 1), named(LABELS_MAX)), (0, 1));
}

/// Texts of a label, an annotation, a time or an address, and what is none of them.
fn any_value() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<String>().prop_map(Value::from),
        prop::sample::select(vec![
            json!("7,8"),
            json!("critical"),
            json!("resolved"),
            json!("2023-11-14T22:13:00Z"),
            json!("https://example.org/"),
            json!("x".repeat(70_000)),
            json!(7),
            Value::Null,
            json!([]),
            json!({"a": 1}),
        ]),
    ]
}

fn any_alert() -> impl Strategy<Value = Value> {
    const NAMES: [&str; 7] = ["status", "startsAt", "endsAt", "fingerprint", "generatorURL", "panelURL", "labels"];
    const INNER: [&str; 6] = ["alertname", "instance", "severity", "summary", "description", "who"];
    let fields = proptest::collection::btree_map(prop::sample::select(&NAMES[..]), any_value(), 0..4);
    let texts = proptest::collection::btree_map(prop::sample::select(&INNER[..]), any_value(), 0..6);
    (fields, texts).prop_map(|(fields, texts)| {
        let mut alert = json!({"labels": texts, "annotations": texts});
        fields.into_iter().for_each(|(name, value)| alert[name] = value);
        alert
    })
}

proptest! {
    #[test]
    fn any_alert_is_told_or_its_user_is_at_fault(alerts in proptest::collection::vec(any_alert(), 0..4), is_by_label in any::<bool>()) {
        let users = if is_by_label { Users::Label("who") } else { Users::Path("7") };
        let decided = decide_at(&json!({"alerts": alerts}), users, NOW);
        prop_assert_eq!(decided.left_out, 0);
        prop_assert!(is_by_label || (decided.unmapped == 0 && decided.decisions.len() == alerts.len()));
        for decision in decided.decisions {
            match decision.verdict {
                Verdict::Append(_, record) => prop_assert!(Record::decode(record).is_ok()),
                Verdict::Stale => prop_assert!(false, "what is told now is not stale"),
                Verdict::Invalid(errors) => {
                    prop_assert!(is_by_label && errors.iter().all(|error| error.field == "user"), "{:?}", errors);
                }
            }
        }
    }
}
