//! Who may come in: how many sessions there are for a user, an address and the node, and how fast handshakes come.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, RandomState};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bellwire_common::ids::UserId;
use bellwire_common::metrics::{GATEWAY_BROWSERS, GATEWAY_HANDSHAKES_REFUSED, GATEWAY_USERS, GaugeSeries};

use crate::pace::{Pace, Rate};
use crate::peer;
use crate::protocol::Identity;

/// Most sessions of one gateway.
#[derive(Debug, Clone, Copy)]
pub struct SessionLimits {
    /// In all.
    pub sessions: usize,
    /// Of one user.
    pub sessions_per_user: usize,
    /// From one address, or one /64 network of IPv6.
    pub sessions_per_address: usize,
    /// Handshakes in a second; what is more is held up, not refused.
    pub handshakes_per_second: u32,
}

/// Which limit a session met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Full {
    Node,
    User,
    Address,
}

pub(crate) struct Admission {
    limits: SessionLimits,
    rate: Rate,
    started: Instant,
    state: Mutex<State>,
    /// Names browsers by numbers: they are only counted.
    hasher: RandomState,
    users: GaugeSeries,
    browsers: GaugeSeries,
}

#[derive(Default)]
struct State {
    sessions: usize,
    users: HashMap<UserId, usize>,
    addresses: HashMap<IpAddr, usize>,
    browsers: HashMap<u64, usize>,
    handshakes: Pace,
}

/// A session's place; its drop gives it back.
pub(crate) struct Ticket {
    admission: Arc<Admission>,
    address: Option<IpAddr>,
    user: Option<UserId>,
    browser: Option<u64>,
}

/// A handshake's turn, which comes after `wait`. Dropped before it is taken, it is the next one's: else whoever connects
/// and goes would hold up those who stay.
pub(crate) struct Turn {
    admission: Arc<Admission>,
    pub(crate) wait: Duration,
    taken: bool,
}

/// Held handshakes are spread over this much more at the most, so that tabs which came in step do not go on in step.
const JITTER_MAX: Duration = Duration::from_secs(1);

// === impl Admission ===

impl Admission {
    pub(crate) fn new(limits: SessionLimits) -> Arc<Self> {
        let rate = Rate::per_second(limits.handshakes_per_second);
        let (users, browsers) = (GATEWAY_USERS.with(&[]), GATEWAY_BROWSERS.with(&[]));
        let (started, state, hasher) = (Instant::now(), Mutex::default(), RandomState::new());
        Arc::new(Self { limits, rate, started, state, hasher, users, browsers })
    }

    /// A place for a session from `address`, if it is known.
    pub(crate) fn admit(self: &Arc<Self>, address: Option<IpAddr>) -> Result<Ticket, Full> {
        let address = address.map(peer::network);
        let mut state = self.lock();
        if state.sessions >= self.limits.sessions {
            return Err(Full::Node);
        }
        if let Some(address) = address
            && !enter(&mut state.addresses, address, self.limits.sessions_per_address)
        {
            return Err(Full::Address);
        }
        state.sessions += 1;
        drop(state);
        Ok(Ticket { admission: Arc::clone(self), address, user: None, browser: None })
    }

    /// A turn for a handshake that comes now. Nobody waits for it unless more come than the rate allows.
    pub(crate) fn turn(self: &Arc<Self>) -> Turn {
        let now = u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX);
        let mut state = self.lock();
        let wait = Duration::from_micros(state.handshakes.free_at(self.rate).saturating_sub(now));
        state.handshakes.take(now, self.rate, 1);
        drop(state);
        let wait = wait + wait.min(JITTER_MAX).mul_f64(fastrand::f64());
        Turn { admission: Arc::clone(self), wait, taken: false }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Turn ===

impl Turn {
    /// The handshake goes on.
    pub(crate) fn take(mut self) {
        self.taken = true;
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if !self.taken {
            self.admission.lock().handshakes.give_back(self.admission.rate);
            GATEWAY_HANDSHAKES_REFUSED.count(&["left"]);
        }
    }
}

// === impl Ticket ===

impl Ticket {
    /// From where the session is, if that is known; of IPv6 the network.
    pub(crate) fn address(&self) -> Option<IpAddr> {
        self.address
    }

