//! A node's side of a connection: what `session.rs` does.

use bellwire_common::ids::{BrowserId, Offset};
use bellwire_gateway::protocol::Protocol;

use super::ingest::user_id;
use super::{Event, Frame, Message, Session, State, World};
use crate::delivery::reporter::Mine;
use crate::delivery::{Position, bug::Bug};
use crate::history::Ms;
use crate::liveness::{Due, Liveness};
use crate::plan::Kind;
use crate::planted;

const FETCH_MAX: usize = 32;
const PROOF_BEFORE_DRAIN_MS: Ms = 1_500;
/// What a notification's frame takes.
const FRAME_BYTES: usize = 600;

impl World {
    pub(super) fn on_accept(&mut self, connection: usize) {
        let history = &mut self.history.connections[connection];
        let (index, protocol) = (history.node, history.protocol);
        if history.ended.is_some() {
            return;
        }
        if !matches!(self.nodes[index].state, State::Serving) {
            return self.send(connection, Frame::End);
        }
        history.greeted = Some(self.now);
        let greeted_at = self.nodes[index].replica.reached();
        let node = &mut self.nodes[index];
        node.numbers += 1;
        let number = node.numbers;
        let liveness = Liveness::new(protocol, self.now);
        let (generation, leaving) = (None, None);
        let session = Session {
            connection,
            protocol,
            liveness,
            greeted_at,
            generation,
            epoch: 0,
            leaving,
            tick_at: 0,
            wants: false,
        };
        node.sessions.insert(number, session);
        if protocol != Protocol::Native {
            self.send(connection, Frame::Greeting(None));
        }
        self.serve(index, number);
    }

    fn session_of(&self, connection: usize) -> Option<(usize, u64)> {
        let index = self.history.connections[connection].node;
        let found = self.nodes[index].sessions.iter().find(|(_, session)| session.connection == connection);
        found.map(|(&number, _)| (index, number))
    }

    pub(super) fn on_message(&mut self, connection: usize, message: Message) {
        let Some((index, number)) = self.session_of(connection) else { return };
        let now = self.now;
        let applied = self.applied(index);
        let Some(session) = self.nodes[index].sessions.get_mut(&number) else { return };
        if !matches!(message, Message::Pong(_) | Message::Close | Message::Broken)
            && session.liveness.on_page_spoke(now)
        {
            let upto = session.liveness.written();
            self.confirm(index, number, upto);
        }
        let Some(session) = self.nodes[index].sessions.get_mut(&number) else { return };
        match message {
            Message::Close | Message::Broken => return self.end(index, number, false),
            Message::Pong(upto) => {
                let link = session.liveness.on_pong(now, upto).is_some();
                if link && planted(Bug::LinkIsEnough) {
                    let (upto, _) = session.liveness.on_page_proof(now, upto);
                    self.confirm(index, number, upto);
                }
            }
            Message::KeepAlive | Message::NativePong => {}
            Message::Register(echo) => {
                if !session.wants {
                    self.announce(index, number, Position::default());
                }
                if let Some((epoch, offset)) = echo {
                    self.prove(index, number, epoch, Offset(offset));
                }
            }
            Message::Hello(kept) => {
                let claimed = kept.filter(|(epoch, _)| *epoch == self.log.epoch).map(|(_, offset)| Offset(offset));
                let claimed = claimed.map_or_else(Position::default, Position::after);
                self.announce(index, number, if claimed <= applied { claimed } else { Position::default() });
            }
            Message::Ack(epoch, offset) => {
                self.prove(index, number, epoch, Offset(offset));
            }
        }
        self.serve(index, number);
        self.look(index);
    }

    fn announce(&mut self, index: usize, number: u64, claimed: Position) {
        let now = self.now;
        let Some(session) = self.nodes[index].sessions.get_mut(&number) else { return };
        session.wants = true;
        session.liveness.on_announced();
        let reached = session.greeted_at;
        let history = &mut self.history.connections[session.connection];
        history.announced = Some(now);
        let user = user_id(self.history.browsers[history.browser].user);
        let browser = BrowserId::try_new(&format!("b{}", history.browser)).expect("a browser");
        let mine = Mine { user, browser, from: None, confirmed: claimed, stalled: false, digests: number % 2 == 1 };
        self.tell(|| format!("session {}-{number} announced: {mine:?}", self.nodes[index].id));
        let node = &mut self.nodes[index];
        let generation = node.replica.open(now, number, reached, mine);
        if let Some(session) = node.sessions.get_mut(&number) {
            session.generation = Some(generation);
            session.epoch = node.reader.epoch;
        }
    }

    /// A proof for another log is none.
    fn prove(&mut self, index: usize, number: u64, epoch: u32, offset: Offset) {
        let now = self.now;
        let Some(session) = self.nodes[index].sessions.get(&number) else { return };
        if session.epoch != epoch {
            return;
        }
        let connection = session.connection;
        if Position::after(offset) <= session.liveness.written() {
            self.history.connections[connection].proofs.push((now, epoch, offset.0));
        }
        let Some(session) = self.nodes[index].sessions.get_mut(&number) else { return };
        let (upto, _) = session.liveness.on_page_proof(now, Position::after(offset));
        self.confirm(index, number, upto);
    }

