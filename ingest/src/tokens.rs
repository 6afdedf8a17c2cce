//! The bearer tokens that open ingest.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};
use tracing::warn;

/// Longest token, in bytes.
pub const TOKEN_BYTES_MAX: usize = 512;
/// Shorter tokens, in bytes, are taken with a warning: they can be guessed.
pub const TOKEN_BYTES_ADVISED: usize = 16;
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
    hashes: RwLock<Arc<[Hash]>>,
}

/// Why a file holds no tokens. Never shows a token.
#[derive(Debug, thiserror::Error)]
pub enum TokensError {
    /// It cannot be read.
    #[error("cannot read the tokens file {path}: {error}")]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        error: io::Error,
    },
    /// A line is not a token.
    #[error("tokens file {path}, line {line}: {what}")]
    Line {
        /// Which file.
        path: PathBuf,
        /// Which line, from 1.
        line: usize,
        /// What is wrong with it.
        what: &'static str,
    },
    /// No line holds a token. Nobody could send anything; leaving the setting out opens ingest to this machine.
    #[error("tokens file {0} holds no token")]
    Empty(PathBuf),
}

impl Tokens {
    /// No tokens: only senders on this machine are let in (see [`crate::http`]).
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// Reads a file: one token a line, or `name:token`; empty lines and those that begin with `#` do not count.
    pub fn load(path: &Path) -> Result<Self, TokensError> {
        let hashes = RwLock::new(read(path)?);
        Ok(Self { shared: Some(Arc::new(Shared { path: path.to_owned(), hashes })) })
    }

    /// Reads the file again, for all clones. On an error the former tokens stay. Returns how many there are.
    pub fn reload(&self) -> Result<usize, TokensError> {
        let Some(shared) = &self.shared else { return Ok(0) };
        let hashes = read(&shared.path)?;
        let count = hashes.len();
        *shared.hashes.write().unwrap_or_else(PoisonError::into_inner) = hashes;
        Ok(count)
    }

    /// Whether a token is asked for.
    #[must_use]
    pub fn are_required(&self) -> bool {
        self.shared.is_some()
    }

    /// Whether `token` is one of them. Takes the same time whichever it is, and however much of it is right.
    #[must_use]
    pub fn contain(&self, token: &[u8]) -> bool {
        let Some(shared) = &self.shared else { return false };
        let hashes = Arc::clone(&shared.hashes.read().unwrap_or_else(PoisonError::into_inner));
        let given = hash(token);
        hashes.iter().fold(Choice::from(0), |found, known| found | known.ct_eq(&given)).into()
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens").field("path", &self.shared.as_ref().map(|shared| &shared.path)).finish_non_exhaustive()
    }
}

fn read(path: &Path) -> Result<Arc<[Hash]>, TokensError> {
    let text = fs::read_to_string(path).map_err(|error| TokensError::Read { path: path.to_owned(), error })?;
    let mut hashes = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line_error = |what| TokensError::Line { path: path.to_owned(), line: index + 1, what };
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let token = line.split_once(':').map_or(line, |(_, token)| token.trim());
        if token.is_empty() || !token.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(line_error("a token must consist of visible ASCII characters"));
        }
        if token.len() > TOKEN_BYTES_MAX {
            return Err(line_error("a token must be at most 512 bytes"));
        }
        if token.len() < TOKEN_BYTES_ADVISED {
            warn!(path = %path.display(), line = index + 1, bytes_advised = TOKEN_BYTES_ADVISED, "token is short");
        }
        if hashes.len() == TOKENS_MAX {
            return Err(line_error("there must be at most 256 tokens"));
        }
        hashes.push(hash(token.as_bytes()));
    }
    if hashes.is_empty() {
        return Err(TokensError::Empty(path.to_owned()));
    }
    Ok(hashes.into())
}

fn hash(token: &[u8]) -> Hash {
    Sha256::digest(token).into()
}

#[cfg(test)]
mod tests {
    use std::io::Write;

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
        assert!(tokens.contain(b"0123456789abcdef") && tokens.contain(b"plain-token-0123456789"));
        for bad in ["", "poller-1", "poller-1: 0123456789abcdef", "0123456789abcde", "0123456789abcdeg", "# comment"] {
            assert!(!tokens.contain(bad.as_bytes()), "{bad}");
        }
        assert!(!Tokens::none().are_required() && !Tokens::none().contain(b""));
    }

    #[test]
    fn bad_files_are_named_without_their_tokens() {
        let error = |text: &str| Tokens::load(file(text).path()).unwrap_err().to_string();
        assert!(error("\n# x\n").ends_with("holds no token"));
        assert!(
            error("good-token-0123456\nsecret secret\n")
                .ends_with("line 2: a token must consist of visible ASCII characters")
        );
        assert!(error("name:\n").contains("line 1"));
        assert!(error(&"x".repeat(TOKEN_BYTES_MAX + 1)).ends_with(&format!("at most {TOKEN_BYTES_MAX} bytes")));
        assert!(error(&"0123456789abcdef\n".repeat(TOKENS_MAX + 1)).ends_with(&format!("at most {TOKENS_MAX} tokens")));
        assert!(matches!(Tokens::load(Path::new("/nonexistent/x")), Err(TokensError::Read { .. })));
    }

    #[test]
    fn a_reload_reaches_all_clones_and_fails_safely() {
        let file = file("first-token-0123456789");
        let tokens = Tokens::load(file.path()).unwrap();
        let clone = tokens.clone();
        fs::write(file.path(), "second-token-0123456789").unwrap();
        assert_eq!(tokens.reload().unwrap(), 1);
        assert!(clone.contain(b"second-token-0123456789") && !clone.contain(b"first-token-0123456789"));
        fs::write(file.path(), "").unwrap();
        assert!(tokens.reload().is_err());
        assert!(clone.contain(b"second-token-0123456789"));
        assert!(!format!("{tokens:?}").contains("token-"));
    }
}
