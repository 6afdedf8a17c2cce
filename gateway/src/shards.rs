//! The shards of a node: those of its own layout, and of another one while the number of shards changes.
//!
//! A layout is a number of shards, each with its log. A notification is in one layout only: the one that its ingest had
//! then. So a node that reads both gives each session a place in its user's shard of both.

use std::collections::BTreeMap;
use std::sync::Arc;

use bellwire_common::ids::{self, UserId};
use bellwire_common::record::Status;

use crate::delivery::Reached;
use crate::ledger::Layout;
use crate::shard::Shard;

/// See the module.
pub(crate) struct Shards {
    /// First those of its own layout.
    all: Vec<Arc<Shard>>,
    own: u16,
    also: u16,
}

impl Shards {
    /// So many of each layout; there is at least one of its own.
    pub(crate) fn new(own: u16, also: u16, shard: impl Fn(Layout, ids::Shard) -> Arc<Shard>) -> Self {
        let of = |layout, count| (0..count).map(move |number| (layout, ids::Shard(number)));
        let all = of(Layout::Own, own).chain(of(Layout::Also, also)).map(|(layout, id)| shard(layout, id)).collect();
        Self { all, own, also }
    }

    /// Of both layouts.
    pub(crate) fn all(&self) -> &[Arc<Shard>] {
        &self.all
    }

    /// The user's shard in the node's own layout, and where it is in [`Shards::all`].
    pub(crate) fn own(&self, user: &UserId) -> (usize, &Arc<Shard>) {
        self.at(usize::from(ids::Shard::of(user, self.own).0))
    }

    /// The same in the other layout, if there is one.
    pub(crate) fn also(&self, user: &UserId) -> Option<(usize, &Arc<Shard>)> {
        (self.also > 0).then(|| self.at(usize::from(self.own + ids::Shard::of(user, self.also).0)))
    }

    /// How far each shard has been read.
    pub(crate) fn reached(&self) -> Box<[Reached]> {
        self.all.iter().map(|shard| shard.reached()).collect()
    }

    /// The last values that every session is told. Both layouts may have one, of which an ingest that has moved tells only
    /// one: the later counts.
    pub(crate) fn status(&self) -> BTreeMap<String, Status> {
        let mut latest: BTreeMap<String, Status> = BTreeMap::new();
        for status in self.all.iter().flat_map(|shard| shard.status()) {
            if latest.get(&status.key).is_none_or(|known| known.version < status.version) {
                latest.insert(status.key.clone(), status);
            }
        }
        latest
    }

    fn at(&self, index: usize) -> (usize, &Arc<Shard>) {
        (index, &self.all[index])
    }
}
