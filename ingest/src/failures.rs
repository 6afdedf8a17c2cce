//! Wrong tokens, counted by the address that they come from. Pure.

use std::collections::HashMap;
use std::net::IpAddr;

use bellwire_common::ids::UnixMillis;
use bellwire_common::network::network;

/// Wrong tokens from one address in a minute that are told to be wrong. More are told to wait until the minute is over; a
/// right token is taken all the same.
pub const FAILURES_PER_MINUTE_MAX: u32 = 60;

/// Most addresses that are counted in a minute; who comes later in it is not held up.
const ADDRESSES_MAX: usize = 16_384;

const MINUTE_MS: u64 = 60_000;

/// The failures of one minute.
#[derive(Debug, Default)]
pub(crate) struct Failures {
    minute: u64,
    counts: HashMap<IpAddr, u32>,
}

impl Failures {
    /// Seconds until a wrong token from `address` is told to be wrong again; none if it is now.
    pub(crate) fn wait(&mut self, now: UnixMillis, address: IpAddr) -> Option<u64> {
        self.turn(now);
        let counted = self.counts.get(&network(address))?;
        (*counted >= FAILURES_PER_MINUTE_MAX).then(|| (MINUTE_MS - now.0 % MINUTE_MS).div_ceil(1000))
    }

    /// Counts a wrong token. What comes from this machine is not held up: a proxy that runs here speaks for all.
    pub(crate) fn count(&mut self, now: UnixMillis, address: IpAddr) {
        self.turn(now);
        let network = network(address);
        if network.is_loopback() {
            return;
        }
        if let Some(count) = self.counts.get_mut(&network) {
            *count = count.saturating_add(1);
        } else if self.counts.len() < ADDRESSES_MAX {
            self.counts.insert(network, 1);
        }
    }

    fn turn(&mut self, now: UnixMillis) {
        let minute = now.0 / MINUTE_MS;
        if self.minute != minute {
            *self = Self { minute, counts: HashMap::new() };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMillis = UnixMillis(1_700_000_000_000);

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn failing(addresses: &[&str]) -> Failures {
        let mut failures = Failures::default();
        for address in addresses.iter().cycle().take(FAILURES_PER_MINUTE_MAX as usize) {
            assert_eq!(failures.wait(NOW, ip(address)), None);
            failures.count(NOW, ip(address));
        }
        failures
    }

    #[test]
    fn an_address_waits_for_the_next_minute() {
        let mut failures = failing(&["192.0.2.1"]);
        assert_eq!(failures.wait(NOW, ip("192.0.2.1")), Some(40));
        assert_eq!(failures.wait(NOW, ip("::ffff:192.0.2.1")), Some(40));
        assert_eq!(failures.wait(NOW, ip("192.0.2.2")), None);
        assert_eq!(failures.wait(NOW.plus(39_001), ip("192.0.2.1")), Some(1));
        assert_eq!(failures.wait(NOW.plus(40_000), ip("192.0.2.1")), None);
    }

    #[test]
    fn a_network_of_ipv6_is_one_address() {
        let mut failures = failing(&["2001:db8::1", "2001:db8::2"]);
        assert!(failures.wait(NOW, ip("2001:db8::3")).is_some());
        assert_eq!(failures.wait(NOW, ip("2001:db8:0:1::1")), None);
    }

    #[test]
    fn this_machine_is_not_held_up() {
        for address in ["127.0.0.1", "::1", "::ffff:127.0.0.1"] {
            assert_eq!(failing(&[address]).wait(NOW, ip(address)), None);
        }
    }

    #[test]
    fn addresses_are_bounded() {
        let mut failures = Failures::default();
        for number in 0..=ADDRESSES_MAX as u32 {
            failures.count(NOW, IpAddr::V4((0x0a00_0000 + number).into()));
        }
        assert_eq!(failures.counts.len(), ADDRESSES_MAX);
    }
}
