//! Log time.

use bellwire_common::ids::UnixMillis;

use super::bug::Bug;
use crate::planted;

/// The most that one report moves time while a node is alone, in milliseconds; it reports every second.
const STEP_ALONE_MS: u64 = 2_000;

/// The lower median of the living nodes' last report times; never falls (rule 5: one wrong clock must not expire
/// others' notifications, and a quiet shard must not stand still).
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

    /// Whether anybody has told the time yet.
    pub(super) fn has_begun(&self) -> bool {
        self.now > UnixMillis(0)
    }

    /// Takes the living nodes' last report times; whether time went on. `others` says that more nodes are known than
    /// live: then nobody is left to outvote a wrong clock, and time goes on in small steps.
    pub(super) fn advance(&mut self, times: impl Iterator<Item = UnixMillis>, others: bool) -> bool {
        let mut times: Vec<UnixMillis> = times.collect();
        times.sort_unstable();
        let middle = if planted(Bug::LatestClock) { times.len() } else { times.len().div_ceil(2) };
        let Some(&median) = middle.checked_sub(1).and_then(|index| times.get(index)) else { return false };
        if median <= self.now {
            return false;
        }
        let alone = others && times.len() == 1 && self.has_begun();
        self.now = if alone { median.min(self.now.plus(STEP_ALONE_MS)) } else { median };
        true
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
}
