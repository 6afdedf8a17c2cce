//! Sends pushes: a bounded number at a time, again while the relay does not answer, and counts what became of each.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, info, warn};

use bellwire_common::directory::{Device, Directory, DirectoryError, RelayRow};
use bellwire_common::fetch::{Answer, Client, FetchError, Terms, TrustError};
use bellwire_common::ids::{UnixMillis, UserId};
use bellwire_common::metrics::{GATEWAY_RELAY_PUSHES, GATEWAY_RELAY_WAITING};
use bellwire_common::notification::Notification;

use super::duty::Item;
use super::request::{Push, url};

/// Notifications that wait for their turn; one more takes the place of none.
const WAITING_MAX: usize = 1_000;
/// Requests at one time, and notifications that are being passed on.
const CONCURRENCY: usize = 16;
/// From the call to the whole answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// Pauses before what failed is tried again; half as long or longer by chance.
const PAUSES: [Duration; 4] =
    [Duration::from_secs(1), Duration::from_secs(4), Duration::from_secs(15), Duration::from_secs(60)];
const ANSWER_BYTES_MAX: u64 = 64 * 1024;

/// The way to the mobile app. Clones share one queue.
#[derive(Debug, Clone)]
pub struct Relay {
    queue: mpsc::Sender<Item>,
    working: TaskTracker,
    stop: CancellationToken,
}

struct Sender {
    client: Client,
    directory: Directory,
    turns: Arc<Semaphore>,
    working: TaskTracker,
}

/// What became of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Sent,
    /// The device is gone for good.
    Gone,
    /// The relay does not want it, however often it is sent.
    Refused,
    /// It may go better later.
    Later,
}

impl Relay {
    /// Starts to send what it is given. `ca`: authorities in PEM form instead of the system's. Must be called within a tokio
    /// runtime.
    pub fn start(directory: Directory, ca: Option<String>) -> Result<Self, TrustError> {
        let terms = Terms { timeout: ANSWER_WITHIN, concurrency: CONCURRENCY, answer_bytes_max: ANSWER_BYTES_MAX, ca };
        let (queue, waiting) = mpsc::channel(WAITING_MAX);
        let (working, stop) = (TaskTracker::new(), CancellationToken::new());
        GATEWAY_RELAY_PUSHES.zero();
        GATEWAY_RELAY_WAITING.zero();
        let sender = Sender {
            client: Client::try_new(&terms)?,
            directory,
            turns: Arc::new(Semaphore::new(CONCURRENCY)),
            working: working.clone(),
        };
        working.spawn(Arc::new(sender).run(waiting, stop.clone()));
        Ok(Self { queue, working, stop })
    }

    /// Passes a notification on. Never waits: what has no room is dropped, and counted.
    pub(crate) fn pass(&self, item: Item) {
        match self.queue.try_send(item) {
            Ok(()) => GATEWAY_RELAY_WAITING.with(&[]).increment(1.0),
            Err(_) => GATEWAY_RELAY_PUSHES.count(&["overflow"]),
        }
    }

    /// Lets what was passed on end, within `time`.
    pub(crate) async fn drain(self, time: Duration) {
        self.stop.cancel();
        self.working.close();
        if timeout(time, self.working.wait()).await.is_err() {
            let cut = self.working.len() + self.queue.max_capacity() - self.queue.capacity();
            warn!(notifications = cut, "mobile pushes did not end in time and are cut");
            GATEWAY_RELAY_PUSHES.with(&["cut"]).increment(cut as u64);
        }
    }
}

impl Sender {
    /// Until it is stopped, and nothing waits any more.
    async fn run(self: Arc<Self>, mut waiting: mpsc::Receiver<Item>, stop: CancellationToken) {
        loop {
            let item = tokio::select! {
                item = waiting.recv() => item,
                () = stop.cancelled(), if !waiting.is_closed() => {
                    waiting.close();
                    continue;
                }
            };
            let Some(item) = item else { return };
            GATEWAY_RELAY_WAITING.with(&[]).decrement(1.0);
            let Ok(turn) = Arc::clone(&self.turns).acquire_owned().await else { return };
            // Only openITCOCKPIT's users have devices, and its users are numbers.
            let Ok(user) = item.user.as_str().parse() else { continue };
            let sender = Arc::clone(&self);
            self.working.spawn(async move {
                sender.pass_on(&item, user).await;
                drop(turn);
            });
        }
    }

