//! The log: the disk, or RabbitMQ.

use std::fs::{File, TryLockError};
use std::path::Path;

use futures_util::future::join_all;
use rustix::fs::{Access, access, statvfs};

use bellwire_common::log::Log;
use bellwire_common::settings::{Amqp, LogAddress};

use super::context::Context;
use super::finding::Finding;
use crate::node::rabbit_log;

const LOG: &str = "log";

const MEBIBYTE: u64 = 1024 * 1024;
/// The log's journals alone may take half of it.
const DISK_MIN: u64 = 128 * MEBIBYTE;
/// As much as the log of a busy hour takes.
const DISK_GOOD: u64 = 1024 * MEBIBYTE;

/// Whether the log can be used.
pub(crate) async fn log(context: &Context) -> Vec<Finding> {
    match &context.node.log {
        LogAddress::Memory => {
            vec![Finding::warn(
                LOG,
                "in memory: what is accepted and not shown yet is lost when the process ends; log=embedded:DIR",
            )]
        }
        LogAddress::Embedded(dir) => disk(dir, context.running.answers),
        LogAddress::Amqp(amqp) => rabbit(context, amqp).await,
    }
}

fn disk(dir: &Path, runs: bool) -> Vec<Finding> {
    // The node makes what is missing.
    let Some(there) = dir.ancestors().find(|dir| dir.exists()) else {
        return vec![Finding::fail(LOG, format!("{}: no directory above it exists", dir.display()))];
    };
    let so = there.display();
    if !there.is_dir() {
        return vec![Finding::fail(LOG, format!("{so} is no directory: name another one, log=embedded:DIR"))];
    }
    if let Err(error) = access(there, Access::WRITE_OK | Access::EXEC_OK) {
        let user = rustix::process::geteuid().as_raw();
        return vec![Finding::fail(
            LOG,
            format!(
                "{so} cannot be written by user {user} ({error}): run this as the service's user, or chown it to that"
            ),
        )];
    }
    let mut findings = vec![match statvfs(there) {
        Ok(disk) => space(&so.to_string(), disk.f_bavail.saturating_mul(disk.f_frsize)),
        Err(error) => Finding::warn(LOG, format!("{so}: how much space is free is not known: {error}")),
    }];
    findings.extend(lock(dir, runs));
    findings
}

fn space(dir: &str, free: u64) -> Finding {
    let so = format!("{dir} can be written, {} MiB are free", free / MEBIBYTE);
    match free {
        ..DISK_MIN => Finding::fail(LOG, format!("{so}: make room, or notifications are refused (503)")),
        DISK_MIN..DISK_GOOD => Finding::warn(LOG, format!("{so}: an hour of storms takes more; make room")),
        _ => Finding::ok(LOG, so),
    }
}

/// Whoever holds it is looked for without making it.
fn lock(dir: &Path, runs: bool) -> Option<Finding> {
    let file = File::open(dir.join("lock")).ok()?;
    match file.try_lock() {
        Err(TryLockError::WouldBlock) if runs => {
            Some(Finding::ok(LOG, format!("{} is in use by a node", dir.display())))
        }
        Err(TryLockError::WouldBlock) => Some(Finding::warn(
            LOG,
            format!(
                "{} is in use, but no node answers at admin-listen: another node, with other settings?",
                dir.display()
            ),
        )),
        _ => None,
    }
}

async fn rabbit(context: &Context, amqp: &Amqp) -> Vec<Finding> {
    let mut findings = Vec::new();
    let open = amqp.nodes.iter().find(|node| !node.tls && !is_loopback(&node.host));
    if let Some(node) = open {
        findings.push(Finding::warn(
            LOG,
            format!(
                "{node} is not encrypted: whoever is between reads the password and all notifications; use amqps://"
            ),
        ));
    }
    // While that number changes there are those of another one too, which may lack what these have.
    let numbers = [Some(context.node.shards), context.shards_also];
    findings.extend(join_all(numbers.into_iter().flatten().map(|shards| streams(amqp, shards))).await);
    findings
}

async fn streams(amqp: &Amqp, shards: u16) -> Finding {
    let log = match rabbit_log(amqp, shards, "bellwire doctor") {
        Ok(log) => log,
        Err(error) => return Finding::fail(LOG, error.to_string()),
    };
    let finding = match log.check().await {
        Ok(()) => Finding::ok(LOG, format!("{amqp}: takes our login, and has the {shards} streams")),
        Err(error) => Finding::fail(LOG, format!("{amqp}: {error}")),
    };
    log.close().await;
    finding
}

fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host.parse().is_ok_and(|ip: std::net::IpAddr| ip.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::super::finding::Level;
    use super::*;

    #[test]
    fn a_disk_must_have_room() {
        for (free, level) in [(0, Level::Fail), (DISK_MIN, Level::Warn), (DISK_GOOD, Level::Ok)] {
            assert_eq!(space("/d", free).level, level);
        }
        assert!(space("/d", 5 * MEBIBYTE).text.contains("5 MiB"));
    }

    #[test]
    fn a_directory_that_is_not_there_yet_is_made_by_the_node() {
        let dir = tempfile::tempdir().unwrap();
        let findings = disk(&dir.path().join("a/b"), false);
        assert!(findings[0].level != Level::Fail || findings[0].text.contains("MiB"), "{findings:?}");
        assert!(!dir.path().join("a").exists(), "nothing was made");
    }

    #[test]
    fn a_lock_is_a_nodes() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(lock(dir.path(), false), None);
        let held = File::create(dir.path().join("lock")).unwrap();
        assert_eq!(lock(dir.path(), false), None);
        held.try_lock().unwrap();
        assert_eq!(lock(dir.path(), true).unwrap().level, Level::Ok);
        assert_eq!(lock(dir.path(), false).unwrap().level, Level::Warn);
    }
}
