//! What the suite needs of an implementation.

use bellwire_common::log::SharedLog;

/// Shards of the logs that the suite opens.
pub(crate) const SHARDS: u16 = 3;

/// Something that keeps a log, of this test's own and empty at first.
pub(crate) trait Backend: Sized + Send {
    /// Starts it. None where this machine lacks what it needs; it has then said so on stderr.
    fn start() -> impl Future<Output = Option<Self>> + Send;

    /// The log, with [`SHARDS`] shards.
    fn open(&mut self) -> impl Future<Output = SharedLog> + Send;

    /// Stops in good order what keeps the records, and starts it again. Returns the log to go on with.
    /// Only for what outlives its process.
    fn restart(&mut self, log: SharedLog) -> impl Future<Output = SharedLog> + Send {
        async { log }
    }

    /// Takes the log away the hard way, with appends under way, and brings it back. Returns the log to go on with.
    /// Only for what outlives its process.
    fn crash(&mut self, log: SharedLog) -> impl Future<Output = SharedLog> + Send {
        async { log }
    }
}
