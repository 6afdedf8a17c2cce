//! Where log time begins (rule 5).

use super::*;

#[test]
fn rule_5_time_begins_when_all_who_live_were_heard() {
    let mut world = World::new();
    let right = world.now;
    world.now += 3_600_000;
    world.beat(A);
    world.now = right;
    world.beat(B);
    world.beat(C);
    assert_eq!(world.machine.time(), UnixMillis(0));
    world.beat(B);
    world.beat(B);
    assert!(world.machine.time() <= UnixMillis(right + 10_000), "{:?}", world.machine.time());
    assert!(world.machine.time() > UnixMillis(0));
}

#[test]
fn rule_5_who_went_away_before_time_began_is_remembered_from_then_on() {
    let mut world = World::new();
    world.open(tab(A, 1), "x");
    let one = world.notify("one");
    world.confirm(tab(A, 1), one);
    world.close(tab(A, 1));
    for _ in 0..3 {
        world.beat(A);
    }
    world.open_from(tab(A, 2), "x", None);
    assert!(world.next(tab(A, 2)).is_empty(), "it had the only one");
}
