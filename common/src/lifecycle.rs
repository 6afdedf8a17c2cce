//! The end of the process: one token that everything listens to.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// What a process that was told twice to end exits with: 128 and the number of SIGINT, as shells say it.
const EXIT_AT_ONCE: i32 = 130;

/// A token that is cancelled by the first SIGTERM or SIGINT. The second one ends the process at once, without
/// a drain: who presses Ctrl-C twice means it.
pub fn shutdown_on_signals() -> io::Result<CancellationToken> {
    let mut signals = Signals::new()?;
    let shutdown = CancellationToken::new();
    let token = shutdown.clone();
    tokio::spawn(async move {
        let name = signals.next().await;
        info!(signal = name, "shutting down; a second signal ends the process at once");
        token.cancel();
        let name = signals.next().await;
        warn!(signal = name, "ended at once");
        std::process::exit(EXIT_AT_ONCE);
    });
    Ok(shutdown)
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}
