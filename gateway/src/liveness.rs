//! Whether a tab lives, and what it has proved to have. Pure: times come in as milliseconds of one steady clock.
//!
//! Two proofs (design, section 5). *Link*: the pong to a ping whose payload is the position: the browser has everything
//! before it, though its page may hang. An event stream has no pong but the page's: whatever its client says by POST. *Page*: the
//! page's own answer, a native `ack` or the echo of a repeated greeting. Only the page's proof moves the cursor.

use crate::delivery::Position;
use crate::delivery::bug::Bug;
use crate::planted;
use crate::protocol::{End, Protocol};

/// A ping at least this often: proxies cut what is silent for 60 s, and half-open connections must show.
pub(crate) const PING_EVERY_MS: u64 = 25_000;
/// A pong later than this ends the session.
pub(crate) const PONG_WITHIN_MS: u64 = 12_000;
/// In a burst a ping after so many bytes, so that a slow link that moves is not taken for a dead one.
pub(crate) const PING_EVERY_BYTES: usize = 16 * 1024;
/// At most one repeated greeting in this time: each makes the page register again.
pub(crate) const GREETING_EVERY_MS: u64 = 1_000;
/// Without a proof for this long the browser's next tab takes over (rule 11).
pub(crate) const STALL_AFTER_MS: u64 = 5_000;
/// V1 and V2 pages speak every 30 s, in the background once a minute; after this they hang (rule 11).
pub(crate) const PAGE_SILENT_MS: u64 = 150_000;
/// A V1 tab cannot come back, so it is only demoted; after this long without an answer it is given up.
pub(crate) const V1_GIVEN_UP_MS: u64 = 15 * 60 * 1_000;
/// The request that opened a stream proves so long that its tab lives, where the tab never says anything else.
pub(crate) const FRESH_MS: u64 = 30_000;
/// A native tab says hello within this time.
pub(crate) const HELLO_WITHIN_MS: u64 = 10_000;

const _: () = {
    // A page is asked before it is judged, and a tab handed over before its connection is given up.
    assert!(GREETING_EVERY_MS < STALL_AFTER_MS && STALL_AFTER_MS < PONG_WITHIN_MS);
    // Of two streams that never say anything the newer one is left standing when the older one has stalled.
    assert!(FRESH_MS > 2 * STALL_AFTER_MS);
    // Something goes to the tab, or its connection ends, before a proxy cuts what is silent for a minute.
    assert!(PING_EVERY_MS + PONG_WITHIN_MS < 60_000);
    // A page in the background that misses one of its minutes does not hang.
    assert!(PAGE_SILENT_MS > 2 * 60_000 && PAGE_SILENT_MS < V1_GIVEN_UP_MS);
};

/// What is to be done now, or when to ask again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Due {
    /// Send a ping that stands for the position, then ask again.
    Ping(Position),
    /// Ask the page for a proof that stands for the position: repeat the greeting (V1, V2), or say `ping` (native).
    Greeting(Position),
    /// The tab has not answered in time: read what may be waiting, then [`Liveness::judge`], then ask again.
    Judge,
    /// Nothing before this time.
    Wait(u64),
}

/// One session's proofs and deadlines.
#[derive(Debug)]
pub(crate) struct Liveness {
    protocol: Protocol,
    opened_at: u64,
    announced: bool,
    /// Sent to the tab.
    written: Position,
    /// Proved by the page.
    proved: Position,
    ping: Option<(u64, Position)>,
    ponged: Position,
    pinged: Position,
    pinged_at: u64,
    unpinged_bytes: u32,
    greeted: Position,
    greeted_at: u64,
    /// Oldest thing that the page has not answered: a write, or being asked.
    unproved_since: Option<u64>,
    proved_at: u64,
    /// Asked for a proof without a write.
    asked: bool,
    page_spoke_at: u64,
    stalled_since: Option<u64>,
    /// The client of an event stream has said something, so it can; until then nothing is expected of it.
    posts: bool,
    /// When it was asked, though it cannot answer: a newer session of its browser may be the one that lives.
    mute_asked_at: Option<u64>,
}

