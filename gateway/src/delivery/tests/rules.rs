use super::*;

#[test]
fn rule_0_what_came_between_greeting_and_announcement_is_delivered() {
    let mut world = World::new();
    let first = tab(A, 1);
    world.open(first, "x");
    let seen = world.notify("seen");
    world.confirm(first, seen);
    let greeted = world.machine.applied().last();
    world.notify("between");
    world.open_from(tab(A, 2), "y", greeted);
    assert_eq!(world.next(tab(A, 2)), ["between"]);
}

#[test]
fn rule_1_the_oldest_good_tab_owns_the_browser() {
    let mut world = World::new();
    world.open(tab(A, 1), "x");
    world.open(tab(B, 1), "x");
    world.notify("n");
    assert_eq!(world.owner("x"), Some(tab(A, 1)));
    assert_eq!(world.next(tab(A, 1)), ["n"]);
    assert!(world.next(tab(B, 1)).is_empty());
}

#[test]
fn rule_1_the_next_tab_takes_over_behind_the_cursor() {
    let mut world = World::new();
    world.open(tab(A, 1), "x");
    world.open(tab(B, 1), "x");
    let one = world.notify("one");
    world.notify("two");
    world.confirm(tab(A, 1), one);
    world.close(tab(A, 1));
    assert_eq!(world.owner("x"), Some(tab(B, 1)));
    assert_eq!(world.next(tab(B, 1)), ["two"]);
}

#[test]
fn rule_1_the_best_bad_tab_stays_owner() {
    let mut world = World::new();
    world.open(tab(A, 1), "x");
    world.stall(tab(A, 1));
    world.notify("n");
    assert_eq!(world.next(tab(A, 1)), ["n"]);
}

#[test]
fn rule_2_every_browser_gets_each_once_in_order() {
    let mut world = World::new();
    world.open(tab(A, 1), "x");
    world.open(tab(A, 2), "y");
    let offsets: Vec<Offset> = ["one", "two", "three"].iter().map(|id| world.notify(id)).collect();
    for session in [tab(A, 1), tab(A, 2)] {
        assert_eq!(world.next(session), ["one", "two", "three"]);
        assert_eq!(world.next_after(session, Position::after(offsets[1])), ["three"]);
    }
}

#[test]
fn rule_2_a_late_proof_does_not_repeat_what_was_sent() {
    let mut world = World::new();
    world.open(tab(A, 1), "x");
    let one = world.notify("one");
    let two = world.notify("two");
    world.confirm(tab(A, 1), one);
    assert!(world.next_after(tab(A, 1), Position::after(two)).is_empty());
}

#[test]
fn rule_3_the_cursor_never_falls() {
    let mut world = World::new();
    world.open(tab(A, 1), "x");
    world.open(tab(B, 1), "x");
    let one = world.notify("one");
    let two = world.notify("two");
    world.confirm(tab(A, 1), two);
    world.confirm(tab(B, 1), one);
    world.close(tab(A, 1));
    assert!(world.next(tab(B, 1)).is_empty());
}

#[test]
fn rule_3_a_proof_of_what_is_not_there_yet_is_ignored() {
    let mut world = World::new();
    world.open(tab(A, 1), "x");
    world.confirm(tab(A, 1), Offset(1_000));
    world.notify("n");
    assert_eq!(world.next(tab(A, 1)), ["n"]);
}

#[test]
fn rule_4_the_first_browser_gets_what_came_while_nobody_was_there() {
    let mut world = World::new();
    world.notify("alone");
    world.open(tab(A, 1), "x");
    assert_eq!(world.next(tab(A, 1)), ["alone"]);
}

#[test]
fn rule_4_a_new_browser_does_not_repeat_what_another_had() {
    let mut world = World::new();
    world.open(tab(A, 1), "x");
    let one = world.notify("one");
    world.confirm(tab(A, 1), one);
    world.open(tab(A, 2), "y");
    assert!(world.next(tab(A, 2)).is_empty());
}

#[test]
fn rule_4_only_dead_tabs_were_there_so_the_next_browser_gets_it() {
    let mut world = World::new();
    world.open(tab(A, 1), "dead");
    world.notify("n");
    world.open(tab(A, 2), "y");
    assert_eq!(world.next(tab(A, 2)), ["n"]);
}

