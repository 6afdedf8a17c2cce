//! The queries (openITCOCKPIT facts, section 6.1). What stands in their text is numbers and UUIDs only.

use std::collections::HashMap;
use std::fmt::Display;
use std::sync::Arc;

use mysql_async::prelude::{FromRow, Queryable};
use mysql_async::{Conn, DriverError, Error, FromRowError, Row};

use super::key::{Answer, Key, User, Uuid};
use super::{Device, ExportState, RelayRow};
use crate::ids::UnixMillis;
use crate::notification::limits::NAME_BYTES_MAX;
use crate::settings::Secret;

/// Most devices of one user.
pub const DEVICES_MAX: usize = 64;

/// The server's word for a table that is not there.
const NO_SUCH_TABLE: u16 = 1146;

const NUMBER_BITS: u32 = 31;
const PHASE_BITS: u32 = 2;
const WEEK_SECONDS: i64 = 7 * 24 * 60 * 60;
/// The first Monday of 2000 is its third day.
const MONDAY_SECONDS: i64 = 2 * 24 * 60 * 60;
const FINISHED: u64 = 2;

/// Names of hosts and services, in one query. A service without a name of its own has its template's.
pub(super) async fn names(conn: &mut Conn, keys: &[Key]) -> Result<HashMap<Key, Answer>, Error> {
    let uuids =
        |of: fn(&Key) -> Option<&Uuid>| list(keys.iter().filter_map(of).map(|uuid| format!("'{}'", uuid.as_str())));
    let hosts = uuids(|key| if let Key::Host(uuid) = key { Some(uuid) } else { None });
    let services = uuids(|key| if let Key::Service(uuid) = key { Some(uuid) } else { None });
    let hosts = hosts.map(|list| format!("SELECT 0, uuid, name FROM hosts WHERE uuid IN ({list})"));
    let services = services.map(|list| {
        format!(
            "SELECT 1, s.uuid, COALESCE(NULLIF(s.name, ''), t.name) FROM services s \
             JOIN servicetemplates t ON t.id = s.servicetemplate_id WHERE s.uuid IN ({list})"
        )
    });
    let parts: Vec<_> = hosts.into_iter().chain(services).collect();
    if parts.is_empty() {
        return Ok(HashMap::new());
    }
    let rows: Vec<(u8, Vec<u8>, Option<Vec<u8>>)> = rows(conn, &parts.join(" UNION ALL ")).await?;
    let named = rows.into_iter().filter_map(|(is_service, uuid, name)| {
        let name = name?;
        let uuid = Uuid::parse(&String::from_utf8_lossy(&uuid))?;
        let key = if is_service == 0 { Key::Host(uuid) } else { Key::Service(uuid) };
        let name = String::from_utf8_lossy(&name);
        let name = cut(&name);
        (!name.trim().is_empty()).then(|| (key, Answer::Name(Arc::from(name))))
    });
    Ok(named.collect())
}

/// Reads nothing of a table, which takes the right to.
pub(super) async fn can_read(conn: &mut Conn, table: &'static str) -> Result<(), Error> {
    conn.query_drop(format!("SELECT 1 FROM `{table}` LIMIT 0")).await
}

/// The clock of the database's machine.
pub(super) async fn clock(conn: &mut Conn) -> Result<UnixMillis, Error> {
    let millis: Option<u64> = row(conn, "SELECT CAST(UNIX_TIMESTAMP(NOW(3)) * 1000 AS UNSIGNED)").await?;
    Ok(UnixMillis(millis.unwrap_or_default()))
}

/// Users, and what their contacts have switched on, in one query.
pub(super) async fn users(conn: &mut Conn, keys: &[Key]) -> Result<HashMap<Key, Answer>, Error> {
    let Some(ids) = list(keys.iter().filter_map(|key| if let Key::User(id) = key { Some(id) } else { None })) else {
        return Ok(HashMap::new());
    };
    let query = format!(
        "SELECT u.id, COALESCE(MAX(c.host_push_notifications_enabled), 0), \
         COALESCE(MAX(c.service_push_notifications_enabled), 0) \
         FROM users u LEFT JOIN contacts c ON c.user_id = u.id WHERE u.id IN ({ids}) GROUP BY u.id"
    );
    let rows: Vec<(i32, i64, i64)> = rows(conn, &query).await?;
    let user =
        |(id, host, service)| (Key::User(id), Answer::User(User { host_push: host != 0, service_push: service != 0 }));
    Ok(rows.into_iter().map(user).collect())
}

/// `SUDO_SERVER.API_KEY`.
pub(super) async fn shared_key(conn: &mut Conn) -> Result<Option<Secret>, Error> {
    let query = "SELECT value FROM systemsettings WHERE `key` = 'SUDO_SERVER.API_KEY' ORDER BY id LIMIT 1";
    let key: Option<Option<String>> = row(conn, query).await?;
    Ok(key.flatten().map(|key| Secret::new(&key)))
}

/// The newest refresh of the monitoring configuration. Times are differences of columns: the server's and PHP's time
/// zones do not matter.
pub(super) async fn export_status(conn: &mut Conn) -> Result<Option<ExportState>, Error> {
    let query = "SELECT id, COALESCE(TIMESTAMPDIFF(SECOND, '2000-01-01', created), 0), COALESCE(finished, 0) FROM exports \
                 WHERE task = 'export_started' ORDER BY id DESC LIMIT 1";
    let row: Option<(u32, i64, i64)> = row(conn, query).await?;
    Ok(row.map(|(id, seconds, finished)| ExportState::new(id, seconds, finished != 0)))
}

