//! The command line: every count and time has a limit.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, ensure};
use clap::{Arg, ArgAction, ArgMatches, Command, builder::PossibleValuesParser, value_parser};

use crate::server::Shape;
use crate::tabs::Protocol;

/// Most tabs of one process: it may hold 20,000 descriptors, and publishers and logs need some.
pub(crate) const TABS_MAX: u32 = 19_000;
const NUMBERS: [(&str, &str, RangeInclusive<i64>, &str); 10] = [
    ("tabs", "10000", 1..=TABS_MAX as i64, "tabs of `idle` and `handshakes`"),
    ("users", "10000", 1..=TABS_MAX as i64, "users of `spread`, one tab each"),
    ("browsers", "1000", 1..=TABS_MAX as i64, "browsers of the one user of `fanout`"),
    ("seconds", "5", 1..=60, "length of each measured step"),
    ("rate", "1000", 1..=20_000, "publishes per second of `spread-rate`"),
    ("fanout-rate", "50", 1..=1000, "publishes per second of `fanout-rate`"),
    ("bytes", "350", 300..=16_384, "size of a published notification's JSON"),
    ("rounds", "3", 1..=9, "rounds of `handshakes`; the median counts"),
    ("drain", "10", 1..=120, "seconds to wait for the last deliveries; then they are lost"),
    ("threads", "1", 1..=16, "threads of the generator itself"),
];

/// Names of the scenarios, in the order in which they run.
pub(crate) const SCENARIOS: [&str; 6] =
    ["idle", "handshakes", "spread-max", "spread-rate", "fanout-max", "fanout-rate"];
const SHAPES: [&str; 4] = ["memory", "durable", "rabbitmq", "floor"];

/// What to measure, checked.
pub(crate) struct Args {
    pub(crate) shapes: Vec<Shape>,
    pub(crate) scenarios: Vec<String>,
    pub(crate) protocols: Vec<Protocol>,
    pub(crate) load: Load,
    pub(crate) threads: usize,
    pub(crate) json: Option<PathBuf>,
}

/// The sizes of the scenarios.
#[derive(Debug, Clone)]
pub(crate) struct Load {
    pub(crate) tabs: u32,
    pub(crate) users: u32,
    pub(crate) browsers: u32,
    pub(crate) seconds: Duration,
    pub(crate) rate: u32,
    pub(crate) fanout_rate: u32,
    pub(crate) bytes: usize,
    pub(crate) rounds: u32,
    pub(crate) drain: Duration,
}

impl Args {
    /// Reads the process's arguments; ends the process with a usage text where they cannot be read.
    pub(crate) fn from_env() -> anyhow::Result<Self> {
        let matches = command().get_matches();
        let args = Self {
            shapes: shapes(&matches)?,
            scenarios: texts(&matches, "scenario"),
            protocols: texts(&matches, "protocol").iter().filter_map(|name| Protocol::named(name)).collect(),
            load: Load::from_matches(&matches),
            threads: number(&matches, "threads") as usize,
            json: matches.get_one("json").cloned(),
        };
        check_descriptors(&args.load)?;
        Ok(args)
    }
}

impl Load {
    fn from_matches(matches: &ArgMatches) -> Self {
        Self {
            tabs: number(matches, "tabs"),
            users: number(matches, "users"),
            browsers: number(matches, "browsers"),
            seconds: Duration::from_secs(number(matches, "seconds").into()),
            rate: number(matches, "rate"),
            fanout_rate: number(matches, "fanout-rate"),
            bytes: number(matches, "bytes") as usize,
            rounds: number(matches, "rounds"),
            drain: Duration::from_secs(number(matches, "drain").into()),
        }
    }
}

fn command() -> Command {
    let list = |name: &'static str, help: &'static str| {
        Arg::new(name).long(name).help(help).value_delimiter(',').action(ArgAction::Append)
    };
    let numbers = NUMBERS.map(|(name, default, range, help)| {
        let help = format!("{help} ({} to {})", range.start(), range.end());
        Arg::new(name).long(name).help(help).default_value(default).value_parser(value_parser!(u32).range(range))
    });
    Command::new("bellwire-load")
        .about(
            "Measures a Bellwire server that it starts itself, or one that is given. JSON on stdout, a table on stderr",
        )
        .after_help("Exit code: 0 when nothing was lost or repeated, 1 otherwise, 2 for wrong usage.")
        .arg(
            list("shape", "which servers to start, one after the other")
                .default_value("memory,durable,rabbitmq,floor")
                .value_parser(PossibleValuesParser::new(SHAPES)),
        )
        .arg(
            list("scenario", "what to measure")
                .default_value(SCENARIOS.join(","))
                .value_parser(PossibleValuesParser::new(SCENARIOS)),
        )
        .arg(
            list("protocol", "which tabs to open")
                .default_value("v2,native")
                .value_parser(PossibleValuesParser::new(["v1", "v2", "native"])),
        )
        .arg(path("program", "the server [default: bellwire beside this program]"))
        .arg(path("floor", "the bare partner [default: bellwire-floor beside this program]"))
        .arg(path("data", "where `durable` keeps its log [default: load-data beside this program]"))
        .arg(path("json", "write the JSON here instead of stdout"))
        .arg(
            list("gateway", "measure a running server instead: where its tabs connect")
                .value_parser(value_parser!(SocketAddr)),
        )
        .arg(
            Arg::new("ingest")
                .long("ingest")
                .help("where to publish to the running server")
                .requires("gateway")
                .value_parser(value_parser!(SocketAddr)),
        )
        .arg(
            list("pid", "processes of the running server, for their CPU and memory")
                .requires("gateway")
                .value_parser(value_parser!(u32)),
        )
        .arg(path("key-file", "the running server's shared key").requires("gateway"))
        .args(numbers)
}

