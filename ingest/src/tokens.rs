//! The bearer tokens that open ingest, and what each may do.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use sha2::{Digest, Sha256};
use subtle::{ConditionallySelectable, ConstantTimeEq};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use bellwire_common::watched::{Purpose, Watched, WatchedError};

mod grant;
mod line;

pub use grant::{Grant, PATHS};

/// Longest token, in bytes.
pub const TOKEN_BYTES_MAX: usize = 512;
/// Shorter tokens, in bytes, are taken with a warning: they can be guessed.
pub const TOKEN_BYTES_ADVISED: usize = 16;
/// Longest name of a token, in bytes.
pub const TOKEN_NAME_BYTES_MAX: usize = 64;
/// Most tokens in the file: each is compared with each request's.
pub const TOKENS_MAX: usize = 256;

type Hash = [u8; 32];

/// A set of tokens, shared by its clones, that can be read anew from its file. Only hashes are kept, so that no dump
/// or debug output can show a token.
#[derive(Clone, Default)]
pub struct Tokens {
    shared: Option<Arc<Shared>>,
}

struct Shared {
    path: PathBuf,
    entries: RwLock<Arc<[Entry]>>,
    /// Until it is watched.
    file: Mutex<Option<Watched<Arc<[Entry]>>>>,
}

/// One token and what it opens.
struct Entry {
    hash: Hash,
    line: usize,
    is_short: bool,
    grant: Arc<Grant>,
}

/// What people may know of a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    /// Its line in the file, from 1.
    pub line: usize,
    /// It has less than [`TOKEN_BYTES_ADVISED`], and can be guessed.
    pub is_short: bool,
    /// What it may do.
    pub grant: Arc<Grant>,
}

impl Tokens {
    /// No tokens: only senders on this machine are let in (see [`crate::http`]).
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// Reads a file: one token a line, as `docs/ingest.md` says. The error never shows a token.
    pub fn load(path: &Path) -> Result<Self, WatchedError> {
        let shown = path.display().to_string();
        let (file, entries) = Watched::file(Purpose::Tokens, path, move |bytes| read(bytes, &shown))?;
        let (entries, file) = (RwLock::new(entries), Mutex::new(Some(file)));
        Ok(Self { shared: Some(Arc::new(Shared { path: path.to_owned(), entries, file })) })
    }

    /// From now on and until `stop`, what changes in the file counts, for all clones. Without a file, and when it is
    /// watched already, this does nothing.
    pub fn watch(&self, stop: CancellationToken) {
        let Some(shared) = &self.shared else { return };
        let Some(file) = shared.file.lock().unwrap_or_else(PoisonError::into_inner).take() else { return };
        let watching = Arc::clone(shared);
        file.start(move |entries| watching.replace(entries), stop);
    }

    /// Whether a token is asked for.
    #[must_use]
    pub fn are_required(&self) -> bool {
        self.shared.is_some()
    }

    /// All of them, in the order of the file.
    #[must_use]
    pub fn about(&self) -> Vec<About> {
        let about =
            |entry: &Entry| About { line: entry.line, is_short: entry.is_short, grant: Arc::clone(&entry.grant) };
        self.entries().iter().map(about).collect()
    }

    fn entries(&self) -> Arc<[Entry]> {
        let read = |shared: &Arc<Shared>| Arc::clone(&shared.entries.read().unwrap_or_else(PoisonError::into_inner));
        self.shared.as_ref().map_or_else(|| Arc::new([]), read)
    }

    /// What `token` may do; none if it is none of them. Takes the same time whichever it is, and however much of it is
    /// right.
    #[must_use]
    pub fn grant(&self, token: &[u8]) -> Option<Arc<Grant>> {
        let entries = self.entries();
        let given = hash(token);
        let mut place = u32::MAX;
        for (index, entry) in (0..).zip(entries.iter()) {
            place.conditional_assign(&index, entry.hash.ct_eq(&given));
        }
        entries.get(usize::try_from(place).ok()?).map(|entry| Arc::clone(&entry.grant))
    }
}

impl Shared {
    fn replace(&self, entries: Arc<[Entry]>) {
        *self.entries.write().unwrap_or_else(PoisonError::into_inner) = entries;
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens").field("path", &self.shared.as_ref().map(|shared| &shared.path)).finish_non_exhaustive()
    }
}

