//! Whether the log can be reached, for the metric. A process may use two, for two numbers of shards: while one of them cannot
//! be reached, notifications wait, so that the metric is 1 only where all can.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::metrics::LOG_UP;

use super::connection::Side;

/// Of all logs of this process, by side.
static APPEND: Mutex<Count> = Mutex::new(Count { links: 0, up: 0 });
static READ: Mutex<Count> = Mutex::new(Count { links: 0, up: 0 });

/// Connections of one side.
#[derive(Debug, Clone, Copy)]
struct Count {
    links: usize,
    up: usize,
}

impl Count {
    fn all_up(self) -> bool {
        self.links > 0 && self.up == self.links
    }
}

/// One connection's part in the metric, from its first attempt until it is given up for good.
#[derive(Debug)]
pub(super) struct Up {
    side: Side,
    is: AtomicBool,
}

impl Up {
    pub(super) fn new(side: Side) -> Self {
        change(side, |count| count.links += 1);
        Self { side, is: AtomicBool::new(false) }
    }

    pub(super) fn set(&self, is: bool) {
        change(self.side, |count| match (self.is.swap(is, Ordering::Relaxed), is) {
            (false, true) => count.up += 1,
            (true, false) => count.up -= 1,
            _ => {}
        });
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        self.set(false);
        change(self.side, |count| count.links -= 1);
    }
}

/// The gauge is set under the lock, or an older value could come last.
fn change(side: Side, change: impl FnOnce(&mut Count)) {
    let mut count = count(side);
    change(&mut count);
    LOG_UP.with(&[side.label()]).set(f64::from(u8::from(count.all_up())));
}

fn count(side: Side) -> MutexGuard<'static, Count> {
    let count = match side {
        Side::Append => &APPEND,
        Side::Read => &READ,
    };
    count.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_logs_of_a_process_must_be_reached() {
        let is_up = || count(Side::Read).all_up();
        assert!(!is_up(), "there is none");
        let one = Up::new(Side::Read);
        one.set(true);
        assert!(is_up());
        let two = Up::new(Side::Read);
        assert!(!is_up(), "the second one is not reached yet");
        one.set(true);
        assert!(!is_up(), "said twice, it is one all the same");
        two.set(true);
        assert!(is_up());
        one.set(false);
        two.set(true);
        assert!(!is_up(), "whichever speaks last");
        drop(one);
        assert!(is_up(), "given up, it counts no more");
        drop(two);
        assert!(!is_up());
    }
}
