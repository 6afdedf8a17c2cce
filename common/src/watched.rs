//! Files that are read again when they change: tokens, keys, certificates. No restart, no signal.
//!
//! Their device, inode, size and times are looked at every [`POLL_EVERY`], through symbolic links, so that a file that is written
//! anew, one that is renamed to its place and Kubernetes' swapped links are all seen, on any file system. A file that
//! cannot be read or is not what it must be changes nothing: what was read before stays, and the log says so once for
//! each change.

use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::metrics::{FILES_FAILED, FILES_RELOADED};

/// Time between two looks at a file. A secret that was replaced counts no longer than this and the time of a reading.
pub const POLL_EVERY: Duration = Duration::from_secs(2);

/// Largest file, in bytes.
pub const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// What the files are for: the label of `bellwire_files_reloaded_total` and `bellwire_files_failed`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Tokens of senders.
    Tokens,
    /// The shared key.
    SharedKey,
    /// Keys that check users' tokens.
    JwtKeys,
    /// The certificate of the listeners, and its key.
    Certificate,
    /// Authorities of senders' certificates.
    ClientCa,
}

/// Why files are not taken. Quotes nothing of what is in them, as far as their parser keeps to that.
#[derive(Debug, thiserror::Error)]
pub enum WatchedError {
    /// One cannot be read.
    #[error("cannot read {path}: {error}")]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        error: io::Error,
    },
    /// One is larger than [`FILE_BYTES_MAX`].
    #[error("{0} has more than {FILE_BYTES_MAX} bytes")]
    TooLarge(PathBuf),
    /// They are not what they must be.
    #[error("{path}: {message}")]
    Parse {
        /// Which file; the first of several.
        path: PathBuf,
        /// What is wrong, in the parser's words.
        message: String,
    },
}

/// Files that make one value: a certificate and its key are two.
pub struct Watched<T> {
    purpose: Purpose,
    paths: Vec<PathBuf>,
    parse: Parse<T>,
    /// How the files looked when they were read last.
    seen: Vec<Option<Look>>,
    /// Of the contents that made the last value.
    digest: [u8; 32],
}

type Parse<T> = Box<dyn Fn(&[Vec<u8>]) -> Result<T, String> + Send + Sync>;

/// What tells whether a file is still the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Look {
    file: (u64, u64),
    bytes: u64,
    modified: (i64, i64),
    /// Also moves where a copy keeps the time of the original.
    changed: (i64, i64),
}

// === impl Purpose ===

impl Purpose {
    /// Its label.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Tokens => "tokens",
            Self::SharedKey => "shared_key",
            Self::JwtKeys => "jwt_keys",
            Self::Certificate => "certificate",
            Self::ClientCa => "client_ca",
        }
    }
}

// === impl Watched ===

