//! Places for connections, and the waits for a request head that give way when none is free.
//!
//! hyper asks its timer for a [`Sleep`] when it begins to wait for a head, the first one of a connection or the next one,
//! and drops it when the head is complete. So the sleeps that exist are the connections that wait. A connection whose
//! sleep is over ends, unless its head is complete by then: a request in progress is never touched.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use hyper::rt::{Sleep, Timer};
use hyper_util::rt::TokioTimer;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, oneshot};

/// Places for connections that are not upgraded.
pub(super) struct Places {
    free: Arc<Semaphore>,
    waiting: Arc<Waiting>,
}

impl Places {
    pub(super) fn new(count: usize) -> Self {
        Self { free: Arc::new(Semaphore::new(count)), waiting: Arc::default() }
    }

    /// Who is in a place and waits for a head.
    pub(super) fn waiting(&self) -> Arc<Waiting> {
        Arc::clone(&self.waiting)
    }

    /// Takes a place. When none is free, the connection that has waited longest for a head ends for it.
    pub(super) async fn take(&self) -> Option<OwnedSemaphorePermit> {
        let mut place = std::pin::pin!(Arc::clone(&self.free).acquire_owned());
        loop {
            let escaped = tokio::select! {
                biased;
                place = place.as_mut() => return place.ok(),
                escaped = self.waiting.end_longest() => escaped,
            };
            tokio::select! {
                biased;
                place = place.as_mut() => return place.ok(),
                Ok(()) = escaped => {}
            }
        }
    }
}

/// A connection's place; each request carries it as an extension.
#[derive(Debug, Clone)]
pub struct Place(Arc<Mutex<Option<OwnedSemaphorePermit>>>);

impl Place {
    pub(super) fn new(permit: Option<OwnedSemaphorePermit>) -> Self {
        Self(Arc::new(Mutex::new(permit)))
    }

    /// Leaves the place to another connection: the answer will take as long as its taker likes, and whoever gives it has a
    /// limit of its own for such answers. The connection must end with this answer.
    pub fn give_up(&self) {
        drop(self.0.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}

/// Used by a connection whose head was complete when it was told to end: another one must make room.
type Escape = oneshot::Sender<()>;

/// Connections that wait for a request head.
#[derive(Default)]
pub(super) struct Waiting {
    queue: Mutex<Queue>,
    joined: Notify,
}

#[derive(Default)]
struct Queue {
    next: u64,
    /// The smallest number has waited longest.
    waits: BTreeMap<u64, oneshot::Sender<Escape>>,
}

impl Waiting {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a wait; its connection ends when it is over. It is whoever is told to make room, or runs out of time.
    pub(super) fn join(self: Arc<Self>, timeout: Pin<Box<dyn Sleep>>) -> Wait {
        let (sender, told) = oneshot::channel();
        let mut queue = self.queue();
        let number = queue.next;
        queue.next += 1;
        queue.waits.insert(number, sender);
        drop(queue);
        self.joined.notify_waiters();
        Wait { waiting: self, number, told: Some(told), timeout }
    }

    /// Ends the longest wait, or the first that begins. What it returns comes true if that connection stays.
    async fn end_longest(&self) -> oneshot::Receiver<()> {
        loop {
            let joined = self.joined.notified();
            let (escape, escaped) = oneshot::channel();
            {
                let mut queue = self.queue();
                if let Some((_, wait)) = queue.waits.pop_first() {
                    // Within the lock: a wait that is dropped next must know of it. One that is over already ends anyway.
                    let _ = wait.send(escape);
                    return escaped;
                }
            }
            joined.await;
        }
    }
}

/// One connection's wait for a head.
pub(super) struct Wait {
    waiting: Arc<Waiting>,
    number: u64,
    /// None when the wait is over.
    told: Option<oneshot::Receiver<Escape>>,
    timeout: Pin<Box<dyn Sleep>>,
}

impl Future for Wait {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let told = self.told.as_mut().is_none_or(|told| Pin::new(told).poll(cx).is_ready());
        if told || self.timeout.as_mut().poll(cx).is_ready() {
            self.told = None;
            return Poll::Ready(());
        }
        Poll::Pending
    }
}

impl Sleep for Wait {}

impl Drop for Wait {
    fn drop(&mut self) {
        self.waiting.queue().waits.remove(&self.number);
        if let Some(Ok(escape)) = self.told.as_mut().map(oneshot::Receiver::try_recv) {
            let _ = escape.send(());
        }
    }
}

/// The timer of one connection. hyper has one time limit for a request head and for the wait before it; this one lengthens
/// it once the connection has sent a first request.
pub(super) struct HeadTimer {
    pub(super) waiting: Arc<Waiting>,
    /// The connection has sent a request.
    pub(super) asked: Arc<AtomicBool>,
    pub(super) idle_extra: Duration,
    /// When the first head must be complete: TLS may have taken some of its time.
    pub(super) first_by: Instant,
}

impl Timer for HeadTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        self.sleep_until(Instant::now() + duration)
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        let asked = self.asked.load(Ordering::Relaxed);
        let deadline = if asked { deadline + self.idle_extra } else { deadline.min(self.first_by) };
        let timeout = TokioTimer::new().sleep_until(deadline);
        Box::pin(Arc::clone(&self.waiting).join(timeout))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(3600);

    fn wait(places: &Places, timeout: Duration) -> Wait {
        places.waiting().join(TokioTimer::new().sleep(timeout))
    }

    #[tokio::test]
    async fn the_longest_wait_ends() {
        let places = Places::new(0);
        let (first, second) = (wait(&places, LONG), wait(&places, LONG));
        let escaped = places.waiting.end_longest().await;
        first.await;
        assert!(escaped.await.is_err(), "it said that it stays");
        drop(second);
        assert!(places.waiting.queue().waits.is_empty());
    }

    #[tokio::test]
    async fn the_first_wait_that_begins_ends_when_there_is_none() {
        let places = Places::new(0);
        let (_, ()) = tokio::join!(places.waiting.end_longest(), async { wait(&places, LONG).await });
    }

    #[tokio::test]
    async fn whose_head_came_in_that_moment_stays_and_another_one_goes() {
        let places = Places::new(1);
        let place = places.take().await;
        let (lucky, other) = (wait(&places, LONG), wait(&places, LONG));
        let in_lucks_place = async {
            // Told to end, but never asked again by hyper: the head is complete.
            while places.waiting.queue().waits.len() > 1 {
                tokio::task::yield_now().await;
            }
            drop(lucky);
            other.await;
            drop(place);
        };
        let (taken, ()) = tokio::join!(places.take(), in_lucks_place);
        assert!(taken.is_some());
    }

    #[tokio::test]
    async fn nobody_goes_while_there_are_places() {
        let places = Places::new(1);
        let wait = wait(&places, LONG);
        let _place = places.take().await;
        assert_eq!(places.waiting.queue().waits.len(), 1);
        drop(wait);
    }

    #[tokio::test]
    async fn a_wait_that_is_over_is_no_escape() {
        let places = Places::new(0);
        let mut over = Box::pin(wait(&places, Duration::ZERO));
        over.as_mut().await;
        let escaped = places.waiting.end_longest().await;
        drop(over);
        assert!(escaped.await.is_err());
    }
}
