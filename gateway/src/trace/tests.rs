//! The ring, and what is told of it.

use bellwire_common::ids::{NodeId, SessionId};

use super::answer::{Answer, Dropped, SENT_MAX, State, Story, WayState};
use super::story::Scene;
use super::*;
use crate::delivery::{BrowserLook, Moved, Reason, SessionLook};

const HERE: NodeId = NodeId(0xa);
const THERE: NodeId = NodeId(0xb);
const NOW: UnixMillis = UnixMillis(900_000);

fn user(text: &str) -> UserId {
    UserId::try_new(text).unwrap()
}

fn wanted(user: Option<&str>, id: Option<&str>) -> Wanted {
    Wanted { user: user.map(self::user), id: id.map(|id| NotificationId::try_new(id).unwrap()) }
}

fn accepted(user: &str, id: &str, offset: u64) -> Accepted {
    Accepted {
        user: self::user(user),
        id: NotificationId::try_new(id).unwrap(),
        offset: Offset(offset),
        accepted_at: UnixMillis(1_000 + offset),
        expires_at: UnixMillis(601_000 + offset),
        storm: false,
    }
}

fn moved(browser: &str, node: NodeId, span: std::ops::Range<u64>) -> Happened {
    moved_by(SessionId { node, number: 3 }, browser, span)
}

fn moved_by(session: SessionId, browser: &str, span: std::ops::Range<u64>) -> Happened {
    let (from, upto) = (Position::from_u64(span.start), Position::from_u64(span.end));
    let browser = BrowserId::try_new(browser).unwrap();
    let at = UnixMillis(2_000 + span.end);
    Happened::Moved(Moved { user: user("7"), browser, session, from, upto, before: false, digests: false, at })
}

fn dropped(offset: u64, reason: Reason, unseen: bool) -> Happened {
    Happened::Dropped { user: user("7"), offset: Offset(offset), reason, unseen, at: UnixMillis(700_000) }
}

fn sent(browser: &str, from: u64, upto: u64) -> Sent {
    let browser = BrowserId::try_new(browser).unwrap();
    let (from, upto, at) = (Offset(from), Position::from_u64(upto), UnixMillis(1_500 + upto));
    Sent { user: user("7"), browser, session: 12, protocol: Protocol::V2, from, upto, at }
}

fn look(id: &str, cursor: u64, sessions: &[(NodeId, u64)]) -> BrowserLook {
    let sessions = sessions.iter().enumerate().map(|(index, &(node, number))| SessionLook {
        id: SessionId { node, number },
        owner: index == 0,
        stalled: index == 0 && node == THERE,
        node_lost: false,
    });
    let sessions: Vec<SessionLook> = sessions.collect();
    let away_since = sessions.is_empty().then_some(UnixMillis(900));
    BrowserLook { id: BrowserId::try_new(id).unwrap(), cursor: Position::from_u64(cursor), away_since, sessions }
}

fn journal() -> Journal {
    Journal::new(1000, UnixMillis(500))
}

fn tell(journal: &mut Journal, happened: impl IntoIterator<Item = Happened>) {
    journal.happened(NOW, happened.into_iter());
}

fn scene(journal: &Journal, wanted: &Wanted, browsers: Vec<BrowserLook>) -> Scene<'static> {
    let found = journal.find(wanted);
    let events = journal.of(&found);
    let browsers = HashMap::from([(user("7"), browsers)]);
    let (applied, time, since) = (Position::from_u64(99), UnixMillis(5_000), journal.since());
    Scene { node: HERE, shard: 2, log: "log.2", applied, time, sending: true, since, found, browsers, events }
}

/// The only story of `n`, which stands at 10.
fn story(events: impl IntoIterator<Item = Happened>, sent: Option<Sent>, browsers: Vec<BrowserLook>) -> Story {
    let mut journal = journal();
    tell(&mut journal, [Happened::Accepted(accepted("7", "n", 10))]);
    sent.into_iter().for_each(|sent| journal.sent(0, sent));
    tell(&mut journal, events);
    let mut stories: Vec<Story> = scene(&journal, &wanted(None, Some("n")), browsers).stories().collect();
    assert_eq!(stories.len(), 1);
    stories.remove(0)
}

