//! How many nodes live, as one that may read two layouts sees it. Pure.

use std::time::{Duration, Instant};

use crate::ledger::Layout;

/// A layout that was not read for so long says nothing of who lives now: a node that reads reports every second, and one
/// that has not read of itself for half of this attaches anew.
const CURRENT: Duration = Duration::from_secs(10);

/// The living nodes of each layout, and when they were counted.
#[derive(Debug, Default)]
pub(super) struct Living([Option<(usize, Instant)>; Layout::ALL.len()]);

impl Living {
    /// A layout's nodes were counted. Gives how many live: while the number of shards changes, nodes that read one layout only
    /// are met there only, so that the larger count is the better one.
    pub(super) fn on_read(&mut self, layout: Layout, nodes: usize, now: Instant) -> usize {
        self.0[layout as usize] = Some((nodes, now));
        let current = self.0.iter().flatten().filter(|(_, at)| now.duration_since(*at) < CURRENT);
        current.map(|(nodes, _)| *nodes).max().unwrap_or(nodes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_larger_of_two_layouts_counts_while_both_are_read() {
        let (mut living, start) = (Living::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(living.on_read(Layout::Own, 2, at(0)), 2);
        assert_eq!(living.on_read(Layout::Also, 5, at(0)), 5);
        assert_eq!(living.on_read(Layout::Own, 3, at(9)), 5);
        assert_eq!(living.on_read(Layout::Own, 3, at(10)), 3, "the other one is not read any more");
        assert_eq!(living.on_read(Layout::Also, 4, at(11)), 4, "it is again");
        assert_eq!(living.on_read(Layout::Also, 1, at(12)), 3);
    }
}
