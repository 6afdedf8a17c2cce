//! How often an address may fail to show who it is.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::pace::{Pace, Rate};
use crate::peer;

/// Addresses that are remembered. Where more fail within a minute than that, counting them is no help.
const ADDRESSES_MAX: usize = 65_536;

const MINUTE_US: u64 = 60_000_000;

/// Failed attempts by address, or by /64 network of IPv6.
#[derive(Debug)]
pub(crate) struct Failures {
    rate: Rate,
    started: Instant,
    paces: Mutex<HashMap<IpAddr, Pace>>,
}

impl Failures {
    pub(crate) fn new(per_minute: u32) -> Self {
        let burst = u64::from(per_minute.max(1));
        let rate = Rate { every: MINUTE_US / burst, burst };
        Self { rate, started: Instant::now(), paces: Mutex::default() }
    }

    /// How long this address is not listened to; none if it may try. An unknown address always may.
    pub(crate) fn wait(&self, address: Option<IpAddr>) -> Option<Duration> {
        self.wait_at(self.now(), address)
    }

    /// It has failed.
    pub(crate) fn count(&self, address: Option<IpAddr>) {
        self.count_at(self.now(), address);
    }

    fn wait_at(&self, now: u64, address: Option<IpAddr>) -> Option<Duration> {
        let pace = *self.lock().get(&peer::network(address?))?;
        let wait = pace.free_at(self.rate).saturating_sub(now);
        (wait > 0).then(|| Duration::from_micros(wait))
    }

    fn count_at(&self, now: u64, address: Option<IpAddr>) {
        let Some(address) = address.map(peer::network) else { return };
        let mut paces = self.lock();
        if paces.len() >= ADDRESSES_MAX && !paces.contains_key(&address) {
            paces.retain(|_, pace| !pace.is_paid(now));
            if paces.len() >= ADDRESSES_MAX {
                return;
            }
        }
        paces.entry(address).or_default().take(now, self.rate, 1);
    }

    fn now(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, Pace>> {
        self.paces.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn who_has_failed_too_often_waits() {
        let failures = Failures::new(60);
        let here = address("192.0.2.7");
        for _ in 0..60 {
            assert_eq!(failures.wait_at(0, here), None);
            failures.count_at(0, here);
        }
        assert_eq!(failures.wait_at(0, here), Some(Duration::from_secs(1)));
        assert_eq!(failures.wait_at(0, address("192.0.2.8")), None);
        assert_eq!(failures.wait_at(1_000_000, here), None, "one a second after that");
        failures.count_at(1_000_000, here);
        assert_eq!(failures.wait_at(1_000_000, here), Some(Duration::from_secs(1)));
        assert_eq!(failures.wait_at(MINUTE_US * 2, here), None);
    }

    #[test]
    fn a_network_of_ipv6_is_one_address_and_an_unknown_one_none() {
        let failures = Failures::new(1);
        failures.count_at(0, address("2001:db8:1:2::1"));
        assert!(failures.wait_at(0, address("2001:db8:1:2:ffff::9")).is_some());
        assert!(failures.wait_at(0, address("2001:db8:1:3::1")).is_none());
        failures.count_at(0, None);
        assert!(failures.wait_at(0, None).is_none());
    }

    #[test]
    fn so_many_addresses_are_remembered() {
        let failures = Failures::new(1);
        let address = |n: usize| Some(IpAddr::from(u32::try_from(n).unwrap().to_be_bytes()));
        (0..ADDRESSES_MAX).for_each(|n| failures.count_at(0, address(n)));
        failures.count_at(1, address(ADDRESSES_MAX));
        assert!(failures.wait_at(1, address(ADDRESSES_MAX)).is_none(), "no room, and nobody to forget");
        failures.count_at(2 * MINUTE_US, address(ADDRESSES_MAX));
        assert!(failures.wait_at(2 * MINUTE_US, address(ADDRESSES_MAX)).is_some());
        assert_eq!(failures.lock().len(), 1, "those that are paid off are forgotten");
    }
}