#[test]
fn the_ring_is_bounded_and_says_since_when_it_knows() {
    let mut journal = Journal::new(3, UnixMillis(500));
    for offset in 0..5 {
        tell(&mut journal, [Happened::Accepted(accepted("7", &format!("n{offset}"), offset))]);
    }
    assert_eq!(journal.events.len(), 3);
    assert_eq!(journal.since(), UnixMillis(1_001), "what came with offset 1 is gone");
    let ids = journal.find(&wanted(Some("7"), None)).notifications.into_iter().map(|a| a.id.to_string());
    assert_eq!(ids.collect::<Vec<_>>(), ["n2", "n3", "n4"]);
    assert_eq!(events_max(4) * 4, EVENTS_MAX);
    assert!(events_max(bellwire_common::ids::SHARDS_MAX) > LISTED_MAX);
    assert!(size_of::<Event>() <= 88, "{}", size_of::<Event>());
}

#[test]
fn what_is_wanted_is_found() {
    let mut journal = journal();
    let all = [("7", "a", 1), ("8", "a", 2), ("7", "b", 3)].map(|(user, id, offset)| accepted(user, id, offset));
    tell(&mut journal, all.iter().cloned().map(Happened::Accepted));
    let find = |user, id| journal.find(&wanted(user, id)).notifications;
    assert_eq!(find(Some("7"), None), [all[0].clone(), all[2].clone()]);
    assert_eq!(find(None, Some("a")), all[..2]);
    assert_eq!(find(Some("8"), Some("a")), all[1..2]);
    assert_eq!(find(Some("8"), Some("b")), []);
    assert_eq!(find(None, None), [], "nothing is asked for");
}

#[test]
fn only_the_newest_are_listed() {
    let mut journal = journal();
    tell(&mut journal, (0..LISTED_MAX as u64 + 7).map(|n| Happened::Accepted(accepted("7", &format!("n{n}"), n))));
    let found = journal.find(&wanted(Some("7"), None));
    assert_eq!((found.notifications.len(), found.left_out), (LISTED_MAX, 7));
    assert_eq!(found.notifications[0].id.as_str(), "n7");
}

#[test]
fn only_what_touches_what_was_found_is_looked_at() {
    let mut journal = Journal::new(8, UnixMillis(500));
    tell(
        &mut journal,
        [("7", "other", 4), ("7", "n", 10), ("8", "n", 11)].map(|(u, i, o)| Happened::Accepted(accepted(u, i, o))),
    );
    let (again, other) = (Happened::Repeated(accepted("7", "n", 12)), Happened::Repeated(accepted("7", "other", 13)));
    let proof = moved("x", HERE, 4..11);
    tell(&mut journal, [again.clone(), other, proof.clone(), moved("x", HERE, 11..14)]);
    let found = journal.find(&Wanted { user: Some(user("7")), ..wanted(None, Some("n")) });
    assert_eq!(found.first, 1);
    let end = dropped(10, Reason::Expired, false);
    // These push out what came before the notification, and itself.
    tell(&mut journal, [dropped(4, Reason::Expired, true), end.clone(), dropped(11, Reason::Expired, true)]);
    assert_eq!(journal.gone, 2);
    let expected = [again, proof, end].map(Event::Happened).to_vec();
    assert_eq!(journal.of(&found), HashMap::from([(user("7"), expected)]));
    assert_eq!(journal.of(&journal.find(&wanted(Some("9"), None))), HashMap::new());
}

#[test]
fn the_last_times_that_it_was_sent_are_listed() {
    let mut journal = journal();
    tell(&mut journal, [Happened::Accepted(accepted("7", "n", 10))]);
    for session in 0..SENT_MAX as u64 + 3 {
        journal.sent(0, Sent { session, ..sent("x", 10, 11) });
    }
    let story = scene(&journal, &wanted(None, Some("n")), vec![]).stories().next().unwrap();
    let way = &story.browsers[0];
    assert_eq!((way.sent.len(), way.sent_left_out, way.sent[0].session), (SENT_MAX, 3, 3));
}

#[test]
fn another_log_voids_what_is_known() {
    let mut journal = journal();
    tell(&mut journal, [Happened::Accepted(accepted("7", "n", 10))]);
    journal.on_replaced(1, UnixMillis(9_000));
    journal.sent(0, sent("x", 10, 11));
    assert_eq!((journal.events.len(), journal.since()), (0, UnixMillis(9_000)), "that was of the old log");
    journal.sent(1, sent("x", 10, 11));
    assert_eq!(journal.events.len(), 1);
}

