//! `bellwire ingest`.

use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use tokio_util::sync::CancellationToken;

use bellwire_common::directory::Directory;
use bellwire_common::http::{Listeners, Tls};
use bellwire_common::log::SharedLog;
use bellwire_common::settings::{self, Intake, Invalid, Problem, Role};
use bellwire_ingest::{Ingest, IngestSettings, Tokens};

use crate::gateway::serve;
use crate::node::{self, Running};

/// Runs until SIGTERM, and until the requests in progress are answered.
pub(crate) async fn run(settings: settings::Ingest, mut listeners: Listeners) -> anyhow::Result<()> {
    let tokens = tokens(settings.intake.tokens_file.as_deref())?;
    let tls = node::tls(&settings.node, settings.intake.client_ca_file.as_deref())?;
    let running = Running::start(&settings.node, Role::Ingest, tls, &mut listeners)?;
    let directory = node::directory(&settings.node)?;
    tokens.watch(running.shutdown.clone());
    let reserved = listeners.reserve(settings.listen).context("listen")?;
    let log = node::open_log(&settings.node, Role::Ingest).await?;
    watch_exports(directory.as_ref(), &log, &running.shutdown);
    let router = router(settings.node.ttl, tokens, directory, &settings.intake, &log);
    let router = router.fallback(bellwire_ingest::not_found);
    let (limits, tls) = (node::limits(settings.node.drain), running.tls.as_ref().map(Tls::asking));
    let served = serve("notifications", reserved, router, limits, tls, &running.shutdown)?;
    // Without RabbitMQ it answers 503, which senders know what to do with. But one that has never reached it may have a wrong
    // password: a rollout must not put it in the place of those that work. Later outages strike all alike.
    running.supervisor.status("waiting for RabbitMQ").await;
    if running.shutdown.run_until_cancelled(log.reached()).await.is_some() {
        running.ready().await;
        running.supervisor.status("takes notifications").await;
        running.shutdown.cancelled().await;
    }
    running.draining(settings.node.drain).await;
    served.task.await.context("the server")?;
    running.end(&log).await
}

/// The tokens that may send.
pub(crate) fn tokens(file: Option<&Path>) -> Result<Tokens, Invalid> {
    let Some(file) = file else { return Ok(Tokens::none()) };
    Tokens::load(file).map_err(|error| {
        let (setting, source_name) = ("ingest-tokens-file".into(), file.display().to_string());
        Invalid(vec![Problem { setting, source_name, message: error.to_string() }])
    })
}

/// The routes of ingest in front of `log`; names and users are looked up in the directory, if there is one.
pub(crate) fn router(
    ttl: Duration,
    tokens: Tokens,
    directory: Option<Directory>,
    intake: &Intake,
    log: &SharedLog,
) -> Router {
    let ttl_ms = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX);
    let settings = IngestSettings {
        needs_certificate: intake.client_ca_file.is_some(),
        user_label: intake.user_label.clone(),
        directory,
        user_check: intake.user_check,
        ..IngestSettings::new(ttl_ms, tokens)
    };
    bellwire_ingest::router(Ingest::new(settings, SharedLog::clone(log)))
}

/// Tells the log of openITCOCKPIT's exports until the shutdown, where there is a directory.
pub(crate) fn watch_exports(directory: Option<&Directory>, log: &SharedLog, shutdown: &CancellationToken) {
    if let Some(directory) = directory {
        let watch = bellwire_ingest::export::watch(directory.clone(), SharedLog::clone(log));
        tokio::spawn(shutdown.clone().run_until_cancelled_owned(watch));
    }
}
