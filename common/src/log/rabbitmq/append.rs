//! Appending to one stream: in the order of the calls, with confirms, a window of unconfirmed records, and bounds.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use deadpool::managed::{Manager, Metrics, Object, Pool, PoolError, RecycleError, RecycleResult};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::types::ShortString;
use lapin::{BasicProperties, Channel, Confirmation, PublisherConfirm};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::ids::Shard;
use crate::log::{AppendError, RECORD_BYTES_MAX};
use crate::metrics::LOG_APPENDS;

use super::connection::{Link, Live};
use super::topology::{EXCHANGE, Topology};

/// Records of a shard that are published and not yet confirmed. More is not quicker, only later.
const WINDOW: usize = 256;

/// Bytes of a shard that wait or are not yet confirmed; each record counts [`RECORD_COST`] more.
const WAITING_BYTES_MAX: usize = 16 << 20;
const RECORD_COST: usize = 256;

/// For the broker to confirm a record. A connection that misses it is given up.
const CONFIRM_DEADLINE: Duration = Duration::from_secs(4);

/// From the call to the publishing. What waits longer is refused: its caller is about to give up.
const PUBLISH_DEADLINE: Duration = Duration::from_secs(5);

/// For a channel to open.
const CHANNEL_DEADLINE: Duration = Duration::from_secs(2);

/// The type of message that tells a reader where its end is ([`super::read`]).
pub(super) const MARK: &str = "bellwire.mark";

/// Channels with confirms on the connection of the moment.
pub(super) type Publishers = Pool<PublisherManager>;

/// A pool with a channel for each shard at most: a shard borrows one as long as something of its own is unconfirmed.
pub(super) fn pool(link: Link, shards: u16) -> Publishers {
    let size = usize::from(shards);
    // Only a timeout without a runtime makes this fail, and there is none here.
    Pool::builder(PublisherManager { link }).max_size(size).build().unwrap_or_else(|_| unreachable!())
}

#[derive(Debug)]
pub(super) struct PublisherManager {
    link: Link,
}

pub(super) struct Publisher {
    channel: Arc<Channel>,
    live: Arc<Live>,
}

impl Manager for PublisherManager {
    type Type = Publisher;
    type Error = String;

    async fn create(&self) -> Result<Publisher, String> {
        let live = self.link.settled().await?;
        let open = async {
            let channel = live.connection.create_channel().await?;
            channel.confirm_select(ConfirmSelectOptions::default()).await?;
            Ok::<_, lapin::Error>(Arc::new(channel))
        };
        match timeout(CHANNEL_DEADLINE, open).await {
            Ok(Ok(channel)) => Ok(Publisher { channel, live }),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => {
                live.give_up();
                Err(format!("no channel within {CHANNEL_DEADLINE:?}"))
            }
        }
    }

    async fn recycle(&self, publisher: &mut Publisher, _: &Metrics) -> RecycleResult<String> {
        match publisher.channel.status().connected() {
            true => Ok(()),
            false => Err(RecycleError::message("the channel is closed")),
        }
    }
}

/// Where appends to one shard go in.
#[derive(Debug, Clone)]
pub(super) struct Writer {
    jobs: mpsc::UnboundedSender<Job>,
    room: Arc<Semaphore>,
    draining: CancellationToken,
}

