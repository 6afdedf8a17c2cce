//! How openITCOCKPIT is asked whose cookies those are. `bellwire doctor` asks in the same way.

use std::time::Duration;

use bellwire_common::fetch::{Client, Terms, TrustError};
use bellwire_common::settings::OpenItCockpit;

/// What is asked (openITCOCKPIT facts, 6.3).
const PATH: &str = "/angular/push_configuration.json?angular=true&includeUser=true";
const ANSWER_BYTES_MAX: u64 = 256 * 1024;

/// What it is told to answer in.
pub const ACCEPT: (&str, &[u8]) = ("accept", b"application/json");

/// The address that is asked.
#[must_use]
pub fn url(site: &OpenItCockpit) -> String {
    format!("{}{PATH}", site.origin)
}

/// A client that asks it. Answers must come within `timeout`.
pub fn client(site: &OpenItCockpit, timeout: Duration, concurrency: usize) -> Result<Client, TrustError> {
    let terms = Terms { timeout, concurrency, answer_bytes_max: ANSWER_BYTES_MAX, ca: site.ca.clone() };
    Client::to(&site.origin, &terms)
}
