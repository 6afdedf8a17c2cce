//! What every role needs: metrics, the admin server, the log, the end.

use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use bellwire_common::admin::{self, Extra, Readiness};
use bellwire_common::directory::Directory;
use bellwire_common::http::{Limits, Listeners, Reserved, Tls, TlsWatch};
use bellwire_common::lifecycle;
use bellwire_common::log::SharedLog;
use bellwire_common::log::embedded::EmbeddedLog;
use bellwire_common::log::memory::MemoryLog;
use bellwire_common::log::rabbitmq::{RabbitLog, RabbitSettings, SettingsError};
use bellwire_common::metrics::{self, BUILD_INFO};
use bellwire_common::settings::{Amqp, Invalid, LogAddress, Node, Problem, Role};

use crate::cli::VERSION;
use crate::supervisor::Supervisor;

const REVISION: &str = env!("BUILD_REVISION");

/// Fewer descriptors than this are worth a word: each tab takes one.
const DESCRIPTORS_GOOD: u64 = 65_536;

/// One in so many is kept for the log, the admin server, and connections that are no tabs yet.
pub(crate) const DESCRIPTORS_KEPT: u64 = 8;

/// Takes as many file descriptors as the system lets us have: shells and service managers set a soft limit
/// that is good for programs that use `select`, and that a thousand tabs would reach.
pub(crate) fn raise_descriptor_limit() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        debug!(%error, "cannot raise the limit of file descriptors");
    }
    if let Some(descriptors) = getrlimit(Resource::Nofile).current.filter(|&d| d < DESCRIPTORS_GOOD) {
        info!(descriptors, "file descriptors limit the number of tabs (systemd: LimitNOFILE, shell: ulimit -n)");
    }
}

/// File descriptors that tabs may take; none where the system sets no limit.
pub(crate) fn descriptors() -> Option<u32> {
    let limit = getrlimit(Resource::Nofile).current?;
    Some(u32::try_from(limit - limit / DESCRIPTORS_KEPT).unwrap_or(u32::MAX).max(1))
}

/// The certificate of the listeners, and what keeps it up to date; none without TLS.
pub(crate) fn tls(node: &Node, client_ca: Option<&Path>) -> Result<Option<(Tls, TlsWatch)>, Invalid> {
    Ok(node.tls.as_ref().map(|files| Tls::open(files, client_ca)).transpose()?)
}

/// A process that answers its probes, and knows when to end.
pub(crate) struct Running {
    readiness: Readiness,
    pub(crate) supervisor: Supervisor,
    /// Where the gateway hangs in what it answers.
    pub(crate) extra: Extra,
    /// Cancelled by the first SIGTERM or SIGINT.
    pub(crate) shutdown: CancellationToken,
    /// The certificate of the listeners.
    pub(crate) tls: Option<Tls>,
    admin_stop: CancellationToken,
    admin: JoinHandle<()>,
}

impl Running {
    /// Installs the metrics and starts the admin server. To be called before anything that counts.
    pub(crate) fn start(
        node: &Node,
        role: Role,
        tls: Option<(Tls, TlsWatch)>,
        listeners: &mut Listeners,
    ) -> anyhow::Result<Self> {
        let handle = metrics::install().context("cannot install the metrics")?;
        BUILD_INFO.with(&[env!("CARGO_PKG_VERSION"), REVISION, role.name()]).set(1.0);
        metrics::HTTP_ACCEPT_ERRORS.zero();
        let shutdown = lifecycle::shutdown_on_signals().context("cannot listen to signals")?;
        let listener = listeners.reserve(node.admin_listen).and_then(Reserved::listen).context("admin-listen")?;
        let address = listener.local_addr().context("admin-listen")?;
        info!(%role, version = VERSION, log = %node.log, shards = node.shards, admin = %address, "starting");
        let (readiness, extra, admin_stop) = (Readiness::new(), Extra::default(), CancellationToken::new());
        let tls = tls.map(|(tls, watch)| {
            watch.start(&admin_stop);
            tls
        });
        let admin_tls = tls.clone().filter(|_| node.tls.as_ref().is_some_and(|files| files.admin));
        let served = admin::serve(listener, handle, readiness.clone(), extra.clone(), admin_tls, admin_stop.clone());
        let admin = tokio::spawn(served);
        let supervisor = Supervisor::start();
        Ok(Self { readiness, supervisor, extra, shutdown, tls, admin_stop, admin })
    }

