//! Ingest as its senders meet it, on a log that remembers and fails when told to.

mod docs;
mod golden;
mod http;
mod metrics;
mod mutations;
mod openapi;
mod senders;
mod support;
