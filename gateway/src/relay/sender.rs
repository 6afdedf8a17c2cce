//! Sends pushes: a bounded number at a time, again while the relay does not answer, and counts what became of each.

use std::sync::Arc;
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
    /// Starts to send what it is given. `ca`: authorities in PEM form instead of the system's.
    pub fn start(directory: Directory, ca: Option<String>) -> Result<Self, TrustError> {
        let terms = Terms { timeout: ANSWER_WITHIN, concurrency: CONCURRENCY, answer_bytes_max: ANSWER_BYTES_MAX, ca };
        let client = Client::try_new(&terms)?;
        GATEWAY_RELAY_PUSHES.zero();
        GATEWAY_RELAY_WAITING.zero();
        let sender = Arc::new(Sender { client, targets: Targets::new(directory) });
        Ok(Self { sender, places: Places::default(), stop: CancellationToken::new() })
    }

    /// Passes a notification on. Never waits: what has no room is dropped, and counted. Must be called within a tokio
    /// runtime.
    pub(crate) fn pass(&self, item: Item) {
        // Only openITCOCKPIT's users have devices, and its users are numbers.
        let Ok(user) = item.user.as_str().parse() else { return };
        let Some(place) = self.places.take(&item.user) else { return GATEWAY_RELAY_PUSHES.count(&["overflow"]) };
        let (sender, stop) = (Arc::clone(&self.sender), self.stop.clone());
        tokio::spawn(async move {
            if stop.run_until_cancelled(sender.pass_on(&item, user, &place)).await.is_none() {
                GATEWAY_RELAY_PUSHES.count(&["cut"]);
            }
        });
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
    async fn pass_on(&self, item: &Item, user: i64, place: &Place) {
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
            pushes.push(self.push(item, place, &url, relay.auth_key.expose(), device, push));
        }
        join_all(pushes).await;
    }

    async fn find(&self, item: &Item) -> Result<Option<(RelayRow, Vec<Device>)>, Ended> {
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

    async fn push(&self, item: &Item, place: &Place, url: &str, key: &str, device: &Device, push: Push<'_>) {
        let result = match self.until_answered(item, place, url, key, &push).await {
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

    async fn until_answered(
        &self,
        item: &Item,
        place: &Place,
        url: &str,
        key: &str,
        push: &Push<'_>,
    ) -> Result<Verdict, Ended> {
        let body = serde_json::to_vec(push).map_err(|_| Ended::Failed)?;
        let headers = [("content-type", &b"application/json"[..]), ("x-api-key", key.as_bytes())];
        let mut tries = Tries::new();
        loop {
            let answer = {
                let _turn = place.turn().await;
                check(item)?;
                self.client.post(url, &headers, body.clone()).await
            };
            match judge(&answer) {
                Verdict::Later => debug!(answer = told(&answer), "the relay did not take a push; trying again"),
                verdict => return Ok(verdict),
            }
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

/// Why something was given up.
#[derive(Debug, Clone, Copy)]
enum Ended {
    Expired,
    Failed,
}

/// Until there were pauses enough.
struct Tries(std::slice::Iter<'static, Duration>);

impl Tries {
    fn new() -> Self {
        Self(PAUSES.iter())
    }

    /// Waits until it is time for the next one.
    async fn pause(&mut self) -> Result<(), Ended> {
        let pause = self.0.next().ok_or(Ended::Failed)?;
        sleep(pause.mul_f64(0.5 + fastrand::f64())).await;
        Ok(())
    }
}

/// Whether it is still worth showing.
fn check(item: &Item) -> Result<(), Ended> {
    if item.expires_at <= UnixMillis::now() { Err(Ended::Expired) } else { Ok(()) }
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

/// An answer without its text: the relay may repeat there what it was sent, the key included.
fn told(answer: &Result<Answer, FetchError>) -> String {
    match answer {
        Ok(answer) => format!("status {}", answer.status),
        Err(error) => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_of_an_answer_is_not_logged() {
        let answer = Ok(Answer { status: 503, body: br#"{"auth_key":"secret"}"#.to_vec(), location: None });
        assert_eq!(told(&answer), "status 503");
    }

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
