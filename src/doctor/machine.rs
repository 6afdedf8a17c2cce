//! This machine: who listens, how many files may be open, whether a node runs.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};

use rustix::process::{Resource, getrlimit};

use super::context::{Context, Running};
use super::finding::Finding;
use crate::node::DESCRIPTORS_KEPT;

const LISTEN: &str = "listen";
const FILES: &str = "files";
const NODE: &str = "node";

/// The node that runs with these settings.
pub(crate) fn node(context: &Context) -> Vec<Finding> {
    let Running { answers, missing, version, .. } = &context.running;
    let admin = context.node.admin_listen;
    if !answers {
        return vec![Finding::ok(NODE, format!("at admin-listen {admin}: none answers: it does not run"))];
    }
    let version = version.as_deref().unwrap_or("unknown");
    let so = format!("bellwire {version} runs at admin-listen {admin}");
    vec![match missing {
        None => Finding::ok(NODE, format!("{so} and is ready")),
        Some(missing) => Finding::warn(NODE, format!("{so} and is not ready: {missing}")),
    }]
}

/// Whether the addresses are free, or held by Bellwire.
pub(crate) fn listeners(context: &Context) -> Vec<Finding> {
    let look = |&(name, address): &(&str, SocketAddr)| {
        let bound = TcpListener::bind(address).map(drop).map_err(|error| error.kind());
        listener(name, address, bound, context.running.answers)
    };
    context.listeners.iter().map(look).collect()
}

fn listener(name: &str, address: SocketAddr, bound: Result<(), ErrorKind>, runs: bool) -> Finding {
    let so = format!("{name} {address}");
    match bound {
        Ok(()) if runs => Finding::warn(
            LISTEN,
            format!("{so}: is free, though bellwire runs here: did it start with other settings than these?"),
        ),
        Ok(()) => Finding::ok(LISTEN, format!("{so}: is free")),
        Err(ErrorKind::AddrInUse) if runs => Finding::ok(LISTEN, format!("{so}: is held, and bellwire runs here")),
        Err(ErrorKind::AddrInUse) => Finding::fail(
            LISTEN,
            format!(
                "{so}: is taken by another program, or held by a systemd socket for us; `ss -ltnp` shows by whom (on \
                 openITCOCKPIT's server: push_notification or openitcockpit-websocket)"
            ),
        ),
        Err(ErrorKind::AddrNotAvailable) => {
            Finding::fail(LISTEN, format!("{so}: this machine has no such address; `ip address` shows those it has"))
        }
        Err(ErrorKind::PermissionDenied) => Finding::fail(
            LISTEN,
            format!(
                "{so}: needs a right that this user has not (ports below 1024: AmbientCapabilities=CAP_NET_BIND_SERVICE)"
            ),
        ),
        Err(other) => Finding::fail(LISTEN, format!("{so}: {other}")),
    }
}

/// Whether the tabs that may be there have a file descriptor each.
pub(crate) fn files(context: &Context) -> Vec<Finding> {
    let Some((tabs, _)) = &context.tabs else { return Vec::new() };
    let (limit, whose) = match context.running.files {
        Some(files) => (Some(files), "the node that runs"),
        None => (getrlimit(Resource::Nofile).maximum, "this shell; a service has its own (LimitNOFILE)"),
    };
    vec![enough_files(limit, whose, tabs.sessions)]
}

fn enough_files(limit: Option<u64>, whose: &str, sessions: u32) -> Finding {
    let Some(limit) = limit else {
        return Finding::ok(FILES, format!("{whose}: no limit"));
    };
    let room = limit - limit / DESCRIPTORS_KEPT;
    let so = format!("{limit} may be open ({whose}), room for {room} tabs");
    if room >= u64::from(sessions) {
        return Finding::ok(FILES, so);
    }
    let wanted = u64::from(sessions) + u64::from(sessions) / (DESCRIPTORS_KEPT - 1) + 1;
    Finding::warn(
        FILES,
        format!(
            "{so}, but max-sessions is {sessions}: set LimitNOFILE={wanted} in the unit, or max-sessions to what is expected"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::super::finding::Level;
    use super::*;

    #[test]
    fn an_address_is_free_ours_or_anothers() {
        let address = SocketAddr::from(([127, 0, 0, 1], 8083));
        for (bound, runs, level, word) in [
            (Ok(()), false, Level::Ok, "is free"),
            (Ok(()), true, Level::Warn, "other settings"),
            (Err(ErrorKind::AddrInUse), true, Level::Ok, "bellwire runs"),
            (Err(ErrorKind::AddrInUse), false, Level::Fail, "ss -ltnp"),
            (Err(ErrorKind::AddrNotAvailable), false, Level::Fail, "ip address"),
            (Err(ErrorKind::PermissionDenied), false, Level::Fail, "CAP_NET_BIND_SERVICE"),
        ] {
            let finding = listener("listen", address, bound, runs);
            assert!(finding.level == level && finding.text.contains(word), "{finding}");
        }
    }

    #[test]
    fn each_tab_needs_a_file() {
        assert_eq!(enough_files(None, "x", 100).level, Level::Ok);
        assert_eq!(enough_files(Some(200), "x", 100).level, Level::Ok);
        let finding = enough_files(Some(1024), "x", 100_000);
        assert!(finding.level == Level::Warn && finding.text.contains("room for 896 tabs"), "{finding}");
        let wanted = finding.text.split("LimitNOFILE=").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
        assert_eq!(enough_files(Some(wanted), "x", 100_000).level, Level::Ok);
    }
}
