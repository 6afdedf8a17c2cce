//! Pauses between attempts: exponential, with full jitter, so that many nodes do not come back in step.

use std::time::Duration;

/// Longest pause of those who wait for the log: an outage of RabbitMQ must be over for everybody soon after
/// it is over for RabbitMQ.
pub const LOG_PAUSE_MAX: Duration = Duration::from_secs(2);

/// First pause of those who wait for the log.
pub const LOG_PAUSE_MIN: Duration = Duration::from_millis(100);

/// The pauses of one series of attempts.
#[derive(Debug, Clone)]
pub struct Backoff {
    first: Duration,
    max: Duration,
    ceiling: Duration,
}

impl Backoff {
    /// Pauses between zero and a ceiling that begins with `first` and doubles up to `max`.
    #[must_use]
    pub const fn new(first: Duration, max: Duration) -> Self {
        Self { first, max, ceiling: first }
    }

    /// The pauses of readers and writers of the log.
    #[must_use]
    pub const fn log() -> Self {
        Self::new(LOG_PAUSE_MIN, LOG_PAUSE_MAX)
    }

    /// The next pause: `chance` (0 to 1, evenly spread) of the ceiling, at least a twentieth of it, since
    /// attempts without any pause would spin.
    #[must_use]
    pub fn next(&mut self, chance: f64) -> Duration {
        let ceiling = self.ceiling.min(self.max);
        self.ceiling = (ceiling * 2).min(self.max);
        let chance = if chance.is_finite() { chance.clamp(0.05, 1.0) } else { 1.0 };
        ceiling.mul_f64(chance)
    }

    /// Sleeps for the next pause.
    pub async fn wait(&mut self) {
        tokio::time::sleep(self.next(fastrand::f64())).await;
    }

    /// Begins anew: call it after a success that lasted.
    pub fn reset(&mut self) {
        self.ceiling = self.first;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ceilings_double_up_to_the_longest() {
        let mut backoff = Backoff::log();
        let pauses: Vec<_> = (0..7).map(|_| backoff.next(1.0).as_millis()).collect();
        assert_eq!(pauses, [100, 200, 400, 800, 1600, 2000, 2000]);
        backoff.reset();
        assert_eq!(backoff.next(0.5).as_millis(), 50);
    }

    proptest! {
        #[test]
        fn a_pause_is_never_none_and_never_too_long(chances in prop::collection::vec(any::<f64>(), 1..50)) {
            let mut backoff = Backoff::log();
            for chance in chances {
                let pause = backoff.next(chance);
                prop_assert!(pause >= LOG_PAUSE_MIN / 20 && pause <= LOG_PAUSE_MAX);
            }
        }
    }
}
