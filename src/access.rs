//! Who may listen, by the settings: the shared key and where a changed one comes from, and all that is checked beside it.

use std::path::Path;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use bellwire_common::directory::Directory;
use bellwire_common::metrics::GATEWAY_SHARED_KEY_READS;
use bellwire_common::settings::{self, Access as Settings, Invalid, Problem, Secret, SessionCheck};
use bellwire_common::watched::{Purpose, Watched};
use bellwire_gateway::access::{Access, AccessError, KeyRing, KeyWriter};
use bellwire_gateway::protocol::SharedKey;

/// How often openITCOCKPIT's database is asked for the key.
const ASK_EVERY: Duration = Duration::from_secs(10);

/// Where the shared key comes from: it was given, in a file perhaps, or openITCOCKPIT has it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct KeySource<'a> {
    /// As it was given.
    pub(crate) key: Option<&'a Secret>,
    /// The file that it was in, read again when it changes.
    pub(crate) file: Option<&'a Path>,
    /// Asked if none was given.
    pub(crate) directory: Option<&'a Directory>,
}

/// All that opens the gateway. Follows the key's source until `stop`.
pub(crate) async fn open(
    settings: &Settings,
    source: KeySource<'_>,
    stop: &CancellationToken,
) -> anyhow::Result<Access> {
    let has_key = source.key.is_some() || source.directory.is_some();
    if has_key && settings.session_check == SessionCheck::KeyOnly {
        warn!(
            "session-check=key-only: whoever knows the shared key, every user of openITCOCKPIT that is, can listen as any other"
        );
    }
    let keys = match (source.key, source.file, source.directory) {
        (Some(_), Some(path), _) => of_file(path, settings.allows_default_key, stop)?,
        (Some(key), None, _) => KeyRing::fixed(Some(shared_key(key)?)),
        (None, _, Some(directory)) => of_directory(directory.clone(), settings.allows_default_key, stop).await,
        (None, _, None) => KeyRing::fixed(None),
    };
    Ok(of_settings(settings, keys)?)
}

/// Whether the files that these settings name can be used.
pub(crate) fn check(settings: &Settings) -> Result<(), Invalid> {
    of_settings(settings, KeyRing::fixed(None)).map(drop)
}

fn of_settings(settings: &Settings, keys: KeyRing) -> Result<Access, Invalid> {
    Access::open(settings, keys).map_err(|error| match error {
        AccessError::Trust(error) => invalid("openitcockpit-ca-file", &error),
        AccessError::Keys(error) => invalid("jwt-keys-file", &error),
    })
}

fn invalid(setting: &str, error: &dyn std::error::Error) -> Invalid {
    let (setting, source_name) = (setting.into(), "as set".into());
    Invalid(vec![Problem { setting, source_name, message: error.to_string() }])
}

/// All that opens a gateway that is tried out with this key.
pub(crate) fn trial(settings: &Settings, key: &Secret) -> anyhow::Result<Access> {
    Ok(of_settings(settings, KeyRing::fixed(Some(shared_key(key)?)))?)
}

