//! Appending to one stream: in the order of the calls, with confirms, a window of unconfirmed records, and bounds.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use deadpool::managed::{Object, PoolError};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::ids::Shard;
use crate::log::AppendError;
use crate::log::appends::{Appends, too_large};

use super::burst::{Burst, Failure};
use super::connection::Link;
use super::pool::{PublisherManager, Publishers};
use super::topology::Topology;

/// Bytes of a shard that wait or are not yet confirmed; each record counts [`RECORD_COST`] more.
const WAITING_BYTES_MAX: usize = 16 << 20;
const RECORD_COST: usize = 256;

/// From the call to the publishing. What waits longer is refused: its caller is about to give up.
const PUBLISH_DEADLINE: Duration = Duration::from_secs(5);

/// Where appends to one shard go in.
#[derive(Debug, Clone)]
pub(super) struct Writer {
    jobs: mpsc::UnboundedSender<Job>,
    room: Arc<Semaphore>,
    appends: Arc<Appends>,
    draining: CancellationToken,
}

/// One call of append: its records, and who waits for them.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) records: std::vec::IntoIter<Bytes>,
    total: usize,
    pub(super) published: usize,
    confirmed: usize,
    pub(super) deadline: Instant,
    /// None for a mark, which is nothing that anybody appended.
    appends: Option<Arc<Appends>>,
    reply: oneshot::Sender<Result<(), AppendError>>,
    /// Gives its room back when the job ends.
    _room: OwnedSemaphorePermit,
}

impl Writer {
    pub(super) fn start(
        topology: Topology,
        shard: Shard,
        link: Link,
        pool: Publishers,
        appends: Arc<Appends>,
        tasks: &TaskTracker,
        draining: &CancellationToken,
    ) -> Self {
        let (jobs, queue) = mpsc::unbounded_channel();
        let worker = Worker { queue, key: topology.key(shard), link, pool };
        tasks.spawn(worker.run(draining.clone()));
        Self { jobs, room: Arc::new(Semaphore::new(WAITING_BYTES_MAX)), appends, draining: draining.clone() }
    }

    pub(super) fn append(&self, records: Vec<Bytes>) -> BoxFuture<'static, Result<(), AppendError>> {
        let count = records.len();
        if count == 0 {
            return std::future::ready(Ok(())).boxed();
        }
        match self.enqueue(records, Some(Arc::clone(&self.appends))) {
            Ok(reply) => outcome(reply).boxed(),
            Err(error) => {
                let result = Err(error);
                self.appends.count(count, &result);
                std::future::ready(result).boxed()
            }
        }
    }

    /// Appends a message that readers skip and that only the one who knows `id` looks for.
    pub(super) async fn mark(&self, id: Bytes) -> Result<(), AppendError> {
        outcome(self.enqueue(vec![id], None)?).await
    }

    fn enqueue(
        &self,
        records: Vec<Bytes>,
        appends: Option<Arc<Appends>>,
    ) -> Result<oneshot::Receiver<Result<(), AppendError>>, AppendError> {
        let closed = || AppendError::Unavailable("the log is closed".to_owned());
        if self.draining.is_cancelled() {
            return Err(closed());
        }
        if too_large(&records) {
            return Err(AppendError::TooLarge);
        }
        let cost: usize = records.iter().map(|record| record.len() + RECORD_COST).sum();
        let cost = u32::try_from(cost).map_err(|_| AppendError::Overloaded)?;
        let room = Arc::clone(&self.room).try_acquire_many_owned(cost).map_err(|_| AppendError::Overloaded)?;
        let (reply, told) = oneshot::channel();
        let deadline = Instant::now() + PUBLISH_DEADLINE;
        let total = records.len();
        let records = records.into_iter();
        let job = Job { records, total, published: 0, confirmed: 0, deadline, appends, reply, _room: room };
        self.jobs.send(job).map_err(|_| closed())?;
        Ok(told)
    }
}

/// How a job ended.
async fn outcome(reply: oneshot::Receiver<Result<(), AppendError>>) -> Result<(), AppendError> {
    reply.await.unwrap_or_else(|_| Err(AppendError::Unknown("the log ended".to_owned())))
}

impl Job {
    pub(super) fn is_mark(&self) -> bool {
        self.appends.is_none()
    }

    /// Takes the confirmation of one record; true when it was the last.
    pub(super) fn on_confirmed(&mut self) -> bool {
        self.confirmed += 1;
        self.confirmed == self.total
    }

    /// Counted here and not where it is waited for: nobody may wait any more, and the work was done all the same.
    pub(super) fn end(self, result: Result<(), AppendError>) {
        if let Some(appends) = &self.appends {
            appends.count(self.total, &result);
        }
        let _ = self.reply.send(result);
    }

    /// Ends it after something went wrong: what was published and not confirmed is anybody's guess.
    pub(super) fn fail(self, reason: &str) {
        let error = match self.published {
            0 => AppendError::Unavailable(reason.to_owned()),
            _ => AppendError::Unknown(reason.to_owned()),
        };
        self.end(Err(error));
    }
}

/// Publishes one shard's jobs.
struct Worker {
    queue: mpsc::UnboundedReceiver<Job>,
    key: String,
    link: Link,
    pool: Publishers,
}

impl Worker {
    async fn run(mut self, draining: CancellationToken) {
        loop {
            let job = tokio::select! {
                job = self.queue.recv() => job,
                () = draining.cancelled(), if !self.queue.is_closed() => {
                    self.queue.close();
                    continue;
                }
            };
            let Some(job) = job else { return };
            match timeout_at(job.deadline, self.publisher()).await {
                Ok(Ok(publisher)) => self.burst(publisher, job).await,
                Ok(Err(reason)) => job.end(Err(AppendError::Unavailable(reason))),
                Err(_) => job.end(Err(AppendError::Unavailable("no connection in time".to_owned()))),
            }
        }
    }

    /// A channel that stood a moment ago. The pool may hold one of a connection that is just being lost; then the link
    /// knows in a moment, and it is worth one more try.
    async fn publisher(&self) -> Result<Object<PublisherManager>, String> {
        self.link.settled().await?;
        match self.pool.get().await {
            Ok(publisher) => Ok(publisher),
            Err(PoolError::Backend(_)) => {
                self.link.settled().await?;
                self.pool.get().await.map_err(|error| error.to_string())
            }
            Err(error) => Err(error.to_string()),
        }
    }

    /// Publishes until nothing waits and all is confirmed, or something fails.
    async fn burst(&mut self, publisher: Object<PublisherManager>, first: Job) {
        let mut burst = Burst::new(Arc::clone(&publisher.channel), self.key.as_str().into(), first);
        let Err(failure) = burst.run(&mut self.queue).await else { return };
        let reason = failure.to_string();
        burst.fail(&reason);
        // The channel goes in any case.
        let live = Arc::clone(&Object::take(publisher).live);
        match failure {
            Failure::Nowhere(_) => live.mend(&reason),
            Failure::Refused => {}
            Failure::Broken(error) => live.on_error("appending failed", &error),
            Failure::Late => live.on_silence(&reason).await,
        }
    }
}
