//! What is published on one channel until all of it is confirmed, or something fails.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use lapin::options::BasicPublishOptions;
use lapin::types::ShortString;
use lapin::{BasicProperties, Channel, Confirmation, PublisherConfirm};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use crate::log::AppendError;

use super::append::Job;
use super::topology::{EXCHANGE, MARK};

/// Records of a shard that are published and not yet confirmed. More is not quicker, only later.
const WINDOW: usize = 256;

/// For the broker to confirm a record.
const CONFIRM_DEADLINE: Duration = Duration::from_secs(4);

/// What is under way on one channel.
pub(super) struct Burst {
    channel: Arc<Channel>,
    key: ShortString,
    /// In the order of the calls; only the last has records that are not yet published.
    jobs: VecDeque<Job>,
    /// In the order of publishing, so the first belongs to the first job.
    unconfirmed: VecDeque<Unconfirmed>,
}

impl Burst {
    pub(super) fn new(channel: Arc<Channel>, key: ShortString, first: Job) -> Self {
        Self { channel, key, jobs: VecDeque::from([first]), unconfirmed: VecDeque::with_capacity(WINDOW) }
    }

    /// Publishes until nothing waits and all is confirmed.
    pub(super) async fn run(&mut self, queue: &mut mpsc::UnboundedReceiver<Job>) -> Result<(), Failure> {
        loop {
            self.fill(queue);
            let room = self.unconfirmed.len() < WINDOW;
            let Some(head) = self.unconfirmed.front_mut() else { return Ok(()) };
            let deadline = head.at + CONFIRM_DEADLINE;
            tokio::select! {
                biased;
                settled = timeout_at(deadline, &mut head.step) => {
                    let confirmation = settled.map_err(|_| Failure::Late)?.map_err(Failure::Broken)?;
                    self.settle(&confirmation)?;
                }
                Some(job) = queue.recv(), if room => self.take(job),
            }
        }
    }

    /// Ends what is under way.
    pub(super) fn fail(self, reason: &str) {
        for job in self.jobs {
            job.fail(reason);
        }
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
                let mark = job.is_mark();
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

    /// Takes the answer to the oldest unconfirmed record.
    fn settle(&mut self, confirmation: &Confirmation) -> Result<(), Failure> {
        self.unconfirmed.pop_front();
        let job = self.jobs.front_mut();
        match confirmation {
            Confirmation::Ack(None) => {
                if job.is_some_and(Job::on_confirmed)
                    && let Some(job) = self.jobs.pop_front()
                {
                    job.end(Ok(()));
                }
                Ok(())
            }
            Confirmation::Ack(Some(returned)) | Confirmation::Nack(Some(returned)) => {
                // This one is certainly not written.
                if let Some(job) = job {
                    job.published -= 1;
                }
                Err(Failure::Nowhere(format!("key {}: {}", self.key, returned.reply_text)))
            }
            // Without confirms nothing would be known; a channel is never made without.
            Confirmation::Nack(None) | Confirmation::NotRequested => Err(Failure::Refused),
        }
    }
}

/// Why a burst ended before its end.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("not confirmed within {CONFIRM_DEADLINE:?}")]
    Late,
    #[error("refused by the broker")]
    Refused,
    /// Returned: the exchange has no binding for the key.
    #[error("returned by the broker, {0}")]
    Nowhere(String),
    #[error(transparent)]
    Broken(lapin::Error),
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
