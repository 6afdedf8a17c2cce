//! Reads the files again when they have changed.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::sync::{Arc, Weak};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;
use tracing::{error, info, warn};

use super::load::{TlsError, load};
use super::{Files, Shared};
use crate::metrics::{TLS_CERTIFICATE_NOT_AFTER, TLS_RELOADS};

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// From this on somebody must see to it: whoever renews by a program does so a month before.
const ENDS_SOON: Duration = Duration::from_secs(14 * 24 * 3600);

/// How often that is said.
const REMIND_EVERY: Duration = Duration::from_secs(24 * 3600);

/// How certificate, key and authorities look from outside: change time, size, number. Follows symbolic links, as
/// Kubernetes and ACME clients use them.
pub(super) type Stamps = [Option<(SystemTime, u64, u64)>; 3];

pub(super) fn stamps(files: &Files) -> Stamps {
    [Some(&files.cert), Some(&files.key), files.client_ca.as_ref()].map(|path| {
        let meta = fs::metadata(path?).ok()?;
        Some((meta.modified().ok()?, meta.size(), meta.ino()))
    })
}

pub(super) async fn run(shared: Weak<Shared>, opened: Stamps) {
    let mut watch = Watch { seen: opened, tried: opened };
    let mut reminded = None;
    loop {
        let Some(held) = shared.upgrade() else { return };
        let not_after = held.current().not_after;
        if let Some(not_after) = not_after {
            TLS_CERTIFICATE_NOT_AFTER.with(&[]).set(not_after as f64);
            remind(not_after, &mut reminded);
        }
        let looked = tokio::task::spawn_blocking(move || {
            let reloaded = watch.look(&held);
            (watch, reloaded)
        });
        let Ok((next, reloaded)) = looked.await else { return };
        watch = next;
        if let Some(result) = reloaded {
            tell(result);
            reminded = None;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// What is known of the files.
pub(super) struct Watch {
    /// How they looked the last time.
    pub(super) seen: Stamps,
    /// How they looked when they were last read.
    pub(super) tried: Stamps,
}

impl Watch {
    /// Reads the files if they have changed, and have not changed any more since the last look: key and certificate are
    /// seldom replaced at one time.
    pub(super) fn look(&mut self, shared: &Arc<Shared>) -> Option<Result<(), TlsError>> {
        let now = stamps(&shared.files);
        let is_still = now == self.seen;
        self.seen = now;
        if !is_still || now == self.tried {
            return None;
        }
        self.tried = now;
        Some(load(&shared.files).map(|configs| shared.replace(configs)))
    }
}

fn tell(result: Result<(), TlsError>) {
    match result {
        Ok(()) => {
            TLS_RELOADS.count(&["loaded"]);
            info!("new connections get the new certificate");
        }
        Err(error) => {
            TLS_RELOADS.count(&["failed"]);
            error!(%error, "the new certificate cannot be used; the old one stays until the next start");
        }
    }
}

fn remind(not_after: i64, reminded: &mut Option<Instant>) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
    let left = u64::try_from(not_after).unwrap_or(0).checked_sub(now).filter(|left| *left > 0);
    if left.is_some_and(|left| left > ENDS_SOON.as_secs()) || reminded.is_some_and(|at| at.elapsed() < REMIND_EVERY) {
        return;
    }
    *reminded = Some(Instant::now());
    match left {
        Some(left) => warn!(hours = left / 3600, "the certificate of tls-cert-file ends soon"),
        None => error!("the certificate of tls-cert-file has ended: clients refuse it"),
    }
}
