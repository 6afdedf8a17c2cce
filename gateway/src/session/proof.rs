//! What a tab proves to have, and how long that took.

use super::Session;
use crate::delivery::Position;
use crate::meters::Proved;
use crate::protocol::{Proof, Protocol, Step, native};

impl Session {
    /// In a stream whatever its client says is the proof of the link.
    pub(super) fn on_posted(&mut self) {
        if self.dialect.protocol() == Protocol::Events
            && let Some(after_ms) = self.liveness.on_posted(self.seat.hub.now())
        {
            self.seat.hub.meters.link_proved(after_ms);
        }
    }

    pub(super) fn on_page_spoke(&mut self, step: &Step) {
        if step.is_of_a_page(self.dialect.announced()) && self.liveness.on_page_spoke(self.seat.hub.now()) {
            self.confirm(self.liveness.written());
        }
    }

    pub(super) fn on_page_proof(&mut self, proof: &Proof) {
        let Some(places) = &self.places else { return };
        let upto = match proof {
            Proof::Offset(offset) => Some(Position::after(*offset)),
            Proof::Cursor(token) => native::cursors_of(token)
                .filter_map(|(log, offset)| places.acknowledged(log, Position::after(offset)))
                .max(),
        };
        let Some(upto) = upto else { return };
        let (upto, after_ms) = self.liveness.on_page_proof(self.seat.hub.now(), upto);
        self.seat.hub.meters.page_proved(after_ms);
        self.time(Proved::Page, upto);
        self.confirm(upto);
    }

    pub(super) fn on_pong(&mut self, payload: &[u8]) {
        let Ok(bytes) = payload.try_into() else { return };
        let upto = Position::from_u64(u64::from_be_bytes(bytes));
        if let Some(after_ms) = self.liveness.on_pong(self.seat.hub.now(), upto) {
            self.seat.hub.meters.link_proved(after_ms);
            self.time(Proved::Link, upto);
        }
    }

    /// Measures what a proof is the first one of.
    fn time(&mut self, proof: Proved, upto: Position) {
        if let Some(timed) = self.stopwatch.on_proof(proof, upto) {
            self.seat.hub.meters.delivered(proof, timed.opened_later, timed.accepted_at);
        }
        self.unproved.on_proof(proof, upto);
    }

    fn confirm(&mut self, upto: Position) {
        if let Some(places) = &mut self.places {
            places.on_proved(upto);
        }
    }
}
