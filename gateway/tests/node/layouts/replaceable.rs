//! A log that another one takes the place of while it is read, as when a stream was deleted and declared anew.

use std::sync::Arc;

use bellwire_common::ids::Shard;
use bellwire_common::log::{AppendError, Event, Log, Reader, Safety, SharedLog, Start};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use tokio::sync::{mpsc, watch};

/// See the module.
#[derive(Debug)]
pub(super) struct Replaceable {
    log: watch::Sender<SharedLog>,
}

impl Replaceable {
    pub(super) fn new(log: SharedLog) -> Arc<Self> {
        Arc::new(Self { log: watch::Sender::new(log) })
    }

    pub(super) fn replace(&self, log: SharedLog) {
        self.log.send_replace(log);
    }

    fn log(&self) -> SharedLog {
        Arc::clone(&self.log.borrow())
    }
}

impl Log for Replaceable {
    fn shards(&self) -> u16 {
        self.log().shards()
    }

    fn name(&self, shard: Shard) -> String {
        self.log().name(shard)
    }

    fn append(&self, shard: Shard, records: Vec<Bytes>, safety: Safety) -> BoxFuture<'static, Result<(), AppendError>> {
        self.log().append(shard, records, safety)
    }

    fn read(&self, shard: Shard, start: Start) -> Reader {
        let (events, taken) = mpsc::channel(1);
        let mut log = self.log.subscribe();
        tokio::spawn(async move {
            let mut reader = log.borrow_and_update().read(shard, start);
            loop {
                let event = tokio::select! {
                    event = reader.next() => event,
                    Ok(()) = log.changed() => {
                        reader = log.borrow_and_update().read(shard, start);
                        Some(Event::Replaced)
                    }
                };
                let Some(event) = event else { return };
                if events.send(event).await.is_err() {
                    return;
                }
            }
        });
        Reader::new(taken)
    }

    fn close(&self) -> BoxFuture<'static, ()> {
        self.log().close()
    }
}