impl Liveness {
    pub(crate) fn new(protocol: Protocol, now: u64) -> Self {
        Self {
            protocol,
            opened_at: now,
            announced: false,
            written: Position::default(),
            proved: Position::default(),
            ping: None,
            ponged: Position::default(),
            pinged: Position::default(),
            pinged_at: now,
            unpinged_bytes: 0,
            greeted: Position::default(),
            greeted_at: if protocol == Protocol::Events { now.saturating_sub(GREETING_EVERY_MS) } else { now },
            unproved_since: None,
            proved_at: now,
            asked: false,
            page_spoke_at: now,
            stalled_since: None,
            posts: false,
            mute_asked_at: None,
        }
    }

    /// What was sent so far.
    pub(crate) fn written(&self) -> Position {
        self.written
    }

    /// The page has proved that it has all that was written.
    pub(crate) fn all_proved(&self) -> bool {
        self.proved >= self.written
    }

    pub(crate) fn on_announced(&mut self) {
        self.announced = true;
        // Its client's answer shows that it has the other way too, and shows the client whether that leads here.
        self.asked |= self.protocol == Protocol::Events;
    }

    /// The client of an event stream said something: how long after it was pinged, if it owed an answer.
    pub(crate) fn on_posted(&mut self, now: u64) -> Option<u64> {
        if !std::mem::replace(&mut self.posts, true) {
            self.proved_at = now;
        }
        self.ping.take().map(|(sent_at, _)| now.saturating_sub(sent_at))
    }

    /// A notification was written; whether a ping is due in the middle of the burst.
    pub(crate) fn on_written(&mut self, now: u64, upto: Position, bytes: usize) -> bool {
        self.written = self.written.max(upto);
        self.unproved_since.get_or_insert(now);
        self.unpinged_bytes = self.unpinged_bytes.saturating_add(u32::try_from(bytes).unwrap_or(u32::MAX));
        self.unpinged_bytes as usize >= PING_EVERY_BYTES
    }

    pub(crate) fn on_ping_sent(&mut self, now: u64, upto: Position) {
        if !self.is_mute() {
            self.ping.get_or_insert((now, upto));
        }
        self.pinged = upto;
        self.pinged_at = now;
        self.unpinged_bytes = 0;
    }

    pub(crate) fn on_greeting_sent(&mut self, now: u64, upto: Position) {
        self.greeted = upto;
        self.greeted_at = now;
        self.asked = false;
    }

    /// A pong came; how long the answer to its ping took, if it is one.
    pub(crate) fn on_pong(&mut self, now: u64, upto: Position) -> Option<u64> {
        let (sent_at, expected) = self.ping?;
        if upto > self.written {
            return None;
        }
        if upto < expected {
            // In a burst: the link moves, if the pong is for more than the one before.
            if upto > self.ponged {
                self.ponged = upto;
                self.ping = Some((now, expected));
            }
            return None;
        }
        self.ponged = upto;
        self.ping = (upto < self.pinged).then_some((now, self.pinged));
        Some(now.saturating_sub(sent_at))
    }

    /// A notification that cannot be shown is passed over; there is nothing to prove.
    pub(crate) fn on_skipped(&mut self, upto: Position) {
        self.written = self.written.max(upto);
    }

    /// Another log stands where the old one was: what was written and proved means nothing there.
    pub(crate) fn on_replaced(&mut self) {
        if planted(Bug::KeepPositions) {
            return;
        }
        let start = Position::default();
        (self.written, self.proved, self.ponged, self.pinged, self.greeted) = (start, start, start, start, start);
        (self.ping, self.unproved_since) = (None, None);
    }

    /// The page proved something: up to where (nothing new, if that was never written), and how long it took.
    pub(crate) fn on_page_proof(&mut self, now: u64, upto: Position) -> (Position, u64) {
        let since = if self.protocol.is_native() { self.unproved_since } else { Some(self.greeted_at) };
        self.page_spoke_at = now;
        self.proved_at = now;
        self.stalled_since = None;
        if upto <= self.written {
            self.proved = self.proved.max(upto);
        }
        if self.proved >= self.written {
            self.unproved_since = None;
        }
        (self.proved, now.saturating_sub(since.unwrap_or(now)))
    }

