//! What both sides of Bellwire share.
//!
//! Layers, each naming only those above it:
//!
//! 1. [`ids`]: newtypes with their limits, and the hash from a user to a shard; [`mod@network`]: what counts as one address
//! 2. [`notification`]: what is shown, its limits, its wording
//! 3. [`record`]: the envelope in which everything crosses the log
//! 4. [`log`]: the seam to the log, and its implementations (feature `runtime`)
//! 5. settings, metrics, spans, telemetry, http, fetch, directory, local, admin, lifecycle, watched, backoff (feature `runtime`)
//!
//! Without the feature `runtime` nothing here knows a clock, a socket, a disk or an async runtime.

pub mod ids;
pub mod network;
pub mod notification;
pub mod record;

#[cfg(feature = "runtime")]
pub mod admin;
#[cfg(feature = "runtime")]
pub mod backoff;
#[cfg(feature = "runtime")]
pub mod directory;
#[cfg(feature = "runtime")]
pub mod fetch;
#[cfg(feature = "runtime")]
pub mod http;
#[cfg(feature = "runtime")]
pub mod lifecycle;
#[cfg(feature = "runtime")]
pub mod local;
#[cfg(feature = "runtime")]
pub mod log;
#[cfg(feature = "runtime")]
pub mod metrics;
#[cfg(feature = "runtime")]
pub mod settings;
#[cfg(feature = "runtime")]
pub mod spans;
#[cfg(feature = "runtime")]
pub mod telemetry;
#[cfg(feature = "runtime")]
pub mod watched;
