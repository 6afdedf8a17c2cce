//! TLS of the listeners: one certificate for all of them, read again when its files change.
//!
//! HTTP/1.1 alone is offered (ALPN): a WebSocket needs it. What cannot be used when it is read again is logged, and what
//! was in use stays.

mod load;
mod shake;

use std::fmt;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio_rustls::rustls::{RootCertStore, ServerConfig};
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

pub use load::TlsError;
pub(in crate::http) use shake::Failed;

use crate::metrics::{HTTP_TLS_HANDSHAKES_FAILED, TLS_CERTIFICATE_NOT_AFTER};
use crate::settings::TlsFiles;
use crate::watched::{Purpose, Watched};
use load::{Configs, Pair};

/// What answers a request without TLS says where there is TLS.
pub const SPEAKS_TLS: &str = "this port speaks https";

/// With less than this left somebody must see to the certificate: whoever renews by a program does so a month before.
pub const CERTIFICATE_ENDS_SOON: Duration = Duration::from_secs(14 * 24 * 3600);

/// How often that is said.
const REMIND_EVERY: Duration = Duration::from_secs(24 * 3600);

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

/// What keeps [`Tls`] up to date.
pub struct TlsWatch {
    shared: Arc<Shared>,
    pair: Watched<Pair>,
    roots: Option<Watched<Arc<RootCertStore>>>,
}

struct Shared(RwLock<Current>);

struct Current {
    pair: Pair,
    roots: Option<Arc<RootCertStore>>,
    configs: Configs,
}

impl Tls {
    /// Reads the files. With `client_ca` there is also TLS that [asks](Self::asking) clients for a certificate. The watch
    /// is to be started once; without that nothing is read again.
    pub fn open(files: &TlsFiles, client_ca: Option<&Path>) -> Result<(Self, TlsWatch), TlsError> {
        let (cert, key) = (files.cert.clone(), files.key.clone());
        let parse = move |contents: &[Vec<u8>]| load::pair(contents, &key);
        let (watch, pair) = Watched::files(Purpose::Certificate, vec![cert, files.key.clone()], parse)
            .map_err(|error| TlsError::of_pair(error, files))?;
        let (roots_watch, roots) = client_ca
            .map(|path| Watched::file(Purpose::ClientCa, path, load::roots).map_err(TlsError::of_client_ca))
            .transpose()?
            .unzip();
        let configs = load::configs(&pair, roots.as_ref()).map_err(|error| TlsError::of_both(&error, files))?;
        let shared = Arc::new(Shared(RwLock::new(Current { pair, roots, configs })));
        let watch = TlsWatch { shared: Arc::clone(&shared), pair: watch, roots: roots_watch };
        Ok((Self { shared, asks: false }, watch))
    }

    /// For a listener whose clients are asked for a certificate that an authority of `client_ca` has signed. One without
    /// is let in, but not one with another: which requests need one is the routes' business (see [`ClientCertificate`]).
    #[must_use]
    pub fn asking(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), asks: true }
    }

    /// When the certificate in use ends, since 1970, if that can be read.
    #[must_use]
    pub fn not_after(&self) -> Option<Duration> {
        self.shared.not_after()
    }

    fn config(&self) -> Arc<ServerConfig> {
        let current = self.shared.0.read().unwrap_or_else(PoisonError::into_inner);
        let asking = current.configs.asking.as_ref().filter(|_| self.asks);
        Arc::clone(asking.unwrap_or(&current.configs.usual))
    }
}

impl TlsWatch {
    /// Reads the files again when they change, until `stop`; tells when the certificate ends. To be called with the
    /// metrics installed and a runtime around.
    pub fn start(self, stop: &CancellationToken) {
        HTTP_TLS_HANDSHAKES_FAILED.zero();
        let shared = Arc::clone(&self.shared);
        let on_pair = move |pair| {
            shared.replace(Some(pair), None);
            shared.tell_end();
        };
        self.pair.start(on_pair, stop.clone());
        if let Some(watch) = self.roots {
            let shared = Arc::clone(&self.shared);
            watch.start(move |roots| shared.replace(None, Some(roots)), stop.clone());
        }
        let (shared, stop) = (self.shared, stop.clone());
        tokio::spawn(async move {
            let mut days = tokio::time::interval(REMIND_EVERY);
            while stop.run_until_cancelled(days.tick()).await.is_some() {
                shared.tell_end();
            }
        });
    }
}

impl Shared {
    /// New connections get what is given, beside what stays.
    fn replace(&self, pair: Option<Pair>, roots: Option<Arc<RootCertStore>>) {
        let mut current = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let pair = pair.unwrap_or_else(|| current.pair.clone());
        let roots = roots.or_else(|| current.roots.clone());
        match load::configs(&pair, roots.as_ref()) {
            Ok(configs) => *current = Current { pair, roots, configs },
            Err(error) => error!(%error, "the new certificates cannot be used; the old ones stay"),
        }
    }

    fn not_after(&self) -> Option<Duration> {
        let not_after = self.0.read().unwrap_or_else(PoisonError::into_inner).pair.not_after?;
        Some(Duration::from_secs(u64::try_from(not_after).unwrap_or(0)))
    }

    fn tell_end(&self) {
        let Some(end) = self.not_after() else { return };
        TLS_CERTIFICATE_NOT_AFTER.with(&[]).set(end.as_secs_f64());
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        match end.checked_sub(now) {
            None => error!("the certificate of tls-cert-file has ended: clients refuse it"),
            Some(left) if left < CERTIFICATE_ENDS_SOON => {
                warn!(hours = left.as_secs() / 3600, "the certificate of tls-cert-file ends soon");
            }
            Some(_) => {}
        }
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("asks", &self.asks).finish_non_exhaustive()
    }
}

impl fmt::Debug for TlsWatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsWatch").field("pair", &self.pair).field("roots", &self.roots).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
