//! Bellwire's ingest: notifications come in by HTTP and go to the log; the answer waits for the log's word.
//!
//! Stateless: several may run beside each other, and a sender may repeat what it is not sure of, because readers
//! drop what they have by its id. [`app`] ties the parts together, [`http`] translates and decides nothing,
//! `lookup` asks openITCOCKPIT's
//! database, `intake` decides and is pure. `docs/ingest.md` is the promise to senders.

mod alerts;
pub mod app;
pub mod export;
mod failures;
pub mod http;
mod id;
mod intake;
mod lookup;
pub mod tokens;

pub use alerts::{ALERT_USERS_MAX, LABELS_MAX, SHOWN_AGAIN_AFTER_MS};
pub use app::{Ingest, IngestSettings, Limits};
pub use failures::FAILURES_PER_MINUTE_MAX;
pub use http::{not_found, router};
pub use intake::BATCH_ITEMS_MAX;
pub use tokens::Tokens;