/// The key as the gateway takes it.
fn shared_key(key: &Secret) -> Result<SharedKey, Invalid> {
    let key = SharedKey::try_new(key.expose()).map_err(|error| invalid("shared-key", &error))?;
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

/// Never quotes it.
fn read(text: &str, allows_default: bool) -> Result<SharedKey, String> {
    let secret = settings::shared_key_of(text, allows_default)?;
    SharedKey::try_new(secret.expose()).map_err(|error| error.to_string())
}

fn of_file(path: &Path, allows_default: bool, stop: &CancellationToken) -> Result<KeyRing, Invalid> {
    let parse = move |bytes: &[u8]| read(std::str::from_utf8(bytes).map_err(|_| "must be text")?, allows_default);
    let opened = Watched::file(Purpose::SharedKey, path, parse);
    let (watched, key) = opened.map_err(|error| invalid("shared-key-file", &error))?;
    warn_of_characters(&key);
    let (writer, ring) = KeyRing::with_writer(Some(key));
    let on_change = move |key: SharedKey| {
        warn_of_characters(&key);
        if writer.set(Some(key)) {
            info!("the shared key has changed; open tabs stay");
        }
    };
    // It ends with `stop`.
    drop(watched.start(on_change, stop.clone()));
    Ok(ring)
}

/// The key that openITCOCKPIT's database has; none, and nobody gets in, until it was read for the first time.
async fn of_directory(directory: Directory, allows_default: bool, stop: &CancellationToken) -> KeyRing {
    let (writer, ring) = KeyRing::with_writer(None);
    let mut follower = Follower { directory, allows_default, writer, refused: false, is_first: true };
    follower.ask().await;
    if ring.current().is_none() {
        warn!("no shared key yet: no tab with a key gets in until openITCOCKPIT's database has given one");
    }
    let stop = stop.clone();
    tokio::spawn(async move {
        while stop.run_until_cancelled(tokio::time::sleep(ASK_EVERY)).await.is_some() {
            follower.ask().await;
        }
    });
    ring
}

struct Follower {
    directory: Directory,
    allows_default: bool,
    writer: KeyWriter,
    /// So that the log says it once.
    refused: bool,
    is_first: bool,
}

impl Follower {
    /// A database that does not answer, and says so itself, changes nothing.
    async fn ask(&mut self) {
        let Ok(found) = self.directory.shared_key().await else { return };
        let text = found.as_ref().map_or("", Secret::expose);
        match read(text, self.allows_default) {
            Ok(key) => {
                self.refused = false;
                warn_of_new(&key, self.writer.set(Some(key.clone())), std::mem::take(&mut self.is_first));
            }
            Err(reason) => {
                self.writer.set(None);
                if !std::mem::replace(&mut self.refused, true) {
                    GATEWAY_SHARED_KEY_READS.count(&["refused"]);
                    error!(
                        reason,
                        "SUDO_SERVER.API_KEY in openITCOCKPIT's database is not taken as shared key: no tab gets in with it"
                    );
                }
            }
        }
    }
}

fn warn_of_new(key: &SharedKey, is_new: bool, is_first: bool) {
    if !is_new {
        return;
    }
    warn_of_characters(key);
    if !is_first {
        GATEWAY_SHARED_KEY_READS.count(&["changed"]);
        info!("the shared key has changed in openITCOCKPIT's database; open tabs stay");
    }
}

#[cfg(test)]
mod tests {
    use bellwire_common::settings::{Jwt, JwtKeys, OpenItCockpit};

    use super::*;

    fn settings() -> Settings {
        Settings {
            openitcockpit: None,
            session_check: SessionCheck::KeyOnly,
            recheck: Duration::from_secs(300),
            origins: None,
            jwt: None,
            failures_per_address: 60,
            allows_default_key: false,
        }
    }

    #[test]
    fn files_that_cannot_be_used_are_wrong_settings() {
        assert_eq!(check(&settings()).map_err(|invalid| invalid.to_string()), Ok(()));
        let keys = JwtKeys::File("/nowhere".into());
        let jwt = Some(Jwt { keys, audience: "bellwire".into(), issuer: None });
        let wrong = check(&Settings { jwt, ..settings() }).unwrap_err();
        assert!(wrong.to_string().contains("jwt-keys-file"), "{wrong}");
        let site = OpenItCockpit { origin: "https://localhost".into(), ca: Some("none".into()) };
        let site = Settings { openitcockpit: Some(site), session_check: SessionCheck::Required, ..settings() };
        let wrong = check(&site).unwrap_err();
        assert!(wrong.to_string().contains("openitcockpit-ca-file"), "{wrong}");
        let wrong = of_file(Path::new("/nowhere"), false, &CancellationToken::new()).unwrap_err();
        assert!(wrong.to_string().contains("shared-key-file"), "{wrong}");
    }
}
