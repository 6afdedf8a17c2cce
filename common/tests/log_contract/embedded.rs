//! The log on disk. That nothing confirmed is lost when the process itself dies is tested in `embedded_process.rs`.

use bellwire_common::log::SharedLog;
use bellwire_common::log::embedded::EmbeddedLog;

use crate::backend::{Backend, SHARDS};

pub(crate) struct EmbeddedBackend(tempfile::TempDir);

impl Backend for EmbeddedBackend {
    async fn start() -> Option<Self> {
        Some(Self(tempfile::tempdir().expect("a directory")))
    }

    async fn open(&mut self) -> SharedLog {
        EmbeddedLog::open(self.0.path(), SHARDS).expect("the log opens")
    }

    async fn restart(&mut self, log: SharedLog) -> SharedLog {
        log.close().await;
        self.crash(log).await
    }

    /// Without closing, what waits is given up.
    async fn crash(&mut self, log: SharedLog) -> SharedLog {
        drop(log);
        self.open().await
    }
}
