//! The log in memory.

use bellwire_common::log::SharedLog;
use bellwire_common::log::memory::MemoryLog;

use crate::backend::{Backend, SHARDS};

pub(crate) struct MemoryBackend;

impl Backend for MemoryBackend {
    async fn start() -> Option<Self> {
        Some(Self)
    }

    async fn open(&mut self) -> SharedLog {
        MemoryLog::new(SHARDS)
    }
}
