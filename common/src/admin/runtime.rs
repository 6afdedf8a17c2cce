//! What the runtime says of itself: whether its threads can keep up with the tasks.

use tokio::runtime::Handle;

use crate::metrics::{RUNTIME_TASKS, RUNTIME_TASKS_QUEUED, RUNTIME_WORKERS};

/// Brings the `bellwire_runtime_*` gauges up to date, and says for how many seconds the threads were at work. Cheap: the
/// runtime counts all of it anyway. To be called within it.
pub(super) fn measure() -> f64 {
    let runtime = Handle::current().metrics();
    let workers = runtime.num_workers();
    RUNTIME_WORKERS.with(&[]).set(workers as f64);
    RUNTIME_TASKS.with(&[]).set(runtime.num_alive_tasks() as f64);
    RUNTIME_TASKS_QUEUED.with(&[]).set(runtime.global_queue_depth() as f64);
    (0..workers).map(|worker| runtime.worker_total_busy_duration(worker).as_secs_f64()).sum()
}