    /// From now on the process may be given work.
    pub(crate) async fn ready(&self) {
        self.readiness.caught_up();
        self.supervisor.ready().await;
    }

    /// The process has begun to end, within about this time.
    pub(crate) async fn draining(&self, within: Duration) {
        self.readiness.draining(within);
        self.supervisor.ending(within).await;
    }

    /// Closes the log, and the admin server as the last.
    pub(crate) async fn end(self, log: &SharedLog) -> anyhow::Result<()> {
        log.close().await;
        self.admin_stop.cancel();
        self.admin.await.context("the admin server")?;
        info!("ended");
        Ok(())
    }
}

/// The way to openITCOCKPIT's database, if there is one. It need not be there yet.
pub(crate) fn directory(node: &Node) -> Result<Option<Directory>, Invalid> {
    let Some(file) = &node.mysql_file else { return Ok(None) };
    Directory::open(file).map(Some).map_err(|error| {
        let (setting, source_name) = ("mysql-file".into(), file.display().to_string());
        Invalid(vec![Problem { setting, source_name, message: error.to_string() }])
    })
}

/// Opens the log, or begins to connect to it: RabbitMQ need not be there yet.
pub(crate) async fn open_log(node: &Node, role: Role) -> anyhow::Result<SharedLog> {
    let shards = node.shards;
    match &node.log {
        LogAddress::Memory => Ok(MemoryLog::new(shards)),
        LogAddress::Embedded(directory) => {
            let directory = directory.clone();
            let open = tokio::task::spawn_blocking(move || EmbeddedLog::open(&directory, shards));
            Ok(open.await.context("opening the log")??)
        }
        LogAddress::Amqp(amqp) => rabbit(amqp, shards, role),
    }
}

/// The log in RabbitMQ, connected to when it is used. `name` is what RabbitMQ calls the connections.
pub(crate) fn rabbit_log(amqp: &Amqp, shards: u16, name: &str) -> Result<RabbitLog, SettingsError> {
    let settings = RabbitSettings::new(amqp.urls().expose(), shards, name)?;
    Ok(RabbitLog::new(match &amqp.ca {
        Some(ca) => settings.with_ca(ca.clone()),
        None => settings,
    }))
}

/// The log of another number of shards, if there is to be one.
pub(crate) fn open_also(node: &Node, shards: Option<u16>, role: Role) -> anyhow::Result<Option<SharedLog>> {
    match (&node.log, shards) {
        (LogAddress::Amqp(amqp), Some(shards)) => rabbit(amqp, shards, role).map(Some),
        _ => Ok(None),
    }
}

fn rabbit(amqp: &Amqp, shards: u16, role: Role) -> anyhow::Result<SharedLog> {
    let log = std::sync::Arc::new(rabbit_log(amqp, shards, &format!("bellwire {role}")).context("log")?);
    let checked = std::sync::Arc::clone(&log);
    tokio::spawn(async move {
        match checked.check().await {
            Ok(()) => info!(shards, "connected to RabbitMQ"),
            Err(error) => warn!(error, shards, "RabbitMQ cannot be used yet; trying on"),
        }
    });
    Ok(log)
}

/// What connections may cost, with `grace` for their end.
pub(crate) fn limits(grace: Duration) -> Limits {
    let connections_max = Limits::default().connections_max;
    // Two listeners at most, and they must not take what is kept for the log.
    let kept = getrlimit(Resource::Nofile).current.map(|limit| limit / DESCRIPTORS_KEPT / 2);
    let connections_max = kept.map_or(connections_max, |kept| connections_max.min(kept.max(1) as usize));
    Limits { grace, connections_max, ..Limits::default() }
}
