//! One connected tab: a task with one loop over what the tab says, what the shard has for it, and its deadlines.
//!
//! There is no queue: a session is a position in its user's list, so that a slow tab holds no memory and delays only
//! itself.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::Message;
use futures_util::FutureExt;
use tokio::time::{Instant, Sleep, sleep_until, timeout};

use bellwire_common::ids::UnixMillis;
use bellwire_common::metrics::GATEWAY_TESTS;

use crate::access::{Denied, Pass, Standing};
use crate::delivery::Reached;
use crate::hub::Seat;
use crate::ledger::Layout;
use crate::liveness::{Due, Liveness, PING_EVERY_MS};
use crate::pace::{Allowance, Pace, Rate};
use crate::protocol::native::{self, ErrorCode};
use crate::protocol::{self, Dialect, End, Identity, Protocol, SharedKey, TabEvent, TestMessage};
use crate::tab::Reasons;

use self::places::Places;
use self::socket::{Heard, bytes_of};
pub(crate) use self::socket::{Socket, WebSocket};
use self::stopwatch::Stopwatch;
pub(crate) use self::stream::Stream;
use self::traced::Unproved;
use self::wire::test_record;
use self::write::Fed;

mod announce;
mod digest;
mod places;
mod proof;
mod socket;
mod stopwatch;
mod stream;
mod traced;
mod wire;
mod write;

/// Messages that are read before a tab is judged not to answer: what it said may be waiting.
const HEARD_MAX: usize = 64;
/// A tab that does not take its close frame in this time is cut.
const CLOSE_WITHIN: Duration = Duration::from_secs(1);
/// A session that is to go waits this long for the proof of what was sent last, so that it is not shown again elsewhere.
const PROOF_BEFORE_DRAIN_MS: u64 = 1_500;
/// A tab may ask for one test per second, and for this many at once.
const TESTS: Rate = Rate { every: 1_000, burst: 5 };
/// A test that the log does not take in this time has failed.
const TEST_WITHIN: Duration = Duration::from_secs(3);

/// See the module.
pub(crate) struct Session {
    socket: Socket,
    dialect: Dialect,
    seat: Seat,
    standing: Standing,
    /// When its token expires.
    expires: Option<u64>,
    /// The shared key that counted when it came: V1 tabs say it with each message, for as long as they are open.
    key: Option<SharedKey>,
    /// What the tab said before it was connected: a stream's request stands for its hello.
    first: Option<Box<TabEvent>>,
    liveness: Liveness,
    stopwatch: Stopwatch,
    unproved: Unproved,
    /// How far each shard had been read when the tab was greeted; until it is announced.
    greeted: Option<Box<[Reached]>>,
    places: Option<Places>,
    /// The node goes: nothing more is sent, and at this time the session ends.
    leaving: Option<u64>,
    /// Tests that it asked for.
    tests: Pace,
    allowance: Allowance,
}

/// Who comes in.
pub(crate) struct Arrival {
    pub(crate) protocol: Protocol,
    /// Whose tab it is, where the handshake says so.
    pub(crate) identity: Option<Identity>,
    /// What stands for its first message.
    pub(crate) first: Option<TabEvent>,
    pub(crate) pass: Pass,
}

/// Serves a tab until its session ends, and counts the end. The task is little more than a pointer: what only
/// messages need is allocated with them, because most tabs are idle most of the time.
pub(crate) fn serve(socket: Socket, seat: Seat, arrival: Arrival) -> impl Future<Output = ()> + Send {
    let Arrival { protocol, identity, first, pass } = arrival;
    let expires = pass.expires_in_ms(UnixMillis::now()).map(|after| seat.hub.now().saturating_add(after));
    let standing = seat.hub.access.enter(pass, seat.number, &seat.tab);
    let key = (protocol == Protocol::V1).then(|| seat.hub.access.keys().current()).flatten();
    let mut session = Box::new(Session {
        liveness: Liveness::new(protocol, seat.hub.now()),
        stopwatch: Stopwatch::default(),
        unproved: Unproved::default(),
        greeted: Some(seat.hub.shards.reached()),
        dialect: Dialect::new(protocol, identity, fastrand::u64(..)),
        socket,
        seat,
        standing,
        expires,
        key,
        first: first.map(Box::new),
        places: None,
        leaving: None,
        tests: Pace::default(),
        allowance: Allowance::default(),
    });
    async move {
        let end = match session.run().await {
            Ok(never) => match never {},
            Err(end) => end,
        };
        Box::pin(session.close(protocol, end)).await;
    }
}

