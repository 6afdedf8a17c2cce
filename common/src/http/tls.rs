//! TLS of the listeners: one certificate for all of them, read again when its files change.
//!
//! HTTP/1.1 alone is offered (ALPN): a WebSocket needs it. What cannot be used when it is read again is logged, and what
//! was in use stays.

mod load;
mod shake;
mod watch;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use tokio_rustls::rustls::ServerConfig;

pub use load::TlsError;
pub(in crate::http) use shake::Failed;

use crate::metrics;
use crate::settings::TlsFiles;
use load::Configs;

/// What answers a request without TLS says where there is TLS.
pub const SPEAKS_TLS: &str = "this port speaks https";

/// A verified client certificate came with the connection; each of its requests carries this as an extension.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientCertificate {
    /// SHA-256 of the whole certificate in DER form.
    pub fingerprint: [u8; 32],
}

/// See the module. Clones share the certificate.
#[derive(Clone)]
pub struct Tls {
    shared: Arc<Shared>,
    /// Clients are asked for a certificate.
    asks: bool,
}

struct Shared {
    files: Files,
    current: RwLock<Arc<Configs>>,
    /// How the files looked before they were read.
    opened: watch::Stamps,
}

/// What is read.
#[derive(Debug)]
struct Files {
    cert: PathBuf,
    key: PathBuf,
    client_ca: Option<PathBuf>,
}

impl Tls {
    /// Reads the files. With `client_ca` there is also TLS that [asks](Self::asking) clients for a certificate.
    pub fn open(files: &TlsFiles, client_ca: Option<&Path>) -> Result<Self, TlsError> {
        let files =
            Files { cert: files.cert.clone(), key: files.key.clone(), client_ca: client_ca.map(Path::to_path_buf) };
        let opened = watch::stamps(&files);
        let current = RwLock::new(Arc::new(load::load(&files)?));
        Ok(Self { shared: Arc::new(Shared { files, current, opened }), asks: false })
    }

    /// For a listener whose clients are asked for a certificate that an authority of `client_ca` has signed. One without
    /// is let in, but not one with another: which requests need one is the routes' business (see [`ClientCertificate`]).
    #[must_use]
    pub fn asking(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), asks: true }
    }

    /// Reads the files again when they change, as long as there is a clone; tells when the certificate ends. To be called
    /// once, with the metrics installed and a runtime around.
    pub fn watch(&self) {
        metrics::HTTP_TLS_HANDSHAKES_FAILED.zero();
        metrics::TLS_RELOADS.zero();
        tokio::spawn(watch::run(Arc::downgrade(&self.shared), self.shared.opened));
    }

    fn config(&self) -> Arc<ServerConfig> {
        let current = self.shared.current();
        let asking = current.asking.as_ref().filter(|_| self.asks);
        Arc::clone(asking.unwrap_or(&current.usual))
    }
}

impl Shared {
    fn current(&self) -> Arc<Configs> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn replace(&self, configs: Configs) {
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(configs);
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("files", &self.shared.files).field("asks", &self.asks).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
