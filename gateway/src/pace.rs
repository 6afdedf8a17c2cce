//! How fast things may come. Pure: times come in as numbers of one steady clock.

use std::sync::{Mutex, PoisonError};

/// One in `every` units of time, and up to `burst` at once after a rest.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rate {
    pub(crate) every: u64,
    pub(crate) burst: u64,
}

/// How far something is ahead of its rate.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Pace {
    /// When all that came is paid off.
    paid_until: u64,
}

/// What would be said over and over, and is said at a rate.
#[derive(Debug, Default)]
pub(crate) struct Telling(Mutex<Pace>);

/// What a tab may say: [`MESSAGES`], and an answer for each thing that it was sent.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Allowance {
    pace: Pace,
    owed: u32,
}

/// A hundred a second, and 2,048 at once. V2's front end adds a keep-alive timer with each reconnect and never stops one, and
/// plays back all that they said while there was no connection: a tab that came back thirty times says one a second, and after
/// ten minutes without a connection 600 at once, its registration behind them. Milliseconds.
const MESSAGES: Rate = Rate { every: 10, burst: 2_048 };

/// A message counts once for each of these that it has begun, so that large ones are as cheap for us as small ones.
const COUNTED_BYTES: usize = 1024;

// === impl Rate ===

impl Rate {
    /// So many in a second, and what comes in a tenth of a second at once. Microseconds.
    pub(crate) fn per_second(count: u32) -> Self {
        let count = u64::from(count.max(1));
        Self { every: 1_000_000 / count, burst: (count / 10).max(1) }
    }
}

// === impl Pace ===

impl Pace {
    /// From when on the next one may come.
    pub(crate) fn free_at(self, rate: Rate) -> u64 {
        self.paid_until.saturating_sub((rate.burst - 1) * rate.every)
    }

    /// One came that counts as `cost`.
    pub(crate) fn take(&mut self, now: u64, rate: Rate, cost: u64) {
        self.paid_until = self.paid_until.max(now).saturating_add(rate.every.saturating_mul(cost));
    }

    /// Whether all that came is paid off: it is as if nothing had come.
    pub(crate) fn is_paid(self, now: u64) -> bool {
        self.paid_until <= now
    }

    /// What was counted once came to nothing.
    pub(crate) fn give_back(&mut self, rate: Rate) {
        self.paid_until = self.paid_until.saturating_sub(rate.every);
    }
}

// === impl Telling ===

impl Telling {
    /// Whether it is to be said now.
    pub(crate) fn may(&self, now: u64, rate: Rate) -> bool {
        let mut pace = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let may = pace.free_at(rate) <= now;
        if may {
            pace.take(now, rate, 1);
        }
        may
    }
}

// === impl Allowance ===

impl Allowance {
    /// Something was sent that the tab answers.
    pub(crate) fn owe_answer(&mut self) {
        self.owed = self.owed.saturating_add(1);
    }

    /// From when on the next message may be read.
    pub(crate) fn free_at(self) -> u64 {
        self.pace.free_at(MESSAGES)
    }

    /// A message was read.
    pub(crate) fn on_message(&mut self, now: u64, bytes: usize) {
        let cost = bytes.div_ceil(COUNTED_BYTES).max(1) as u64;
        let free = u64::from(self.owed > 0);
        self.owed = self.owed.saturating_sub(1);
        self.pace.take(now, MESSAGES, cost - free);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(tab: &mut Allowance, now: u64, count: u64, bytes: usize) -> u64 {
        (0..count).for_each(|_| tab.on_message(now, bytes));
        tab.free_at()
    }

    #[test]
    fn a_burst_passes_and_the_rest_comes_at_the_rate() {
        let mut tab = Allowance::default();
        assert!(said(&mut tab, 50_000, 2_047, 80) <= 50_000);
        assert_eq!(said(&mut tab, 50_000, 1, 80), 50_010);
        assert_eq!(said(&mut tab, 50_010, 1, 80), 50_020);
        // A rest pays it all off.
        assert!(said(&mut tab, 90_000, 2_047, 80) <= 90_000);
    }

    #[test]
    fn large_messages_count_more() {
        let mut tab = Allowance::default();
        assert!(said(&mut tab, 50_000, 255, 8_192) <= 50_000);
        assert!(said(&mut tab, 50_000, 1, 8_192) > 50_000);
    }

    #[test]
    fn answers_are_free_but_what_is_large_about_them_is_not() {
        let mut tab = Allowance::default();
        (0..1_000).for_each(|_| tab.owe_answer());
        assert!(said(&mut tab, 50_000, 3_047, 80) <= 50_000);
        assert!(said(&mut tab, 50_000, 1, 80) > 50_000);
        let mut tab = Allowance::default();
        (0..1_000).for_each(|_| tab.owe_answer());
        assert!(said(&mut tab, 50_000, 300, 8_192) > 50_000);
    }

    #[test]
    fn what_comes_too_often_is_not_told() {
        let (telling, rate) = (Telling::default(), Rate { every: 60, burst: 2 });
        let told = [0, 1, 2, 59, 60, 61].map(|now| telling.may(now, rate));
        assert_eq!(told, [true, true, false, false, true, false]);
    }

    #[test]
    fn a_rate_by_the_second() {
        let rate = Rate::per_second(2_000);
        let mut pace = Pace::default();
        let mut now = 5_000_000;
        for _ in 0..200 {
            assert!(pace.free_at(rate) <= now);
            pace.take(now, rate, 1);
        }
        assert_eq!(pace.free_at(rate), now + 500);
        now += 500;
        pace.take(now, rate, 1);
        assert_eq!(pace.free_at(rate), now + 500);
    }
}
