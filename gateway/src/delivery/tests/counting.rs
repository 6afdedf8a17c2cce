//! What the fold counts beside the outcomes; it is node A's.

use super::*;

const NOTHING: Tally =
    Tally { new: 0, returned: 0, open: 0, after_closed: 0, after_stalled: 0, after_lost: 0, lost: 0 };

#[test]
fn a_session_is_counted_by_its_own_node_and_by_what_was_known_of_its_browser() {
    let mut world = World::new();
    world.open(tab(A, 1), "x");
    assert_eq!(world.tally, Tally { new: 1, ..NOTHING });
    world.open(tab(A, 1), "x");
    assert_eq!(world.tally, NOTHING, "named again in a round");
    world.open(tab(A, 2), "x");
    assert_eq!(world.tally, Tally { open: 1, ..NOTHING });
    world.close(tab(A, 2));
    world.close(tab(A, 1));
    assert_eq!(world.tally, NOTHING, "nobody is left to take over");
    world.open(tab(A, 3), "x");
    assert_eq!(world.tally, Tally { returned: 1, ..NOTHING });
    world.open(tab(B, 1), "y");
    assert_eq!(world.tally, NOTHING, "B counts it");
}

/// A browser whose tab on B is older than the one on A.
fn two_tabs() -> World {
    let mut world = World::new();
    world.open(tab(B, 1), "x");
    world.open(tab(A, 1), "x");
    assert_eq!(world.owner("x"), Some(tab(B, 1)));
    world
}

#[test]
fn who_takes_over_counts_why() {
    let mut world = two_tabs();
    world.close(tab(B, 1));
    assert_eq!(world.tally, Tally { after_closed: 1, ..NOTHING });

    let mut world = two_tabs();
    world.stall(tab(B, 1));
    assert_eq!(world.tally, Tally { after_stalled: 1, ..NOTHING });
    world.stall(tab(B, 1));
    assert_eq!(world.tally, NOTHING, "once");
    world.close(tab(B, 1));
    assert_eq!(world.tally, NOTHING, "it owned nothing any more");

    let mut world = two_tabs();
    world.beat(A);
    world.beat(A);
    assert_eq!(world.tally, NOTHING);
    world.beat(A);
    assert_eq!(world.tally, Tally { after_lost: 1, ..NOTHING });
    world.beat(A);
    assert_eq!(world.tally, NOTHING, "once");
}

#[test]
fn who_hands_over_counts_nothing() {
    let mut world = World::new();
    world.open(tab(A, 1), "x");
    world.open(tab(B, 1), "x");
    world.stall(tab(A, 1));
    assert_eq!((world.owner("x"), world.tally), (Some(tab(B, 1)), NOTHING));
    let mut world = World::new();
    world.open(tab(A, 1), "x");
    world.open(tab(A, 2), "x");
    world.close(tab(A, 2));
    assert_eq!(world.tally, NOTHING, "the younger tab owned nothing");
}

#[test]
fn what_nobody_has_confirmed_waits() {
    let mut world = World::new();
    world.open(tab(A, 1), "x");
    let one = world.notify("one");
    world.notify("two");
    world.notify("two");
    assert_eq!(world.machine.waiting(), 2, "a repetition is none");
    world.confirm(tab(A, 1), one);
    world.confirm(tab(A, 1), one);
    assert_eq!(world.machine.waiting(), 1);
    world.pass(A, TTL_MS + 5_000);
    assert_eq!(world.machine.waiting(), 0, "it has expired");
}