    /// The page said something. If it owes no proof of a notification, that proves that it lives: whether this ends a
    /// stall.
    pub(crate) fn on_page_spoke(&mut self, now: u64) -> bool {
        self.page_spoke_at = now;
        if self.proved < self.written {
            return false;
        }
        self.proved_at = now;
        self.unproved_since = None;
        self.stalled_since.take().is_some()
    }

    /// Another tab of the browser has opened: this one must prove that it lives (rule 11).
    pub(crate) fn ask(&mut self, now: u64) {
        self.asked = true;
        if self.is_mute() && now >= self.opened_at + FRESH_MS {
            self.mute_asked_at.get_or_insert(now);
        }
        self.unproved_since.get_or_insert(now);
        self.proved_at = self.proved_at.min(now);
    }

    /// The session is to end: the page must prove at once what it has, so that nothing is shown again elsewhere.
    pub(crate) fn hurry(&mut self, now: u64) {
        self.ask(now);
        self.greeted_at = self.greeted_at.min(now.saturating_sub(GREETING_EVERY_MS));
    }

    /// What is to be done at `now`.
    pub(crate) fn due(&mut self, now: u64) -> Due {
        if self.end(now).is_some() {
            return Due::Judge;
        }
        // The page of a stream acknowledges, and has no browser that would answer sooner.
        let unpinged = self.written > self.pinged && self.protocol != Protocol::Events;
        if self.ping.is_none() && (unpinged || now >= self.pinged_at + PING_EVERY_MS) {
            return Due::Ping(self.written);
        }
        if self.greeting_at().is_some_and(|at| now >= at) {
            return Due::Greeting(self.written);
        }
        if self.stalls(now) {
            return Due::Judge;
        }
        Due::Wait(self.next_deadline())
    }

    /// Whether the tab is stalled from now on, all that it said having been read; an error ends its session.
    pub(crate) fn judge(&mut self, now: u64) -> Result<bool, End> {
        if let Some(end) = self.end(now) {
            return Err(end);
        }
        let stalls = self.stalls(now);
        if stalls {
            self.stalled_since = Some(now);
        }
        Ok(stalls)
    }

    fn end(&self, now: u64) -> Option<End> {
        let no_pong = self.ping.is_some_and(|(sent_at, _)| now >= sent_at + PONG_WITHIN_MS);
        if self.cannot_come_back() {
            let given_up = self.stalled_since.is_some_and(|since| now >= since + V1_GIVEN_UP_MS);
            return given_up.then_some(End::Silent);
        }
        if no_pong {
            return Some(End::PongTimeout);
        }
        if self.protocol == Protocol::V1 && now >= self.page_spoke_at + PAGE_SILENT_MS {
            return Some(End::Silent);
        }
        let no_hello = self.protocol == Protocol::Native && !self.announced && now >= self.opened_at + HELLO_WITHIN_MS;
        no_hello.then_some(End::HelloTimeout)
    }

    /// A V1 page that has registered is silent for ever once its connection is gone.
    fn cannot_come_back(&self) -> bool {
        self.protocol == Protocol::V1 && self.announced
    }

    /// A plain `EventSource` says nothing ever; its next request tells what it has.
    fn is_mute(&self) -> bool {
        self.protocol == Protocol::Events && !self.posts
    }

    fn stalls(&self, now: u64) -> bool {
        self.announced && self.stalled_since.is_none() && self.stall_at().is_some_and(|at| now >= at)
    }

    fn stall_at(&self) -> Option<u64> {
        if planted(Bug::NeverStall) {
            return None;
        }
        if self.is_mute() {
            return self.mute_asked_at.map(|at| at + STALL_AFTER_MS);
        }
        let unproved = self.unproved_since.map(|since| since.max(self.proved_at) + STALL_AFTER_MS);
        let silent = (!self.protocol.is_native()).then(|| self.page_spoke_at + PAGE_SILENT_MS);
        let dead_link =
            self.ping.filter(|_| self.protocol == Protocol::V1).map(|(sent_at, _)| sent_at + PONG_WITHIN_MS);
        [unproved, silent, dead_link].into_iter().flatten().min()
    }