#[test]
fn a_span_covers_what_is_in_it() {
    let way = |span: std::ops::Range<u64>| story([moved("x", THERE, span)], None, vec![]).browsers.len();
    assert_eq!([way(0..11), way(10..11), way(10..20)], [1, 1, 1]);
    assert_eq!([way(0..10), way(11..20)], [0, 0]);
    let way = |sent: Sent| story([], Some(sent), vec![]).browsers.len();
    assert_eq!([way(sent("x", 10, 11)), way(sent("x", 4, 20))], [1, 1]);
    assert_eq!([way(sent("x", 4, 10)), way(sent("x", 11, 20))], [0, 0]);
}

#[test]
fn every_browser_has_its_way() {
    let state = |events: Vec<Happened>, sent: Option<Sent>, look: Option<BrowserLook>| {
        let story = story(events, sent, look.into_iter().collect());
        (story.state, story.browsers[0].state)
    };
    let (here, away) = (|| Some(look("x", 10, &[(HERE, 12)])), || Some(look("x", 10, &[])));
    let end = |unseen| dropped(10, Reason::UserBound, unseen);
    let to_x = || Some(sent("x", 10, 11));
    let proof = || moved("x", HERE, 10..11);
    use {State::*, WayState as Way};
    assert_eq!(state(vec![proof()], None, here()), (Delivered, Way::Confirmed));
    assert_eq!(state(vec![proof()], None, None), (Delivered, Way::Confirmed), "and has gone since");
    assert_eq!(state(vec![], to_x(), here()), (Waiting, Way::Waiting));
    assert_eq!(state(vec![], None, away()), (Waiting, Way::Away));
    assert_eq!(state(vec![], None, Some(look("x", 11, &[(HERE, 12)]))), (Waiting, Way::NotThere));
    assert_eq!(state(vec![end(true)], None, here()), (Dropped, Way::Dropped));
    assert_eq!(state(vec![end(false)], None, away()), (Delivered, Way::Dropped), "another browser had it");
    assert_eq!(state(vec![], to_x(), None), (Waiting, Way::Forgotten));
    assert_eq!(state(vec![end(true)], to_x(), None), (Dropped, Way::Dropped));
    assert_eq!(state(vec![end(true), proof()], None, here()), (Dropped, Way::Late), "its end came first");
}

#[test]
fn what_came_in_a_storm_ends_in_a_digest_where_there_are_digests() {
    let storm = || Happened::Accepted(Accepted { storm: true, ..accepted("7", "n", 10) });
    let by = |digests| match moved("x", HERE, 10..11) {
        Happened::Moved(moved) => Happened::Moved(Moved { digests, ..moved }),
        other => other,
    };
    let told = |events: [Happened; 2]| {
        let mut journal = journal();
        tell(&mut journal, events);
        let story = scene(&journal, &wanted(None, Some("n")), vec![]).stories().next().unwrap();
        (story.state, story.browsers[0].confirmed.as_ref().unwrap().digested)
    };
    assert_eq!(told([storm(), by(true)]), (State::Digested, true));
    assert_eq!(told([storm(), by(false)]), (State::Delivered, false));
    assert_eq!(told([Happened::Accepted(accepted("7", "n", 10)), by(true)]), (State::Delivered, false));
}

/// What becomes of `n`, which stands at 10, on its way to `y`, and how often it was sent there.
fn way_to_y(events: impl IntoIterator<Item = Event>) -> (State, WayState, usize) {
    let mut journal = journal();
    tell(&mut journal, [Happened::Accepted(accepted("7", "n", 10))]);
    for event in events {
        match event {
            Event::Happened(happened) => tell(&mut journal, [happened]),
            Event::Sent(sent) => journal.sent(0, sent),
        }
    }
    let story = scene(&journal, &wanted(None, Some("n")), vec![look("y", 4, &[])]).stories().next().unwrap();
    let way = story.browsers.iter().find(|way| way.id == "y").unwrap();
    (story.state, way.state, way.sent.len())
}

