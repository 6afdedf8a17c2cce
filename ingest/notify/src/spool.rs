//! The directory of notifications that no ingest took: one file each, exactly the JSON that is posted.
//!
//! ```text
//! <milliseconds since 1970, 13 digits>-<id>.json    a notification; the names sort by age
//! .new-<id>                                         being written, never read
//! <name>.bad                                        set aside: unreadable, or refused by ingest
//! ```
//!
//! The process that delivers locks the directory itself: a lock file would belong to whoever came first, and shut
//! out every other user for good.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::request::TTL_MAX;

/// Most notifications in a spool, about: writers do not wait for each other to count.
pub(crate) const SPOOL_FILES_MAX: usize = 10_000;
/// Most files that are kept aside; further ones are removed.
pub(crate) const ASIDE_FILES_MAX: usize = 100;
/// A file under its first name for longer than this was left by a process that was killed.
const NEW_AGE_MAX: Duration = Duration::from_secs(3600);

const NEW_PREFIX: &str = ".new-";
const ASIDE_SUFFIX: &str = ".bad";
const SUFFIX: &str = ".json";

/// Why a notification could not be kept.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SpoolError {
    /// There are [`SPOOL_FILES_MAX`] that have not expired.
    #[error("the spool {0} is full: it holds {SPOOL_FILES_MAX} notifications")]
    Full(String),
    /// The file system says no.
    #[error("the spool {0} cannot be written: {1}")]
    Io(String, io::Error),
}

/// A spool, which need not exist yet.
#[derive(Debug)]
pub(crate) struct Spool {
    dir: PathBuf,
}

impl Spool {
    pub(crate) fn new(dir: PathBuf) -> Self {
        Self { dir }
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Keeps a notification. Once this returns it is on the disk and outlives a power cut.
    pub(crate) fn put(&self, id: &str, body: &[u8], now: SystemTime) -> Result<(), SpoolError> {
        let failed = |error| SpoolError::Io(self.dir.display().to_string(), error);
        make_dir(&self.dir, &mut sync_dir).map_err(failed)?;
        if self.count().map_err(failed)? >= SPOOL_FILES_MAX {
            return Err(SpoolError::Full(self.dir.display().to_string()));
        }
        let new = self.dir.join(format!("{NEW_PREFIX}{id}"));
        let name = format!("{:013}-{id}{SUFFIX}", millis(now));
        self.write(&new, &name, body).map_err(|error| {
            let _ = fs::remove_file(&new);
            failed(error)
        })
    }

    /// Content first, then the name, then the directory that holds the name: a name never stands for half a file.
    fn write(&self, new: &Path, name: &str, body: &[u8]) -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(new)?;
        file.write_all(body)?;
        file.sync_all()?;
        fs::rename(new, self.dir.join(name))?;
        sync_dir(&self.dir)
    }

    fn count(&self) -> io::Result<usize> {
        Ok(fs::read_dir(&self.dir)?
            .flatten()
            .filter(|entry| is_notification(&entry.file_name().to_string_lossy()))
            .count())
    }

    /// Whether there is something to deliver or to tidy; cheap, because most calls find nothing.
    pub(crate) fn is_empty(&self) -> io::Result<bool> {
        match fs::read_dir(&self.dir) {
            Ok(mut entries) => Ok(!entries.any(|entry| {
                entry.is_ok_and(|entry| {
                    let name = entry.file_name().to_string_lossy().into_owned();
                    is_notification(&name) || name.starts_with(NEW_PREFIX)
                })
            })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// Makes this process the one that delivers; none while another does. Ends with the value, or the process.
    pub(crate) fn lock(&self) -> io::Result<Option<Locked<'_>>> {
        let dir = File::open(&self.dir)?;
        match dir.try_lock() {
            Ok(()) => Ok(Some(Locked { spool: self, _lock: dir })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}

/// A spool that this process alone delivers.
#[derive(Debug)]
pub(crate) struct Locked<'a> {
    spool: &'a Spool,
    _lock: File,
}

/// What a spool holds.
#[derive(Debug)]
pub(crate) struct Listing {
    /// Names of notifications, the oldest first; at most [`SPOOL_FILES_MAX`] of them.
    pub(crate) names: Vec<String>,
    /// How many files stand aside.
    pub(crate) aside: usize,
    /// What went wrong meanwhile; none of it is a reason not to deliver the rest.
    pub(crate) troubles: Vec<String>,
}

impl Locked<'_> {
    /// Looks what there is, and removes what killed processes left half written.
    pub(crate) fn list(&self, now: SystemTime) -> io::Result<Listing> {
        let mut listing = Listing { names: Vec::new(), aside: 0, troubles: Vec::new() };
        for entry in fs::read_dir(&self.spool.dir)? {
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => {
                    listing.troubles.push(format!("{} cannot be read to its end: {error}", self.spool.dir.display()));
                    continue;
                }
            };
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.ends_with(ASIDE_SUFFIX) {
                listing.aside += 1;
            } else if is_notification(&name) && listing.names.len() < SPOOL_FILES_MAX {
                listing.names.push(name);
            } else if name.starts_with(NEW_PREFIX)
                && is_left_over(&entry, now)
                && let Err(error) = fs::remove_file(entry.path())
            {
                listing.troubles.push(format!("{} cannot be removed: {error}", entry.path().display()));
            }
        }
        listing.names.sort_unstable();
        Ok(listing)
    }

    /// Names of notifications that are too old for any ingest, as far as their names tell.
    pub(crate) fn outdated(&self, now: SystemTime) -> io::Result<Vec<String>> {
        let oldest = millis(now).saturating_sub(TTL_MAX.as_millis());
        let names =
            fs::read_dir(&self.spool.dir)?.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
        Ok(names.filter(|name| created(name).is_some_and(|created| created < oldest)).collect())
    }

    /// Where the file of this name is.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.spool.dir.join(name)
    }

    /// Removes what is delivered or expired.
    pub(crate) fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path(name))
    }

    /// Takes a file out of the way but keeps it for people.
    pub(crate) fn set_aside(&self, name: &str) -> io::Result<()> {
        fs::rename(self.path(name), self.path(&format!("{name}{ASIDE_SUFFIX}")))
    }
}