impl Session {
    async fn run(&mut self) -> Result<Infallible, End> {
        Box::pin(self.greet()).await?;
        let tab = Arc::clone(&self.seat.tab);
        let mut timer = std::pin::pin!(sleep_until(Instant::now()));
        loop {
            let deadline = Box::pin(self.do_what_is_due()).await?;
            let reads_at = self.allowance.free_at();
            let may_read = reads_at <= self.seat.hub.now();
            self.arm(timer.as_mut(), if may_read { deadline } else { deadline.min(reads_at) });
            tokio::select! {
                // What a tab says too fast waits in its own network: ending it would bring it back to say it again.
                heard = self.socket.hear(), if may_read => Box::pin(self.on_message(heard)).await?,
                reasons = tab.woken() => Box::pin(self.on_woken(reasons)).await?,
                () = timer.as_mut() => {}
            }
        }
    }

    async fn greet(&mut self) -> Result<(), End> {
        if let Some(text) = self.dialect.first_frame() {
            self.feed_text(text.into()).await?;
        }
        if let Some(event) = self.first.take() {
            self.on_event(*event).await?;
        }
        self.feed_status().await?;
        self.flush().await
    }

    fn arm(&self, timer: std::pin::Pin<&mut Sleep>, deadline: u64) {
        let at = self.seat.hub.instant(deadline).map(Instant::from_std);
        let at = at.unwrap_or_else(|| Instant::now() + Duration::from_millis(PING_EVERY_MS));
        if timer.deadline() != at {
            timer.reset(at);
        }
    }

    // --- what the tab says ---

    async fn on_message(&mut self, heard: Heard) -> Result<(), End> {
        if let Heard::Message(message) = &heard {
            self.allowance.on_message(self.seat.hub.now(), bytes_of(message));
        }
        let step = match heard {
            Heard::Oversize => self.dialect.on_oversize(),
            Heard::End(end) => return Err(end),
            Heard::Message(Message::Pong(payload)) => {
                self.on_pong(&payload);
                return Ok(());
            }
            Heard::Message(Message::Ping(_)) => return Ok(()),
            Heard::Message(Message::Close(_)) => return Err(End::Closed),
            Heard::Message(Message::Binary(_)) => self.dialect.on_binary(),
            Heard::Message(Message::Text(text)) => {
                self.on_posted();
                let step = self.dialect.on_text(&text, self.key.as_ref());
                self.on_page_spoke(&step);
                step
            }
        };
        self.on_step(step).await
    }

    async fn on_step(&mut self, step: protocol::Step) -> Result<(), End> {
        if let Some(reply) = step.reply {
            self.feed_text(reply.into()).await?;
        }
        if let Some(event) = step.event {
            self.on_event(event).await?;
        }
        self.flush().await
    }

    async fn on_event(&mut self, event: TabEvent) -> Result<(), End> {
        match event {
            TabEvent::Announce { identity, cursor } => self.on_announce(identity, cursor.as_deref()).await?,
            TabEvent::PageProof(proof) => self.on_page_proof(&proof),
            TabEvent::Test(test) => self.on_test(test).await?,
            TabEvent::End(end) => {
                let _ = self.flush().await;
                return Err(end);
            }
        }
        Ok(())
    }

    async fn on_test(&mut self, test: TestMessage) -> Result<(), End> {
        if let Some(identity) = test.announce.clone() {
            self.on_announce(identity, None).await?;
        }
        // To the layout that the node writes to.
        let Some(place) = self.places.as_ref().and_then(|places| places.get(Layout::Own)) else { return Ok(()) };
        let now = self.seat.hub.now();
        if self.tests.free_at(TESTS) > now {
            GATEWAY_TESTS.count(&["limited"]);
            return self.complain(ErrorCode::Rate, "at most one test a second").await;
        }
        self.tests.take(now, TESTS, 1);
        // Beside the session: a log that does not answer must not keep the tab's pongs waiting.
        let append = place.shard.append(&test_record(&place.user, &test, self.seat.hub.ttl_ms));
        let tab = Arc::clone(&self.seat.tab);
        tokio::spawn(async move {
            let sent = matches!(timeout(TEST_WITHIN, append).await, Ok(Ok(())));
            GATEWAY_TESTS.count(&[if sent { "sent" } else { "unavailable" }]);
            if !sent {
                tab.test_failed();
            }
        });
        Ok(())
    }