    /// Counts the session for its user, once.
    pub(crate) fn belongs_to(&mut self, user: &UserId) -> Result<(), Full> {
        if self.user.is_some() {
            return Ok(());
        }
        let mut state = self.admission.lock();
        if !enter(&mut state.users, user.clone(), self.admission.limits.sessions_per_user) {
            return Err(Full::User);
        }
        self.admission.users.set(state.users.len() as f64);
        self.user = Some(user.clone());
        Ok(())
    }

    /// Counts the browser of the session, once. Nothing limits how many there are.
    pub(crate) fn listens_for(&mut self, identity: &Identity) {
        if self.browser.is_none() {
            let browser = self.admission.hasher.hash_one((&identity.user, &identity.browser));
            let mut state = self.admission.lock();
            enter(&mut state.browsers, browser, usize::MAX);
            self.admission.browsers.set(state.browsers.len() as f64);
            self.browser = Some(browser);
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut state = self.admission.lock();
        state.sessions -= 1;
        if let Some(address) = &self.address {
            leave(&mut state.addresses, address);
        }
        if let Some(user) = &self.user {
            leave(&mut state.users, user);
            self.admission.users.set(state.users.len() as f64);
        }
        if let Some(browser) = &self.browser {
            leave(&mut state.browsers, browser);
            self.admission.browsers.set(state.browsers.len() as f64);
        }
    }
}

fn enter<K: Hash + Eq>(counts: &mut HashMap<K, usize>, key: K, max: usize) -> bool {
    let count = counts.entry(key).or_default();
    // What is at the limit is above zero: no entry is left behind for nobody.
    let free = *count < max;
    *count += usize::from(free);
    free
}

fn leave<K: Hash + Eq>(counts: &mut HashMap<K, usize>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use bellwire_common::ids::BrowserId;

    use super::*;

    fn admission(sessions: usize, user: usize, address: usize) -> Arc<Admission> {
        let limits = SessionLimits {
            sessions,
            sessions_per_user: user,
            sessions_per_address: address,
            handshakes_per_second: 100,
        };
        Admission::new(limits)
    }

    fn address(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn each_limit_holds_and_a_place_that_is_given_back_is_free() {
        let admission = admission(3, 1, 2);
        let here = || admission.admit(address("192.0.2.7"));
        let mut first = here().unwrap();
        let mut second = here().unwrap();
        assert_eq!(here().err(), Some(Full::Address));
        let user = UserId::try_new("7").unwrap();
        assert_eq!(first.belongs_to(&user), Ok(()));
        assert_eq!(first.belongs_to(&user), Ok(()), "counted once");
        assert_eq!(second.belongs_to(&user), Err(Full::User));
        let identity = |browser| Identity { user: user.clone(), browser: BrowserId::try_new(browser).unwrap() };
        for browser in ["x", "y"] {
            first.listens_for(&identity(browser));
        }
        second.listens_for(&identity("x"));
        assert_eq!(admission.lock().browsers.len(), 1, "two sessions of one browser, each counted once");
        let third = admission.admit(None).unwrap();
        assert_eq!(admission.admit(None).err(), Some(Full::Node));
        drop(first);
        assert_eq!(second.belongs_to(&user), Ok(()));
        drop((second, third));
        let state = admission.lock();
        assert_eq!((state.sessions, state.users.len(), state.addresses.len(), state.browsers.len()), (0, 0, 0, 0));
    }

    fn taken(turn: Turn) -> Duration {
        let wait = turn.wait;
        turn.take();
        wait
    }

    #[test]
    fn handshakes_that_go_hold_up_nobody() {
        let admission = admission(1, 1, 1);
        (0..1_000).for_each(|_| drop(admission.turn()));
        assert!((0..10).all(|_| taken(admission.turn()).is_zero()));
    }

    #[test]
    fn handshakes_beyond_the_rate_are_held_and_spread() {
        let admission = admission(1, 1, 1);
        let waits: Vec<Duration> = (0..110).map(|_| taken(admission.turn())).collect();
        assert!(waits[..10].iter().all(Duration::is_zero), "a burst of a tenth of a second passes: {:?}", &waits[..10]);
        // The hundred behind it take a second, and up to twice that with what spreads them.
        assert!(
            waits[109] > Duration::from_millis(500) && waits[109] < Duration::from_millis(2_010),
            "{:?}",
            waits[109]
        );
        assert!(!waits[10..].is_sorted(), "{waits:?}");
    }
}
