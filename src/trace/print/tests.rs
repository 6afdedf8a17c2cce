use bellwire_gateway::trace::answer::{Confirmed, Dropped, Repeat, Sent};

use super::*;

const HERE: &str = "000000000000000a";
const THERE: &str = "000000000000000b";
/// 12:00:05.123.
const NOW: u64 = 1_767_268_805_123;

fn tab(node: &str, session: u64) -> Tab {
    Tab { node: node.to_owned(), session, owner: true, stalled: false, node_lost: false }
}

fn way(id: &str, state: WayState) -> Way {
    Way { id: id.to_owned(), state, sent: vec![], sent_left_out: 0, confirmed: None, tab: None, away_since: None }
}

fn story(id: &str, state: State, browsers: Vec<Way>) -> Story {
    Story {
        id: id.to_owned(),
        user: "7".to_owned(),
        shard: 2,
        log: "bellwire.v1.4.2".to_owned(),
        offset: 4711,
        accepted_at: NOW - 4_000,
        expires_at: NOW - 4_000 + 600_000,
        state,
        dropped: None,
        repeats: vec![],
        repeats_left_out: 0,
        browsers,
        browsers_left_out: 0,
    }
}

fn answer(notifications: Vec<Story>) -> Answer {
    Answer {
        node: HERE.to_owned(),
        at: NOW,
        since: NOW - 3 * 3_600_000,
        not_sending: vec![],
        user: None,
        user_also: None,
        notifications,
        left_out: 0,
    }
}

fn whole() -> Answer {
    let sent = Sent { session: 12, protocol: "v2".to_owned(), at: NOW - 3_990 };
    let confirmed =
        |node: &str| Confirmed { node: node.to_owned(), session: 12, at: NOW - 3_000, before: false, digested: false };
    let delivered = vec![
        Way { sent: vec![sent.clone()], confirmed: Some(confirmed(HERE)), ..way("a", WayState::Confirmed) },
        Way { confirmed: Some(confirmed(THERE)), ..way("b", WayState::Confirmed) },
        Way { sent: vec![sent], tab: Some(Tab { stalled: true, ..tab(HERE, 12) }), ..way("c", WayState::Waiting) },
        Way { tab: Some(Tab { node_lost: true, ..tab(THERE, 3) }), ..way("d", WayState::Waiting) },
        Way { tab: Some(tab(HERE, 13)), ..way("e", WayState::Waiting) },
        Way { away_since: Some(NOW - 150_000), ..way("f", WayState::Away) },
        way("g", WayState::NotThere),
    ];
    let expired = Dropped { reason: "expired".to_owned(), at: NOW - 1_000 };
    let stories = vec![
        story("one", State::Delivered, delivered),
        Story { dropped: Some(expired), ..story("two", State::Dropped, vec![way("a", WayState::Dropped)]) },
        Story {
            repeats: vec![Repeat { offset: 4713, accepted_at: NOW - 500 }],
            ..story("three", State::Waiting, vec![])
        },
    ];
    let browser = |id: &str, away_since, tabs| Browser {
        id: id.to_owned(),
        cursor: Some(4711),
        away_since,
        tabs,
        tabs_left_out: 0,
    };
    let standby = Tab { owner: false, ..tab(THERE, 9) };
    let browsers = vec![browser("a", None, vec![tab(HERE, 12), standby]), browser("f", Some(NOW - 150_000), vec![])];
    let user = User {
        id: "7".to_owned(),
        shard: 2,
        log: "bellwire.v1.4.2".to_owned(),
        applied: Some(4800),
        browsers,
        browsers_left_out: 3,
    };
    Answer { user: Some(user), not_sending: vec!["bellwire.v1.4.2".to_owned()], left_out: 5, ..answer(stories) }
}

#[test]
fn people_read_this() {
    let text = text(&whole());
    assert_eq!(text, include_str!("tests/whole.txt"), "{text}");
}

#[test]
fn the_end_is_told_of_what_somebody_had_and_without_a_time_that_is_none() {
    let expired = Dropped { reason: "expired".to_owned(), at: 0 };
    let confirmed = Confirmed { node: HERE.to_owned(), session: 12, at: NOW - 3_000, before: false, digested: false };
    let sent = Sent { session: 12, protocol: "v2".to_owned(), at: NOW - 3_990 };
    let ways = vec![
        Way { confirmed: Some(confirmed), sent: vec![sent], sent_left_out: 3, ..way("x", WayState::Confirmed) },
        way("y", WayState::Late),
    ];
    let text = text(&answer(vec![Story { dropped: Some(expired), ..story("n", State::Delivered, ways) }]));
    assert!(text.contains("DELIVERED to 1 of 2 browsers"), "{text}");
    assert!(text.contains("\n                                            ended, expired"), "{text}");
    assert!(text.contains("(some browser had it)") && !text.contains("1970"), "{text}");
    assert!(text.contains("sent by this node 3 times before"), "{text}");
    assert!(text.contains("browser y: ended before this browser's proof; only the node that sent it knows"), "{text}");
}

#[test]
fn other_nodes_are_spoken_of_where_there_are_some() {
    let with = |node: &str| {
        text(&answer(vec![story(
            "n",
            State::Waiting,
            vec![Way { tab: Some(tab(node, 1)), ..way("x", WayState::Waiting) }],
        )]))
    };
    assert!(with(THERE).contains("Every node knows what all have confirmed"));
    assert!(!with(HERE).contains("Every node knows"));
}

#[test]
fn ages_are_short() {
    let ago = |ms: u64| age(1_000_000_000, 1_000_000_000 - ms);
    assert_eq!(
        [0, 999, 1_000, 119_000, 120_000, 7_200_000, 172_800_000].map(ago),
        ["just now", "just now", "1 s ago", "119 s ago", "2 min ago", "2 h ago", "2 days ago"]
    );
    assert_eq!(age(0, 61_000), "in 61 s");
}
