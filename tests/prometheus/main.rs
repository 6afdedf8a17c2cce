//! The alerts and the dashboard that Bellwire ships, in the real promtool and a real Prometheus beside real nodes.

mod alerts;
mod board;
mod incident;
mod queries;
mod scale;
mod server;
mod shipped;
mod site;
mod spare;
mod troubles;

/// By this all ranges and waiting times of the shipped rules are divided, so that what takes minutes in production is seen
/// in seconds; thresholds stay as they are. Scrapes come every other second in place of each minute: one that a busy
/// machine answers late is not missed.
const SCALE: u64 = 30;
