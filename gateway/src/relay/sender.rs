//! Sends pushes: a bounded number at a time, again while the relay does not answer, and counts what became of each.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use bellwire_common::directory::{Device, Directory, RelayRow};
use bellwire_common::fetch::{Answer, Client, FetchError, Terms, TrustError};
use bellwire_common::ids::UnixMillis;
use bellwire_common::metrics::{GATEWAY_RELAY_PUSHES, GATEWAY_RELAY_WAITING};
use bellwire_common::notification::Notification;

use super::duty::Item;
use super::places::{Place, Places};
use super::request::{Push, url};
use super::targets::Targets;

/// Requests at one time.
const CONCURRENCY: usize = 16;
/// From a request's turn to the whole answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// Pauses before what failed is tried again; half as long or longer by chance.
const PAUSES: [Duration; 4] =
    [Duration::from_secs(1), Duration::from_secs(4), Duration::from_secs(15), Duration::from_secs(60)];
const ANSWER_BYTES_MAX: u64 = 64 * 1024;

/// The way to the mobile app. Clones share it.
#[derive(Debug, Clone)]
pub struct Relay {
    sender: Arc<Sender>,
    places: Places,
    stop: CancellationToken,
}

#[derive(Debug)]
struct Sender {
    client: Client,
    targets: Targets,
    told: Told,
}

/// The address of which the log was told that it is of no use.
#[derive(Debug, Default)]
struct Told(Mutex<Option<String>>);

/// Where pushes go, and by what key the relay knows us.
struct Target<'a> {
    url: String,
    key: &'a str,
}

/// What became of a push, or of a notification whose devices are not known. Each counts one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Sent,
    /// The device is gone for good.
    Gone,
    /// The relay does not want it, however often it is sent.
    Refused,
    /// It was tried often enough, or could not be tried.
    Failed,
    /// It is not worth showing any more.
    Expired,
    /// There was no room for it.
    Overflow,
    /// Its text is no notification.
    Unreadable,
    /// The node has ended.
    Cut,
}

impl Relay {
    /// Starts to send what it is given. `ca`: authorities in PEM form instead of the system's.
    pub fn start(directory: Directory, ca: Option<String>) -> Result<Self, TrustError> {
        let terms = Terms { timeout: ANSWER_WITHIN, concurrency: CONCURRENCY, answer_bytes_max: ANSWER_BYTES_MAX, ca };
        let client = Client::try_new(&terms)?;
        GATEWAY_RELAY_PUSHES.zero();
        GATEWAY_RELAY_WAITING.zero();
        let sender = Arc::new(Sender { client, targets: Targets::new(directory), told: Told::default() });
        Ok(Self { sender, places: Places::default(), stop: CancellationToken::new() })
    }

    /// Passes a notification on. Never waits: what has no room is dropped, and counted. Must be called within a tokio
    /// runtime.
    pub(crate) fn pass(&self, item: Item) {
        // Only openITCOCKPIT's users have devices, and its users are numbers.
        let Ok(user) = item.user.as_str().parse() else { return };
        let Some(place) = self.places.take(&item.user) else { return Outcome::Overflow.count() };
        let (sender, stop) = (Arc::clone(&self.sender), self.stop.clone());
        tokio::spawn(async move { sender.pass_on(&item, user, &place, &stop).await });
    }

    /// Waits until nothing is on its way, within `time`; whether nothing is.
    pub(crate) async fn settle(&self, time: Duration) -> bool {
        timeout(time, self.places.empty()).await.is_ok()
    }

    /// Lets what was passed on end, within `time`; then cuts it.
    pub(crate) async fn drain(self, time: Duration) {
        if !self.settle(time).await {
            warn!(notifications = self.places.taken(), "mobile pushes did not end in time and are cut");
            self.stop.cancel();
            self.places.empty().await;
        }
    }
}

impl Sender {
    async fn pass_on(&self, item: &Item, user: i64, place: &Place, stop: &CancellationToken) {
        let Ok(notification) = serde_json::from_slice::<Notification>(&item.payload) else {
            return Outcome::Unreadable.count();
        };
        let (relay, devices) = match stop.run_until_cancelled(self.find(item)).await {
            Some(Ok(Some(found))) => found,
            Some(Ok(None)) => return,
            Some(Err(ended)) => return ended.count(),
            None => return Outcome::Cut.count(),
        };
        let Some(url) = self.url(&relay) else { return devices.iter().for_each(|_| Outcome::Failed.count()) };
        let target = Target { url, key: relay.auth_key.expose() };
        let mut pushes = Vec::with_capacity(devices.len());
        for device in &devices {
            let push = Push::new(&notification, user, &device.id, target.key);
            pushes.push(self.push(item, place, &target, device, push, stop));
        }
        join_all(pushes).await;
    }