/// One call of append: its records, and who waits for them.
#[derive(Debug)]
struct Job {
    records: std::vec::IntoIter<Bytes>,
    mark: bool,
    total: usize,
    published: usize,
    confirmed: usize,
    deadline: Instant,
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
        tasks: &TaskTracker,
        draining: &CancellationToken,
    ) -> Self {
        let (jobs, queue) = mpsc::unbounded_channel();
        let key = topology.key(shard).into();
        let draining = draining.clone();
        let worker = Worker { queue, key, link, pool };
        tasks.spawn(worker.run(draining.clone()));
        Self { jobs, room: Arc::new(Semaphore::new(WAITING_BYTES_MAX)), draining }
    }

    pub(super) fn append(&self, records: Vec<Bytes>) -> BoxFuture<'static, Result<(), AppendError>> {
        let count = records.len();
        let result = match count {
            0 => return std::future::ready(Ok(())).boxed(),
            _ => self.enqueue(records, false),
        };
        async move {
            let result = match result {
                Ok(reply) => reply.await.unwrap_or_else(|_| Err(AppendError::Unknown("the log ended".to_owned()))),
                Err(error) => Err(error),
            };
            LOG_APPENDS.with(&[label(&result)]).increment(count as u64);
            result
        }
        .boxed()
    }

    /// Appends a message that readers skip and that only the one who knows `id` looks for.
    pub(super) async fn mark(&self, id: Bytes) -> Result<(), AppendError> {
        let reply = self.enqueue(vec![id], true)?;
        reply.await.unwrap_or_else(|_| Err(AppendError::Unknown("the log ended".to_owned())))
    }

    fn enqueue(
        &self,
        records: Vec<Bytes>,
        mark: bool,
    ) -> Result<oneshot::Receiver<Result<(), AppendError>>, AppendError> {
        let closed = || AppendError::Unavailable("the log is closed".to_owned());
        if self.draining.is_cancelled() {
            return Err(closed());
        }
        if records.iter().any(|record| record.len() > RECORD_BYTES_MAX) {
            return Err(AppendError::TooLarge);
        }
        let cost: usize = records.iter().map(|record| record.len() + RECORD_COST).sum();
        let cost = u32::try_from(cost).map_err(|_| AppendError::Overloaded)?;
        let room = Arc::clone(&self.room).try_acquire_many_owned(cost).map_err(|_| AppendError::Overloaded)?;
        let (reply, told) = oneshot::channel();
        let deadline = Instant::now() + PUBLISH_DEADLINE;
        let total = records.len();
        let records = records.into_iter();
        let job = Job { records, mark, total, published: 0, confirmed: 0, deadline, reply, _room: room };
        self.jobs.send(job).map_err(|_| closed())?;
        Ok(told)
    }
}

fn label(result: &Result<(), AppendError>) -> &'static str {
    match result {
        Ok(()) => "confirmed",
        Err(AppendError::Unavailable(_)) => "unavailable",
        Err(AppendError::Unknown(_)) => "unknown",
        Err(AppendError::Overloaded) => "overloaded",
        Err(AppendError::TooLarge) => "too_large",
    }
}

impl Job {
    fn end(self, result: Result<(), AppendError>) {
        // Nobody waits any more: the work was done all the same.
        let _ = self.reply.send(result);
    }

    /// Ends it after something went wrong: what was published and not confirmed is anybody's guess.
    fn fail(self, reason: &str) {
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
    key: ShortString,
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

    /// Publishes until nothing waits and all is confirmed, or the channel fails.
    async fn burst(&mut self, publisher: Object<PublisherManager>, first: Job) {
        let mut burst = Burst::new(Arc::clone(&publisher.channel), self.key.clone(), first);
        let failure = loop {
            burst.fill(&mut self.queue);
            let room = burst.unconfirmed.len() < WINDOW;
            let Some(head) = burst.unconfirmed.front_mut() else { return };
            let deadline = head.at + CONFIRM_DEADLINE;
            tokio::select! {
                biased;
                settled = timeout_at(deadline, &mut head.step) => {
                    let settled = settled.map_err(|_| format!("not confirmed within {CONFIRM_DEADLINE:?}"));
                    let settled = settled.and_then(|confirmation| confirmation.map_err(|error| error.to_string()));
                    if let Err(reason) = settled.and_then(|confirmation| burst.settle(&confirmation)) {
                        break reason;
                    }
                }
                Some(job) = self.queue.recv(), if room => burst.take(job),
            }
        };
        for job in burst.jobs {
            job.fail(&failure);
        }
        // Whatever it was, a new connection looks at everything anew, the topology included.
        publisher.live.give_up();
        drop(Object::take(publisher));
    }
}

/// What is under way on one channel.
struct Burst {
    channel: Arc<Channel>,
    key: ShortString,
    /// In the order of the calls; only the last has records that are not yet published.
    jobs: VecDeque<Job>,
    /// In the order of publishing, so the first belongs to the first job.
    unconfirmed: VecDeque<Unconfirmed>,
}

impl Burst {
    fn new(channel: Arc<Channel>, key: ShortString, first: Job) -> Self {
        Self { channel, key, jobs: VecDeque::from([first]), unconfirmed: VecDeque::with_capacity(WINDOW) }
    }

