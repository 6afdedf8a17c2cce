//! Delivers what a spool holds, the oldest first.

use std::io;
use std::time::SystemTime;

use crate::Notes;
use crate::request::{Request, TEXT_BYTES_MAX};
use crate::send::{Outcome, Sender, read_bounded};
use crate::spool::{ASIDE_FILES_MAX, Locked, Spool};

/// Largest spool file that is read, in bytes: every text of a request, each byte escaped.
const FILE_BYTES_MAX: u64 = 64 * TEXT_BYTES_MAX as u64;

/// How a delivery of the spool ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Flushed {
    /// Nothing is left.
    Done,
    /// Another process is at it.
    Elsewhere,
    /// So many are left: no ingest takes them, or time or limit is used up.
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

fn try_flush(spool: &Spool, sender: &mut Sender, limit: usize, notes: &Notes) -> io::Result<Flushed> {
    if spool.is_empty()? {
        return Ok(Flushed::Done);
    }
    let Some(locked) = spool.lock()? else { return Ok(Flushed::Elsewhere) };
    let now = SystemTime::now();
    let listing = locked.list(now)?;
    let mut flush = Flush { locked, sender, notes, now, aside: listing.aside };
    let count = listing.names.len();
    for (done, name) in listing.names.iter().enumerate() {
        if done == limit || !flush.sender.has_time() || !flush.one(name) {
            return Ok(Flushed::Left(count - done));
        }
    }
    Ok(Flushed::Done)
}

struct Flush<'a> {
    locked: Locked<'a>,
    sender: &'a mut Sender,
    notes: &'a Notes,
    now: SystemTime,
    /// How many files stand aside.
    aside: usize,
}

impl Flush<'_> {
    /// Deals with one file; false when no ingest takes anything now.
    fn one(&mut self, name: &str) -> bool {
        let (request, body) = match self.read(name) {
            Ok(read) => read,
            Err(reason) => {
                self.set_aside(name, &reason);
                return true;
            }
        };
        if request.has_expired(self.now) {
            self.drop_expired(name, &request);
            return true;
        }
        match self.sender.send(&body, &request.id) {
            Outcome::Safe => self.remove(name),
            Outcome::Stale => self.drop_expired(name, &request),
            Outcome::Refused(reason) => self.set_aside(name, &format!("refused: {reason}: {request}")),
            Outcome::Unavailable(reasons) | Outcome::NotTaken(reasons) => {
                self.notes.say(&format!("the spool is not delivered further: {reasons}"));
                return false;
            }
        }
        true
    }

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

    fn drop_expired(&self, name: &str, request: &Request) {
        self.notes.say(&format!("dropped because it has expired: {request}"));
        self.remove(name);
    }

    fn remove(&self, name: &str) {
        if let Err(error) = self.locked.remove(name) {
            self.notes.say(&format!("{} cannot be removed: {error}", self.locked.path(name).display()));
        }
    }

    fn set_aside(&mut self, name: &str, reason: &str) {
        let path = self.locked.path(name);
        if self.aside >= ASIDE_FILES_MAX {
            self.notes
                .say(&format!("removed, {ASIDE_FILES_MAX} files stand aside already: {}: {reason}", path.display()));
            return self.remove(name);
        }
        match self.locked.set_aside(name) {
            Ok(()) => {
                self.aside += 1;
                self.notes.say(&format!("set aside: {}: {reason}", path.display()));
            }
            Err(error) => self.notes.say(&format!("{} cannot be set aside: {error}: {reason}", path.display())),
        }
    }
}
