//! Who may listen, by the settings: the shared key and where a changed one comes from, and all that is checked beside it.

use std::path::Path;

use anyhow::Context;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use bellwire_common::settings::{self, Access as Settings, Invalid, Problem, Secret, SessionCheck};
use bellwire_common::watched::{Purpose, Watched};
use bellwire_gateway::access::{Access, KeyRing};
use bellwire_gateway::protocol::SharedKey;

/// Where the shared key comes from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct KeySource<'a> {
    /// As it was at the start.
    pub(crate) key: Option<&'a Secret>,
    /// The file that has it, read again when it changes.
    pub(crate) file: Option<&'a Path>,
}

/// All that opens the gateway. Follows the key's source until `stop`.
pub(crate) fn open(settings: &Settings, source: KeySource<'_>, stop: &CancellationToken) -> anyhow::Result<Access> {
    if source.key.is_some() && settings.session_check == SessionCheck::KeyOnly {
        warn!("session-check=key-only: whoever knows the shared key, every user of openITCOCKPIT that is, can listen as any other");
    }
    let keys = ring(settings.allows_default_key, source, stop)?;
    Access::open(settings, keys).map_err(Into::into)
}

/// All that opens a gateway that is tried out with this key.
pub(crate) fn trial(settings: &Settings, key: &Secret) -> anyhow::Result<Access> {
    Ok(Access::open(settings, KeyRing::fixed(Some(shared_key(key)?)))?)
}

fn ring(allows_default: bool, source: KeySource<'_>, stop: &CancellationToken) -> anyhow::Result<KeyRing> {
    let key = source.key.map(shared_key).transpose()?;
    let Some(path) = source.file else { return Ok(KeyRing::fixed(key)) };
    let parse = move |bytes: &[u8]| {
        let text = std::str::from_utf8(bytes).map_err(|_| "must be text".to_owned())?;
        let secret = settings::shared_key_of(text, allows_default)?;
        SharedKey::try_new(secret.expose()).map_err(|error| error.to_string())
    };
    let (watched, key) = Watched::file(Purpose::SharedKey, path, parse).context("shared-key-file")?;
    warn_of_characters(&key);
    let (writer, ring) = KeyRing::with_writer(Some(key));
    let on_change = move |key: SharedKey| {
        warn_of_characters(&key);
        if writer.set(Some(key)) {
            info!("the shared key has changed; open tabs stay");
        }
    };
    // Ends with the process.
    drop(watched.start(on_change, stop.clone()));
    Ok(ring)
}

/// The key as the gateway takes it.
fn shared_key(key: &Secret) -> Result<SharedKey, Invalid> {
    let key = SharedKey::try_new(key.expose()).map_err(|error| {
        let (setting, source_name) = ("shared-key".into(), "as set".into());
        Invalid(vec![Problem { setting, source_name, message: error.to_string() }])
    })?;
    warn_of_characters(&key);
    Ok(key)
}

fn warn_of_characters(key: &SharedKey) {
    if !key.is_subprotocol() {
        warn!(
            "the shared key has characters that no WebSocket handshake takes: only tabs of openITCOCKPIT 5.3 can connect; use letters, digits, - and _"
        );
    }
}