/// The relay that is switched on. openITCOCKPIT 5.3 has no such table.
pub(super) async fn relay(conn: &mut Conn) -> Result<Option<RelayRow>, Error> {
    let query = "SELECT COALESCE(address, ''), COALESCE(port, 0), COALESCE(auth_key, '') \
                 FROM push_notifications_relay WHERE enabled = 1 ORDER BY id LIMIT 1";
    let row: Option<(String, i32, String)> = known(row(conn, query).await)?.flatten();
    let relay = |(address, port, key): (String, i32, String)| RelayRow { address, port, auth_key: Secret::new(&key) };
    Ok(row.map(relay))
}

/// The devices of a user.
pub(super) async fn devices(conn: &mut Conn, user: i32) -> Result<Vec<Device>, Error> {
    let query =
        format!("SELECT device_id FROM mobile_devices WHERE user_id = {user} ORDER BY id DESC LIMIT {DEVICES_MAX}");
    let ids: Vec<Option<String>> = known(rows(conn, &query).await)?.unwrap_or_default();
    Ok(ids.into_iter().flatten().map(|id| Device { user, id }).collect())
}

/// Removes a device of this user, and of nobody else.
pub(super) async fn remove_device(conn: &mut Conn, device: &Device) -> Result<(), Error> {
    conn.exec_drop("DELETE FROM mobile_devices WHERE user_id = ? AND device_id = ?", (device.user, &device.id)).await
}

/// All rows. What cannot be told as `T` is an error: the driver's own conversion panics.
async fn rows<T: FromRow>(conn: &mut Conn, query: &str) -> Result<Vec<T>, Error> {
    let rows: Vec<Row> = conn.query(query).await?;
    rows.into_iter().map(told).collect()
}

/// The first row, as [`rows`] tells it.
async fn row<T: FromRow>(conn: &mut Conn, query: &str) -> Result<Option<T>, Error> {
    conn.query_first::<Row, _>(query).await?.map(told).transpose()
}

fn told<T: FromRow>(row: Row) -> Result<T, Error> {
    T::from_row_opt(row).map_err(|FromRowError(row)| Error::Driver(DriverError::FromRow { row }))
}

/// None where the table is not there.
fn known<T>(answer: Result<T, Error>) -> Result<Option<T>, Error> {
    match answer {
        Err(Error::Server(error)) if error.code == NO_SUCH_TABLE => Ok(None),
        other => other.map(Some),
    }
}

/// A longer name would make its notification a bad one.
fn cut(name: &str) -> &str {
    let mut end = name.len().min(NAME_BYTES_MAX);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    &name[..end]
}

fn list<T: Display>(items: impl Iterator<Item = T>) -> Option<String> {
    let items: Vec<_> = items.map(|item| item.to_string()).collect();
    (!items.is_empty()).then(|| items.join(","))
}

impl ExportState {
    /// By the row: the week of its begin (in seconds since 2000), its number, and how far it is. The number says which of
    /// two is later whatever the clock did in between; the week comes first, because a restored database counts from a
    /// smaller number. Weeks begin on Monday, when no clock is set back from summer time.
    pub(super) fn new(id: u32, began_seconds: i64, is_finished: bool) -> Self {
        let max = (1u64 << NUMBER_BITS) - 1;
        let week = began_seconds.saturating_sub(MONDAY_SECONDS).div_euclid(WEEK_SECONDS) + 1;
        let week = u64::try_from(week).unwrap_or(0).min(max >> PHASE_BITS);
        let phase = if is_finished { FINISHED } else { 0 };
        let version = (week << (NUMBER_BITS + PHASE_BITS)) | ((u64::from(id) & max) << PHASE_BITS) | phase;
        Self { version, running: !is_finished }
    }

    /// The same refresh, taken for dead: over what says that it runs, and under its end.
    #[must_use]
    pub fn given_up(self) -> Self {
        if self.running { Self { version: self.version + 1, running: false } } else { self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_cut_between_characters() {
        let name = format!("a{}", "ä".repeat(NAME_BYTES_MAX));
        assert_eq!(cut(&name).len(), NAME_BYTES_MAX - 1);
        assert_eq!(cut("web"), "web");
    }

    #[test]
    fn versions_rise_from_step_to_step() {
        let hour = 3_600;
        let steps = [
            ExportState::new(9, 2 * hour, false),
            ExportState::new(9, 2 * hour, false).given_up(),
            ExportState::new(9, 2 * hour, true),
            // The clock was set back.
            ExportState::new(10, hour, false),
            ExportState::new(10, hour, true),
            // A restored database begins with smaller numbers, from the next Monday on in any case.
            ExportState::new(1, MONDAY_SECONDS, false),
            ExportState::new(2, MONDAY_SECONDS + WEEK_SECONDS - 1, false),
            ExportState::new(1, MONDAY_SECONDS + WEEK_SECONDS, false),
            ExportState::new(u32::MAX, i64::MAX, true),
        ];
        assert!(steps.is_sorted_by(|a, b| a.version < b.version), "{steps:?}");
        assert_eq!(steps[..5].iter().map(|state| state.running).collect::<Vec<_>>(), [true, false, false, true, false]);
        assert_eq!(steps[2].given_up(), steps[2]);
        assert_eq!(ExportState::new(9, i64::MIN, false).version, 9 << PHASE_BITS);
    }
}
