//! What the doctor's checks look at: the settings of a role, and the node that may run with them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use bellwire_common::directory::Directory;
use bellwire_common::settings::{self, Access, Given, Intake, Invalid, Loaded, Node, Role, Secret, Sources, Tabs};

use crate::admin::Admin;
use crate::place::reachable;

/// A node's answer, its metrics included.
const ANSWER_BYTES_MAX: u64 = 4 * 1024 * 1024;
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// What the database says of the shared key.
pub(crate) type DatabaseKey = Result<Option<Secret>, String>;

/// See the module.
pub(crate) struct Context {
    pub(crate) role: Role,
    /// The texts, for what the typed settings have no more: names of files that were read.
    pub(crate) given: BTreeMap<&'static str, Given>,
    pub(crate) warnings: Vec<String>,
    pub(crate) node: Node,
    /// The other number of shards that it reads.
    pub(crate) shards_also: Option<u16>,
    pub(crate) listeners: Vec<(&'static str, SocketAddr)>,
    /// Where tabs come in.
    pub(crate) tabs: Option<(Tabs, Access)>,
    pub(crate) key: Option<Secret>,
    /// The key of openITCOCKPIT's database, if one is named.
    pub(crate) database_key: Option<DatabaseKey>,
    /// Where notifications come in.
    pub(crate) intake: Option<Intake>,
    pub(crate) running: Running,
}

/// What the node on this machine says of itself, if one runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Running {
    /// It answers.
    pub(crate) answers: bool,
    /// Why it is not ready.
    pub(crate) missing: Option<String>,
    /// Its limit of open files.
    pub(crate) files: Option<u64>,
    /// Its version.
    pub(crate) version: Option<String>,
}

impl Context {
    /// The key that tabs need.
    pub(crate) fn any_key(&self) -> Option<&Secret> {
        let of_database = || self.database_key.as_ref()?.as_ref().ok()?.as_ref();
        self.key.as_ref().or_else(of_database)
    }

    /// Loads the settings of a role. Nobody has been asked anything yet.
    pub(crate) fn load(role: Role, sources: &Sources<'_>) -> Result<Self, Invalid> {
        let given = settings::given(role, sources)?;
        let context = |node, listeners, tabs, key, intake, warnings| Self {
            role,
            given,
            warnings,
            node,
            shards_also: None,
            listeners,
            tabs,
            key,
            database_key: None,
            intake,
            running: Running::default(),
        };
        Ok(match role {
            Role::Standalone => {
                let Loaded { settings, warnings, .. } = settings::standalone(sources)?;
                let (listeners, tabs) = (settings.listeners(), Some((settings.tabs, settings.access)));
                context(settings.node, listeners, tabs, settings.shared_key, Some(settings.intake), warnings)
            }
            Role::Gateway => {
                let Loaded { settings, warnings, .. } = settings::gateway(sources)?;
                let shards_also = settings.shards_also;
                let (listeners, tabs) = (settings.listeners(), Some((settings.tabs, settings.access)));
                let context = context(settings.node, listeners, tabs, settings.shared_key, None, warnings);
                Self { shards_also, ..context }
            }
            Role::Ingest => {
                let Loaded { settings, warnings, .. } = settings::ingest(sources)?;
                let listeners = settings.listeners();
                context(settings.node, listeners, None, None, Some(settings.intake), warnings)
            }
        })
    }

    /// Asks the node of this machine, and the database for the key.
    pub(crate) async fn look(&mut self) {
        if let Some(file) = self.node.mysql_file.as_deref().filter(|_| self.tabs.is_some()) {
            let key = match Directory::open(file) {
                Ok(directory) => directory.shared_key().await.map_err(|error| error.to_string()),
                Err(error) => Err(error.to_string()),
            };
            self.database_key = Some(key);
        }
        let admin = reachable(self.node.admin_listen);
        let node = Admin::new(admin, ANSWER_WITHIN, ANSWER_BYTES_MAX);
        let Ok(ready) = node.get("/readyz").await else { return };
        let Ok(metrics) = node.get("/metrics").await else { return };
        let (ready_status, ready) = (ready.status, String::from_utf8_lossy(&ready.body).trim().to_owned());
        self.running = Running::of(ready_status, &ready, &String::from_utf8_lossy(&metrics.body));
    }
}

impl Running {
    /// Reads the answers to `/readyz` and `/metrics`; what is not of Bellwire is nothing.
    fn of(ready_status: u16, ready: &str, metrics: &str) -> Self {
        let line = |name: &str| metrics.lines().find(|line| line.starts_with(name));
        let Some(build) = line("bellwire_build_info") else { return Self::default() };
        let version = build.split_once("version=\"").and_then(|(_, rest)| Some(rest.split_once('"')?.0.to_owned()));
        let files = line("process_max_fds ").and_then(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok());
        Self {
            answers: true,
            missing: (ready_status != 200).then(|| ready.to_owned()),
            files: files.map(|files| files as u64),
            version,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_known_by_its_metrics() {
        let page = "bellwire_build_info{version=\"0.1.0\",revision=\"x\",role=\"gateway\"} 1\nprocess_max_fds 1024\n";
        let ready = Running::of(200, "ok", page);
        assert_eq!((ready.answers, ready.missing, ready.files), (true, None, Some(1024)));
        assert_eq!(ready.version.as_deref(), Some("0.1.0"));
        assert_eq!(Running::of(503, "draining", page).missing.as_deref(), Some("draining"));
        assert_eq!(Running::of(200, "ok", "other_metric 1\n"), Running::default());
    }
}
