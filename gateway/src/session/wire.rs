//! What a session makes of the socket's words, and what it writes to the log itself.

use std::future::Future;
use std::time::Duration;

use tokio::time::timeout;

use bellwire_common::ids::{NotificationId, UnixMillis, UserId};
use bellwire_common::record::{Notify, Record};

use crate::liveness::PONG_WITHIN_MS;
use crate::protocol::{End, TestMessage};

/// A write that makes no progress for this long ends the session.
pub(super) const WRITE_WITHIN: Duration = Duration::from_millis(PONG_WITHIN_MS);

pub(super) async fn within(write: impl Future<Output = Result<(), End>>) -> Result<(), End> {
    timeout(WRITE_WITHIN, write).await.unwrap_or(Err(End::WriteTimeout))
}

pub(super) fn test_record(user: &UserId, test: &TestMessage, ttl_ms: u64) -> Record {
    let now = UnixMillis::now();
    let timestamp = i64::try_from(now.0 / 1000).unwrap_or(i64::MAX);
    let payload = serde_json::to_vec(&test.notification(timestamp)).unwrap_or_default();
    Record::Notify(Notify {
        id: NotificationId::of_bits(fastrand::u128(..)),
        user: user.clone(),
        accepted_at: now,
        expires_at: now.plus(ttl_ms),
        payload: payload.into(),
    })
}
