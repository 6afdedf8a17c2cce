//! Log time.

use bellwire_common::ids::UnixMillis;

use super::bug::Bug;
use crate::planted;

/// The most that one report moves time while a node is alone, in milliseconds; it reports every second.
const STEP_ALONE_MS: u64 = 2_000;

/// So many living nodes can tell that time was wrong...
const OUTVOTED_BY: usize = 3;
/// ...and by so many milliseconds, far more than clocks that are kept in time differ.
const WRONG_BY_MS: u64 = 60_000;

/// What happened to time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Passed {
    Nothing,
    /// It went on.
    On,
    /// It begins, or was found out to have been wrong: what was dated before is to be dated now.
    Anew,
}

/// The lower median of the living nodes' last report times (rule 5: one wrong clock must not expire others'
/// notifications, and a quiet shard must not stand still). It never falls, but where it was set by a wrong clock while no
/// others were there: else it would expire everything until the others have come so far.
#[derive(Debug, PartialEq)]
pub(super) struct Clock {
    now: UnixMillis,
}

impl Default for Clock {
    /// Before the first report it is 1970: nothing expires.
    fn default() -> Self {
        Self { now: UnixMillis(0) }
    }
}

impl Clock {
    pub(super) fn now(&self) -> UnixMillis {
        self.now
    }

    /// Takes the living nodes' last report times. `others` says that more nodes are known than live: then nobody is left
    /// to outvote a wrong clock, and time goes on in small steps.
    pub(super) fn advance(&mut self, times: impl Iterator<Item = UnixMillis>, others: bool) -> Passed {
        let mut times: Vec<UnixMillis> = times.collect();
        times.sort_unstable();
        let middle = if planted(Bug::LatestClock) { times.len() } else { times.len().div_ceil(2) };
        let Some(&median) = middle.checked_sub(1).and_then(|index| times.get(index)) else { return Passed::Nothing };
        let found_out = times.len() >= OUTVOTED_BY && median.plus(WRONG_BY_MS) < self.now;
        if median <= self.now && !found_out {
            return Passed::Nothing;
        }
        let begins = self.now == UnixMillis(0);
        let alone = others && times.len() == 1 && !begins;
        self.now = if alone { median.min(self.now.plus(STEP_ALONE_MS)) } else { median };
        if begins || found_out { Passed::Anew } else { Passed::On }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(steps: &[&[u64]]) -> u64 {
        let mut clock = Clock::default();
        for times in steps {
            clock.advance(times.iter().map(|&t| UnixMillis(t)), false);
        }
        clock.now().0
    }

    #[test]
    fn it_is_the_lower_median() {
        assert_eq!(after(&[&[10]]), 10);
        assert_eq!(after(&[&[10, 99]]), 10);
        assert_eq!(after(&[&[10, 20, 99]]), 20);
        assert_eq!(after(&[&[10, 20, 30, 99]]), 20);
    }

    #[test]
    fn it_never_falls() {
        assert_eq!(after(&[&[30], &[10], &[]]), 30);
    }

    #[test]
    fn who_is_left_alone_moves_it_in_small_steps() {
        let mut clock = Clock::default();
        clock.advance([UnixMillis(10)].into_iter(), true);
        assert_eq!(clock.now().0, 10, "there was no time before");
        clock.advance([UnixMillis(3_600_000)].into_iter(), true);
        assert_eq!(clock.now().0, 10 + STEP_ALONE_MS);
        clock.advance([UnixMillis(3_600_000)].into_iter(), false);
        assert_eq!(clock.now().0, 3_600_000, "nobody else is known");
    }

    #[test]
    fn three_find_out_that_it_was_wrong() {
        let mut clock = Clock::default();
        let hour = UnixMillis(3_600_000);
        assert_eq!(clock.advance([hour].into_iter(), false), Passed::Anew, "it begins");
        assert_eq!(clock.advance([UnixMillis(5), hour].into_iter(), false), Passed::Nothing);
        assert_eq!(clock.advance([UnixMillis(5), UnixMillis(6), hour].into_iter(), false), Passed::Anew);
        assert_eq!(clock.now().0, 6);
        assert_eq!(clock.advance([UnixMillis(5), UnixMillis(7), hour].into_iter(), false), Passed::On);
    }
}
