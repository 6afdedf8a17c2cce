//! What happened, as the ingests, the tabs and the fault injection know it. The oracle knows nothing else.

use bellwire_gateway::protocol::Protocol;

use crate::plan::Kind;

/// Milliseconds of true time.
pub type Ms = u64;

/// A stretch of time in which something was broken.
pub type Span = (Ms, Ms);

/// A notification that an ingest has tried to append.
#[derive(Debug, Clone)]
pub struct Sent {
    /// Whose.
    pub user: usize,
    /// When the ingest took it, in true time.
    pub taken: Ms,
    /// When it was answered with 202; none if it never was.
    pub accepted: Option<Ms>,
    /// When its first record reached the log, which log that was, and its offset.
    pub first: Option<Landed>,
    /// Records of it in the last log.
    pub records: u64,
    /// What its records say.
    pub expires_at: Ms,
}

/// Where a record stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Landed {
    /// When.
    pub at: Ms,
    /// In which log: it may be replaced.
    pub epoch: u32,
    /// Where.
    pub offset: u64,
}

/// A notification that a page has handled.
#[derive(Debug, Clone, Copy)]
pub struct Shown {
    /// When.
    pub at: Ms,
    /// When its node decided to send it.
    pub sent: Ms,
    /// In which log it stood, and where.
    pub epoch: u32,
    /// See `epoch`.
    pub offset: u64,
    /// Which one ([`History::sent`]).
    pub number: usize,
}

/// One connection of a tab.
#[derive(Debug, Clone)]
pub struct Connection {
    /// Which browser ([`History::browsers`]).
    pub browser: usize,
    /// What it speaks.
    pub protocol: Protocol,
    /// Which node ([`History::nodes`]).
    pub node: usize,
    /// When the node greeted it (native: took it).
    pub greeted: Option<Ms>,
    /// When the node learned that it wants notifications.
    pub announced: Option<Ms>,
    /// When it ended on either side, the earlier.
    pub ended: Option<Ms>,
    /// The node ended it because it was drained.
    pub drained: bool,
    /// What its page has handled, in that order.
    pub shown: Vec<Shown>,
    /// Proofs of the page that reached its node: when, and up to and with which offset of which log.
    pub proofs: Vec<(Ms, u32, u64)>,
    /// When the link carried nothing, or the page hung.
    pub broken: Vec<Span>,
}

/// One browser profile of a user.
#[derive(Debug, Clone, Copy)]
pub struct Browser {
    /// Whose ([`Sent::user`]).
    pub user: usize,
}

/// One life of a gateway.
#[derive(Debug, Clone)]
pub struct NodeLife {
    /// When it began to read.
    pub started: Ms,
    /// When it crashed.
    pub crashed: Option<Ms>,
    /// When it had left after a drain.
    pub left: Option<Ms>,
    /// When it was frozen, or could not read or could not write.
    pub broken: Vec<(Span, Kind)>,
}

/// All of it.
#[derive(Debug, Default)]
pub struct History {
    /// Notifications.
    pub sent: Vec<Sent>,
    /// Connections.
    pub connections: Vec<Connection>,
    /// Browsers.
    pub browsers: Vec<Browser>,
    /// Nodes.
    pub nodes: Vec<NodeLife>,
    /// Kinds of fault that have really happened, as often as they did.
    pub faults: Vec<Kind>,
    /// Outcomes that nodes have counted: delivered, digested, expired, user bound, shard bound, duplicate.
    pub counted: [u64; 6],
    /// The log that is there now.
    pub epoch: u32,
    /// When it was replaced.
    pub replaced: Vec<Ms>,
    /// Whether an append of a node has failed or was late, in which stretch.
    pub writes_broken: Vec<Span>,
}

/// Whether `span` touches the time from `from` to `to`.
#[must_use]
pub fn touches(span: Span, from: Ms, to: Ms) -> bool {
    span.0 <= to && span.1 >= from
}

impl History {
    /// Whether a kind of fault has happened.
    #[must_use]
    pub fn had(&self, kind: Kind) -> bool {
        self.faults.contains(&kind)
    }
}
