//! The log in memory only, for tests and for those who ask for it (`log = memory:`). What it holds ends with the process.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::{self, BoxFuture};

use crate::ids::{Offset, Shard, UnixMillis};
use crate::log::appends::{Appends, too_large, up};
use crate::log::feed::{self, NoHistory};
use crate::log::tail::Tail;
use crate::log::{AppendError, Log, Reader, Safety, SharedLog, Start};

/// How much a shard holds before its oldest records go. At 600 bytes a notification about 100,000 of them.
pub const SHARD_BYTES_MAX: usize = 64 * 1024 * 1024;

/// See the module.
#[derive(Debug)]
pub struct MemoryLog {
    epoch: u64,
    tails: Vec<Arc<Tail>>,
    appends: Appends,
}

impl MemoryLog {
    /// An empty log with this many shards, at least one.
    #[expect(clippy::new_ret_no_self, reason = "logs are only ever used behind the seam")]
    #[must_use]
    pub fn new(shards: u16) -> SharedLog {
        Self::with_bytes(shards, SHARD_BYTES_MAX)
    }

    fn with_bytes(shards: u16, bytes_max: usize) -> SharedLog {
        up(true);
        let tails = (0..shards.max(1)).map(|_| Arc::new(Tail::new(Offset(0), bytes_max))).collect();
        Arc::new(Self { epoch: fastrand::u64(..), tails, appends: Appends::new() })
    }

    fn end(&self) {
        up(false);
        for tail in &self.tails {
            tail.close();
        }
    }

    fn put(&self, shard: Shard, records: Vec<Bytes>) -> Result<(), AppendError> {
        if too_large(&records) {
            return Err(AppendError::TooLarge);
        }
        let tail = self
            .tails
            .get(usize::from(shard.0))
            .ok_or_else(|| AppendError::Unavailable(format!("there is no shard {shard}")))?;
        if records.is_empty() || tail.append(records, UnixMillis::now()) {
            Ok(())
        } else {
            Err(AppendError::Unavailable("it was shut down".to_owned()))
        }
    }
}

impl Log for MemoryLog {
    fn shards(&self) -> u16 {
        self.tails.len() as u16
    }

    fn name(&self, shard: Shard) -> String {
        format!("memory.{:016x}.{}.{shard}", self.epoch, self.tails.len())
    }

    fn append(&self, shard: Shard, records: Vec<Bytes>, _: Safety) -> BoxFuture<'static, Result<(), AppendError>> {
        let count = records.len();
        let result = self.put(shard, records);
        self.appends.count(count, &result);
        Box::pin(future::ready(result))
    }

    fn read(&self, shard: Shard, start: Start) -> Reader {
        match self.tails.get(usize::from(shard.0)) {
            Some(tail) => feed::spawn(shard, tail.clone(), NoHistory, start),
            None => feed::ended(),
        }
    }

    fn close(&self) -> BoxFuture<'static, ()> {
        self.end();
        Box::pin(future::ready(()))
    }
}

impl Drop for MemoryLog {
    fn drop(&mut self) {
        self.end();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::Event;
    use crate::record::{Record, Status};

    fn record(version: u64) -> Bytes {
        Record::Status(Status::try_new("k", version, Bytes::from_static(&[b'1'; 500])).unwrap()).encode()
    }

    fn versions(event: Event) -> Vec<u64> {
        let Event::Records(records) = event else { panic!("{event:?}") };
        records
            .into_iter()
            .map(|(_, record)| match record {
                Record::Status(status) => status.version,
                other => panic!("{other:?}"),
            })
            .collect()
    }

    /// A reader that missed what the log dropped must know: its fold is void.
    #[tokio::test]
    async fn a_reader_that_fell_behind_starts_over() {
        let log = MemoryLog::with_bytes(1, 5000);
        let mut reader = log.read(Shard(0), Start::Offset(Offset(0)));
        assert!(matches!(reader.next().await, Some(Event::CaughtUp)));
        log.append(Shard(0), vec![record(1)], Safety::Safe).await.unwrap();
        assert_eq!(versions(reader.next().await.unwrap()), [1]);
        for version in 2..100 {
            log.append(Shard(0), vec![record(version)], Safety::Safe).await.unwrap();
        }
        let mut replaced = false;
        let mut seen = Vec::new();
        while seen.last() != Some(&99) {
            match reader.next().await.unwrap() {
                Event::Replaced => {
                    replaced = true;
                    seen.clear();
                }
                Event::CaughtUp => {}
                event => seen.extend(versions(event)),
            }
        }
        assert!(replaced);
        assert!(seen.windows(2).all(|pair| pair[0] + 1 == pair[1]), "{seen:?}");
    }

    #[tokio::test]
    async fn a_shard_that_does_not_exist_is_refused() {
        let log = MemoryLog::new(2);
        log.append(Shard(2), vec![record(1)], Safety::Safe).await.unwrap_err();
        assert!(log.read(Shard(2), Start::Offset(Offset(0))).next().await.is_none());
    }
}