    /// A native page acknowledges by itself; it is asked in another's interest, and so that it can notice a dead link.
    fn greeting_at(&self) -> Option<u64> {
        if !self.announced {
            return None;
        }
        if self.asked || (self.written > self.greeted && !self.protocol.is_native()) {
            return Some(self.greeted_at + GREETING_EVERY_MS);
        }
        (self.protocol == Protocol::Native).then_some(self.greeted_at + PING_EVERY_MS)
    }

    fn next_deadline(&self) -> u64 {
        let ping = self.ping.is_none().then(|| self.pinged_at + PING_EVERY_MS);
        let pong = self.ping.filter(|_| !self.cannot_come_back()).map(|(sent_at, _)| sent_at + PONG_WITHIN_MS);
        let stall = self.stall_at().filter(|_| self.announced && self.stalled_since.is_none());
        let silent = (self.protocol == Protocol::V1 && !self.announced).then(|| self.page_spoke_at + PAGE_SILENT_MS);
        let hello = (self.protocol == Protocol::Native && !self.announced).then(|| self.opened_at + HELLO_WITHIN_MS);
        let give_up = self.stalled_since.filter(|_| self.cannot_come_back()).map(|since| since + V1_GIVEN_UP_MS);
        [self.greeting_at(), ping, pong, stall, silent, hello, give_up].into_iter().flatten().min().unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use bellwire_common::ids::Offset;

    use super::*;

    const P: fn(u64) -> Position = |n| Position::after(Offset(n));
    const START: Position = Position::from_u64(0);

    /// It is to be judged, and this is the judgement.
    fn judged(tab: &mut Liveness, now: u64) -> Result<bool, End> {
        assert_eq!(tab.due(now), Due::Judge);
        tab.judge(now)
    }

    fn announced(protocol: Protocol) -> Liveness {
        let mut liveness = Liveness::new(protocol, 0);
        liveness.on_announced();
        liveness
    }

    #[test]
    fn a_burst_is_covered_by_one_ping_and_one_greeting() {
        let mut tab = announced(Protocol::V2);
        for n in 1..=3 {
            assert!(!tab.on_written(2_000, P(n), 100));
        }
        assert_eq!(tab.due(2_000), Due::Ping(P(3)));
        tab.on_ping_sent(2_000, P(3));
        assert_eq!(tab.due(2_000), Due::Greeting(P(3)));
        tab.on_greeting_sent(2_000, P(3));
        assert_eq!(tab.due(2_000), Due::Wait(7_000));
    }

    #[test]
    fn greetings_come_at_most_once_a_second() {
        let mut tab = announced(Protocol::V1);
        tab.on_written(100, P(1), 100);
        tab.on_ping_sent(100, P(1));
        assert_eq!(tab.due(100), Due::Wait(1_000));
        assert_eq!(tab.due(1_000), Due::Greeting(P(1)));
    }

    #[test]
    fn pongs_do_not_keep_a_hanging_page_from_stalling() {
        let mut tab = announced(Protocol::V2);
        tab.on_written(2_000, P(1), 100);
        tab.on_ping_sent(2_000, P(1));
        tab.on_greeting_sent(2_000, P(1));
        assert_eq!(tab.on_pong(2_003, P(1)), Some(3));
        assert_eq!(tab.due(6_999), Due::Wait(7_000));
        assert_eq!(judged(&mut tab, 7_000), Ok(true));
        assert!(matches!(tab.due(7_000), Due::Wait(_)));
        assert_eq!(tab.on_page_proof(9_000, P(1)).0, P(1));
        tab.on_written(10_000, P(2), 100);
        tab.on_ping_sent(10_000, P(2));
        tab.on_greeting_sent(10_000, P(2));
        assert_eq!(judged(&mut tab, 15_000), Ok(true));
    }

    #[test]
    fn no_pong_ends_v2_and_native_and_demotes_v1() {
        for protocol in [Protocol::V2, Protocol::Native] {
            let mut tab = announced(protocol);
            assert_eq!(tab.due(25_000), Due::Ping(Position::default()));
            tab.on_ping_sent(25_000, Position::default());
            tab.on_greeting_sent(25_000, Position::default());
            assert_eq!(tab.due(36_999), Due::Wait(37_000));
            assert_eq!(judged(&mut tab, 37_000), Err(End::PongTimeout));
        }
        let mut tab = announced(Protocol::V1);
        tab.on_ping_sent(25_000, Position::default());
        assert_eq!(judged(&mut tab, 37_000), Ok(true));
        assert_eq!(tab.due(37_000), Due::Wait(37_000 + V1_GIVEN_UP_MS));
        assert_eq!(judged(&mut tab, 37_000 + V1_GIVEN_UP_MS), Err(End::Silent));
    }

    #[test]
    fn a_proof_beyond_what_was_written_proves_nothing() {
        let mut tab = announced(Protocol::Native);
        tab.on_written(1, P(5), 10);
        assert_eq!(tab.on_page_proof(2, P(99)).0, Position::default());
        assert_eq!(tab.on_pong(3, P(99)), None);
    }

    #[test]
    fn a_native_tab_must_say_hello() {
        let mut tab = Liveness::new(Protocol::Native, 0);
        assert_eq!(judged(&mut tab, HELLO_WITHIN_MS), Err(End::HelloTimeout));
    }

    #[test]
    fn being_asked_asks_the_page() {
        let mut tab = announced(Protocol::V2);
        tab.ask(3_000);
        assert_eq!(tab.due(3_000), Due::Greeting(Position::default()));
        tab.on_greeting_sent(3_000, Position::default());
        assert_eq!(judged(&mut tab, 8_000), Ok(true));
        tab.on_page_proof(8_001, Position::default());
        assert!(matches!(tab.due(8_001), Due::Wait(_)));
    }

    #[test]
    fn a_long_burst_is_pinged_on_its_way() {
        let mut tab = announced(Protocol::Native);
        assert!(!tab.on_written(1, P(1), PING_EVERY_BYTES - 1));
        assert!(tab.on_written(1, P(2), 1));
        tab.on_ping_sent(1, P(2));
        assert!(!tab.on_written(1, P(3), 10));
        tab.on_ping_sent(1, P(3));
        assert_eq!(tab.on_pong(5, P(2)), Some(4));
        assert!(matches!(tab.due(5), Due::Wait(at) if at == 5 + PONG_WITHIN_MS || at == 1 + STALL_AFTER_MS));
    }

    #[test]
    fn a_v1_connection_that_never_registers_does_not_stay() {
        let mut tab = Liveness::new(Protocol::V1, 0);
        assert_eq!(tab.due(25_000), Due::Ping(Position::default()));
        tab.on_ping_sent(25_000, Position::default());
        assert_eq!(tab.due(25_000), Due::Wait(37_000));
        assert_eq!(judged(&mut tab, 37_000), Err(End::PongTimeout));
        let mut tab = Liveness::new(Protocol::V1, 0);
        tab.on_ping_sent(PAGE_SILENT_MS - 1, Position::default());
        assert_eq!(tab.due(PAGE_SILENT_MS - 1), Due::Wait(PAGE_SILENT_MS));
        assert_eq!(judged(&mut tab, PAGE_SILENT_MS), Err(End::Silent));
    }

    #[test]
    fn a_tab_is_asked_before_it_is_judged() {
        let mut tab = announced(Protocol::V2);
        tab.on_written(2_000, P(1), 100);
        tab.on_ping_sent(2_000, P(1));
        assert_eq!(tab.due(8_000), Due::Greeting(P(1)));
    }

    #[test]
    fn another_log_begins_anew() {
        let mut tab = announced(Protocol::V2);
        tab.on_written(2_000, P(9), 100);
        tab.on_ping_sent(2_000, P(9));
        tab.on_greeting_sent(2_000, P(9));
        tab.on_replaced();
        assert_eq!((tab.written(), tab.all_proved()), (Position::default(), true));
        tab.on_written(3_000, P(0), 100);
        assert_eq!(tab.due(3_000), Due::Ping(P(0)));
        assert_eq!(tab.on_page_proof(3_001, P(9)).0, Position::default(), "a proof of the old log");
    }

    /// A plain `EventSource` on a machine that is gone must not keep what comes from the one that took its place.
    #[test]
    fn a_stream_that_says_nothing_gives_way_to_a_newer_one() {
        let mut old = announced(Protocol::Events);
        old.on_written(1_000, P(1), 10);
        assert!(matches!(old.due(60_000), Due::Greeting(_) | Due::Ping(_)));
        old.on_greeting_sent(60_000, P(1));
        old.on_ping_sent(60_000, P(1));
        assert!(matches!(old.due(80_000), Due::Wait(_)), "nobody asks");
        old.ask(80_000);
        old.on_greeting_sent(80_000, P(1));
        old.on_ping_sent(80_000, P(1));
        assert_eq!(judged(&mut old, 85_000), Ok(true));
        // The newer one is asked because the older one has stalled.
        let mut new = Liveness::new(Protocol::Events, 80_000);
        new.on_announced();
        new.on_greeting_sent(80_000, START);
        new.ask(85_000);
        new.on_greeting_sent(86_000, START);
        assert!(matches!(new.due(95_000), Due::Wait(_)), "its request has just proved that it lives");
    }

    #[test]
    fn what_cannot_be_shown_is_not_waited_for() {
        let mut tab = announced(Protocol::Native);
        tab.on_skipped(P(3));
        assert_eq!(tab.written(), P(3));
        assert!(tab.stall_at().is_none());
    }

    /// When the streams of the tests below are opened.
    const OPENED: u64 = 10_000;

    fn stream() -> Liveness {
        let mut tab = Liveness::new(Protocol::Events, OPENED);
        tab.on_announced();
        assert_eq!(tab.due(OPENED), Due::Greeting(START), "asked at once");
        tab.on_greeting_sent(OPENED, START);
        tab
    }

    /// One whose client has answered its first ping.
    fn posting() -> Liveness {
        let mut tab = stream();
        assert_eq!(tab.on_posted(OPENED + 100), None);
        assert!(!tab.on_page_spoke(OPENED + 100));
        tab
    }

    #[test]
    fn a_stream_whose_client_says_nothing_is_pinged_and_never_judged() {
        let mut tab = stream();
        tab.on_written(OPENED, P(1), 100);
        for at in (1..100).map(|n| OPENED + n * PING_EVERY_MS) {
            assert_eq!(tab.due(at - 1), Due::Wait(at));
            assert_eq!(tab.due(at), Due::Ping(P(1)));
            tab.on_ping_sent(at, P(1));
            assert_eq!(tab.judge(at), Ok(false));
        }
    }

    #[test]
    fn a_stream_whose_client_can_speak_owes_answers() {
        let mut tab = posting();
        let (first, second) = (OPENED + PING_EVERY_MS, OPENED + 2 * PING_EVERY_MS);
        assert_eq!(tab.due(first), Due::Ping(START));
        tab.on_ping_sent(first, START);
        assert_eq!(tab.on_posted(first + 300), Some(300));
        assert_eq!(tab.on_posted(first + 400), None, "once for each ping");
        assert_eq!(tab.due(second), Due::Ping(START));
        tab.on_ping_sent(second, START);
        let late = second + PONG_WITHIN_MS;
        assert_eq!(tab.due(late - 1), Due::Wait(late));
        assert_eq!(judged(&mut tab, late), Err(End::PongTimeout));
    }

    #[test]
    fn a_stream_that_does_not_acknowledge_stalls_once_its_client_could() {
        let mut tab = posting();
        let (written, late) = (OPENED + 1_000, OPENED + 1_000 + STALL_AFTER_MS);
        tab.on_written(written, P(1), 100);
        assert_eq!(tab.due(late - 1), Due::Wait(late));
        assert_eq!(judged(&mut tab, late), Ok(true));
        assert_eq!(tab.on_page_proof(late + 1_000, P(1)), (P(1), STALL_AFTER_MS + 1_000));
        assert_eq!(tab.stalled_since, None);
    }

    #[test]
    fn a_stream_whose_client_speaks_late_has_the_usual_time_from_then_on() {
        let mut tab = stream();
        tab.on_written(OPENED, P(1), 100);
        let spoke = OPENED + 2 * STALL_AFTER_MS;
        tab.on_posted(spoke);
        assert!(!tab.on_page_spoke(spoke));
        assert_eq!(tab.due(spoke), Due::Wait(spoke + STALL_AFTER_MS));
        assert_eq!(judged(&mut tab, spoke + STALL_AFTER_MS), Ok(true));
    }
}