/// A span covers what is in it, and also what had ended and was never sent.
#[test]
fn a_proof_or_a_sending_after_the_end_says_nothing_of_it() {
    let end = |reason, unseen| Event::Happened(dropped(10, reason, unseen));
    let proof = |number| Event::Happened(moved_by(SessionId { node: HERE, number }, "y", 4..15));
    let to_y = |from, upto| Event::Sent(sent("y", from, upto));
    use {State::*, WayState as Way};

    let x_had_it = Event::Happened(moved("x", HERE, 10..11));
    let story = [x_had_it, end(Reason::Expired, false), proof(3)];
    assert_eq!(way_to_y(story), (Delivered, Way::Late, 0), "y came back and got only what was behind it");
    let story = [end(Reason::UserBound, true), proof(3)];
    assert_eq!(way_to_y(story), (Dropped, Way::Late, 0), "it gave way while y was not there");
    assert_eq!(
        way_to_y([end(Reason::Expired, true), to_y(4, 15)]),
        (Dropped, Way::Dropped, 0),
        "the turn passed it over"
    );
    let story = [end(Reason::Expired, true), to_y(4, 15), proof(12)];
    assert_eq!(way_to_y(story), (Dropped, Way::Late, 0));

    let sent_before = [to_y(10, 11), end(Reason::Expired, true)];
    assert_eq!(way_to_y(sent_before.clone()), (Dropped, Way::Dropped, 1));
    let story = sent_before.clone().into_iter().chain([proof(12)]);
    assert_eq!(way_to_y(story), (Dropped, Way::Confirmed, 1), "the tab that it was sent to proved it later");
    let story = sent_before.into_iter().chain([proof(3)]);
    assert_eq!(way_to_y(story), (Dropped, Way::Late, 1), "another tab's proof says nothing of what the first one got");
}

#[test]
fn a_repeat_is_told_of_the_notification_that_it_repeats() {
    let mut journal = journal();
    tell(&mut journal, [10, 20].map(|offset| Happened::Accepted(accepted("7", "n", offset))));
    tell(&mut journal, [12, 22].map(|offset| Happened::Repeated(accepted("7", "n", offset))));
    let scene = scene(&journal, &wanted(None, Some("n")), vec![]);
    let repeats = scene.stories().map(|story| story.repeats.iter().map(|again| again.offset).collect::<Vec<_>>());
    assert_eq!(repeats.collect::<Vec<_>>(), [[12], [22]], "the id was used again after its expiry");
}

/// The log is read back further than that, but not everything that was there then.
#[test]
fn what_was_accepted_before_the_journal_begins_is_not_known() {
    let mut journal = journal();
    let before = Accepted { accepted_at: UnixMillis(499), ..accepted("7", "before", 1) };
    tell(&mut journal, [before, accepted("7", "n", 2)].map(Happened::Accepted));
    let found = journal.find(&wanted(Some("7"), None)).notifications;
    assert_eq!(found.into_iter().map(|accepted| accepted.offset).collect::<Vec<_>>(), [Offset(2)]);
}

#[test]
fn one_wrong_clock_does_not_say_since_when_it_knows() {
    let mut journal = Journal::new(1, UnixMillis(500));
    let ahead = Accepted { accepted_at: UnixMillis(u64::MAX), ..accepted("7", "ahead", 1) };
    tell(&mut journal, [ahead, accepted("7", "n", 2)].map(Happened::Accepted));
    assert_eq!(journal.since(), NOW, "it left the ring now");
}

#[test]
fn every_reason_is_named_as_in_the_metrics() {
    for (reason, name) in
        [(Reason::Expired, "expired"), (Reason::UserBound, "user_bound"), (Reason::ShardBound, "shard_bound")]
    {
        let expected = Dropped { reason: name.to_owned(), at: 700_000 };
        assert_eq!(story([dropped(10, reason, true), dropped(11, reason, true)], None, vec![]).dropped, Some(expected));
    }
}

#[test]
fn the_answer_is_this_json() {
    let mut journal = journal();
    tell(&mut journal, [Happened::Accepted(accepted("7", "n", 10))]);
    journal.sent(0, sent("x", 10, 11));
    let repeat = accepted("7", "n", 12);
    tell(&mut journal, [Happened::Repeated(repeat), moved("x", HERE, 4..11)]);
    let wanted = wanted(Some("7"), None);
    let scene = scene(&journal, &wanted, vec![look("x", 11, &[(HERE, 12)]), look("y", 4, &[(THERE, 5), (HERE, 2)])]);
    let answer = Answer {
        node: HERE.to_string(),
        at: 5_001,
        since: scene.since.0,
        not_sending: vec![],
        user: Some(scene.user(&user("7"))),
        user_also: None,
        notifications: scene.stories().collect(),
        left_out: scene.found.left_out,
    };
    let json = serde_json::to_string_pretty(&answer).unwrap() + "\n";
    assert_eq!(json, include_str!("tests/answer.json"), "{json}");
    assert_eq!(serde_json::from_str::<Answer>(&json).unwrap(), answer);
}
