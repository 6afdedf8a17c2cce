//! How long notifications take from their acceptance to the tab's proof: of what was written since the last proof, the
//! oldest. It waited longest, and one is what a session can keep without a list.

use bellwire_common::ids::{Offset, UnixMillis};

use crate::delivery::Position;
use crate::meters::Proved;

/// A notification whose proof is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Timed {
    pub(super) offset: Offset,
    pub(super) accepted_at: UnixMillis,
    /// The tab opened when this node had read it already.
    pub(super) opened_later: bool,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Stopwatch {
    link: Option<Timed>,
    page: Option<Timed>,
}

impl Stopwatch {
    pub(super) fn on_written(&mut self, timed: Timed) {
        self.link.get_or_insert(timed);
        self.page.get_or_insert(timed);
    }

    /// A proof of everything below `upto`: of what it is the first one.
    pub(super) fn on_proof(&mut self, proof: Proved, upto: Position) -> Option<Timed> {
        let timed = match proof {
            Proved::Link => &mut self.link,
            Proved::Page => &mut self.page,
        };
        timed.take_if(|timed| upto.covers(timed.offset))
    }

    /// Another log stands where the old one was.
    pub(super) fn on_replaced(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timed(offset: u64) -> Timed {
        Timed { offset: Offset(offset), accepted_at: UnixMillis(1_000 + offset), opened_later: false }
    }

    #[test]
    fn of_each_burst_the_oldest_is_timed_once_for_each_proof() {
        let mut watch = Stopwatch::default();
        let upto = |offset| Position::after(Offset(offset));
        assert_eq!(watch.on_proof(Proved::Page, upto(9)), None, "nothing was written");
        for offset in [3, 4, 5] {
            watch.on_written(timed(offset));
        }
        assert_eq!(watch.on_proof(Proved::Link, upto(2)), None, "not of what was written");
        assert_eq!(watch.on_proof(Proved::Link, upto(4)), Some(timed(3)));
        assert_eq!(watch.on_proof(Proved::Link, upto(5)), None, "once");
        assert_eq!(watch.on_proof(Proved::Page, upto(5)), Some(timed(3)));
        watch.on_written(timed(6));
        assert_eq!(watch.on_proof(Proved::Page, upto(6)), Some(timed(6)));
        watch.on_replaced();
        assert_eq!(watch.on_proof(Proved::Link, upto(9)), None, "another log");
    }
}