    fn take(&mut self, job: Job) {
        match job.deadline < Instant::now() {
            true => job.end(Err(AppendError::Overloaded)),
            false => self.jobs.push_back(job),
        }
    }

    /// Publishes what waits, as far as the window goes.
    fn fill(&mut self, queue: &mut mpsc::UnboundedReceiver<Job>) {
        while self.unconfirmed.len() < WINDOW {
            if let Some(job) = self.jobs.back_mut()
                && let Some(record) = job.records.next()
            {
                let mark = job.mark;
                let step = self.publish(record, mark);
                if let Some(job) = self.jobs.back_mut()
                    && !matches!(step, Step::Failed(_))
                {
                    job.published += 1;
                }
                self.unconfirmed.push_back(Unconfirmed { step, at: Instant::now() });
                continue;
            }
            match queue.try_recv() {
                Ok(job) => self.take(job),
                Err(_) => return,
            }
        }
    }

    /// Hands the record to the connection. That happens in the first poll, so records go out in the order of these calls;
    /// waiting here for the socket would halve the rate.
    fn publish(&self, record: Bytes, mark: bool) -> Step {
        let (channel, key) = (Arc::clone(&self.channel), self.key.clone());
        let mut publishing = async move {
            let options = BasicPublishOptions { mandatory: true, immediate: false };
            let properties = match mark {
                true => BasicProperties::default().with_type(MARK.into()),
                false => BasicProperties::default(),
            };
            channel.basic_publish(EXCHANGE.into(), key, options, &record, properties).await
        }
        .boxed();
        match (&mut publishing).now_or_never() {
            None => Step::Publishing(publishing),
            Some(Ok(confirm)) => Step::Confirming(confirm),
            Some(Err(error)) => Step::Failed(error),
        }
    }

    /// Takes the answer to the oldest unconfirmed record. An error ends the burst.
    fn settle(&mut self, confirmation: &Confirmation) -> Result<(), String> {
        self.unconfirmed.pop_front();
        let Some(job) = self.jobs.front_mut() else { return Err("more confirmations than records".to_owned()) };
        let reason = match confirmation {
            Confirmation::Ack(None) => {
                job.confirmed += 1;
                if job.confirmed == job.total
                    && let Some(job) = self.jobs.pop_front()
                {
                    job.end(Ok(()));
                }
                return Ok(());
            }
            Confirmation::Ack(Some(returned)) | Confirmation::Nack(Some(returned)) => {
                // This one is certainly not written.
                job.published -= 1;
                format!("returned for key {}: {}", self.key, returned.reply_text)
            }
            Confirmation::Nack(None) => "refused by the broker".to_owned(),
            Confirmation::NotRequested => "the channel has no confirms".to_owned(),
        };
        if let Some(job) = self.jobs.pop_front() {
            job.fail(&reason);
        }
        Err(reason)
    }
}

struct Unconfirmed {
    step: Step,
    at: Instant,
}

/// A record between publishing and confirmation. Only the oldest is polled: brokers confirm in order, nearly always.
enum Step {
    Publishing(BoxFuture<'static, lapin::Result<PublisherConfirm>>),
    Confirming(PublisherConfirm),
    Failed(lapin::Error),
}

impl Future for Step {
    type Output = lapin::Result<Confirmation>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            match &mut *self {
                Self::Publishing(publishing) => {
                    let confirm = ready!(publishing.as_mut().poll(cx))?;
                    *self = Self::Confirming(confirm);
                }
                Self::Confirming(confirm) => return Pin::new(confirm).poll(cx),
                Self::Failed(error) => return Poll::Ready(Err(error.clone())),
            }
        }
    }
}
