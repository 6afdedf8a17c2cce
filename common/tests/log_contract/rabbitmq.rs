//! The log in RabbitMQ, on a private node that the cases use one after the other.

use std::sync::{Arc, LazyLock};

use lapin::options::QueueDeleteOptions;
use lapin::{Connection, ConnectionProperties};
use tokio::sync::{Mutex, OwnedMutexGuard};

use bellwire_common::ids::Shard;
use bellwire_common::log::rabbitmq::{RabbitLog, RabbitSettings};
use bellwire_common::log::{Log, SharedLog};
use bellwire_testkit::broker::Broker;

use crate::backend::{Backend, SHARDS};

/// In a static, where nothing is dropped: the node ends with the test process.
static BROKER: LazyLock<Arc<Mutex<Option<Broker>>>> = LazyLock::new(Arc::default);

pub(crate) struct RabbitBackend {
    broker: OwnedMutexGuard<Option<Broker>>,
    log: Option<Arc<RabbitLog>>,
}

impl RabbitBackend {
    fn broker(&mut self) -> &mut Broker {
        self.broker.as_mut().expect("started")
    }

    async fn back(&self, log: SharedLog) -> SharedLog {
        self.log.as_ref().expect("opened").connected().await.expect("not closed");
        log
    }
}

impl Backend for RabbitBackend {
    async fn start() -> Option<Self> {
        let mut broker = Arc::clone(&BROKER).lock_owned().await;
        match &mut *broker {
            None => *broker = Some(Broker::start().await.expect("a broker")),
            Some(broker) if !broker.is_running() => broker.restart().await.expect("a broker"),
            Some(_) => {}
        }
        Some(Self { broker, log: None })
    }

    async fn open(&mut self) -> SharedLog {
        let url = self.broker().url();
        let log = RabbitLog::new(RabbitSettings::new(&url, SHARDS, "contract").expect("settings"));
        delete_streams(&url, &log).await;
        drop(log);
        let log = Arc::new(RabbitLog::new(RabbitSettings::new(&url, SHARDS, "contract").expect("settings")));
        log.check().await.expect("connected");
        self.log = Some(Arc::clone(&log));
        log
    }

    async fn restart(&mut self, log: SharedLog) -> SharedLog {
        self.broker().restart().await.expect("a broker");
        self.back(log).await
    }

    async fn crash(&mut self, log: SharedLog) -> SharedLog {
        self.broker().kill();
        self.broker().restart().await.expect("a broker");
        self.back(log).await
    }
}

/// The same for the cases that kill the node, which has written to disk by then that it has these streams.
pub(crate) struct SettledBackend(RabbitBackend);

impl Backend for SettledBackend {
    async fn start() -> Option<Self> {
        RabbitBackend::start().await.map(Self)
    }

    async fn open(&mut self) -> SharedLog {
        let log = self.0.open().await;
        self.0.broker().settle().await.expect("settled");
        log
    }

    async fn restart(&mut self, log: SharedLog) -> SharedLog {
        self.0.restart(log).await
    }

    async fn crash(&mut self, log: SharedLog) -> SharedLog {
        self.0.crash(log).await
    }
}

/// Takes away what the case before has left.
async fn delete_streams(url: &str, names: &RabbitLog) {
    names.connected().await.expect("connected");
    let connection = Connection::connect(url, ConnectionProperties::default()).await.expect("connected");
    let channel = connection.create_channel().await.expect("a channel");
    for shard in (0..names.shards()).map(Shard) {
        let stream = names.name(shard).into();
        channel.queue_delete(stream, QueueDeleteOptions::default()).await.expect("deleted");
    }
}