#[test]
fn rule_4_a_known_browser_goes_on_at_its_cursor() {
    let mut world = World::new();
    world.open(tab(A, 1), "x");
    world.open(tab(A, 2), "y");
    world.close(tab(A, 1));
    let n = world.notify("n");
    world.confirm(tab(A, 2), n);
    world.open(tab(A, 3), "x");
    assert_eq!(world.next(tab(A, 3)), ["n"]);
}

#[test]
fn rule_5_expired_ones_are_dropped_and_counted() {
    let mut world = World::new();
    world.begin(A);
    world.open(tab(A, 1), "x");
    let short = world.notify_until("short", world.now + 500);
    world.notify("long");
    world.beat(A);
    assert_eq!(world.next(tab(A, 1)), ["long"]);
    assert_eq!(world.machine.outcomes().expired, 1);
    world.confirm(tab(A, 1), short);
    assert_eq!(world.machine.outcomes().delivered, 0);
}

#[test]
fn rule_5_one_wrong_clock_expires_nothing() {
    let mut world = World::new();
    world.begin(A);
    world.open(tab(A, 1), "x");
    world.notify("n");
    world.now += 10 * TTL_MS;
    world.beat(B);
    assert_eq!(world.next(tab(A, 1)), ["n"]);
}

#[test]
fn rule_6_duplicates_are_dropped_until_30_s_after_expiry() {
    let mut world = World::new();
    world.beat(A);
    world.open(tab(A, 1), "x");
    let expires_at = world.now + 500;
    world.notify_until("n", expires_at);
    world.notify_until("n", expires_at);
    assert_eq!(world.next(tab(A, 1)), ["n"]);
    world.now = expires_at + DUPLICATE_GRACE_MS - 1_001;
    world.beat(A);
    world.notify("n");
    assert_eq!(world.machine.outcomes().duplicate, 2);
    world.beat(A);
    world.beat(A);
    world.notify("n");
    assert_eq!(world.machine.outcomes().duplicate, 2);
    assert_eq!(world.next(tab(A, 1)), ["n"]);
}

#[test]
fn rule_7_three_beats_of_another_lose_a_silent_node() {
    let mut world = World::new();
    world.beat(A);
    world.open(tab(A, 1), "x");
    world.open(tab(B, 1), "x");
    world.notify("n");
    world.beat(B);
    world.beat(B);
    assert!(world.next(tab(B, 1)).is_empty());
    world.beat(B);
    assert!(world.machine.is_lost(A));
    assert_eq!(world.next(tab(B, 1)), ["n"]);
    assert!(world.next(tab(A, 1)).is_empty());
    assert_eq!(world.machine.living().collect::<Vec<_>>(), [B]);
}

#[test]
fn rule_7_a_node_that_is_back_stands_behind_all_others() {
    let mut world = World::new();
    world.beat(A);
    world.open(tab(A, 1), "x");
    world.open(tab(B, 1), "x");
    for _ in 0..3 {
        world.beat(B);
    }
    assert_eq!(world.owner("x"), Some(tab(B, 1)));
    world.beat(A);
    assert!(!world.machine.is_lost(A));
    assert_eq!(world.owner("x"), Some(tab(B, 1)));
    world.close(tab(B, 1));
    assert_eq!(world.owner("x"), Some(tab(A, 1)));
}

#[test]
fn rule_7_an_outage_that_silences_all_loses_nobody() {
    let mut world = World::new();
    world.beat(A);
    world.beat(B);
    world.now += TTL_MS / 2;
    world.beat(A);
    world.beat(B);
    world.beat(A);
    world.beat(B);
    assert_eq!(world.machine.living().count(), 2);
}

#[test]
fn rule_7_delayed_beats_are_no_life() {
    let mut world = World::new();
    world.beat(A);
    world.open(tab(A, 1), "x");
    for _ in 0..3 {
        world.beat(B);
    }
    world.report(A, vec![Line::Beat { number: 1 }]);
    assert!(world.machine.is_lost(A));
}

