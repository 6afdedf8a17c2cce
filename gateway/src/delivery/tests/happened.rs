//! What the fold tells a journal.

use super::*;
use crate::delivery::{Accepted, Moved, Reason};

impl World {
    fn told(&mut self) -> Vec<Happened> {
        std::mem::take(&mut self.happened)
    }

    fn accepted(&self, id: &str, offset: Offset, expires_at: u64) -> Accepted {
        let id = NotificationId::try_new(id).unwrap();
        let (accepted_at, expires_at) = (UnixMillis(self.now), UnixMillis(expires_at));
        Accepted { user: user(), id, offset, accepted_at, expires_at, storm: false }
    }

    fn dropped(&self, offset: Offset, reason: Reason, unseen: bool) -> Happened {
        Happened::Dropped { user: user(), offset, reason, unseen, at: self.machine.time() }
    }
}

fn moved(browser: &str, session: SessionId, span: (Position, Position), at: u64) -> Moved {
    let (from, upto) = span;
    Moved {
        user: user(),
        browser: browser_id(browser),
        session,
        from,
        upto,
        before: false,
        digests: false,
        at: UnixMillis(at),
    }
}

#[test]
fn a_notification_begins_once() {
    let mut world = World::new();
    let until = world.now + TTL_MS;
    let first = world.notify("n");
    let again = world.notify("n");
    let expected =
        [Happened::Accepted(world.accepted("n", first, until)), Happened::Repeated(world.accepted("n", again, until))];
    assert_eq!(world.told(), expected);
}

#[test]
fn a_proof_is_one_span_whatever_is_in_it() {
    let mut world = World::new();
    world.open(tab(A, 1), "x");
    let [_, _, three] = ["one", "two", "three"].map(|id| world.notify(id));
    world.told();
    world.now += 7;
    world.confirm(tab(A, 1), three);
    let span = (Position::default(), Position::after(three));
    assert_eq!(world.told(), [Happened::Moved(moved("x", tab(A, 1), span, world.now))]);
    world.confirm(tab(A, 1), three);
    world.confirm(tab(A, 1), Offset(0));
    assert_eq!(world.told(), [], "nothing that was not known before");
}

#[test]
fn what_a_browser_had_before_is_told_as_such() {
    let mut world = World::new();
    let one = world.notify("one");
    world.told();
    let mut opened = opened(tab(A, 1), "x", None);
    opened.cursor = Some(one);
    world.report(A, vec![Line::Opened(opened)]);
    let span = (Position::default(), Position::after(one));
    let expected = Moved { before: true, ..moved("x", tab(A, 1), span, world.now) };
    assert_eq!(world.told(), [Happened::Moved(expected)]);
}

#[test]
fn every_end_has_its_reason() {
    let mut world = World::with(Limits { user_entries: 2, ..limits() });
    let [one, ..] = ["one", "two", "three"].map(|id| world.notify(id));
    assert_eq!(world.told().last(), Some(&world.dropped(one, Reason::UserBound, true)));

    let mut world = World::with(Limits { shard_bytes: 25, ..limits() });
    world.open(tab(A, 1), "x");
    let one = world.notify("one");
    world.confirm(tab(A, 1), one);
    world.notify("two");
    world.notify("three");
    assert_eq!(world.told().last(), Some(&world.dropped(one, Reason::ShardBound, false)), "x had it");

    let mut world = World::new();
    world.begin(A);
    let late = world.notify_until("late", world.now - 5_000);
    assert_eq!(world.told().last(), Some(&world.dropped(late, Reason::Expired, true)), "it came too late");
    world.open(tab(A, 1), "x");
    let seen = world.notify_until("seen", world.now + 500);
    world.confirm(tab(A, 1), seen);
    let unseen = world.notify_until("unseen", world.now + 500);
    world.told();
    world.beat(A);
    let ends = [world.dropped(seen, Reason::Expired, false), world.dropped(unseen, Reason::Expired, true)];
    assert_eq!(world.told(), ends, "also of what somebody had: others did not");
}
