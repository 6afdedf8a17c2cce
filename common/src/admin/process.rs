//! What the kernel says of this process, under the names that all Prometheus clients use.

use std::fs;

use crate::metrics::{
    PROCESS_MAX_FDS, PROCESS_OPEN_FDS, PROCESS_RESIDENT_MEMORY_BYTES, PROCESS_START_TIME_SECONDS,
    PROCESS_VIRTUAL_MEMORY_BYTES,
};

/// What the kernel counts a second in for /proc (`USER_HZ`), the same on every machine that Rust's Linux targets know.
const TICKS_PER_SECOND: f64 = 100.0;

/// Brings the `process_*` gauges up to date, and says how many seconds of processor time the process took. What /proc does
/// not tell stays as it was.
pub(super) fn measure() -> Option<f64> {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let status = read("/proc/self/status");
    if let Some(kilobytes) = number_behind(&status, "VmRSS:") {
        PROCESS_RESIDENT_MEMORY_BYTES.with(&[]).set((kilobytes * 1024) as f64);
    }
    if let Some(kilobytes) = number_behind(&status, "VmSize:") {
        PROCESS_VIRTUAL_MEMORY_BYTES.with(&[]).set((kilobytes * 1024) as f64);
    }
    if let Ok(entries) = fs::read_dir("/proc/self/fd") {
        PROCESS_OPEN_FDS.with(&[]).set(entries.count() as f64);
    }
    if let Some(most) = number_behind(&read("/proc/self/limits"), "Max open files") {
        PROCESS_MAX_FDS.with(&[]).set(most as f64);
    }
    let stat = Stat::parse(&read("/proc/self/stat"))?;
    if let Some(boot) = number_behind(&read("/proc/stat"), "btime") {
        PROCESS_START_TIME_SECONDS.with(&[]).set(boot as f64 + stat.start_ticks as f64 / TICKS_PER_SECOND);
    }
    Some(stat.cpu_ticks as f64 / TICKS_PER_SECOND)
}

/// The first number behind the line's beginning `name`.
fn number_behind(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next()?.parse().ok())
}

#[derive(Debug, PartialEq, Eq)]
struct Stat {
    cpu_ticks: u64,
    start_ticks: u64,
}

impl Stat {
    /// The program's name is in brackets and may hold anything, so the fields are counted behind the last one.
    fn parse(text: &str) -> Option<Self> {
        let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
        // proc(5) numbers the fields from 1; the first one here is its third.
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        Some(Self { cpu_ticks: field(14)? + field(15)?, start_ticks: field(22)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_behind_any_name() {
        let text = "7 (a) b (c)) S 1 2 3 4 5 6 7 8 9 10 250 150 0 0 20 0 9 0 4711 1 2";
        assert_eq!(Stat::parse(text), Some(Stat { cpu_ticks: 400, start_ticks: 4711 }));
        assert_eq!(Stat::parse("7 (a) S 1"), None);
    }

    #[test]
    fn numbers_are_found() {
        assert_eq!(number_behind("x 1\nMax open files   1024   4096 files", "Max open files"), Some(1024));
        assert_eq!(number_behind("Max open files unlimited", "Max open files"), None);
    }
}
