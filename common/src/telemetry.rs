//! Where log messages go: to stderr, for people or for machines.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::IsTerminal;
use std::panic::PanicHookInfo;

use tracing::error;
use tracing::subscriber::SetGlobalDefaultError;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::{fmt, registry};

use crate::settings::{LogFormat, LogLevel};

/// The AMQP client calls each lost connection an ERROR. The log's own loop heals it and tells of it once, as a WARN; who
/// wants the client's words asks for `lapin=debug` in log-level.
const QUIET: &str = "lapin=off";

/// Sends this process's messages to stderr from now on, panics included. Fails when somebody did so before.
pub fn init(level: &LogLevel, format: LogFormat) -> Result<(), SetGlobalDefaultError> {
    // The settings have checked the level; if it cannot be read all the same, too much is better than nothing.
    let filter: Targets = format!("{QUIET},{}", level.as_str()).parse().unwrap_or_default();
    // A stderr that is gone must not end the process.
    let layer = fmt::layer().with_writer(std::io::stderr).log_internal_errors(false);
    match format {
        LogFormat::Text => {
            let colours = std::io::stderr().is_terminal();
            tracing::subscriber::set_global_default(registry().with(layer.with_ansi(colours).with_filter(filter)))?;
        }
        LogFormat::Json => {
            let layer = layer.json().flatten_event(true).with_ansi(false);
            tracing::subscriber::set_global_default(registry().with(layer.with_filter(filter)))?;
        }
    }
    std::panic::set_hook(Box::new(on_panic));
    Ok(())
}

fn on_panic(info: &PanicHookInfo<'_>) {
    let location = info.location().map(ToString::to_string).unwrap_or_default();
    let payload = info.payload();
    let text = payload.downcast_ref::<&str>().copied().or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    let message = text.unwrap_or("no message");
    let thread = std::thread::current();
    let thread = thread.name().unwrap_or("unnamed");
    let backtrace = Backtrace::capture();
    if backtrace.status() == BacktraceStatus::Captured {
        error!(location, message, thread, %backtrace, "a part of the program panicked: please report it");
    } else {
        error!(location, message, thread, "a part of the program panicked: please report it");
    }
}
