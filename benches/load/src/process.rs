//! What the kernel says of a process: processor time and memory.

use std::time::Duration;

use anyhow::Context;

/// `utime` and `stime` are counted in ticks of 10 ms on every Linux that Bellwire runs on.
const TICK: Duration = Duration::from_millis(10);

/// Processor time and memory of some processes together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    pub(crate) cpu: Duration,
    pub(crate) rss_bytes: u64,
}

/// What these processes have used so far; an error if one has ended.
pub(crate) fn usage(pids: &[u32]) -> anyhow::Result<Usage> {
    let mut sum = Usage::default();
    for pid in pids {
        let read = |file: &str| {
            let path = format!("/proc/{pid}/{file}");
            std::fs::read_to_string(&path).with_context(|| format!("has the server ended? {path}"))
        };
        sum.cpu += cpu(&read("stat")?).with_context(|| format!("/proc/{pid}/stat"))?;
        sum.rss_bytes += rss(&read("status")?).with_context(|| format!("/proc/{pid}/status"))?;
    }
    Ok(sum)
}

fn cpu(stat: &str) -> Option<Duration> {
    // The name in parentheses may hold anything, spaces and parentheses too.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11);
    let ticks: u32 = fields.next()?.parse::<u32>().ok()?.checked_add(fields.next()?.parse().ok()?)?;
    Some(TICK * ticks)
}

fn rss(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok().map(|kilobytes| kilobytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_files_are_read() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 100 0 0 0 150 25 0 0 20 0 1 0 5 1000 10 18446744073709551615";
        assert_eq!(cpu(stat), Some(Duration::from_millis(1750)));
        assert_eq!(rss("Name:\tx\nVmRSS:\t    2048 kB\n"), Some(2 << 20));
        assert_eq!((cpu("7 (x) S 1"), rss("VmRSS: many")), (None, None));
    }

    #[test]
    fn this_process_uses_memory_and_a_missing_one_is_an_error() {
        assert!(usage(&[std::process::id()]).unwrap().rss_bytes > 100_000);
        assert!(usage(&[u32::MAX]).is_err());
    }
}
