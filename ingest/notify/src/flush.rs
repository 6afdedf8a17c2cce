//! Delivers what a spool holds, the oldest first.

use std::collections::HashSet;
use std::io;
use std::time::SystemTime;

use crate::Notes;
use crate::credentials::read_bounded;
use crate::request::{Request, TEXT_BYTES_MAX};
use crate::send::{Outcome, Sender};
use crate::spool::{ASIDE_FILES_MAX, Locked, Spool};

/// Largest spool file that is read, in bytes: every text of a request, each byte escaped.
const FILE_BYTES_MAX: u64 = 64 * TEXT_BYTES_MAX as u64;
/// So many users in a row without a log are no longer one shard's outage: the rest waits for the next call.
const UNAVAILABLE_IN_A_ROW_MAX: usize = 4;

/// How a delivery of the spool ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Flushed {
    /// Nothing is left.
    Done,
    /// Another process is at it.
    Elsewhere,
    /// So many are left: no ingest takes them, time or limit is used up, or they could not be removed.
    Left(usize),
    /// The directory cannot be read.
    Failed,
}

/// Delivers at most `limit` notifications within the sender's deadline; says what it drops or sets aside.
pub(crate) fn flush(spool: &Spool, sender: &mut Sender, limit: usize, notes: &Notes) -> Flushed {
    match try_flush(spool, sender, limit, notes) {
        Ok(flushed) => flushed,
        Err(error) => {
            notes.say(&format!("the spool {} cannot be delivered: {error}", spool.dir().display()));
            Flushed::Failed
        }
    }
}

/// Removes from a full spool what is too old for any ingest, and names it; leaves that to the process that delivers, if
/// there is one.
pub(crate) fn make_room(spool: &Spool, now: SystemTime, notes: &Notes) -> io::Result<()> {
    let Some(locked) = spool.lock()? else { return Ok(()) };
    let files = Files { locked: &locked, notes };
    for name in locked.outdated(now)? {
        let what = files.read(&name).map_or(name.clone(), |(request, _)| request.to_string());
        files.drop_expired(&name, &what);
    }
    Ok(())
}

fn try_flush(spool: &Spool, sender: &mut Sender, limit: usize, notes: &Notes) -> io::Result<Flushed> {
    if spool.is_empty()? {
        return Ok(Flushed::Done);
    }
    let Some(locked) = spool.lock()? else { return Ok(Flushed::Elsewhere) };
    let now = SystemTime::now();
    let listing = locked.list(now)?;
    listing.troubles.iter().for_each(|trouble| notes.say(trouble));
    let files = Files { locked: &locked, notes };
    let mut flush =
        Flush { files, sender, now, aside: listing.aside, tried: 0, in_a_row: 0, without_log: HashSet::new() };
    let mut left = 0;
    for (done, name) in listing.names.iter().enumerate() {
        if flush.tried == limit || !flush.sender.has_time() {
            return Ok(Flushed::Left(left + listing.names.len() - done));
        }
        match flush.one(name) {
            Step::Gone => {}
            Step::Left => left += 1,
            Step::Stop => return Ok(Flushed::Left(left + listing.names.len() - done)),
        }
    }
    Ok(if left == 0 { Flushed::Done } else { Flushed::Left(left) })
}

/// What became of one file.
enum Step {
    /// It is in the spool no more.
    Gone,
    /// It is still there; the others have their turn.
    Left,
    /// It is still there, and so the others would be.
    Stop,
}

struct Flush<'a> {
    files: Files<'a>,
    sender: &'a mut Sender,
    now: SystemTime,
    /// How many files stand aside.
    aside: usize,
    /// How many were offered to ingest.
    tried: usize,
    /// How many users in a row had no log.
    in_a_row: usize,
    /// Users whose shard takes nothing now. Their other notifications wait too: for their order, and because each
    /// attempt may cost ingest's whole patience with the log.
    without_log: HashSet<String>,
}

impl Flush<'_> {
    fn one(&mut self, name: &str) -> Step {
        let (request, body) = match self.files.read(name) {
            Ok(read) => read,
            Err(reason) => return self.set_aside(name, &reason),
        };
        if request.has_expired(self.now) {
            return self.files.drop_expired(name, &request.to_string());
        }
        if self.without_log.contains(&request.user) {
            return Step::Left;
        }
        self.tried += 1;
        let outcome = self.sender.send(&body, &request.id);
        if !matches!(outcome, Outcome::Unavailable(_)) {
            self.in_a_row = 0;
        }
        match outcome {
            Outcome::Safe => self.files.remove(name),
            Outcome::Stale => self.files.drop_expired(name, &request.to_string()),
            Outcome::Refused(reason) => self.set_aside(name, &format!("refused: {reason}: {request}")),
            Outcome::Unavailable(reasons) => self.keep(request, &reasons),
            Outcome::NotTaken(reasons) => self.stop(&reasons),
        }
    }

    fn keep(&mut self, request: Request, reasons: &str) -> Step {
        self.in_a_row += 1;
        if self.in_a_row == UNAVAILABLE_IN_A_ROW_MAX {
            return self.stop(reasons);
        }
        self.files.notes.say(&format!("kept, and what else is for this user: {reasons}: {request}"));
        self.without_log.insert(request.user);
        Step::Left
    }

    fn stop(&self, reasons: &str) -> Step {
        self.files.notes.say(&format!("the spool is not delivered further: {reasons}"));
        Step::Stop
    }

    fn set_aside(&mut self, name: &str, reason: &str) -> Step {
        let Files { locked, notes } = self.files;
        let path = locked.path(name);
        if self.aside >= ASIDE_FILES_MAX {
            notes.say(&format!("removed, {ASIDE_FILES_MAX} files stand aside already: {}: {reason}", path.display()));
            return self.files.remove(name);
        }
        match locked.set_aside(name) {
            Ok(()) => {
                self.aside += 1;
                notes.say(&format!("set aside: {}: {reason}", path.display()));
                Step::Gone
            }
            Err(error) => {
                notes.say(&format!("{} cannot be set aside: {error}: {reason}", path.display()));
                Step::Left
            }
        }
    }
}

/// The files of a spool that this process has for itself.
#[derive(Clone, Copy)]
struct Files<'a> {
    locked: &'a Locked<'a>,
    notes: &'a Notes,
}

impl Files<'_> {
    fn read(&self, name: &str) -> Result<(Request, Vec<u8>), String> {
        let path = self.locked.path(name);
        // Opening a pipe would wait for ever.
        let metadata = std::fs::symlink_metadata(&path).map_err(|error| error.to_string())?;
        if !metadata.is_file() {
            return Err("is not a regular file".to_owned());
        }
        let body = read_bounded(&path, FILE_BYTES_MAX).map_err(|error| error.to_string())?;
        let request = serde_json::from_slice(&body).map_err(|error| format!("is no notification: {error}"))?;
        Ok((request, body))
    }

    fn drop_expired(&self, name: &str, what: &str) -> Step {
        self.notes.say(&format!("dropped because it has expired: {what}"));
        self.remove(name)
    }

    fn remove(&self, name: &str) -> Step {
        match self.locked.remove(name) {
            Ok(()) => Step::Gone,
            Err(error) => {
                self.notes.say(&format!("{} cannot be removed: {error}", self.locked.path(name).display()));
                Step::Left
            }
        }
    }
}