    fn confirm(&mut self, index: usize, number: u64, upto: Position) {
        let now = self.now;
        let node = &mut self.nodes[index];
        if let Some(generation) = node.sessions.get(&number).and_then(|session| session.generation) {
            node.replica.confirm(now, number, generation, upto);
        }
    }

    pub(super) fn tell_to_go(&mut self, index: usize, number: u64) {
        let now = self.now;
        if let Some(session) = self.nodes[index].sessions.get_mut(&number) {
            session.leaving = Some(now + PROOF_BEFORE_DRAIN_MS);
            session.liveness.hurry(now);
        }
        self.serve(index, number);
    }

    pub(super) fn on_session_tick(&mut self, index: usize, number: u64) {
        if self.nodes[index].sessions.get(&number).is_some_and(|session| session.tick_at <= self.now) {
            self.serve(index, number);
        }
    }

    /// Sends what is next, and does what is due.
    pub(super) fn serve(&mut self, index: usize, number: u64) {
        if self.nodes[index].frozen_until > self.now || self.nodes[index].state == State::Dead {
            return;
        }
        let Some(session) = self.nodes[index].sessions.get(&number) else { return };
        let mut more = false;
        match session.leaving {
            None => more = self.feed(index, number),
            Some(until) => {
                let done = session.protocol != Protocol::Native && session.liveness.all_proved();
                if done || self.now >= until {
                    self.history.connections[session.connection].drained = true;
                    return self.end(index, number, true);
                }
            }
        }
        let now = self.now;
        let deadline = loop {
            let Some(session) = self.nodes[index].sessions.get_mut(&number) else { return };
            let connection = session.connection;
            match session.liveness.due(now) {
                Due::Ping(upto) => {
                    session.liveness.on_ping_sent(now, upto);
                    self.send(connection, Frame::Ping(upto));
                }
                Due::Greeting(upto) => {
                    session.liveness.on_greeting_sent(now, upto);
                    let native = session.protocol == Protocol::Native;
                    let epoch = session.epoch;
                    let greeting = Frame::Greeting(upto.last().map(|offset| (epoch, offset.0)));
                    self.send(connection, if native { Frame::NativePing } else { greeting });
                }
                Due::Judge => match session.liveness.judge(now) {
                    Err(_) => return self.end(index, number, true),
                    Ok(true) => self.nodes[index].replica.stall(now, number),
                    Ok(false) => {}
                },
                Due::Wait(deadline) => break deadline,
            }
        };
        let Some(session) = self.nodes[index].sessions.get_mut(&number) else { return };
        let at = session.leaving.map_or(deadline, |until| until.min(deadline));
        let at = if more { now } else { at };
        if session.tick_at != at || at <= now {
            session.tick_at = at.max(now + 1);
            let at = session.tick_at;
            self.at(at, Event::SessionTick { node: index, number });
        }
        self.look_soon(index);
    }

    /// Sends what waits, one fetch at the most; whether more may be waiting.
    fn feed(&mut self, index: usize, own: u64) -> bool {
        let now = self.now;
        let node = &mut self.nodes[index];
        let Some(session) = node.sessions.get_mut(&own) else { return false };
        let Some(generation) = session.generation else { return false };
        let mut next = node.replica.next(now, own, session.liveness.written(), FETCH_MAX);
        if next.generation != generation {
            session.generation = Some(next.generation);
            session.epoch = node.reader.epoch;
            session.liveness.on_replaced();
            next = node.replica.next(now, own, session.liveness.written(), FETCH_MAX);
        }
        let (connection, epoch, more) = (session.connection, session.epoch, next.held.len() == FETCH_MAX);
        for held in next.held {
            let upto = Position::after(held.offset);
            let Some(session) = self.nodes[index].sessions.get_mut(&own) else { return false };
            let ping = session.liveness.on_written(now, upto, FRAME_BYTES);
            if ping {
                session.liveness.on_ping_sent(now, upto);
            }
            let number = usize::from_str_radix(held.id.as_str(), 16).expect("a number");
            self.tell(|| format!("node {index} sends {number} on connection {connection}"));
            self.send(connection, Frame::Notification { sent: now, epoch, offset: held.offset.0, number });
            if ping {
                self.send(connection, Frame::Ping(upto));
            }
        }
        more
    }

    /// The node ends a session, or notices its end.
    pub(super) fn end(&mut self, index: usize, number: u64, tell: bool) {
        let Some(session) = self.nodes[index].sessions.remove(&number) else { return };
        if session.generation.is_some() {
            self.nodes[index].replica.close(self.now, number);
        }
        self.history.connections[session.connection].ended.get_or_insert(self.now);
        self.tell(|| format!("session {}-{number} ends", self.nodes[index].id));
        if tell {
            self.send(session.connection, Frame::End);
        }
        self.look(index);
    }

    fn look_soon(&mut self, index: usize) {
        let at = self.nodes[index].replica.deadline();
        if at < self.nodes[index].tick_at {
            self.nodes[index].tick_at = at.max(self.now);
            let at = self.nodes[index].tick_at;
            self.at(at, Event::Tick { node: index });
        }
    }

    /// Trouble of a kind that no step brings has happened.
    pub(super) fn happened(&mut self, kind: Kind) {
        self.history.faults.push(kind);
    }
}