impl<T: Send + 'static> Watched<T> {
    /// Reads a file for the first time. `parse` says what it means, or what is wrong with it; its words are logged, so they
    /// must quote no secret.
    pub fn file(
        purpose: Purpose,
        path: &Path,
        parse: impl Fn(&[u8]) -> Result<T, String> + Send + Sync + 'static,
    ) -> Result<(Self, T), WatchedError> {
        Self::files(purpose, vec![path.to_owned()], move |contents| parse(contents.first().map_or(&[], Vec::as_slice)))
    }

    /// The same for files that make one value together; `parse` has their contents in the order of `paths`.
    pub fn files(
        purpose: Purpose,
        paths: Vec<PathBuf>,
        parse: impl Fn(&[Vec<u8>]) -> Result<T, String> + Send + Sync + 'static,
    ) -> Result<(Self, T), WatchedError> {
        let mut watched = Self { purpose, seen: Vec::new(), digest: [0; 32], parse: Box::new(parse), paths };
        // Before the reading: what changes meanwhile is read once more.
        watched.seen = watched.look();
        let contents = watched.read()?;
        let value = watched.value(&contents)?;
        watched.digest = digest(&contents);
        Ok((watched, value))
    }

    /// Watches until `stop`; `on_change` is given each new value, in a thread that may wait. It is not called where only
    /// times changed.
    pub fn start(self, on_change: impl FnMut(T) + Send + 'static, stop: CancellationToken) -> JoinHandle<()> {
        self.every(POLL_EVERY, on_change, stop)
    }

    fn every(
        mut self,
        poll: Duration,
        on_change: impl FnMut(T) + Send + 'static,
        stop: CancellationToken,
    ) -> JoinHandle<()> {
        for result in ["ok", "failed"] {
            FILES_RELOADED.with(&[self.purpose.label(), result]).increment(0);
        }
        FILES_FAILED.with(&[self.purpose.label()]).set(0.0);
        tokio::spawn(async move {
            let mut on_change = on_change;
            while stop.run_until_cancelled(tokio::time::sleep(poll)).await.is_some() {
                let checked = tokio::task::spawn_blocking(move || {
                    self.check(&mut on_change);
                    (self, on_change)
                });
                // The runtime ends, or `on_change` panicked and said so.
                let Ok(again) = checked.await else { return };
                (self, on_change) = again;
            }
        })
    }

    /// Looks at the files once.
    fn check(&mut self, on_change: &mut impl FnMut(T)) {
        let look = self.look();
        if look == self.seen {
            return;
        }
        self.seen = look;
        let (file, path) = (self.purpose.label(), self.paths.first().map(|path| path.display().to_string()));
        let changed = self.changed();
        FILES_FAILED.with(&[file]).set(if changed.is_err() { 1.0 } else { 0.0 });
        match changed {
            Ok(Some(value)) => {
                on_change(value);
                FILES_RELOADED.count(&[file, "ok"]);
                info!(file, path, "read again");
            }
            Ok(None) => {}
            Err(error) => {
                FILES_RELOADED.count(&[file, "failed"]);
                warn!(file, %error, "a file that changed cannot be used; what was read before stays");
            }
        }
    }

    /// The new value, if the contents are others.
    fn changed(&mut self) -> Result<Option<T>, WatchedError> {
        let contents = self.read()?;
        let digest = digest(&contents);
        if digest == self.digest {
            return Ok(None);
        }
        let value = self.value(&contents)?;
        self.digest = digest;
        Ok(Some(value))
    }

    fn value(&self, contents: &[Vec<u8>]) -> Result<T, WatchedError> {
        let path = || self.paths.first().cloned().unwrap_or_default();
        (self.parse)(contents).map_err(|message| WatchedError::Parse { path: path(), message })
    }

    fn look(&self) -> Vec<Option<Look>> {
        self.paths.iter().map(|path| fs::metadata(path).ok().map(|metadata| Look::of(&metadata))).collect()
    }

    fn read(&self) -> Result<Vec<Vec<u8>>, WatchedError> {
        self.paths.iter().map(|path| read(path)).collect()
    }
}

impl<T> std::fmt::Debug for Watched<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watched").field("purpose", &self.purpose).field("paths", &self.paths).finish_non_exhaustive()
    }
}

