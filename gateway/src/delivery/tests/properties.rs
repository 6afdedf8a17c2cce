//! What must hold for every log, however it came about.

use proptest::prelude::*;

use super::*;
use crate::delivery::{Outcomes, Reason};

#[derive(Debug, Clone)]
enum Step {
    Notify(u8, u16),
    Open(u8, u8),
    Close(u8),
    Confirm(u8, u8),
    Stall(u8),
    Beat(u8, u16),
    Round(u8),
    Leave(u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (any::<u8>(), 0..1200u16).prop_map(|(id, ttl)| Step::Notify(id, ttl)),
        3 => (0..12u8, 0..4u8).prop_map(|(tab, browser)| Step::Open(tab, browser)),
        2 => (0..12u8).prop_map(Step::Close),
        4 => (0..12u8, any::<u8>()).prop_map(|(tab, back)| Step::Confirm(tab, back)),
        1 => (0..12u8).prop_map(Step::Stall),
        4 => (0..3u8, 0..3000u16).prop_map(|(node, ms)| Step::Beat(node, ms)),
        1 => (0..3u8).prop_map(Step::Round),
        1 => (0..3u8).prop_map(Step::Leave),
    ]
}

fn session(number: u8) -> SessionId {
    tab(NodeId(u64::from(number % 3) + 1), u64::from(number))
}

fn digests(session: SessionId) -> bool {
    session.number % 2 == 1
}

fn run(world: &mut World, step: &Step) {
    match *step {
        Step::Notify(id, ttl) => {
            world.notify_until(&format!("n{id}"), world.now + u64::from(ttl) * 1000);
        }
        Step::Open(number, browser) => {
            let (session, from) = (session(number), world.machine.applied().last());
            let opened = Opened { digests: digests(session), ..opened(session, &format!("b{browser}"), from) };
            world.report(session.node, vec![Line::Opened(opened)]);
        }
        Step::Close(number) => world.close(session(number)),
        Step::Confirm(number, back) => {
            world.confirm(session(number), Offset(world.next.saturating_sub(u64::from(back))));
        }
        Step::Stall(number) => world.stall(session(number)),
        Step::Beat(node, ms) => {
            world.now += u64::from(ms);
            world.beat(NodeId(u64::from(node) + 1));
        }
        Step::Round(node) => {
            world.report(NodeId(u64::from(node) + 1), vec![Line::Round]);
        }
        Step::Leave(node) => {
            world.report(NodeId(u64::from(node) + 1), vec![Line::Leave]);
        }
    }
}

