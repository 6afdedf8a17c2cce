//! What a session with two places has written, and how far a proof takes it in each of the two logs. Pure.
//!
//! A proof stands for one position ([`crate::liveness`]). A session that reads two logs counts its writes and lets that
//! position be the number of a write; what each number stands for is kept here until it is proved. A proof is never
//! taken for more than was written before it.

use std::collections::VecDeque;

use crate::delivery::Position;

/// Writes that are remembered one by one. Of those beyond it only the last is, so that a proof in between is worth less
/// than it might be, and the proof of all is worth all. A page that answers reaches a tenth of it.
const WRITES_MAX: usize = 256;

/// Which of the two numbers of shards a log belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layout {
    /// The node's own: the one that it writes to.
    Own,
    /// The other one that it reads, while the number of shards changes.
    Also,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// Of the last write.
    number: u64,
    /// Written, or passed over.
    written: [Position; Layout::ALL.len()],
    proved: [Position; Layout::ALL.len()],
    /// Those that are not proved.
    writes: VecDeque<Write>,
}

#[derive(Debug, Clone, Copy)]
struct Write {
    number: u64,
    /// The logs that it is of: one, or both where it stands for those before it that are not remembered.
    of: [bool; Layout::ALL.len()],
    /// What had been written when this was.
    written: [Position; Layout::ALL.len()],
}

impl Layout {
    pub(crate) const ALL: [Self; 2] = [Self::Own, Self::Also];

    pub(crate) fn other(self) -> Self {
        match self {
            Self::Own => Self::Also,
            Self::Also => Self::Own,
        }
    }
}

impl Ledger {
    /// Behind what was written or passed over in a log.
    pub(crate) fn written(&self, layout: Layout) -> Position {
        self.written[layout as usize]
    }

    /// Behind what is proved in a log.
    pub(crate) fn proved(&self, layout: Layout) -> Position {
        self.proved[layout as usize]
    }

    /// Something was written, so that everything below `upto` now is. Gives the number that stands for it and for all
    /// before it.
    pub(crate) fn on_written(&mut self, layout: Layout, upto: Position) -> Position {
        self.pass_over(layout, upto);
        self.number += 1;
        let forgotten = if self.writes.len() >= WRITES_MAX { self.writes.pop_back() } else { None };
        let mut of = forgotten.map_or([false; Layout::ALL.len()], |write| write.of);
        of[layout as usize] = true;
        self.writes.push_back(Write { number: self.number, of, written: self.written });
        Position::from_u64(self.number)
    }

    /// Something is not to be written: it needs no proof of its own. Whether it is had at once, for nothing else is waited for.
    pub(crate) fn on_skipped(&mut self, layout: Layout, upto: Position) -> bool {
        self.pass_over(layout, upto);
        self.settle()
    }

    /// The number that an acknowledgement of this position stands for: that of the write, or of one before it. What was never
    /// written stands for nothing new.
    pub(crate) fn number_of(&self, layout: Layout, upto: Position) -> Position {
        let proved = self.writes.front().map_or(self.number, |first| first.number - 1);
        let is_had = |write: &&Write| write.of[layout as usize] && write.written[layout as usize] <= upto;
        let found = self.writes.iter().rev().find(is_had).filter(|_| upto <= self.written(layout));
        Position::from_u64(found.map_or(proved, |write| write.number))
    }

    /// Everything up to this number is proved.
    pub(crate) fn on_proved(&mut self, number: Position) {
        while let Some(write) = self.writes.front().filter(|write| write.number <= number.as_u64()) {
            self.proved = write.written;
            self.writes.pop_front();
        }
        self.settle();
    }

    /// Another log stands where one was: its positions mean nothing any more.
    pub(crate) fn on_replaced(&mut self, layout: Layout) {
        let index = layout as usize;
        (self.written[index], self.proved[index]) = (Position::default(), Position::default());
        for write in &mut self.writes {
            write.written[index] = Position::default();
            write.of[index] = false;
        }
        // An acknowledgement that is on its way must find none of these.
        self.writes.retain(|write| write.of.contains(&true));
        self.settle();
    }

    fn pass_over(&mut self, layout: Layout, upto: Position) {
        let written = &mut self.written[layout as usize];
        *written = upto.max(*written);
    }

    /// Where no proof is waited for, everything is had.
    fn settle(&mut self) -> bool {
        let is_settled = self.writes.is_empty();
        if is_settled {
            self.proved = self.written;
        }
        is_settled
    }
}

#[cfg(test)]
mod tests;