    async fn push(
        &self,
        item: &Item,
        place: &Place,
        target: &Target<'_>,
        device: &Device,
        push: Push<'_>,
        stop: &CancellationToken,
    ) {
        let answered = stop.run_until_cancelled(self.until_answered(item, place, target, &push)).await;
        // However it ended, that is what became of it.
        let outcome = answered.unwrap_or(Err(Outcome::Cut)).unwrap_or_else(|ended| ended);
        outcome.count();
        if outcome == Outcome::Gone {
            // A node that ends leaves it to the next notification.
            let _ = stop.run_until_cancelled(self.forget(device)).await;
        }
    }

    /// The relay's whole address; of one that is of no use the log is told, but not for each notification.
    fn url(&self, relay: &RelayRow) -> Option<String> {
        let url = url(&relay.address, relay.port.into());
        let is_news = self.told.is_news(url.is_err().then_some(&relay.address));
        url.inspect_err(|error| {
            if is_news {
                warn!(
                    %error,
                    "the relay's address in the table push_notifications_relay is of no use, and no phone is notified: correct it \
                     in openITCOCKPIT, to HOST or https://HOST:PORT"
                );
            }
        })
        .ok()
    }

    async fn find(&self, item: &Item) -> Result<Option<(RelayRow, Vec<Device>)>, Outcome> {
        let mut tries = Tries::new();
        loop {
            check(item)?;
            match self.targets.of(&item.user).await {
                Ok(found) => return Ok(found),
                Err(error) => debug!(%error, "the database does not tell the devices; trying again"),
            }
            tries.pause().await?;
        }
    }

    async fn until_answered(
        &self,
        item: &Item,
        place: &Place,
        target: &Target<'_>,
        push: &Push<'_>,
    ) -> Result<Outcome, Outcome> {
        let body = serde_json::to_vec(push).map_err(|_| Outcome::Failed)?;
        let headers = [("content-type", &b"application/json"[..]), ("x-api-key", target.key.as_bytes())];
        let mut tries = Tries::new();
        loop {
            let answer = {
                let _turn = place.turn().await;
                check(item)?;
                self.client.post(&target.url, &headers, body.clone()).await
            };
            if let Some(outcome) = judge(&answer) {
                return Ok(outcome);
            }
            debug!(answer = told(&answer), "the relay did not take a push; trying again");
            tries.pause().await?;
        }
    }

    /// Of this user only: another one may have signed in on the same device since.
    async fn forget(&self, device: &Device) {
        match self.targets.remove(device).await {
            Ok(()) => info!(user = device.user, "a device that is gone was removed"),
            Err(error) => warn!(%error, "a device that is gone cannot be removed from mobile_devices"),
        }
    }
}

impl Told {
    /// Notes the address if it is of no use, and says whether that is to be told.
    fn is_news(&self, useless: Option<&String>) -> bool {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_news = useless.is_some() && told.as_ref() != useless;
        *told = useless.cloned();
        is_news
    }
}

/// Until there were pauses enough.
struct Tries(std::slice::Iter<'static, Duration>);

impl Tries {
    fn new() -> Self {
        Self(PAUSES.iter())
    }

    /// Waits until it is time for the next one.
    async fn pause(&mut self) -> Result<(), Outcome> {
        let pause = self.0.next().ok_or(Outcome::Failed)?;
        sleep(pause.mul_f64(0.5 + fastrand::f64())).await;
        Ok(())
    }
}

/// Whether it is still worth showing.
fn check(item: &Item) -> Result<(), Outcome> {
    if item.expires_at <= UnixMillis::now() { Err(Outcome::Expired) } else { Ok(()) }
}

impl Outcome {
    fn count(self) {
        GATEWAY_RELAY_PUSHES.count(&[self.label()]);
    }

    /// Label `result` of `GATEWAY_RELAY_PUSHES`.
    fn label(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Gone => "gone",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::Expired => "expired",
            Self::Overflow => "overflow",
            Self::Unreadable => "unreadable",
            Self::Cut => "cut",
        }
    }
}

/// What the answer makes of a push; none if another try may go better.
fn judge(answer: &Result<Answer, FetchError>) -> Option<Outcome> {
    match answer {
        Ok(Answer { status: 200..=299, .. }) => Some(Outcome::Sent),
        Ok(Answer { status: 410, .. }) => Some(Outcome::Gone),
        Ok(Answer { status: 408 | 425 | 429 | 500.., .. }) | Err(_) => None,
        Ok(_) => Some(Outcome::Refused),
    }
}

/// An answer without its text: the relay may repeat there what it was sent, the key included.
fn told(answer: &Result<Answer, FetchError>) -> String {
    match answer {
        Ok(answer) => format!("status {}", answer.status),
        Err(error) => error.to_string(),
    }
}

#[cfg(test)]
mod tests;