#[test]
fn rule_7_sessions_of_a_node_lost_for_long_are_removed_and_cursors_stay() {
    let mut world = World::new();
    world.beat(A);
    world.open(tab(A, 1), "x");
    let one = world.notify("one");
    world.confirm(tab(A, 1), one);
    for _ in 0..3 {
        world.beat(B);
    }
    assert_eq!(world.owner("x"), Some(tab(A, 1)));
    world.pass(B, TTL_MS + 3_000);
    assert_eq!(world.owner("x"), None);
    let two = world.notify("two");
    world.open_from(tab(B, 1), "x", Some(two));
    assert_eq!(world.next(tab(B, 1)), ["two"]);
}

#[test]
fn rule_7_a_late_report_does_not_bring_back_who_has_left() {
    let mut world = World::new();
    world.beat(A);
    world.report(A, vec![Line::Leave]);
    world.report(A, vec![Line::Beat { number: 9 }, Line::Opened(opened(tab(A, 1), "x", None))]);
    assert!(!world.machine.knows(A));
    assert_eq!(world.owner("x"), None);
}

#[test]
fn rule_9_where_all_are_taken_for_lost_one_counts_all_the_same() {
    let mut world = World::new();
    world.beat(A);
    for _ in 0..3 {
        world.beat(B);
    }
    world.report(B, vec![Line::Leave]);
    assert_eq!(world.machine.living().count(), 0);
    world.notify("n");
    world.notify("n");
    assert_eq!(world.machine.outcomes_to_count().duplicate, 1, "the machine is that of A");
}

#[test]
fn rule_11_a_stall_asks_all_other_tabs_of_the_browser() {
    let mut world = World::new();
    for number in 1..=3 {
        world.open(tab(A, number), "x");
    }
    let mut touched = Touched::default();
    let report = Report { node: A, number: 99, at: UnixMillis(world.now), entries: vec![Line::Stalled { session: 1 }] };
    world.machine.apply(Offset(world.next), Record::Report(report), || (), &mut touched);
    assert_eq!(touched.prove, [tab(A, 2), tab(A, 3)]);
}

#[test]
fn rule_7_leave_ends_a_nodes_sessions() {
    let mut world = World::new();
    world.open(tab(A, 1), "x");
    world.report(A, vec![Line::Leave]);
    assert_eq!(world.owner("x"), None);
}

#[test]
fn rule_8_sessions_that_a_round_does_not_name_are_dropped() {
    let mut world = World::new();
    world.open(tab(A, 1), "x");
    world.open(tab(A, 2), "y");
    world.report(A, vec![Line::Round]);
    world.report(A, vec![Line::Opened(opened(tab(A, 2), "y", None)), Line::Round]);
    assert_eq!(world.owner("x"), None);
    assert_eq!(world.owner("y"), Some(tab(A, 2)));
}

#[test]
fn rule_9_each_ends_in_one_state() {
    let mut world = World::with(Limits { user_entries: 2, ..limits() });
    world.begin(A);
    world.open(tab(A, 1), "x");
    let one = world.notify("delivered");
    world.confirm(tab(A, 1), one);
    world.notify("gives-way");
    world.notify_until("expires", world.now + 10);
    world.notify_until("expires-too", world.now + 10);
    world.beat(A);
    let outcomes = world.machine.outcomes();
    assert_eq!((outcomes.delivered, outcomes.user_bound, outcomes.expired), (1, 1, 2));
}

#[test]
fn rule_10_the_oldest_gives_way_and_the_browser_learns_it() {
    let mut world = World::with(Limits { user_entries: 2, ..limits() });
    world.open(tab(A, 1), "x");
    for id in ["one", "two", "three"] {
        world.notify(id);
    }
    assert_eq!(world.next(tab(A, 1)), ["two", "three"]);
    assert_eq!(world.machine.next(tab(A, 1), Position::default(), 1).missed, 1);
}

#[test]
fn rule_10_bytes_of_a_user_and_of_the_shard_are_bounded() {
    for limits in [Limits { user_bytes: 25, ..limits() }, Limits { shard_bytes: 25, ..limits() }] {
        let mut world = World::with(limits);
        for n in 0..10 {
            world.notify(&n.to_string());
        }
        assert_eq!(world.machine.held_bytes(), 20);
        let outcomes = world.machine.outcomes();
        assert_eq!(outcomes.user_bound + outcomes.shard_bound, 8);
    }
}