proptest! {
    #[test]
    fn a_browser_has_at_most_one_owner_and_one_while_it_has_a_tab(steps in proptest::collection::vec(step(), 1..150)) {
        let mut world = World::new();
        for step in &steps {
            run(&mut world, step);
            for number in 0..12 {
                let Some(view) = world.machine.view(session(number)) else { continue };
                let same: Vec<bool> = (0..12)
                    .filter_map(|other| world.machine.view(session(other)).map(|v| (other, v)))
                    .filter(|(other, _)| browser_of(&world, *other) == browser_of(&world, number))
                    .map(|(_, view)| view.owner)
                    .collect();
                prop_assert_eq!(same.iter().filter(|owner| **owner).count(), 1);
                prop_assert!(view.cursor <= world.machine.applied());
            }
        }
    }

    #[test]
    fn cursors_never_fall_while_a_browser_is_known(steps in proptest::collection::vec(step(), 1..150)) {
        let mut world = World::new();
        let mut cursors: BTreeMap<String, Position> = BTreeMap::new();
        for step in &steps {
            run(&mut world, step);
            let now: BTreeMap<String, Position> = world.machine.users.get(&user()).into_iter()
                .flat_map(|u| u.browsers.iter().map(|b| (b.id.to_string(), b.cursor))).collect();
            for (browser, cursor) in &now {
                prop_assert!(cursors.get(browser).is_none_or(|before| before <= cursor), "{}", browser);
            }
            cursors = now;
        }
    }

    #[test]
    fn what_ended_and_what_is_held_is_what_came(steps in proptest::collection::vec(step(), 1..200)) {
        let mut world = World::with(Limits { user_entries: 10, ..limits() });
        let mut came = 0;
        for step in &steps {
            came += u64::from(matches!(step, Step::Notify(..)));
            run(&mut world, step);
        }
        let outcomes = world.machine.outcomes();
        let ended = outcomes.ended();
        let seen = world.machine.users.get(&user()).map(|u| u.seen).unwrap_or_default();
        let open = world.machine.users.get(&user()).map_or(0, |u| u.held_from(seen).count()) as u64;
        prop_assert_eq!(ended + outcomes.duplicate + open, came);
        prop_assert_eq!(world.machine.waiting(), open);
        prop_assert!(world.machine.held_bytes() <= 100);
    }

    /// What a journal of the events says became of each notification is what the counters say.
    #[test]
    fn what_happened_is_what_was_counted(steps in proptest::collection::vec(step(), 1..200)) {
        let mut world = World::with(Limits { user_entries: 10, shard_bytes: 80, ..limits() });
        for step in &steps {
            run(&mut world, step);
        }
        let mut told = Outcomes::default();
        let mut open: Vec<(Offset, bool)> = Vec::new();
        for happened in &world.happened {
            match happened {
                Happened::Accepted(accepted) => open.push((accepted.offset, accepted.storm)),
                Happened::Repeated(_) => told.duplicate += 1,
                Happened::Moved(moved) => {
                    prop_assert!(moved.from < moved.upto);
                    for (_, storm) in open.extract_if(.., |(offset, _)| moved.covers(*offset)) {
                        *(if storm && moved.digests { &mut told.digested } else { &mut told.delivered }) += 1;
                    }
                }
                Happened::Dropped { offset, unseen, reason, .. } => {
                    prop_assert_eq!(open.iter().any(|(open, _)| open == offset), *unseen);
                    open.retain(|(open, _)| open != offset);
                    match reason {
                        Reason::Expired => told.expired += u64::from(*unseen),
                        Reason::UserBound => told.user_bound += u64::from(*unseen),
                        Reason::ShardBound => told.shard_bound += u64::from(*unseen),
                    }
                }
            }
        }
        prop_assert_eq!(told, world.machine.outcomes());
    }

    /// By the times of the log: never more single ones, and none in a digest without need.
    #[test]
    fn a_window_has_so_many_single_ones(gaps in proptest::collection::vec(0..20_000u64, 1..60)) {
        let mut world = World::with(Limits { user_entries: 1000, ..limits() });
        world.begin(A);
        let mut came: Vec<(u64, bool)> = Vec::new();
        for (number, gap) in gaps.into_iter().enumerate() {
            // Most of a storm comes at once.
            if gap > 10_000 {
                world.pass(A, gap - 10_000);
            }
            world.notify(&format!("n{number}"));
            let held = world.machine.users[&user()].held_from(Position::default()).last().unwrap();
            prop_assert_eq!(held.came_at, world.machine.time());
            came.push((held.came_at.0, held.storm));
        }
        for (index, &(at, storm)) in came.iter().enumerate() {
            let before = came[..index].iter().filter(|(other, _)| other + STORM_WINDOW_MS > at);
            prop_assert_eq!(storm, before.count() >= STORM_SINGLES_MAX);
        }
    }

    #[test]
    fn a_round_that_names_every_session_changes_nothing(steps in proptest::collection::vec(step(), 1..100)) {
        let mut world = World::new();
        for step in &steps {
            run(&mut world, step);
        }
        let before: Vec<_> = (0..12).map(|n| world.machine.view(session(n))).collect();
        for node in 1..=3 {
            let node = NodeId(node);
            let numbers: Vec<SessionId> = world.machine.sessions_of(node).collect();
            let lines = numbers.iter().map(|&s| {
                let view = world.machine.view(s).unwrap();
                let browser = browser_of(&world, s.number as u8).unwrap();
                Line::Opened(Opened {
                    since: Some(view.since), cursor: view.cursor.last(), stalled: view.stalled, digests: digests(s),
                    ..opened(s, &browser, None)
                })
            });
            let lines: Vec<Line> = lines.chain([Line::Round]).collect();
            if !numbers.is_empty() {
                world.report(node, lines);
            }
        }
        let after: Vec<_> = (0..12).map(|n| world.machine.view(session(n))).collect();
        prop_assert_eq!(before, after);
    }
}

fn browser_of(world: &World, number: u8) -> Option<String> {
    let session = session(number);
    let (_, browser) = world.machine.nodes.get(&session.node)?.sessions.get(&session.number)?;
    Some(browser.to_string())
}
