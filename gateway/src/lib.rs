//! Bellwire's gateway: reads the log, decides who gets what, serves browser tabs.
//!
//! - [`access`]: who may listen
//! - [`delivery`]: pure; the state machine that every gateway folds the log through
//! - [`protocol`]: pure; what the tabs speak
//! - [`trace`]: what happened to notifications, for `bellwire trace`
//! - [`pulse`]: whether all of it goes on
//! - [`app`]: puts the parts together: shards that read the log, sessions that serve tabs, the HTTP edge, the drain

pub mod access;
mod admission;
pub mod app;
mod assets;
pub mod delivery;
mod edge;
mod frames;
mod hub;
mod ledger;
mod liveness;
mod meters;
mod pace;
mod peer;
pub mod protocol;
pub mod pulse;
mod query;
mod relay;
mod session;
mod shard;
mod shards;
mod storm;
mod streams;
mod tab;
pub mod trace;

/// Whether a fault is planted: never here, see [`delivery::bug`].
pub(crate) const fn planted(_: delivery::bug::Bug) -> bool {
    false
}