fn path(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).help(help).value_parser(value_parser!(PathBuf))
}

fn shapes(matches: &ArgMatches) -> anyhow::Result<Vec<Shape>> {
    let here = std::env::current_exe().context("where is this program?")?;
    let beside =
        |name: &str, file: &str| matches.get_one::<PathBuf>(name).cloned().unwrap_or_else(|| here.with_file_name(file));
    if let Some(gateways) = matches.get_many::<SocketAddr>("gateway") {
        let gateways: Vec<SocketAddr> = gateways.copied().collect();
        let ingest = matches.get_one("ingest").copied().unwrap_or(gateways[0]);
        for address in gateways.iter().chain([&ingest]) {
            ensure!(address.ip().is_loopback(), "{address}: this program loads servers on loopback only");
        }
        let key = match matches.get_one::<PathBuf>("key-file") {
            Some(path) => std::fs::read_to_string(path).with_context(|| format!("--key-file {}", path.display()))?,
            None => String::new(),
        };
        let pids = matches.get_many("pid").into_iter().flatten().copied().collect();
        return Ok(vec![Shape::Given { gateways, ingest, pids, key: key.trim().to_owned() }]);
    }
    let program = beside("program", "bellwire");
    let shape = |name: String| match name.as_str() {
        "memory" => Shape::Memory { program: program.clone() },
        "durable" => Shape::Durable { program: program.clone(), data: beside("data", "load-data") },
        "rabbitmq" => Shape::RabbitMq { program: program.clone() },
        _ => Shape::Floor { program: beside("floor", "bellwire-floor") },
    };
    Ok(texts(matches, "shape").into_iter().map(shape).collect())
}

/// Tabs, publishers and the program's own files must fit into this process, and as many into each server.
fn check_descriptors(load: &Load) -> anyhow::Result<()> {
    let needed = u64::from(load.tabs.max(load.users).max(load.browsers)) + DESCRIPTORS_BESIDE_TABS;
    let limits = std::fs::read_to_string("/proc/self/limits").context("reading /proc/self/limits")?;
    let soft = limits.lines().find_map(|line| line.strip_prefix("Max open files")?.split_whitespace().next());
    // "unlimited" is no number and enough.
    let allowed = soft.and_then(|value| value.parse().ok()).unwrap_or(u64::MAX);
    ensure!(allowed >= needed, "{needed} open files are needed, {allowed} are allowed: raise it with `ulimit -n`");
    Ok(())
}

const DESCRIPTORS_BESIDE_TABS: u64 = 800;

fn number(matches: &ArgMatches, name: &str) -> u32 {
    // Every number has a default.
    matches.get_one(name).copied().unwrap_or_default()
}

fn texts(matches: &ArgMatches, name: &str) -> Vec<String> {
    matches.get_many::<String>(name).into_iter().flatten().cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        command().debug_assert();
        let matches = command().get_matches_from(["bellwire-load", "--tabs", "19000", "--shape", "floor"]);
        assert_eq!(Load::from_matches(&matches).tabs, 19_000);
        assert_eq!(texts(&matches, "scenario"), SCENARIOS);
        assert!(matches!(&shapes(&matches).unwrap()[..], [Shape::Floor { .. }]));
    }

    #[test]
    fn limits_hold() {
        for bad in [["--tabs", "19001"], ["--seconds", "0"], ["--bytes", "299"], ["--shape", "moon"]] {
            assert!(command().try_get_matches_from(["bellwire-load"].iter().chain(&bad)).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn only_loopback_is_loaded() {
        let matches =
            command().get_matches_from(["bellwire-load", "--gateway", "127.0.0.1:1", "--ingest", "192.0.2.1:1"]);
        assert!(shapes(&matches).err().unwrap().to_string().contains("loopback only"));
    }
}
