//! Where pushes go, as openITCOCKPIT's database says. What it said is remembered for a moment: in a storm most users have no
//! device, and all have the same relay.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::Instant;

use bellwire_common::directory::{Device, Directory, DirectoryError, RelayRow};
use bellwire_common::ids::UserId;

/// How long it counts which relay there is, and that a user has no device.
const REMEMBERED: Duration = Duration::from_secs(5);
/// Most users that are remembered to have none.
const USERS_MAX: usize = 10_000;
/// Questions at one time: others need the database too.
const ASKING_MAX: usize = 2;

/// See the module.
#[derive(Debug)]
pub(super) struct Targets {
    directory: Directory,
    relay: tokio::sync::Mutex<Option<(Instant, Option<RelayRow>)>>,
    without: Mutex<HashMap<UserId, Instant>>,
    turns: Semaphore,
}

impl Targets {
    pub(super) fn new(directory: Directory) -> Self {
        Self {
            directory,
            relay: tokio::sync::Mutex::new(None),
            without: Mutex::default(),
            turns: Semaphore::new(ASKING_MAX),
        }
    }

    /// The relay and the user's devices; none where there is nothing to send to.
    pub(super) async fn of(&self, user: &UserId) -> Result<Option<(RelayRow, Vec<Device>)>, DirectoryError> {
        if self.has_none(user) {
            return Ok(None);
        }
        let Some(relay) = self.relay().await? else { return Ok(None) };
        let _turn = self.turns.acquire().await;
        // Another one may have asked meanwhile.
        if self.has_none(user) {
            return Ok(None);
        }
        let devices = self.directory.devices(user).await?;
        if devices.is_empty() {
            self.note(user);
            return Ok(None);
        }
        Ok(Some((relay, devices)))
    }

    /// Removes a device of its user.
    pub(super) async fn remove(&self, device: &Device) -> Result<(), DirectoryError> {
        self.directory.remove_device(device).await
    }

    async fn relay(&self) -> Result<Option<RelayRow>, DirectoryError> {
        let mut known = self.relay.lock().await;
        if let Some((since, relay)) = &*known
            && since.elapsed() < REMEMBERED
        {
            return Ok(relay.clone());
        }
        let relay = self.directory.relay().await?;
        *known = Some((Instant::now(), relay.clone()));
        Ok(relay)
    }

    fn has_none(&self, user: &UserId) -> bool {
        let without = self.without.lock().unwrap_or_else(PoisonError::into_inner);
        without.get(user).is_some_and(|since| since.elapsed() < REMEMBERED)
    }

    fn note(&self, user: &UserId) {
        let mut without = self.without.lock().unwrap_or_else(PoisonError::into_inner);
        if without.len() >= USERS_MAX {
            without.clear();
        }
        without.insert(user.clone(), Instant::now());
    }
}
