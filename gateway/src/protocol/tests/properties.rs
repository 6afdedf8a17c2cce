//! What holds for any message.

use bellwire_common::ids::Offset;
use proptest::prelude::*;

use super::super::*;

/// Room for what an answer has beside an echo of the message.
const ANSWER_BYTES: usize = 256;

fn tab(protocol: Protocol, secret: u64) -> Dialect {
    let identity = Identity { user: UserId::try_new("7").unwrap(), browser: BrowserId::try_new("b1").unwrap() };
    Dialect::new(protocol, (protocol == Protocol::V2).then_some(identity), secret)
}

fn protocol() -> impl Strategy<Value = Protocol> {
    prop::sample::select(Protocol::ALL.to_vec())
}

/// Messages that are right but for something, and anything at all.
fn message() -> impl Strategy<Value = String> {
    let word = prop::sample::select(vec![
        "register",
        "keepAlive",
        "testMessage",
        "KeepAlive",
        "RegisterBrowserPushNotification",
        "TestPushNotification",
        "hello",
        "ack",
        "test",
        "ping",
        "x",
    ]);
    let value = prop_oneof![
        Just("null".to_owned()),
        Just("\"secret\"".to_owned()),
        any::<i64>().prop_map(|n| n.to_string()),
        ".{0,20}".prop_map(|text| serde_json::to_string(&text).unwrap()),
        Just(r#"{"userId":7,"browserUuid":"b1"}"#.to_owned()),
        Just("[[{}]]".to_owned()),
    ];
    let name = prop::sample::select(vec![
        "key", "uuid", "data", "payload", "message", "user", "browser", "cursor", "state", "kind", "title", "icon",
    ]);
    let fields = prop::collection::vec((name, value), 0..8);
    let built = (word, fields).prop_map(|(word, fields)| {
        let fields: String = fields.iter().map(|(name, value)| format!(",\"{name}\":{value}")).collect();
        format!(r#"{{"task":"{word}","type":"{word}","op":"{word}"{fields}}}"#)
    });
    prop_oneof![4 => built, 1 => ".{0,200}", 1 => "[\\[\\]{}\":,0-9a-z\\\\]{0,100}"]
}

proptest! {
    #[test]
    fn any_message_is_survived(protocol in protocol(), messages in prop::collection::vec(message(), 1..6)) {
        let key = SharedKey::try_new("secret").unwrap();
        let mut tab = tab(protocol, 7);
        let mut announced = usize::from(tab.announced());
        for text in &messages {
            let step = tab.on_text(text, Some(&key));
            if let Some(reply) = &step.reply {
                prop_assert!(serde_json::from_str::<serde_json::Value>(reply).unwrap().is_object());
                prop_assert!(reply.len() <= text.len() + ANSWER_BYTES);
            }
            announced += match step.event {
                Some(TabEvent::Announce { .. } | TabEvent::Test(TestMessage { announce: Some(_), .. })) => 1,
                _ => 0,
            };
            prop_assert_eq!(tab.announced(), announced == 1);
        }
    }

    #[test]
    fn a_greeting_echoed_is_a_proof(secret: u64, offset in 0..u64::MAX, own: bool) {
        let other = if own { secret } else { secret ^ 1 };
        for (protocol, echo) in [
            (Protocol::V1, r#"{"task":"keepAlive","key":"secret","uuid":"ID"}"#),
            (Protocol::V2, r#"{"type":"KeepAlive","payload":{"clientUuid":"ID"}}"#),
        ] {
            let greeting: serde_json::Value =
                serde_json::from_str(&tab(protocol, other).greeting(Offset(offset)).unwrap()).unwrap();
            let id = greeting.pointer("/data/uuid").or(greeting.pointer("/payload/clientUuid")).unwrap();
            let key = SharedKey::try_new("secret").unwrap();
            let step = tab(protocol, secret).on_text(&echo.replace("ID", id.as_str().unwrap()), Some(&key));
            let proof = own.then_some(TabEvent::PageProof(Proof::Offset(Offset(offset))));
            prop_assert_eq!(step.event, proof);
        }
    }

    #[test]
    fn without_the_key_v1_ends(text in message(), wrong in "[a-z]{0,10}") {
        prop_assume!(wrong != "secret");
        let key = SharedKey::try_new(&format!("{wrong}x")).unwrap();
        for key in [None, Some(&key)] {
            let step = tab(Protocol::V1, 7).on_text(&text, key);
            prop_assert!(step.reply.is_none());
            prop_assert!(matches!(step.event, None | Some(TabEvent::End(End::BadKey))));
        }
    }

    #[test]
    fn any_handshake_is_decided(offered in ".{0,60}", query in "[%+&;=a-zA-Z0-9é]{0,80}") {
        let key = SharedKey::try_new("secret").unwrap();
        let offer = Offer { subprotocols: Some(&offered), query: Some(&query), token: None };
        match decide(offer, Some(&key), true) {
            Handshake::Accept { protocol, .. } => prop_assert!(offered.trim().is_empty() || protocol != Protocol::V1),
            Handshake::Refuse { status, .. } => prop_assert_eq!(status, 401),
        }
    }

    #[test]
    fn tokens_come_back(log in "[!-~]{1,100}", offset: u64) {
        let token = native::cursor_token(&log, Offset(offset));
        prop_assert_eq!(native::cursor_of(&token), Some((log.as_str(), Offset(offset))));
    }

    /// No log has a comma in its name.
    #[test]
    fn joined_tokens_come_back(logs in prop::collection::vec("[!-+.-~]{1,100}", 2), offsets: [u64; 2]) {
        let places = [0, 1].map(|n| (logs[n].as_str(), Offset(offsets[n])));
        let [one, other] = places.map(|(log, offset)| native::cursor_token(log, offset));
        prop_assert!(native::cursors_of(&one).eq([places[0]]));
        let both = native::joined(one, other);
        prop_assert!(native::cursors_of(&both).eq(places));
        prop_assert!(native::cursor_of(&both).is_some(), "it is taken wherever a token is");
    }
}

#[test]
fn what_is_no_token_is_refused() {
    let long = format!("{}:1", "x".repeat(native::CURSOR_BYTES_MAX));
    for text in ["", ":", ":1", "log", "log:", "log:+1", "log:-1", "log:1x", "log:18446744073709551616", &long] {
        assert_eq!(native::cursor_of(text), None, "{text}");
        assert_eq!(native::cursors_of(text).next(), None, "{text}");
    }
}

#[test]
fn v1_and_v2_name_users_by_integers_only() {
    let notification = serde_json::from_str(r#"{"timestamp":1,"kind":"host","title":"t"}"#).unwrap();
    let id = NotificationId::try_new("n1").unwrap();
    let frame = |protocol, user: &str| {
        encode(
            protocol,
            &UserId::try_new(user).unwrap(),
            Head { id: &id, cursor: "log:1", digested: false },
            &notification,
        )
    };
    for user in ["alice", "0", "-7", "+7", "07", "9223372036854775808"] {
        assert_eq!(frame(Protocol::V1, user), None, "{user}");
        assert_eq!(frame(Protocol::V2, user), None, "{user}");
        assert!(frame(Protocol::Native, user).is_some(), "{user}");
    }
    assert!(frame(Protocol::V1, "9223372036854775807").is_some());
}

#[test]
fn without_a_shared_key_nobody_gets_in() {
    for offered in [None, Some("access_token, secret"), Some("bellwire.v1, secret")] {
        let refused = Handshake::Refuse { status: 401, body: "Unauthorized\n", reason: "key" };
        let offer = Offer { subprotocols: offered, query: Some("userId=7&browserUuid=b1"), token: None };
        assert_eq!(decide(offer, None, false), refused);
    }
}
