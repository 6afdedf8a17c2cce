//! The event streams of this node, as what their clients say by POST finds them.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::{Mutex, MutexGuard, PoisonError};

use axum::extract::ws::Utf8Bytes;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use tokio::sync::mpsc::{self, Receiver, Sender, error::TrySendError};

/// Messages that wait for a session to read them. One that has used up its allowance reads slowly; who speaks on is told so.
const WAITING_MAX: usize = 16;

const SECRET_BYTES: usize = 32;
/// 128 bits.
const TOKEN_BYTES: usize = 16;

/// See the module.
pub(crate) struct Streams {
    /// New at each start; of it and a session's number its token is made.
    secret: [u8; SECRET_BYTES],
    open: Mutex<HashMap<u64, Sender<Utf8Bytes>>>,
}

/// Why a message did not get to its session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotSaid {
    /// There is no such session, or this is not its token.
    Unknown,
    /// The session has more to read than it may.
    Busy,
}

impl Streams {
    pub(crate) fn new() -> Self {
        let mut secret = [0; SECRET_BYTES];
        getrandom::fill(&mut secret).expect("the system gives random bytes");
        Self { secret, open: Mutex::default() }
    }

    /// What only the client of this session knows.
    pub(crate) fn token(&self, number: u64) -> String {
        let digest = Sha256::new().chain_update(self.secret).chain_update(number.to_be_bytes()).finalize();
        digest.iter().take(TOKEN_BYTES).fold(String::with_capacity(2 * TOKEN_BYTES), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
    }

    /// From now on the session can be spoken to.
    pub(crate) fn open(&self, number: u64) -> Receiver<Utf8Bytes> {
        let (sender, receiver) = mpsc::channel(WAITING_MAX);
        self.lock().insert(number, sender);
        receiver
    }

    pub(crate) fn close(&self, number: u64) {
        self.lock().remove(&number);
    }

    /// Hands a message to a session.
    pub(crate) fn say(&self, number: u64, token: &str, message: &str) -> Result<(), NotSaid> {
        let is_its_own: bool = self.token(number).as_bytes().ct_eq(token.as_bytes()).into();
        let sender = self.lock().get(&number).filter(|_| is_its_own).cloned().ok_or(NotSaid::Unknown)?;
        sender.try_send(Utf8Bytes::from(message)).map_err(|error| match error {
            TrySendError::Full(_) => NotSaid::Busy,
            TrySendError::Closed(_) => NotSaid::Unknown,
        })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Sender<Utf8Bytes>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_token_of_the_session_lets_a_message_in() {
        let streams = Streams::new();
        let mut first = streams.open(1);
        let _second = streams.open(2);
        assert_eq!(streams.token(1).len(), 32);
        let unknown = Err(NotSaid::Unknown);
        assert_eq!(streams.say(1, &streams.token(2), "x"), unknown, "another session's");
        assert_eq!(streams.say(1, &Streams::new().token(1), "x"), unknown, "another node's");
        assert_eq!(streams.say(1, "", "x"), unknown);
        assert_eq!(streams.say(3, &streams.token(3), "x"), unknown, "no session has it");
        assert_eq!(streams.say(1, &streams.token(1), "x"), Ok(()));
        assert_eq!(first.try_recv().as_deref(), Ok("x"));
        streams.close(1);
        assert_eq!(streams.say(1, &streams.token(1), "x"), unknown);
    }

    #[test]
    fn who_is_not_read_is_told_to_wait() {
        let streams = Streams::new();
        let _unread = streams.open(1);
        let token = streams.token(1);
        assert!((0..WAITING_MAX).all(|_| streams.say(1, &token, "x").is_ok()));
        assert_eq!(streams.say(1, &token, "x"), Err(NotSaid::Busy));
    }
}
