//! What `GET /trace` answers, as JSON. `bellwire trace` reads it with the same types. Times are milliseconds since 1970.

use serde::{Deserialize, Serialize};

/// Notifications in an answer, and browsers, tabs and repeats in each list of it, at the most: more than anybody reads,
/// and an answer of some megabytes at the worst. What is left out is counted.
pub const LISTED_MAX: usize = 100;

/// How often it is listed that one notification was sent to one browser; more than that tells the same.
pub const SENT_MAX: usize = 8;

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// The node that answers.
    pub node: String,
    /// Its clock.
    pub at: u64,
    /// What happened before this time is not known to it any more.
    pub since: u64,
    /// Logs of shards of which this node sends nothing at present: it cannot read the log, or not write to it. Those of the
    /// notifications that are listed; without any, those that could have one.
    pub not_sending: Vec<String>,
    /// The user that was asked for.
    pub user: Option<User>,
    /// The same in the other layout, where this node reads two (`shards-also`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_also: Option<User>,
    /// The newest, in the order of their acceptance.
    pub notifications: Vec<Story>,
    /// How many older ones there are beside those.
    pub left_out: usize,
}

/// A user, now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// Who.
    pub id: String,
    /// The shard of its notifications.
    pub shard: u16,
    /// The name of that shard's log.
    pub log: String,
    /// The last offset of it that this node has read.
    pub applied: Option<u64>,
    /// Its browsers.
    pub browsers: Vec<Browser>,
    /// How many more there are.
    pub browsers_left_out: usize,
}

/// A browser of a user, now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Browser {
    /// Which.
    pub id: String,
    /// The last offset that it is known to have.
    pub cursor: Option<u64>,
    /// Since when it has no tab (0: since before this node knows the time); none while it has one.
    pub away_since: Option<u64>,
    /// Its tabs, the one that shows what comes first.
    pub tabs: Vec<Tab>,
    /// How many more there are.
    pub tabs_left_out: usize,
}

/// An open tab, now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tab {
    /// The node that holds its connection.
    pub node: String,
    /// That node's number of it.
    pub session: u64,
    /// It is the one of its browser that shows what comes.
    pub owner: bool,
    /// It does not answer.
    pub stalled: bool,
    /// Its node is lost to the others.
    pub node_lost: bool,
}

/// What happened to a notification.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Story {
    /// Its id.
    pub id: String,
    /// Who was to receive it.
    pub user: String,
    /// Its shard.
    pub shard: u16,
    /// The name of that shard's log.
    pub log: String,
    /// Where it stands there.
    pub offset: u64,
    /// By the clock of the ingest.
    pub accepted_at: u64,
    /// When it is no longer worth showing.
    pub expires_at: u64,
    /// What became of it.
    pub state: State,
    /// Why and when it ended, confirmed or not.
    pub dropped: Option<Dropped>,
    /// Where it was appended again with the same id, and dropped as a repeat.
    pub repeats: Vec<Repeat>,
    /// How many more of those there are.
    pub repeats_left_out: usize,
    /// The browsers of its user.
    pub browsers: Vec<Way>,
    /// How many more there are.
    pub browsers_left_out: usize,
}

/// What became of a notification; the metrics count the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// A browser of its user has confirmed it, and shown it by itself.
    Delivered,
    /// A browser of its user has confirmed it, and shown it in the digest of a storm.
    Digested,
    /// Nobody has confirmed it yet.
    Waiting,
    /// It ended before anybody confirmed it.
    Dropped,
}

/// The end of a notification: after it nobody is sent it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dropped {
    /// `expired`, `user_bound` or `shard_bound`, as in the metrics.
    pub reason: String,
    /// Log time; 0 before there was any.
    pub at: u64,
}

/// The same notification again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repeat {
    /// Where it stands.
    pub offset: u64,
    /// By the clock of the ingest.
    pub accepted_at: u64,
}

/// A notification's way to one browser.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Way {
    /// The browser.
    pub id: String,
    /// How far it came.
    pub state: WayState,
    /// When this node sent it; the last times.
    pub sent: Vec<Sent>,
    /// How often it did before that.
    pub sent_left_out: usize,
    /// Who confirmed it.
    pub confirmed: Option<Confirmed>,
    /// The tab that is to show it, while it waits for one.
    pub tab: Option<Tab>,
    /// Since when the browser has had no tab, while it waits for one.
    pub away_since: Option<u64>,
}

/// How far a notification came to a browser.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WayState {
    /// Its page has proved that it has it.
    Confirmed,
    /// It waits for the tab's proof.
    Waiting,
    /// It waits for the browser to open a tab.
    Away,
    /// The browser opened later, when others had it already.
    NotThere,
    /// It was dropped before the browser confirmed it.
    Dropped,
    /// It ended before a proof of the browser that would cover it, and this node had not sent it to the tab that proved:
    /// the browser has it or not.
    Late,
    /// The browser was away for so long that nothing is kept for it.
    Forgotten,
}

/// This node wrote it to a tab.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sent {
    /// This node's number of the tab.
    pub session: u64,
    /// What the tab speaks: `v1`, `v2` or `native`.
    pub protocol: String,
    /// By this node's clock.
    pub at: u64,
}

/// A node reported that a tab has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confirmed {
    /// The node that reported it.
    pub node: String,
    /// That node's number of the tab.
    pub session: u64,
    /// By that node's clock; it reports once a second.
    pub at: u64,
    /// The browser said so when the tab opened, or the node when it named its tabs: it had it before.
    pub before: bool,
    /// It was shown there in the digest of a storm.
    pub digested: bool,
}
