//! What systemd, or a service manager that speaks as it does (`sd_notify`), is told: that the process has started, how it
//! is, that it ends, and that it is not stuck. Without `NOTIFY_SOCKET` nothing is told.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::sync::{Mutex, watch};
use tokio::task::spawn_blocking;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tracing::{debug, error};

use bellwire_gateway::pulse::Pulse;

/// How often it is told how the process is where nobody set a watchdog. With one: at half its time, as systemd asks.
const EVERY: Duration = Duration::from_secs(10);

/// A start may take longer than the manager waits, such as until RabbitMQ is there; so much longer, told each time anew.
/// A process that hangs tells no more, and is ended.
const MORE_TO_START: Duration = Duration::from_secs(60);

/// What an end takes beyond the drain: the last writes, the log, the answers in progress.
const MORE_TO_END: Duration = Duration::from_secs(30);

/// A manager that does not listen must not hold anything up.
const TOLD_WITHIN: Duration = Duration::from_secs(1);

/// See the module.
#[derive(Debug)]
pub(crate) struct Supervisor {
    phase: watch::Sender<Phase>,
    pulse: Arc<OnceLock<Pulse>>,
    mouth: Mouth,
}

/// Says one thing after the other. The manager's socket takes only so much and then blocks: one thread at most.
#[derive(Debug, Clone, Default)]
struct Mouth(Arc<Mutex<()>>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Starting,
    Ready,
    Ending,
}

impl Supervisor {
    /// Begins to tell. Must be called within a tokio runtime: that its tasks have their turn is what the watchdog proves.
    pub(crate) fn start() -> Self {
        let (phase, followed) = watch::channel(Phase::Starting);
        let (pulse, mouth) = (Arc::<OnceLock<Pulse>>::default(), Mouth::default());
        if std::env::var_os("NOTIFY_SOCKET").is_some_and(|socket| !socket.is_empty()) {
            let every = sd_notify::watchdog_enabled().map_or(EVERY, |time| (time / 2).max(Duration::from_millis(1)));
            tokio::spawn(beat(followed, Arc::clone(&pulse), mouth.clone(), every));
        }
        Self { phase, pulse, mouth }
    }

    /// From now on the watchdog also wants the gateway to go on; the first one counts.
    pub(crate) fn watch(&self, pulse: Pulse) {
        let _ = self.pulse.set(pulse);
    }

    /// The process serves.
    pub(crate) async fn ready(&self) {
        if self.phase.send_replace(Phase::Ready) != Phase::Ready {
            self.mouth.tell(NotifyState::Ready.to_string()).await;
        }
    }

    /// One line about how it is, for processes without a gateway.
    pub(crate) async fn status(&self, text: &str) {
        self.mouth.tell(said(text)).await;
    }

    /// The process ends, within about this time.
    pub(crate) async fn ending(&self, within: Duration) {
        self.phase.send_replace(Phase::Ending);
        let time = NotifyState::ExtendTimeoutUsec(micros(within + MORE_TO_END));
        self.mouth.tell(format!("{}\n{}\n{time}", NotifyState::Stopping, said("ending"))).await;
    }
}

impl Mouth {
    async fn tell(&self, words: String) {
        if words.is_empty() {
            return;
        }
        let turn = Arc::clone(&self.0).lock_owned();
        let told = async {
            let turn = turn.await;
            let told = spawn_blocking(move || {
                let _turn = turn;
                sd_notify::notify(&[NotifyState::Custom(&words)])
            });
            told.await.map_err(std::io::Error::other)?
        };
        match timeout(TOLD_WITHIN, told).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => debug!(%error, "the service manager cannot be told"),
            Err(_) => debug!("the service manager does not listen"),
        }
    }
}

/// Tells how the process is, until it ends.
async fn beat(mut phase: watch::Receiver<Phase>, pulse: Arc<OnceLock<Pulse>>, mouth: Mouth, every: Duration) {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            changed = phase.changed() => if changed.is_err() { return },
        }
        // A lock that is never given back holds up this thread and with it the word that all is well.
        let looked = Arc::clone(&pulse);
        let look = move || looked.get().map(|pulse| (pulse.stuck(), pulse.sessions()));
        let (stuck, sessions) = match spawn_blocking(look).await {
            Ok(Some((stuck, sessions))) => (stuck, Some(sessions)),
            Ok(None) | Err(_) => (None, None),
        };
        if let Some(stuck) = &stuck {
            error!(stuck, "a part of the program does not go on; a watchdog, where there is one, restarts it");
        }
        // What `ready` and `ending` have told in between counts.
        let now = *phase.borrow_and_update();
        mouth.tell(words(now, stuck.as_deref(), sessions)).await;
    }
}

fn words(phase: Phase, stuck: Option<&str>, sessions: Option<usize>) -> String {
    let status = match (stuck, phase, sessions) {
        (Some(stuck), ..) => Some(format!("stuck: {stuck}")),
        (None, Phase::Starting, Some(_)) => Some("catching up with the log".into()),
        (None, Phase::Ready, Some(sessions)) => Some(format!("{sessions} tabs")),
        (None, _, None) | (None, Phase::Ending, _) => None,
    };
    let more = (phase == Phase::Starting && stuck.is_none())
        .then(|| NotifyState::ExtendTimeoutUsec(micros(MORE_TO_START)).to_string());
    let alive = stuck.is_none().then(|| NotifyState::Watchdog.to_string());
    [status.as_deref().map(said), more, alive].into_iter().flatten().collect::<Vec<_>>().join("\n")
}

/// A status is one line.
fn said(text: &str) -> String {
    NotifyState::Status(&text.replace('\n', " ")).to_string()
}

fn micros(time: Duration) -> u32 {
    u32::try_from(time.as_micros()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_phase_has_its_words() {
        let starting = words(Phase::Starting, None, Some(0));
        assert_eq!(starting, "STATUS=catching up with the log\nEXTEND_TIMEOUT_USEC=60000000\nWATCHDOG=1");
        assert_eq!(words(Phase::Ready, None, Some(12)), "STATUS=12 tabs\nWATCHDOG=1");
        assert_eq!(words(Phase::Starting, None, None), "EXTEND_TIMEOUT_USEC=60000000\nWATCHDOG=1");
        assert_eq!(words(Phase::Ready, None, None), "WATCHDOG=1");
        // Its end was given a time: it must not be prolonged.
        assert_eq!(words(Phase::Ending, None, Some(12)), "WATCHDOG=1");
    }

    #[test]
    fn what_is_stuck_is_told_and_not_called_alive() {
        for phase in [Phase::Starting, Phase::Ready, Phase::Ending] {
            let words = words(phase, Some("a task\nWATCHDOG=1"), Some(1));
            assert!(words.starts_with("STATUS=stuck: a task WATCHDOG=1"), "{words}");
            assert!(!words.contains("\nWATCHDOG"), "{words}");
            assert!(!words.contains("EXTEND_TIMEOUT_USEC"), "nor given more time to start: {words}");
        }
    }

    #[test]
    fn a_time_beyond_what_can_be_told_is_the_longest() {
        assert_eq!(micros(Duration::from_secs(3600) + MORE_TO_END), 3_630_000_000);
        assert_eq!(micros(Duration::MAX), u32::MAX);
    }
}