    async fn pass_on(&self, item: &Item, user: i64) {
        let Ok(notification) = serde_json::from_slice::<Notification>(&item.payload) else {
            return GATEWAY_RELAY_PUSHES.count(&["unreadable"]);
        };
        let (relay, devices) = match self.find(item).await {
            Ok(Some(found)) => found,
            Ok(None) => return,
            Err(ended) => return GATEWAY_RELAY_PUSHES.count(&[ended.label()]),
        };
        let url = match url(&relay.address, relay.port.into()) {
            Ok(url) => url,
            Err(error) => {
                warn!(%error, "the relay's address in the table push_notifications_relay is of no use");
                return GATEWAY_RELAY_PUSHES.count(&["failed"]);
            }
        };
        let mut pushes = Vec::with_capacity(devices.len());
        for device in &devices {
            let push = Push::new(&notification, user, &device.id, relay.auth_key.expose());
            pushes.push(self.push(item, &url, relay.auth_key.expose(), device, push));
        }
        join_all(pushes).await;
    }

    async fn find(&self, item: &Item) -> Result<Option<(RelayRow, Vec<Device>)>, Ended> {
        let mut tries = Tries::of(item);
        loop {
            tries.next().await?;
            match self.targets(&item.user).await {
                Ok(found) => return Ok(found),
                Err(error) => debug!(%error, "the database does not tell the devices; trying again"),
            }
        }
    }

    /// The relay and the user's devices; none where there is nothing to send to.
    async fn targets(&self, user: &UserId) -> Result<Option<(RelayRow, Vec<Device>)>, DirectoryError> {
        let Some(relay) = self.directory.relay().await? else { return Ok(None) };
        let devices = self.directory.devices(user).await?;
        Ok((!devices.is_empty()).then_some((relay, devices)))
    }

    async fn push(&self, item: &Item, url: &str, key: &str, device: &Device, push: Push<'_>) {
        let result = match self.until_answered(item, url, key, &push).await {
            Ok(Verdict::Sent) => "sent",
            Ok(Verdict::Gone) => {
                self.forget(device).await;
                "gone"
            }
            Ok(Verdict::Refused | Verdict::Later) => "refused",
            Err(ended) => ended.label(),
        };
        GATEWAY_RELAY_PUSHES.count(&[result]);
    }

    async fn until_answered(&self, item: &Item, url: &str, key: &str, push: &Push<'_>) -> Result<Verdict, Ended> {
        let body = serde_json::to_vec(push).map_err(|_| Ended::Failed)?;
        let headers = [("content-type", &b"application/json"[..]), ("x-api-key", key.as_bytes())];
        let mut tries = Tries::of(item);
        loop {
            tries.next().await?;
            let answer = self.client.post(url, &headers, body.clone()).await;
            match judge(&answer) {
                Verdict::Later => debug!(?answer, "the relay did not take a push; trying again"),
                verdict => return Ok(verdict),
            }
        }
    }

    /// Of this user only: another one may have signed in on the same device since.
    async fn forget(&self, device: &Device) {
        match self.directory.remove_device(device).await {
            Ok(()) => info!(user = device.user, "a device that is gone was removed"),
            Err(error) => warn!(%error, "a device that is gone cannot be removed from mobile_devices"),
        }
    }
}

/// Why something was given up.
#[derive(Debug, Clone, Copy)]
enum Ended {
    Expired,
    Failed,
}

/// Until the notification expires, or there were pauses enough.
struct Tries {
    expires_at: UnixMillis,
    /// The first comes at once.
    begun: bool,
    pauses: std::slice::Iter<'static, Duration>,
}

impl Tries {
    fn of(item: &Item) -> Self {
        Self { expires_at: item.expires_at, begun: false, pauses: PAUSES.iter() }
    }

    /// When it is time for the next one.
    async fn next(&mut self) -> Result<(), Ended> {
        if std::mem::replace(&mut self.begun, true) {
            let pause = self.pauses.next().ok_or(Ended::Failed)?;
            sleep(pause.mul_f64(0.5 + fastrand::f64())).await;
        }
        if self.expires_at <= UnixMillis::now() { Err(Ended::Expired) } else { Ok(()) }
    }
}

impl Ended {
    fn label(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::Failed => "failed",
        }
    }
}

fn judge(answer: &Result<Answer, FetchError>) -> Verdict {
    match answer {
        Ok(Answer { status: 200..=299, .. }) => Verdict::Sent,
        Ok(Answer { status: 410, .. }) => Verdict::Gone,
        Ok(Answer { status: 408 | 425 | 429 | 500.., .. }) | Err(_) => Verdict::Later,
        Ok(_) => Verdict::Refused,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_says_whether_it_is_worth_another_try() {
        let verdict = |status| judge(&Ok(Answer { status, body: Vec::new(), location: None }));
        assert_eq!((verdict(200), verdict(204), verdict(410)), (Verdict::Sent, Verdict::Sent, Verdict::Gone));
        for status in [301, 400, 401, 404] {
            assert_eq!(verdict(status), Verdict::Refused, "{status}");
        }
        for status in [408, 429, 500, 503] {
            assert_eq!(verdict(status), Verdict::Later, "{status}");
        }
        assert_eq!(judge(&Err(FetchError::Failed("x".into()))), Verdict::Later);
    }
}
