//! openITCOCKPIT's database: whether it answers, what we may read, its key and its clock.

use std::time::{Duration, UNIX_EPOCH};

use futures_util::future::{join, join_all};

use bellwire_common::directory::{Directory, DirectoryError, INTAKE_TABLES, KEY_TABLES, RELAY_TABLES};
use bellwire_common::settings::Secret;

use super::context::{Context, DatabaseKey};
use super::finding::Finding;
use super::site::clock;

const DATABASE: &str = "database";
const KEY: &str = "key";

/// See the module.
pub(crate) async fn database(context: &Context) -> Vec<Finding> {
    let Some(path) = &context.node.mysql_file else {
        return vec![Finding::ok(DATABASE, "not set (mysql-file): no names are looked up, and no users")];
    };
    let file = path.display();
    let directory = match Directory::open(path) {
        Ok(directory) => directory,
        Err(error) => return vec![Finding::fail(DATABASE, format!("mysql-file {file}: {error}"))],
    };
    if let Err(error) = directory.ping().await {
        let text =
            format!("the one of {file} cannot be used: {error}. Notifications go out with UUIDs in place of names");
        return vec![Finding::fail(DATABASE, text)];
    }
    let before = std::time::SystemTime::now();
    let (rights, now) =
        join(join_all(tables(context).map(|table| may_read(&directory, table))), directory.clock()).await;
    let mut findings: Vec<_> = rights.into_iter().flatten().collect();
    if findings.is_empty() {
        findings.push(Finding::ok(DATABASE, format!("the one of {file} answers, and we may read all that we need")));
    }
    if let Some((_, access)) = &context.tabs {
        findings.extend(same_key(context.key.as_ref(), context.database_key.as_ref(), access.allows_default_key));
    }
    if let Ok(now) = now {
        let date = UNIX_EPOCH + Duration::from_millis(now.0);
        findings.push(clock("the database", date, before, std::time::SystemTime::now()));
    }
    findings
}

/// What a node of this role and with these settings reads.
fn tables(context: &Context) -> impl Iterator<Item = &'static str> {
    let intake = context.intake.iter().flat_map(|_| INTAKE_TABLES);
    let key = context.tabs.iter().filter(|_| context.key.is_none()).flat_map(|_| KEY_TABLES);
    let has_relay = context.given.get("mobile-relay").is_some_and(|given| given.text == "on");
    intake.chain(key).chain(has_relay.then_some(RELAY_TABLES).into_iter().flatten())
}

async fn may_read(directory: &Directory, table: &'static str) -> Option<Finding> {
    let error = directory.can_read(table).await.err()?;
    let advice = match &error {
        DirectoryError::Refused(_) => format!("; GRANT SELECT ON the database's {table} to our account"),
        _ => String::new(),
    };
    Some(Finding::fail(DATABASE, format!("{table} cannot be read: {error}{advice}")))
}

/// Pages get the key from the database; the gateway must have the same.
fn same_key(ours: Option<&Secret>, theirs: Option<&DatabaseKey>, allows_default: bool) -> Option<Finding> {
    let theirs = match theirs? {
        Ok(Some(theirs)) => theirs,
        Ok(None) => {
            return Some(Finding::fail(
                KEY,
                "openITCOCKPIT's database has no SUDO_SERVER.API_KEY: is it openITCOCKPIT's?",
            ));
        }
        // The database's own lines say so.
        Err(_) => return None,
    };
    Some(match ours {
        Some(ours) if ours == theirs => Finding::ok(KEY, "it is that of openITCOCKPIT's database"),
        Some(_) => Finding::fail(
            KEY,
            "it is not that of openITCOCKPIT's database (SUDO_SERVER.API_KEY), which the pages have: all tabs will be refused; \
             leave shared-key and shared-key-file out, and the database's is used",
        ),
        None => super::secrets::strength(theirs, allows_default),
    })
}

#[cfg(test)]
mod tests {
    use super::super::finding::Level;
    use super::*;

    #[test]
    fn pages_have_the_databases_key() {
        let (a, b) = (Secret::new(&"0123456789abcdef".repeat(10)), Secret::new("other"));
        let level = |ours, theirs: &DatabaseKey| same_key(ours, Some(theirs), false).map(|finding| finding.level);
        assert_eq!(level(Some(&a), &Ok(Some(a.clone()))), Some(Level::Ok));
        assert_eq!(level(Some(&b), &Ok(Some(a.clone()))), Some(Level::Fail));
        assert_eq!(level(None, &Ok(Some(a.clone()))), Some(Level::Ok));
        assert_eq!(level(None, &Ok(Some(b.clone()))), Some(Level::Fail));
        assert_eq!(level(Some(&a), &Ok(None)), Some(Level::Fail));
        assert_eq!(level(Some(&a), &Err("away".into())), None);
        assert_eq!(same_key(Some(&a), None, false), None);
    }
}
