//! The handle by which everybody else reaches a session's task.

use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use tokio::sync::Notify;

use crate::protocol::End;

const NEXT: u8 = 1;
const PROVE: u8 = 2;
const STATUS: u8 = 4;
const DRAIN: u8 = 8;
const TEST_FAILED: u8 = 16;
const REVOKED: u8 = 32;
const LOGGED_OUT: u8 = 64;

/// Wakes a session and says why. Reasons add up until the session takes them.
#[derive(Debug, Default)]
pub(crate) struct Tab {
    reasons: AtomicU8,
    wake: Notify,
    /// Its end has been counted.
    counted: AtomicBool,
}

/// Why a session was woken.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reasons(u8);

impl Tab {
    /// There may be something to send.
    pub(crate) fn next(&self) {
        self.signal(NEXT);
    }

    /// Another tab of the browser has opened: prove that this one lives.
    pub(crate) fn prove(&self) {
        self.signal(PROVE);
    }

    /// A status value has changed.
    pub(crate) fn status(&self) {
        self.signal(STATUS);
    }

    /// The node goes: end in the way that the protocol needs.
    pub(crate) fn drain(&self) {
        self.signal(DRAIN);
    }

    /// The log did not take a test that this tab asked for.
    pub(crate) fn test_failed(&self) {
        self.signal(TEST_FAILED);
    }

    /// Somebody who runs the node ends it; whether it did not know yet.
    pub(crate) fn revoke(&self) -> bool {
        self.signal(REVOKED)
    }

    /// Its login counts no longer; whether it did not know yet.
    pub(crate) fn log_out(&self) -> bool {
        self.signal(LOGGED_OUT)
    }

    #[cfg(test)]
    pub(crate) fn is_ending(&self) -> bool {
        Reasons(self.reasons.load(Ordering::Acquire)).end().is_some()
    }

    /// Whether the session's end is still to be counted; whoever asks counts it.
    pub(crate) fn count_end(&self) -> bool {
        !self.counted.swap(true, Ordering::AcqRel)
    }

    /// Waits for a signal and takes all that have gathered. May be dropped and called again without losing one.
    pub(crate) async fn woken(&self) -> Reasons {
        self.wake.notified().await;
        Reasons(self.reasons.swap(0, Ordering::AcqRel))
    }

    /// Whether the reason is new.
    fn signal(&self, reason: u8) -> bool {
        // Whoever finds a reason pending has nothing to wake: the session has not taken it yet.
        let is_new = self.reasons.fetch_or(reason, Ordering::AcqRel) & reason == 0;
        if is_new {
            self.wake.notify_one();
        }
        is_new
    }
}

impl Reasons {
    pub(crate) fn prove(self) -> bool {
        self.0 & PROVE != 0
    }

    pub(crate) fn status(self) -> bool {
        self.0 & STATUS != 0
    }

    pub(crate) fn drain(self) -> bool {
        self.0 & DRAIN != 0
    }

    pub(crate) fn test_failed(self) -> bool {
        self.0 & TEST_FAILED != 0
    }

    /// Why the session must end at once, if it must.
    pub(crate) fn end(self) -> Option<End> {
        if self.0 & REVOKED != 0 {
            Some(End::Revoked)
        } else if self.0 & LOGGED_OUT != 0 {
            Some(End::LoggedOut)
        } else {
            None
        }
    }
}
