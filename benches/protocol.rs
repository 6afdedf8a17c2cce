//! What a gateway pays for a notification of one of its own tabs: its frame in each protocol, once for all tabs,
//! and the page's proof, once for each burst and tab.

use std::hint::black_box;

use criterion::Criterion;

use bellwire_common::ids::{BrowserId, NotificationId, Offset, UserId};
use bellwire_common::notification::{Kind, Notification, Object};
use bellwire_gateway::protocol::{Dialect, Head, Identity, Protocol, SharedKey, encode, native};

const KEY: &str = "0123456789abcdef0123456789abcdef";
const UPTO: Offset = Offset(1_234_567);
const SECRET: u64 = 0x0123_4567_89ab_cdef;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    frames(&mut criterion);
    proofs(&mut criterion);
    criterion.final_summary();
}

fn frames(criterion: &mut Criterion) {
    let (user, id) = (user(), NotificationId::try_new("0d9ba6ae-5c5e-4a4b-93a7-ad5dd3b4ad9f").expect("a valid id"));
    let payload = serde_json::to_vec(&notification()).expect("a notification is JSON");
    let cursor = native::cursor_token("bellwire.v1.4.0-0123456789abcdef", UPTO);
    let mut group = criterion.benchmark_group("frame");
    for protocol in Protocol::SPOKEN {
        group.bench_function(protocol.label(), |bencher| {
            bencher.iter(|| {
                let notification: Notification = serde_json::from_slice(black_box(&payload)).expect("valid JSON");
                encode(protocol, &user, Head { id: &id, cursor: &cursor, digested: false }, &notification)
            });
        });
    }
    group.finish();
}

fn proofs(criterion: &mut Criterion) {
    let key = SharedKey::try_new(KEY).expect("a valid key");
    let mut group = criterion.benchmark_group("proof");
    for protocol in Protocol::SPOKEN {
        let mut dialect = Dialect::new(protocol, Some(identity()), SECRET);
        let hello = r#"{"op":"hello","user":"7","browser":"b"}"#;
        if protocol == Protocol::Native {
            dialect.on_text(hello, Some(&key));
        }
        let greeting = dialect.greeting(UPTO).unwrap_or_default();
        let proof = proof(protocol, &greeting);
        let step = dialect.on_text(&proof, Some(&key));
        assert!(step.event.is_some(), "{}: {step:?}", protocol.label());
        group.bench_function(protocol.label(), |bencher| {
            bencher.iter(|| dialect.on_text(black_box(&proof), Some(&key)));
        });
    }
    group.finish();
}

/// What the page answers.
fn proof(protocol: Protocol, greeting: &str) -> String {
    let greeting: serde_json::Value = serde_json::from_str(greeting).unwrap_or_default();
    match protocol {
        Protocol::V1 => format!(
            r#"{{"task":"register","key":"{KEY}","uuid":{},"data":{{"userId":7,"browserUuid":"b"}}}}"#,
            greeting["data"]["uuid"]
        ),
        Protocol::V2 => format!(
            r#"{{"type":"RegisterBrowserPushNotification","message":"","payload":{{"clientUuid":{},"browserUuid":"b"}}}}"#,
            greeting["payload"]["clientUuid"]
        ),
        Protocol::Native | Protocol::Events => {
            format!(r#"{{"op":"ack","cursor":"{}"}}"#, native::cursor_token("log", UPTO))
        }
    }
}

fn user() -> UserId {
    UserId::try_new("1000001").expect("a valid id")
}

fn identity() -> Identity {
    Identity { user: user(), browser: BrowserId::try_new("b").expect("a valid id") }
}

fn notification() -> Notification {
    let object = |id: &str, name: &str| Some(Object { id: id.to_owned(), name: name.to_owned() });
    Notification {
        timestamp: 1_760_000_000,
        kind: Kind::Service,
        notification_type: "PROBLEM".to_owned(),
        state: 2,
        host: object("c36b8048-93ce-4385-ac19-ab5c90574b77", "db-07.example.org"),
        service: object("74fd8f59-1348-4e16-85f0-4a5c57c7dd62", "Disk usage"),
        title: "PROBLEM: db-07.example.org/Disk usage is CRITICAL!".to_owned(),
        body: "DISK CRITICAL - free space: / 1024 MiB (4% inode=98%); /var 20480 MiB".to_owned(),
        url: None,
        icon: Some("/img/push_notifications/wh/ServicePushIconCRITICAL.png".to_owned()),
    }
}
