//! The cluster simulation: several gateways, one log, many tabs, one thread, one seed, no real time.
//!
//! What decides in production decides here: [`delivery`] and `liveness` are the gateway's own files, compiled again (links
//! beside this file), so that faults can be planted in them ([`planted()`]) which no build of the program knows. Around
//! them stand models of what is not pure: [`log`], and in [`world`] the loops of
//! `shard/driver.rs` and `session.rs`, the network and the pages.
//!
//! [`plan`] makes a schedule of a seed, [`world`] runs it, [`oracle`] judges the history: from what the tabs and the
//! ingests did and saw, never from what the machines believe. [`shrink`] makes a failing schedule small.

pub mod coverage;
pub mod delivery;
pub mod history;
#[allow(dead_code, reason = "the simulation has no metrics to tell")]
mod liveness;
pub mod log;
pub mod oracle;
pub mod plan;
mod planted;
pub mod shrink;
pub mod world;

/// What the gateway's own modules call their protocols.
mod protocol {
    pub(crate) use bellwire_gateway::protocol::{End, Protocol};
}

pub use self::planted::{plant, planted};