#[test]
fn rule_10_the_longest_away_browser_gives_way_to_a_new_one() {
    let mut world = World::with(Limits { browsers: 2, ..limits() });
    for (number, browser) in [(1, "a"), (2, "b")] {
        world.beat(A);
        world.open(tab(A, number), browser);
        world.close(tab(A, number));
    }
    let n = world.notify("n");
    world.open(tab(A, 3), "c");
    world.confirm(tab(A, 3), n);
    world.open(tab(A, 4), "b");
    assert_eq!(world.next(tab(A, 4)), ["n"], "b was known");
    world.open(tab(A, 5), "a");
    assert!(world.next(tab(A, 5)).is_empty(), "a was forgotten");
}

#[test]
fn rule_11_a_stalled_tab_hands_over_and_comes_back_behind_the_others() {
    let mut world = World::new();
    world.open(tab(A, 1), "x");
    world.open(tab(A, 2), "x");
    let n = world.notify("n");
    world.stall(tab(A, 1));
    assert_eq!(world.next(tab(A, 2)), ["n"]);
    world.confirm(tab(A, 1), n);
    assert_eq!(world.owner("x"), Some(tab(A, 2)));
    world.stall(tab(A, 2));
    assert_eq!(world.owner("x"), Some(tab(A, 1)));
}

#[test]
fn rule_13_a_browser_comes_back_with_its_own_cursor() {
    let mut world = World::new();
    let one = world.notify("one");
    world.notify("two");
    let mut opened = opened(tab(A, 1), "x", None);
    opened.cursor = Some(one);
    world.report(A, vec![Line::Opened(opened)]);
    assert_eq!(world.next(tab(A, 1)), ["two"]);
}

#[test]
fn rule_13_a_cursor_beyond_the_log_is_ignored() {
    let mut world = World::new();
    let mut opened = opened(tab(A, 1), "x", None);
    opened.cursor = Some(Offset(999));
    world.report(A, vec![Line::Opened(opened)]);
    world.notify("n");
    assert_eq!(world.next(tab(A, 1)), ["n"]);
}

#[test]
fn records_read_again_change_nothing() {
    let mut world = World::new();
    world.open(tab(A, 1), "x");
    let n = world.notify("n");
    let again =
        Record::Report(Report { node: A, number: 9, at: UnixMillis(0), entries: vec![Line::Closed { session: 1 }] });
    world.machine.apply(n, again, || (), &mut Touched::default());
    assert_eq!(world.next(tab(A, 1)), ["n"]);
}

#[test]
fn users_without_anything_are_forgotten() {
    let mut world = World::new();
    world.begin(A);
    world.open(tab(A, 1), "x");
    world.notify("n");
    world.close(tab(A, 1));
    world.pass(A, TTL_MS);
    world.pass(A, DUPLICATE_GRACE_MS + 2_000);
    assert_eq!(world.machine.users.len(), 0);
    assert_eq!(world.machine.held_bytes(), 0);
}

/// A session that is behind what gave way may have passed over it: only a proof says that it was had.
#[test]
fn what_gave_way_was_had_only_by_who_proved_it() {
    let mut world = World::with(Limits { user_entries: 2, ..limits() });
    world.begin(A);
    let session = tab(A, 1);
    world.open(session, "x");
    let id = |id: &str| NotificationId::try_new(id).unwrap();
    let had = |world: &World, name: &str, upto| world.machine.has_had(&user(), &browser_id("x"), upto, &id(name));
    let first = world.notify("proved");
    world.confirm(session, first);
    world.notify("gone");
    world.notify("held");
    let last = Position::after(world.notify("last"));
    assert!(had(&world, "proved", last) && had(&world, "proved", Position::default()));
    assert!(!had(&world, "gone", last), "it was never sent");
    assert!(had(&world, "held", last) && !had(&world, "held", Position::default()));
    assert!(!had(&world, "unknown", last));
    // A tab of the browser asks before its own announcement is read.
    world.close(session);
    assert!(had(&world, "proved", Position::default()));
}