    async fn complain(&mut self, code: ErrorCode, message: &str) -> Result<(), End> {
        if self.dialect.protocol().is_native() {
            self.feed_text(native::error(code, message).into()).await?;
        }
        Ok(())
    }

    // --- what the shard has ---

    async fn on_woken(&mut self, reasons: Reasons) -> Result<(), End> {
        if let Some(end) = reasons.end() {
            return Err(end);
        }
        if reasons.drain() && self.leaving.is_none() {
            let now = self.seat.hub.now();
            self.leaving = Some(now + PROOF_BEFORE_DRAIN_MS);
            for layout in Layout::ALL {
                self.feed_digest(layout).await?;
            }
            self.liveness.hurry(now);
            if self.dialect.protocol().is_native() {
                self.feed_text(native::drain(PROOF_BEFORE_DRAIN_MS).into()).await?;
            }
            self.flush().await?;
        }
        if reasons.prove() {
            self.liveness.ask(self.seat.hub.now());
        }
        if reasons.status() {
            self.feed_status().await?;
            self.flush().await?;
        }
        if reasons.test_failed() {
            self.complain(ErrorCode::Unavailable, "the log cannot be reached; try again").await?;
            self.flush().await?;
        }
        Ok(())
    }

    /// Sends what is next, and does what the deadlines ask for; says when to come back at the latest.
    async fn do_what_is_due(&mut self) -> Result<u64, End> {
        if self.expires.is_some_and(|at| at <= self.seat.hub.now()) {
            return Err(End::TokenExpired);
        }
        let mut fed = Fed::default();
        match self.leaving {
            None => fed = self.feed_next().await?,
            Some(until) if self.may_leave(until) => return Err(End::Drain),
            Some(_) => {}
        }
        let mut wrote = fed.any;
        let mut heard = false;
        let deadline = loop {
            let now = self.seat.hub.now();
            match self.liveness.due(now) {
                Due::Ping(upto) => self.feed_ping(now, upto).await?,
                Due::Greeting(upto) => self.feed_greeting(now, upto).await?,
                Due::Judge if !heard => {
                    heard = true;
                    self.hear().await?;
                    continue;
                }
                Due::Judge => {
                    self.judge(now)?;
                    continue;
                }
                Due::Wait(deadline) => break deadline,
            }
            wrote = true;
        };
        if wrote {
            self.flush().await?;
        }
        let deadline = if fed.more { self.seat.hub.now() } else { deadline };
        let digest = self.places.as_ref().and_then(Places::digest_due_at).filter(|_| self.leaving.is_none());
        let deadline = digest.map_or(deadline, |due| due.min(deadline));
        Ok([self.leaving, self.expires].into_iter().flatten().fold(deadline, u64::min))
    }

    /// Reads what the tab has said already.
    async fn hear(&mut self) -> Result<(), End> {
        for _ in 0..HEARD_MAX {
            let Some(heard) = self.socket.hear().now_or_never() else { break };
            self.on_message(heard).await?;
        }
        Ok(())
    }

    /// The tab does not answer: another one takes over, or the session ends.
    fn judge(&mut self, now: u64) -> Result<(), End> {
        let floods = self.allowance.free_at() > now;
        if self.liveness.judge(now).map_err(|end| if floods { End::Flood } else { end })?
            && let Some(places) = &self.places
        {
            places.stall();
        }
        Ok(())
    }

    /// A native client may connect elsewhere until the time that it was told; others only wait for their last proof.
    fn may_leave(&self, until: u64) -> bool {
        let done = !self.dialect.protocol().is_native() && self.liveness.all_proved();
        done || self.seat.hub.now() >= until
    }

    /// Ends the session: tells the shard, counts, and closes the connection in the way that the protocol needs.
    async fn close(&mut self, protocol: Protocol, end: End) {
        self.places = None;
        self.seat.ended(end);
        if matches!(end, End::BadKey | End::WrongUser) {
            self.seat.hub.access.failed(self.seat.ticket.address(), Denied::Key);
        }
        if let Some((code, reason)) = end.close_frame(protocol) {
            let _ = timeout(CLOSE_WITHIN, self.socket.close(code, reason)).await;
        } else if end == End::Closed {
            // The answer to the tab's close frame is waiting in the socket's buffer.
            let _ = timeout(CLOSE_WITHIN, self.socket.flush()).await;
        }
    }
}
