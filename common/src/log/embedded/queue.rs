//! What waits to be written.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use tokio::sync::oneshot;

use crate::log::{AppendError, Safety};

/// Most bytes that wait. More would only wait longer: at 25,000 notifications a second this is a third of a second.
pub(super) const QUEUE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// About how many bytes one commit takes, so that it stays a small part of a memtable.
const BATCH_BYTES_MAX: usize = 1024 * 1024;

/// What a record or a request costs here beside its bytes.
const ENTRY_BYTES: usize = 96;

/// One call of append.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) shard: usize,
    pub(super) records: Vec<Bytes>,
    pub(super) safety: Safety,
    pub(super) done: oneshot::Sender<Result<(), AppendError>>,
}

/// What the writer is to do.
#[derive(Debug)]
pub(super) enum Work {
    /// Write these; never empty.
    Batch(Vec<Request>),
    /// The given time has come.
    Timeout,
    /// End: everything has been written.
    Close,
    /// End at once, and give these up.
    Abandon(Vec<Request>),
}

/// A queue with one consumer.
#[derive(Debug, Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    ready: Condvar,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Request>,
    bytes: usize,
    mode: Mode,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum Mode {
    #[default]
    Open,
    /// What waits is still written.
    Closing,
    /// What waits is given up.
    Abandoned,
}

impl Request {
    fn bytes(&self) -> usize {
        self.records.iter().map(|record| ENTRY_BYTES + record.len()).sum::<usize>() + ENTRY_BYTES
    }
}

impl Queue {
    /// Adds a request. A request that is larger than the queue passes when nothing else waits.
    pub(super) fn push(&self, request: Request) -> Result<(), AppendError> {
        let bytes = request.bytes();
        let mut state = self.lock();
        if state.mode != Mode::Open {
            return Err(AppendError::Unavailable("it was shut down".to_owned()));
        }
        if state.bytes > 0 && state.bytes + bytes > QUEUE_BYTES_MAX {
            return Err(AppendError::Overloaded);
        }
        state.bytes += bytes;
        let first = state.waiting.is_empty();
        state.waiting.push_back(request);
        drop(state);
        if first {
            self.ready.notify_one();
        }
        Ok(())
    }

    /// Waits for work, at most until `until`, which goes before work.
    pub(super) fn next(&self, until: Option<Instant>) -> Work {
        let mut state = self.lock();
        loop {
            if state.mode == Mode::Abandoned {
                return Work::Abandon(state.waiting.drain(..).collect());
            }
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                return Work::Timeout;
            }
            if !state.waiting.is_empty() {
                return Work::Batch(state.take());
            }
            if state.mode == Mode::Closing {
                return Work::Close;
            }
            state = match left {
                None => self.ready.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(left) => self.ready.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0,
            };
        }
    }

    /// Takes nothing more; what waits is still written.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        if state.mode == Mode::Open {
            state.mode = Mode::Closing;
        }
        self.ready.notify_one();
    }

    /// Takes nothing more and gives up what waits.
    pub(super) fn abandon(&self) {
        self.lock().mode = Mode::Abandoned;
        self.ready.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn take(&mut self) -> Vec<Request> {
        let mut batch = Vec::new();
        let mut bytes = 0;
        while bytes < BATCH_BYTES_MAX
            && let Some(request) = self.waiting.pop_front()
        {
            bytes += request.bytes();
            batch.push(request);
        }
        self.bytes = self.bytes.saturating_sub(bytes);
        batch
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(bytes: usize) -> Request {
        let records = vec![Bytes::from(vec![1; bytes])];
        Request { shard: 0, records, safety: Safety::Safe, done: oneshot::channel().0 }
    }

    #[test]
    fn too_much_is_refused_and_room_comes_back() {
        let queue = Queue::default();
        let mut taken = 0;
        while queue.push(request(100_000)).is_ok() {
            taken += 1;
        }
        assert!((38..=41).contains(&taken), "{taken}");
        assert_eq!(queue.push(request(100_000)), Err(AppendError::Overloaded));
        let Work::Batch(batch) = queue.next(None) else { panic!() };
        assert!((10..=11).contains(&batch.len()), "{}", batch.len());
        queue.push(request(100_000)).unwrap();
    }

    #[test]
    fn a_request_larger_than_the_queue_passes_alone() {
        let queue = Queue::default();
        queue.push(request(2 * QUEUE_BYTES_MAX)).unwrap();
        assert_eq!(queue.push(request(1)), Err(AppendError::Overloaded));
    }

    #[test]
    fn closing_writes_what_waits_and_abandoning_does_not() {
        let queue = Queue::default();
        queue.push(request(1)).unwrap();
        queue.close();
        queue.push(request(1)).unwrap_err();
        assert!(matches!(queue.next(None), Work::Batch(batch) if batch.len() == 1));
        assert!(matches!(queue.next(None), Work::Close));

        let queue = Queue::default();
        queue.push(request(1)).unwrap();
        queue.abandon();
        assert!(matches!(queue.next(None), Work::Abandon(requests) if requests.len() == 1));
    }

    #[test]
    fn the_time_goes_before_work() {
        let queue = Queue::default();
        queue.push(request(1)).unwrap();
        assert!(matches!(queue.next(Some(Instant::now())), Work::Timeout));
        assert!(matches!(queue.next(None), Work::Batch(_)));
    }
}
