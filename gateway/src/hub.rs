//! What all sessions of a node share.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use bellwire_common::ids::{BrowserId, NodeId, UserId};
use ipnet::IpNet;

use crate::access::Access;
use crate::admission::{Admission, Ticket};
use crate::app::GatewaySettings;
use crate::meters::Meters;
use crate::protocol::{End, Identity, Protocol};
use crate::shards::Shards;
use crate::streams::Streams;
use crate::tab::Tab;

pub(crate) struct Hub {
    pub(crate) node: NodeId,
    pub(crate) shards: Shards,
    pub(crate) access: Access,
    pub(crate) ttl_ms: u64,
    pub(crate) meters: Arc<Meters>,
    pub(crate) admission: Arc<Admission>,
    pub(crate) streams: Streams,
    /// Addresses whose `X-Forwarded-For` is believed.
    pub(crate) trusted_proxies: Vec<IpNet>,
    digests: Vec<Protocol>,
    /// The versions of the status values that the sessions were woken for.
    told: Mutex<BTreeMap<String, u64>>,
    started: Instant,
    numbers: AtomicU64,
    draining: AtomicBool,
    seats: Mutex<HashMap<u64, Seated>>,
    ended: Notify,
}

/// A session, as all others know it.
struct Seated {
    protocol: Protocol,
    tab: Arc<Tab>,
    owner: Option<Owner>,
}

/// Whose session it is, known before it says so: by its handshake, or by its token.
pub(crate) struct Owner {
    user: UserId,
    browser: Option<BrowserId>,
}

/// A session's place among the others; its drop takes it out, and counts an end that nobody has counted.
pub(crate) struct Seat {
    pub(crate) hub: Arc<Hub>,
    pub(crate) number: u64,
    pub(crate) tab: Arc<Tab>,
    pub(crate) ticket: Ticket,
    protocol: Protocol,
}

impl Hub {
    pub(crate) fn new(node: NodeId, shards: Shards, settings: GatewaySettings, meters: Arc<Meters>) -> Arc<Self> {
        meters.sessions_max(settings.limits.sessions);
        Arc::new(Self {
            node,
            shards,
            access: settings.access,
            ttl_ms: settings.ttl_ms,
            meters,
            admission: Admission::new(settings.limits),
            streams: Streams::new(),
            trusted_proxies: settings.trusted_proxies,
            digests: settings.digests,
            told: Mutex::default(),
            started: Instant::now(),
            numbers: AtomicU64::new(1),
            draining: AtomicBool::new(false),
            seats: Mutex::default(),
            ended: Notify::new(),
        })
    }

    /// Whether tabs of this protocol show what a storm brings in digests.
    pub(crate) fn digests(&self, protocol: Protocol) -> bool {
        self.digests.contains(&protocol.spoken())
    }

    /// Milliseconds of the node's steady clock.
    pub(crate) fn now(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// The instant of a time of [`Hub::now`]; none when it is out of reach.
    pub(crate) fn instant(&self, at: u64) -> Option<Instant> {
        self.started.checked_add(Duration::from_millis(at))
    }

    pub(crate) fn seat(self: &Arc<Self>, protocol: Protocol, ticket: Ticket, owner: Option<Owner>) -> Seat {
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        let tab = Arc::new(Tab::default());
        self.lock().insert(number, Seated { protocol, tab: Arc::clone(&tab), owner });
        self.meters.session_opened(protocol);
        if self.is_draining() {
            // It came in between the handshake's look and the drain's list.
            tab.drain();
        }
        Seat { hub: Arc::clone(self), number, tab, ticket, protocol }
    }

    /// Counts the end of a session, once.
    pub(crate) fn ended(&self, protocol: Protocol, tab: &Tab, end: End) {
        if tab.count_end() {
            self.meters.session_closed(protocol, end);
        }
    }

    /// A status value of some shard has changed: wakes every session, unless it is one that they were told already. While
    /// the number of shards changes, the same values come with the other layout too.
    pub(crate) fn on_status(&self) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::take(&mut *told);
        *told = self.shards.status().into_iter().map(|(key, status)| (key, status.version)).collect();
        if *told == before {
            return;
        }
        drop(told);
        self.lock().values().for_each(|seated| seated.tab.status());
    }

    /// Ends the sessions of this user, of one browser or of all, and says how many.
    pub(crate) fn revoke(&self, user: &UserId, browser: Option<&BrowserId>) -> usize {
        // A session is in its user's shard of each layout: one is enough.
        let mut tabs = self.shards.own(user).1.tabs_of(user, browser);
        // Also those that have not said for whom they listen.
        let is_theirs = |seated: &&Seated| seated.owner.as_ref().is_some_and(|owner| owner.is(user, browser));
        let owned: Vec<_> = self.lock().values().filter(is_theirs).map(|seated| Arc::clone(&seated.tab)).collect();
        for tab in owned {
            if !tabs.iter().any(|known| Arc::ptr_eq(known, &tab)) {
                tabs.push(tab);
            }
        }
        let known = tabs.iter().filter(|tab| tab.revoke()).count();
        known + if browser.is_none() { self.access.revoke(user) } else { 0 }
    }

    /// From now on no session is taken.
    pub(crate) fn start_draining(&self) {
        self.draining.store(true, Ordering::Release);
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// The open sessions.
    pub(crate) fn tabs(&self) -> Vec<(Protocol, Arc<Tab>)> {
        self.lock().values().map(|seated| (seated.protocol, Arc::clone(&seated.tab))).collect()
    }

    pub(crate) fn sessions(&self) -> usize {
        self.lock().len()
    }

    /// Waits until one more session has ended.
    pub(crate) async fn session_ended(&self) {
        self.ended.notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Seated>> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Owner {
    /// By what the handshake says, and the user of its token.
    pub(crate) fn of(identity: Option<&Identity>, user: Option<&UserId>) -> Option<Self> {
        let browser = identity.map(|identity| identity.browser.clone());
        let user = identity.map(|identity| &identity.user).or(user)?.clone();
        Some(Self { user, browser })
    }

    fn is(&self, user: &UserId, browser: Option<&BrowserId>) -> bool {
        self.user == *user && browser.is_none_or(|browser| self.browser.as_ref() == Some(browser))
    }
}

impl Seat {
    /// Counts the session's end, once.
    pub(crate) fn ended(&self, end: End) {
        self.hub.ended(self.protocol, &self.tab, end);
    }

    /// What the client of an event stream proves with that it is the one; others need none.
    pub(crate) fn token(&self) -> Option<String> {
        (self.protocol == Protocol::Events).then(|| self.hub.streams.token(self.number))
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        // Only a panic, which is a defect of ours, gets here uncounted.
        self.ended(End::Internal);
        self.hub.lock().remove(&self.number);
        if self.protocol == Protocol::Events {
            self.hub.streams.close(self.number);
        }
        self.hub.ended.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_known_by_its_handshake_or_its_token() {
        let user = |text| UserId::try_new(text).unwrap();
        let browser = |text| BrowserId::try_new(text).unwrap();
        let identity = Identity { user: user("7"), browser: browser("b") };
        let owner = Owner::of(Some(&identity), None).unwrap();
        assert!(owner.is(&user("7"), None) && owner.is(&user("7"), Some(&browser("b"))));
        assert!(!owner.is(&user("8"), None) && !owner.is(&user("7"), Some(&browser("c"))));
        let owner = Owner::of(None, Some(&user("7"))).unwrap();
        assert!(owner.is(&user("7"), None) && !owner.is(&user("7"), Some(&browser("b"))));
        assert!(Owner::of(None, None).is_none());
    }
}