impl Look {
    fn of(metadata: &Metadata) -> Self {
        Self {
            file: (metadata.dev(), metadata.ino()),
            bytes: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

fn read(path: &Path) -> Result<Vec<u8>, WatchedError> {
    read_bounded(path, FILE_BYTES_MAX).map_err(|error| match error.kind() {
        io::ErrorKind::FileTooLarge => WatchedError::TooLarge(path.to_owned()),
        _ => WatchedError::Read { path: path.to_owned(), error },
    })
}

/// Reads a whole file that must not be larger than `limit` bytes; one that is fails with [`io::ErrorKind::FileTooLarge`].
pub(crate) fn read_bounded(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(limit + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(bytes)
}

/// Each part is preceded by its length, so that no byte can move from one to the next.
fn digest(contents: &[Vec<u8>]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for content in contents {
        hash.update((content.len() as u64).to_be_bytes());
        hash.update(content);
    }
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use metrics_exporter_prometheus::PrometheusBuilder;

    use super::*;

    fn number(bytes: &[u8]) -> Result<u32, String> {
        let text = str::from_utf8(bytes).map_err(|_| "not a text".to_owned())?;
        text.trim().parse().map_err(|_| "not a number".to_owned())
    }

    fn open(path: &Path) -> (Watched<u32>, u32) {
        Watched::file(Purpose::Tokens, path, number).unwrap()
    }

    /// What one look finds.
    fn checked<T: Send + 'static>(watched: &mut Watched<T>) -> Vec<T> {
        let mut values = Vec::new();
        watched.check(&mut |value| values.push(value));
        values
    }

    #[test]
    fn a_change_is_seen_once() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("number");
        fs::write(&path, "1").unwrap();
        let (mut watched, first) = open(&path);
        assert_eq!((first, checked(&mut watched)), (1, vec![]));
        fs::write(&path, "22").unwrap();
        assert_eq!((checked(&mut watched), checked(&mut watched)), (vec![22], vec![]));
        // Another file of the same size at its place, as editors and configuration tools do it.
        fs::write(directory.path().join("new"), "33").unwrap();
        fs::rename(directory.path().join("new"), &path).unwrap();
        assert_eq!((checked(&mut watched), checked(&mut watched)), (vec![33], vec![]));
        fs::write(&path, "33\n").unwrap();
        assert_eq!(checked(&mut watched), [33]);
    }

    #[test]
    fn the_same_contents_are_no_change() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("number");
        fs::write(&path, "1").unwrap();
        let (mut watched, _) = open(&path);
        fs::write(directory.path().join("new"), "1").unwrap();
        fs::rename(directory.path().join("new"), &path).unwrap();
        assert!(checked(&mut watched).is_empty());
    }

    #[test]
    fn a_swapped_link_is_a_change() {
        // Kubernetes: number -> ..data/number, ..data -> ..1, and ..data is replaced.
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        for version in ["1", "2"] {
            fs::create_dir(at(version)).unwrap();
            fs::write(at(version).join("number"), version).unwrap();
        }
        symlink("1", at("..data")).unwrap();
        symlink("..data/number", at("number")).unwrap();
        let (mut watched, first) = open(&at("number"));
        symlink("2", at("..data_tmp")).unwrap();
        fs::rename(at("..data_tmp"), at("..data")).unwrap();
        assert_eq!((first, checked(&mut watched)), (1, vec![2]));
    }

    #[test]
    fn what_cannot_be_used_changes_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("number");
        fs::write(&path, "1").unwrap();
        let (mut watched, _) = open(&path);
        fs::remove_file(&path).unwrap();
        assert!(checked(&mut watched).is_empty());
        fs::write(&path, "secret").unwrap();
        assert!(checked(&mut watched).is_empty());
        assert!(watched.changed().unwrap_err().to_string().ends_with("number: not a number"));
        fs::write(&path, "0".repeat(FILE_BYTES_MAX as usize + 1)).unwrap();
        assert!(checked(&mut watched).is_empty());
        assert!(matches!(watched.changed(), Err(WatchedError::TooLarge(_))));
        fs::write(&path, "2").unwrap();
        assert_eq!(checked(&mut watched), [2]);
    }

    #[test]
    fn it_is_shown_for_as_long_as_a_file_cannot_be_used() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let handle = recorder.handle();
        let failed = || handle.render().contains("bellwire_files_failed{file=\"tokens\"} 1\n");
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("number");
        fs::write(&path, "1").unwrap();
        let (mut watched, _) = open(&path);
        // A good change before a bad one, looks at which nothing is new, the new content, and the old one again.
        let steps = [("22", false), ("333", false), ("bad", true), ("bad", true), ("4444", false), ("worse", true)];
        for (text, expected) in steps.into_iter().chain([("4444", false)]) {
            if fs::read_to_string(&path).unwrap() != text {
                fs::write(&path, text).unwrap();
            }
            metrics::with_local_recorder(&recorder, || checked(&mut watched));
            assert_eq!(failed(), expected, "{text}: {}", handle.render());
        }
    }

    #[test]
    fn several_files_are_one_value() {
        let directory = tempfile::tempdir().unwrap();
        let paths = ["a", "b"].map(|name| directory.path().join(name)).to_vec();
        fs::write(&paths[0], "ab").unwrap();
        assert!(matches!(
            Watched::files(Purpose::Certificate, paths.clone(), |c| Ok(c.concat())),
            Err(WatchedError::Read { path, .. }) if path == paths[1]
        ));
        fs::write(&paths[1], "c").unwrap();
        let (mut watched, first) = Watched::files(Purpose::Certificate, paths.clone(), |c| Ok(c.join(&b'|'))).unwrap();
        assert_eq!(first, b"ab|c");
        fs::write(&paths[0], "a").unwrap();
        fs::write(&paths[1], "bc").unwrap();
        assert_eq!(checked(&mut watched), [b"a|bc"]);
    }

    #[tokio::test]
    async fn it_is_watched_until_the_stop() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("number");
        fs::write(&path, "1").unwrap();
        let (watched, _) = open(&path);
        let (sender, mut values) = tokio::sync::mpsc::unbounded_channel();
        let stop = CancellationToken::new();
        let task = watched.every(Duration::from_millis(1), move |value| sender.send(value).unwrap(), stop.clone());
        for value in [22_u32, 333] {
            fs::write(&path, value.to_string()).unwrap();
            assert_eq!(values.recv().await, Some(value));
        }
        stop.cancel();
        task.await.unwrap();
        assert_eq!(values.recv().await, None);
    }
}
