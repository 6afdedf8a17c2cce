//! `bellwire standalone`: ingest, gateway and the log in one process.

use std::time::Duration;

use anyhow::Context;
use tracing::info;

use bellwire_common::http::{Listeners, Tls};
use bellwire_common::settings::{self, Role};

use crate::access::{self, KeySource};
use crate::gateway::{self, ANSWERS_WITHIN, serve};
use crate::ingest;
use crate::node::{self, Running};
use crate::trial::{Invitation, Key};

/// Runs until SIGTERM, and through the drain. `program` is how this program was called.
pub(crate) async fn run(
    settings: settings::Standalone,
    mut listeners: Listeners,
    program: String,
) -> anyhow::Result<()> {
    let tokens = ingest::tokens(settings.intake.tokens_file.as_deref())?;
    let tls = node::tls(&settings.node, settings.intake.client_ca_file.as_deref())?;
    let running = Running::start(&settings.node, Role::Standalone, tls, &mut listeners)?;
    let directory = node::directory(&settings.node)?;
    let relay = gateway::relay(settings.relay.clone(), directory.as_ref())?;
    tokens.watch(running.shutdown.clone());
    let reserved = listeners.reserve(settings.listen).context("listen")?;
    let reserved_ingest =
        settings.ingest_listen.map(|address| listeners.reserve(address)).transpose().context("ingest-listen")?;
    let log = node::open_log(&settings.node, Role::Standalone).await?;
    let is_trial = settings.shared_key.is_none() && directory.is_none() && settings.access.jwt.is_none();
    let (access, trial) = if is_trial {
        // The log has made its directory, and holds it alone.
        let trial = Key::of(settings.state_directory.as_deref())?;
        (access::trial(&settings.access, trial.secret())?, Some(trial))
    } else {
        let source = KeySource {
            key: settings.shared_key.as_ref(),
            file: settings.shared_key_file.as_deref(),
            directory: directory.as_ref(),
        };
        (access::open(&settings.access, source, &running.shutdown).await?, None)
    };
    let gateway = gateway::start(settings.node.ttl, access, settings.tabs.clone(), relay, (&log, None));
    running.extra.hang(gateway.admin_router());
    running.supervisor.watch(gateway.pulse());
    let Some(caught_up) = running.shutdown.run_until_cancelled(gateway.caught_up()).await else {
        gateway.drain(Duration::ZERO).await;
        return running.end(&log).await;
    };
    caught_up?;

    ingest::watch_exports(directory.as_ref(), &log, &running.shutdown);
    let intake = ingest::router(settings.node.ttl, tokens, directory, &settings.intake, &log);
    let (browsers, separate) = match reserved_ingest {
        None => (gateway.router().merge(intake), None),
        Some(reserved) => (gateway.router(), Some((reserved, intake.fallback(bellwire_ingest::not_found)))),
    };
    let (tls, asking) = (running.tls.clone(), running.tls.as_ref().map(Tls::asking));
    // Only where notifications come in is anybody asked for a certificate: a browser may ask its user for one.
    let browsers_tls = if separate.is_some() { tls } else { asking.clone() };
    let served = serve("browsers", reserved, browsers, gateway::limits(), browsers_tls, &running.shutdown)?;
    let served_ingest = match separate {
        None => None,
        Some((reserved, router)) => {
            Some(serve("notifications", reserved, router, node::limits(ANSWERS_WITHIN), asking, &running.shutdown)?)
        }
    };
    running.ready().await;
    if let Some(key) = &trial {
        let ingest = served_ingest.as_ref().map_or(served.address, |served| served.address);
        Invitation { program: &program, settings: &settings, page: served.address, ingest, key }.print();
    }

    running.shutdown.cancelled().await;
    running.draining(settings.node.drain).await;
    info!(sessions = gateway.sessions(), "draining");
    let (_cut, ended) = tokio::join!(gateway.drain(settings.node.drain), served.task);
    ended.context("the server")?;
    if let Some(served) = served_ingest {
        served.task.await.context("the server")?;
    }
    running.end(&log).await
}
