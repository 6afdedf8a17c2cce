//! The spans of what a session writes, until its tab proves that it has it. None of this is used where nothing is traced.

use std::collections::VecDeque;
use std::time::SystemTime;

use bellwire_common::spans::{self, Span, Step, Traced};

use super::Session;
use crate::delivery::{Held, Position};
use crate::frames::Frames;
use crate::ledger::Layout;
use crate::meters::Proved;

/// Notifications whose proof one session waits for at a time; the spans of older ones are let go.
const UNPROVED_MAX: usize = 64;

/// What was written and is not proved, for each kind of proof, in the order of writing. Idle sessions have no room for it.
#[derive(Debug)]
pub(super) struct Unproved<T = Written>(Option<Box<Waiting<T>>>);

/// By what its proof stands for at least.
#[derive(Debug)]
struct Waiting<T> {
    link: VecDeque<(Position, T)>,
    page: VecDeque<(Position, T)>,
}

/// A notification, and the span of its proof, which ends with it.
#[derive(Debug, Clone)]
pub(super) struct Written {
    traced: Traced,
    span: Span,
}

impl Session {
    pub(super) fn trace_written(&mut self, layout: Layout, held: &Held<Frames>) {
        let Some(place) = self.places.as_ref().and_then(|places| places.get(layout)) else { return };
        let Some(traced) = Traced::of(&place.user, &held.id) else { return };
        let ((shard, node), now) = (place.shard.place(), SystemTime::now());
        let span = Span::new(Step::Write, shard, spans::wall(held.extra.read_at), now);
        let span = Span { node: Some(node), protocol: Some(self.dialect.protocol().label()), ..span };
        traced.record(&span);
        let span = Span { step: Step::Confirm, began: now, ..span };
        self.unproved.on_written(self.liveness.written(), Written { traced, span });
    }
}

impl Unproved {
    /// A proof of everything below `upto`: of each, the first one counts.
    pub(super) fn on_proof(&mut self, proof: Proved, upto: Position) {
        if self.0.is_none() {
            return;
        }
        let ended = SystemTime::now();
        for Written { traced, span } in self.proved(proof, upto) {
            traced.record(&Span { ended, proof: Some(proof.label()), ..span });
        }
    }
}

impl<T: Clone> Unproved<T> {
    fn on_written(&mut self, upto: Position, written: T) {
        let waiting = self.0.get_or_insert_with(|| Box::new(Waiting { link: VecDeque::new(), page: VecDeque::new() }));
        for queue in [&mut waiting.link, &mut waiting.page] {
            if queue.len() == UNPROVED_MAX {
                queue.pop_front();
            }
            queue.push_back((upto, written.clone()));
        }
    }

    fn proved(&mut self, proof: Proved, upto: Position) -> Vec<T> {
        let Some(waiting) = &mut self.0 else { return Vec::new() };
        let queue = match proof {
            Proved::Link => &mut waiting.link,
            Proved::Page => &mut waiting.page,
        };
        let proved = queue.iter().take_while(|(at_least, _)| upto >= *at_least).count();
        queue.drain(..proved).map(|(_, written)| written).collect()
    }

    /// Another log stands where the old one was.
    pub(super) fn on_replaced(&mut self) {
        self.0 = None;
    }
}

impl<T> Default for Unproved<T> {
    fn default() -> Self {
        Self(None)
    }
}

#[cfg(test)]
mod tests {
    use bellwire_common::ids::Offset;

    use super::*;

    fn upto(offset: u64) -> Position {
        Position::after(Offset(offset))
    }

    #[test]
    fn each_is_proved_once_by_each_kind_of_proof() {
        let mut unproved = Unproved::default();
        assert!(unproved.proved(Proved::Link, upto(9)).is_empty(), "nothing was written");
        for offset in [3, 4, 5] {
            unproved.on_written(upto(offset), offset);
        }
        assert!(unproved.proved(Proved::Link, upto(2)).is_empty(), "not of what was written");
        assert_eq!(unproved.proved(Proved::Link, upto(4)), [3, 4]);
        assert_eq!(unproved.proved(Proved::Link, upto(9)), [5]);
        assert_eq!(unproved.proved(Proved::Page, upto(5)), [3, 4, 5]);
        unproved.on_written(upto(6), 6);
        unproved.on_replaced();
        assert!(unproved.proved(Proved::Page, upto(9)).is_empty(), "another log");
    }

    #[test]
    fn a_tab_without_proofs_costs_no_more_than_the_bound() {
        let mut unproved = Unproved::default();
        let last = UNPROVED_MAX as u64 * 3;
        (1..=last).for_each(|offset| unproved.on_written(upto(offset), offset));
        let proved = unproved.proved(Proved::Page, upto(last));
        assert_eq!((proved.len(), proved.last()), (UNPROVED_MAX, Some(&last)));
    }
}
