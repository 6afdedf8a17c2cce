//! What a tab proves to have, and how long that took.

use super::Session;
use crate::delivery::Position;
use crate::meters::Proved;
use crate::protocol::{self, Protocol};

impl Session {
    /// In a stream whatever its client says is the proof of the link.
    pub(super) fn on_posted(&mut self) {
        if self.dialect.protocol() == Protocol::Events
            && let Some(after_ms) = self.liveness.on_posted(self.seat.hub.now())
        {
            self.seat.hub.meters.link_proved(after_ms);
        }
    }

    pub(super) fn on_page_spoke(&mut self, step: &protocol::Step) {
        if step.is_of_a_page(self.dialect.announced()) && self.liveness.on_page_spoke(self.seat.hub.now()) {
            self.confirm(self.liveness.written());
        }
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
    pub(super) fn time(&mut self, proof: Proved, upto: Position) {
        if let Some(timed) = self.stopwatch.on_proof(proof, upto) {
            self.seat.hub.meters.delivered(proof, timed.opened_later, timed.accepted_at);
        }
    }
}