/// Makes a directory and those above it. Each new name is synchronized in the directory that holds it, or a power cut
/// could take the spool away with what it holds.
fn make_dir(dir: &Path, sync: &mut dyn FnMut(&Path) -> io::Result<()>) -> io::Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    let parent = match dir.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    make_dir(parent, sync)?;
    match DirBuilder::new().mode(0o700).create(dir) {
        // Another call was quicker; it may not have come to its own synchronization yet.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && dir.is_dir() => {}
        made => made?,
    }
    sync(parent)
}

fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

fn is_notification(name: &str) -> bool {
    name.ends_with(SUFFIX) && !name.starts_with('.')
}

/// Milliseconds since 1970 in the name of a notification.
fn created(name: &str) -> Option<u128> {
    if !is_notification(name) {
        return None;
    }
    name.split_once('-')?.0.parse().ok()
}

fn is_left_over(entry: &fs::DirEntry, now: SystemTime) -> bool {
    let modified = entry.metadata().and_then(|metadata| metadata.modified());
    modified.is_ok_and(|modified| now.duration_since(modified).is_ok_and(|age| age > NEW_AGE_MAX))
}

fn millis(time: SystemTime) -> u128 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spool() -> (tempfile::TempDir, Spool) {
        let dir = tempfile::tempdir().unwrap();
        let spool = Spool::new(dir.path().join("made/on/demand"));
        (dir, spool)
    }

    fn at(millis: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(millis)
    }

    #[test]
    fn what_is_put_is_listed_by_age() {
        let (_dir, spool) = spool();
        assert!(spool.is_empty().unwrap());
        spool.put("b", b"2", at(1_700_000_000_001)).unwrap();
        spool.put("c", b"1", at(1_700_000_000_000)).unwrap();
        assert!(!spool.is_empty().unwrap());
        let locked = spool.lock().unwrap().unwrap();
        let names = locked.list(SystemTime::now()).unwrap().names;
        assert_eq!(names, ["1700000000000-c.json", "1700000000001-b.json"]);
        assert_eq!(fs::read(locked.path(&names[0])).unwrap(), b"1");
        locked.remove(&names[0]).unwrap();
        locked.set_aside(&names[1]).unwrap();
        let listing = locked.list(SystemTime::now()).unwrap();
        assert_eq!((listing.names.len(), listing.aside), (0, 1));
        assert!(spool.is_empty().unwrap());
    }

    #[test]
    fn one_at_a_time() {
        let (_dir, spool) = spool();
        spool.put("a", b"1", SystemTime::now()).unwrap();
        let first = spool.lock().unwrap();
        assert!(first.is_some());
        assert!(spool.lock().unwrap().is_none());
        drop(first);
        assert!(spool.lock().unwrap().is_some());
    }

    #[test]
    fn only_what_is_too_old_by_its_name_is_outdated() {
        let (_dir, spool) = spool();
        spool.put("old", b"1", at(1_700_000_000_000 - 1_800_001)).unwrap();
        spool.put("young", b"1", at(1_700_000_000_000 - 1_800_000)).unwrap();
        fs::write(spool.dir.join("1-x.json.bad"), "").unwrap();
        let locked = spool.lock().unwrap().unwrap();
        assert_eq!(locked.outdated(at(1_700_000_000_000)).unwrap(), ["1699998199999-old.json"]);
    }

    #[test]
    fn every_new_level_is_synchronized_in_the_one_above() {
        let root = tempfile::tempdir().unwrap();
        let mut synced = Vec::new();
        let mut make = |dir: &Path| {
            make_dir(dir, &mut |dir: &Path| {
                synced.push(dir.to_owned());
                Ok(())
            })
        };
        make(&root.path().join("a/b/c")).unwrap();
        make(&root.path().join("a/b/d")).unwrap();
        make(&root.path().join("a")).unwrap();
        fs::write(root.path().join("file"), "").unwrap();
        assert!(make(&root.path().join("file/x")).is_err());
        assert_eq!(synced, ["", "a", "a/b", "a/b"].map(|dir| root.path().join(dir)));
    }

    #[test]
    fn what_a_killed_process_left_is_removed_later() {
        let (_dir, spool) = spool();
        make_dir(&spool.dir, &mut sync_dir).unwrap();
        let half = spool.dir.join(".new-x");
        fs::write(&half, "ha").unwrap();
        let locked = spool.lock().unwrap().unwrap();
        locked.list(SystemTime::now()).unwrap();
        assert!(half.exists());
        locked.list(SystemTime::now() + NEW_AGE_MAX + Duration::from_secs(9)).unwrap();
        assert!(!half.exists());
    }

    #[test]
    fn a_spool_that_cannot_be_written_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        let error = Spool::new(file.join("spool")).put("a", b"1", SystemTime::now()).unwrap_err();
        assert!(error.to_string().contains("file/spool cannot be written"), "{error}");
    }
}