fn read(bytes: &[u8], path: &str) -> Result<Arc<[Entry]>, String> {
    let text = str::from_utf8(bytes).map_err(|_| "is not UTF-8".to_owned())?;
    let mut entries: Vec<Entry> = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let wrong = |what: &str| format!("line {number}: {what}");
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (token, grant) = line::parse(line).map_err(|error| wrong(&error.to_string()))?;
        let is_short = token.len() < TOKEN_BYTES_ADVISED;
        if is_short {
            warn!(path, line = number, bytes_advised = TOKEN_BYTES_ADVISED, "token is short");
        }
        if entries.len() == TOKENS_MAX {
            return Err(wrong(&format!("there must be at most {TOKENS_MAX} tokens")));
        }
        let entry = Entry { hash: hash(token.as_bytes()), line: number, is_short, grant: Arc::new(grant) };
        // Else it would be open which of the two says what the token may do.
        if entries.iter().any(|known| known.hash == entry.hash) {
            return Err(wrong("the same token stands on a line before"));
        }
        entries.push(entry);
    }
    // Nobody could send anything; leaving the setting out opens ingest to this machine.
    if entries.is_empty() { Err("holds no token".to_owned()) } else { Ok(entries.into()) }
}

fn hash(token: &[u8]) -> Hash {
    Sha256::digest(token).into()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;
    use std::time::Duration;

    use bellwire_testkit::eventually::eventually;

    use super::*;

    fn file(text: &str) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file
    }

    #[test]
    fn names_and_comments_are_no_tokens() {
        let file = file("# comment\n\npoller-1: 0123456789abcdef\r\n  plain-token-0123456789  \n");
        let tokens = Tokens::load(file.path()).unwrap();
        assert!(tokens.are_required());
        let has = |token: &str| tokens.grant(token.as_bytes()).is_some();
        assert!(has("0123456789abcdef") && has("plain-token-0123456789"));
        for bad in ["", "poller-1", "poller-1: 0123456789abcdef", "0123456789abcde", "0123456789abcdeg", "# comment"] {
            assert!(!has(bad), "{bad}");
        }
        assert!(!Tokens::none().are_required() && Tokens::none().grant(b"").is_none());
    }

    #[test]
    fn each_token_has_its_own_grant() {
        let file = file("a:first-token-0123456789 users=7\nsecond-token-0123456789\nc:third-token-0123456789\n");
        let tokens = Tokens::load(file.path()).unwrap();
        let name = |token: &str| tokens.grant(token.as_bytes()).map(|grant| grant.name.clone());
        assert_eq!(name("first-token-0123456789").as_deref(), Some("a"));
        assert_eq!(name("second-token-0123456789").as_deref(), Some(""));
        assert_eq!(name("third-token-0123456789").as_deref(), Some("c"));
        assert_eq!(name("fourth-token-0123456789"), None);
    }

    #[test]
    fn people_may_know_where_a_token_stands_and_whether_it_is_short() {
        let file = file("# x\n\nname:short users=7\nlong-enough-0123456789\n");
        let about = Tokens::load(file.path()).unwrap().about();
        assert_eq!(about.iter().map(|about| (about.line, about.is_short)).collect::<Vec<_>>(), [(3, true), (4, false)]);
        assert_eq!((&*about[0].grant.name, &*about[1].grant.name), ("name", ""));
        assert_eq!(Tokens::none().about(), []);
    }

    #[test]
    fn bad_files_are_named_without_their_tokens() {
        let error = |text: &str| Tokens::load(file(text).path()).unwrap_err().to_string();
        assert!(error("\n# x\n").ends_with("holds no token"));
        let found = error("good-token-0123456\nsecret-token-0123456 secret\n");
        assert!(found.contains("line 2: ") && !found.contains("secret"), "{found}");
        assert!(error("name:\n").contains("line 1"));
        assert!(
            error("good-token-0123456\nx:good-token-0123456")
                .ends_with("line 2: the same token stands on a line before")
        );
        assert!(error(&"x".repeat(TOKEN_BYTES_MAX + 1)).ends_with(&format!("at most {TOKEN_BYTES_MAX} bytes")));
        let many: String = (0..=TOKENS_MAX).map(|n| format!("0123456789abcdef{n}\n")).collect();
        assert!(error(&many).ends_with(&format!("at most {TOKENS_MAX} tokens")));
        assert!(matches!(Tokens::load(Path::new("/nonexistent/x")), Err(WatchedError::Read { .. })));
    }

    #[tokio::test]
    async fn a_change_of_the_file_reaches_all_clones() {
        let file = file("first-token-0123456789");
        let tokens = Tokens::load(file.path()).unwrap();
        let clone = tokens.clone();
        let stop = CancellationToken::new();
        tokens.watch(stop.clone());
        fs::write(file.path(), "second-token-0123456789").unwrap();
        let changed = async || Ok(clone.grant(b"second-token-0123456789").map(drop));
        eventually("the new token counts", Duration::from_secs(30), changed).await.unwrap();
        assert!(tokens.grant(b"first-token-0123456789").is_none());
        assert!(!format!("{tokens:?}").contains("token-"));
        stop.cancel();
    }
}
