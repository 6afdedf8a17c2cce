//! The command that a monitoring engine runs for each notification and contact.
//!
//! It takes every spelling of openITCOCKPIT's own commands, hands the notification to the first ingest that
//! confirms it, keeps it in a spool when none does, and is silent when all is well. No async runtime, no
//! thread (but to look up a name), no configuration file: the engine starts it for each notification, so its
//! start is its cost.
//!
//! - [`options`] the table of options, from which help and documentation are made
//! - [`args`] arguments and environment in, a checked [`args::Command`] out; pure
//! - [`macros`] what an engine puts into the environment; pure
//! - [`address`] the spellings of an ingest's address; pure
//! - [`request`] the notification as ingest takes it; pure
//! - [`answer`] what an HTTP answer means; pure
//! - [`credentials`] what a sender shows: token, certificate
//! - [`lookup`] from a host's name to its addresses
//! - [`mod@send`] the addresses in turn, under one deadline
//! - [`spool`] the directory of those that no ingest took, and [`flush`] their delivery

mod address;
mod answer;
mod args;
pub mod credentials;
mod flush;
mod help;
mod lookup;
mod macros;
mod options;
mod request;
mod send;
mod spool;

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Instant, SystemTime};

pub use crate::address::{PATH, PORT_DEFAULT};
pub use crate::args::ADDRESS_DEFAULT;
use crate::args::{Command, Delivery, Parsed};
use crate::flush::Flushed;
use crate::request::Request;
use crate::send::{Outcome, Sender};
use crate::spool::{Spool, SpoolError};

/// The notification is not safe anywhere.
const EXIT_NOT_SAFE: u8 = 1;
/// What Checkmk is told of a notification that ingest refuses: it would try 1 again.
const EXIT_NEVER_AGAIN: u8 = 2;
/// The command was called wrongly; nothing was tried.
const EXIT_USAGE: u8 = 2;
/// Most spooled notifications that one call delivers beside its own: the engine waits for it.
const FLUSH_PER_CALL_MAX: usize = 100;

/// Does what the command line says, and says on standard error what went wrong.
///
/// `program` is the name by which it was called (only its last part matters), `args` what follows it, `env`
/// looks up an environment variable. Standard output is written only for `--help` and `--version`.
///
/// The result is 0 when the notification is safe (confirmed by an ingest, or spooled), or when there is nothing
/// to do: the contact has no user, or the notification has expired. It is 1 when it is not safe anywhere, and 2
/// for wrong usage, and where Checkmk's macros are taken also for a notification that ingest refuses.
pub fn run(program: &str, args: impl Iterator<Item = OsString>, env: &dyn Fn(&str) -> Option<OsString>) -> ExitCode {
    let started = Instant::now();
    let notes = Notes { program: Path::new(program).file_name().map_or("bellwire-notify".into(), os_text) };
    let Parsed { command, remarks } = match args::parse(args, env) {
        Ok(parsed) => parsed,
        Err(error) => {
            notes.say(&format!("{error}; see {} --help", notes.program));
            return ExitCode::from(EXIT_USAGE);
        }
    };
    remarks.iter().for_each(|remark| notes.say(remark));
    match command {
        Command::Help => print(&help::text(&notes.program)),
        Command::Version => print(concat!("bellwire-notify ", env!("CARGO_PKG_VERSION"), "\n")),
        Command::Nobody => ExitCode::SUCCESS,
        Command::Send(request, delivery) => send(&request, &delivery, started, &notes),
        Command::Flush(spool, delivery) => flush_all(&Spool::new(spool), &delivery, started, &notes),
    }
}

/// Speaks to whoever reads the engine's log.
pub(crate) struct Notes {
    program: String,
}

impl Notes {
    /// Longest line on standard error, in characters: a hostile answer must not fill the engine's log.
    const LINE_CHARS_MAX: usize = 2000;

    /// Writes one line. An engine that has closed standard error is no reason to fail.
    pub(crate) fn say(&self, text: &str) {
        let line: String =
            text.chars().take(Self::LINE_CHARS_MAX).map(|c| if c.is_control() { ' ' } else { c }).collect();
        let _ = writeln!(io::stderr(), "{}: {line}", self.program);
    }
}

fn os_text(text: &std::ffi::OsStr) -> String {
    text.to_string_lossy().into_owned()
}

fn print(text: &str) -> ExitCode {
    match io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::from(EXIT_NOT_SAFE),
    }
}

fn send(request: &Request, delivery: &Delivery, started: Instant, notes: &Notes) -> ExitCode {
    let body = request.to_json();
    let spool = delivery.spool.clone().map(Spool::new);
    let mut sender = match Sender::try_new(delivery, started) {
        Ok(sender) => sender,
        Err(reason) => return keep(request, &body, spool.as_ref(), &reason, notes),
    };
    match sender.send(&body, &request.id) {
        Outcome::Safe => {}
        Outcome::Stale => notes.say(&format!("dropped because it has expired: {request}")),
        Outcome::Refused(reason) => {
            notes.say(&format!("refused: {reason}: {request}"));
            return ExitCode::from(if delivery.for_checkmk { EXIT_NEVER_AGAIN } else { EXIT_NOT_SAFE });
        }
        Outcome::Unavailable(reasons) | Outcome::NotTaken(reasons) => {
            return keep(request, &body, spool.as_ref(), &reasons, notes);
        }
    }
    if let Some(spool) = spool {
        flush::flush(&spool, &mut sender, FLUSH_PER_CALL_MAX, notes);
    }
    ExitCode::SUCCESS
}

fn keep(request: &Request, body: &[u8], spool: Option<&Spool>, reasons: &str, notes: &Notes) -> ExitCode {
    notes.say(&format!("not delivered: {reasons}"));
    let Some(spool) = spool else {
        notes.say(&format!("lost, because no --spool is given: {request}"));
        return ExitCode::from(EXIT_NOT_SAFE);
    };
    match put(request, body, spool, notes) {
        Ok(()) => {
            notes.say(&format!("kept in {} for the next call: {request}", spool.dir().display()));
            ExitCode::SUCCESS
        }
        Err(error) => {
            notes.say(&format!("lost, because {error}: {request}"));
            ExitCode::from(EXIT_NOT_SAFE)
        }
    }
}

fn put(request: &Request, body: &[u8], spool: &Spool, notes: &Notes) -> Result<(), SpoolError> {
    let now = SystemTime::now();
    match spool.put(&request.id, body, now) {
        Err(SpoolError::Full(_)) => {}
        done => return done,
    }
    flush::make_room(spool, now, notes).map_err(|error| SpoolError::Io(spool.dir().display().to_string(), error))?;
    spool.put(&request.id, body, now)
}

fn flush_all(spool: &Spool, delivery: &Delivery, started: Instant, notes: &Notes) -> ExitCode {
    let mut sender = match Sender::try_new(delivery, started) {
        Ok(sender) => sender,
        Err(reason) => {
            notes.say(&reason);
            return ExitCode::from(EXIT_NOT_SAFE);
        }
    };
    match flush::flush(spool, &mut sender, usize::MAX, notes) {
        Flushed::Done => ExitCode::SUCCESS,
        Flushed::Elsewhere => {
            notes.say("another process is delivering this spool");
            ExitCode::SUCCESS
        }
        Flushed::Left(count) => {
            notes.say(&format!("{count} left in {}", spool.dir().display()));
            ExitCode::from(EXIT_NOT_SAFE)
        }
        Flushed::Failed => ExitCode::from(EXIT_NOT_SAFE),
    }
}
