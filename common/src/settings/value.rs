//! From text to types. An error says the limit; the caller adds the setting and its source.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use tracing_subscriber::filter::Targets;

use super::amqp::{self, Amqp};
use super::roles::Digests;
use super::secret::{SECRET_BYTES_MAX, Secret};
use crate::ids::SHARDS_MAX;

/// Shortest time to live: a tab that reconnects after 3 s would otherwise miss everything.
pub const TTL_MIN: Duration = Duration::from_secs(1);
/// Longest time to live; with 5 minutes more it must stay far below the log's retention of one hour.
pub const TTL_MAX: Duration = Duration::from_secs(30 * 60);
/// Longest drain.
pub const DRAIN_MAX: Duration = Duration::from_secs(3600);

/// Largest bound on numbers of tabs.
pub const COUNT_MAX: u32 = 1_000_000;
/// Fewest handshakes in a second that may be set: as many as there are places for them wait some 8 s then.
pub const HANDSHAKES_MIN: u32 = 500;
/// Most proxies that can be named.
pub const NETWORKS_MAX: usize = 64;

/// Which log to use, without what belongs to other settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogAddress {
    /// On disk, in this directory; one process at a time.
    Embedded(PathBuf),
    /// In memory; ends with the process.
    Memory,
    /// RabbitMQ.
    Amqp(Amqp),
}

/// Without passwords.
impl fmt::Display for LogAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Embedded(directory) => write!(f, "embedded:{}", directory.display()),
            Self::Memory => f.write_str("memory:"),
            Self::Amqp(amqp) => write!(f, "{amqp}"),
        }
    }
}

/// A filter of the log messages, known to be readable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLevel(String);

impl LogLevel {
    /// The filter as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for LogLevel {
    fn default() -> Self {
        Self("info".into())
    }
}

/// How log messages are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line, for machines.
    Json,
}

pub(super) fn address(text: &str) -> Result<SocketAddr, String> {
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    if let Some(port) = text.strip_prefix("localhost:").and_then(|port| port.parse().ok()) {
        return Ok(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port));
    }
    let hint = match text.trim_start_matches(':').parse::<u16>() {
        Ok(port) => format!("; for this machine only: 127.0.0.1:{port}, for all networks: 0.0.0.0:{port}"),
        Err(_) => String::new(),
    };
    Err(format!("must be IP:PORT such as 127.0.0.1:8083 or [::1]:8083, not `{text}`{hint}"))
}

pub(super) fn ttl(text: &str) -> Result<Duration, String> {
    let duration = duration(text)?;
    if (TTL_MIN..=TTL_MAX).contains(&duration) {
        return Ok(duration);
    }
    Err(format!("must be from {} s to {} min, not `{text}`", TTL_MIN.as_secs(), TTL_MAX.as_secs() / 60))
}

pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let seconds = match unit {
        "" | "s" => Some(1),
        "m" | "min" => Some(60),
        "h" => Some(3600),
        _ => None,
    };
    let number: Option<u64> = number.parse().ok();
    match (number, seconds) {
        (Some(number), Some(seconds)) => Ok(Duration::from_secs(number.saturating_mul(seconds))),
        _ => Err(format!("must be a whole number with s, m or h behind it, such as 600s or 10m, not `{text}`")),
    }
}

pub(super) fn drain(text: &str) -> Result<Duration, String> {
    match text.parse().map(Duration::from_secs) {
        Ok(drain) if drain <= DRAIN_MAX => Ok(drain),
        _ => Err(format!("must be a whole number of seconds from 0 to {}, not `{text}`", DRAIN_MAX.as_secs())),
    }
}

pub(super) fn shards(text: &str) -> Result<u16, String> {
    match text.parse() {
        Ok(shards) if (1..=SHARDS_MAX).contains(&shards) => Ok(shards),
        _ => Err(format!("must be a whole number from 1 to {SHARDS_MAX}, not `{text}`")),
    }
}

/// A bound on something that there must be.
pub(super) fn count(text: &str) -> Result<u32, String> {
    match text.parse() {
        Ok(count) if (1..=COUNT_MAX).contains(&count) => Ok(count),
        _ => Err(format!("must be a whole number from 1 to {COUNT_MAX}, not `{text}`")),
    }
}

/// A pace that nobody waits for longer than ten seconds when every place for a handshake is taken.
pub(super) fn handshakes(text: &str) -> Result<u32, String> {
    match count(text) {
        Ok(count) if count >= HANDSHAKES_MIN => Ok(count),
        _ => Err(format!("must be a whole number from {HANDSHAKES_MIN} to {COUNT_MAX}, not `{text}`")),
    }
}

pub(super) fn networks(text: &str) -> Result<Vec<IpNet>, String> {
    if text == "none" {
        return Ok(Vec::new());
    }
    if text.split(',').count() > NETWORKS_MAX {
        return Err(format!("must be at most {NETWORKS_MAX} addresses or networks"));
    }
    text.split(',').map(str::trim).map(network).collect()
}

fn network(text: &str) -> Result<IpNet, String> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(address.into());
    }
    let net: IpNet = text.parse().map_err(|_| {
        format!("must be addresses or networks with commas between them, such as 10.0.0.0/8,::1, or none, not `{text}`")
    })?;
    if net.trunc() != net {
        return Err(format!("`{text}` is an address in the network {}; give the one or the other", net.trunc()));
    }
    Ok(net)
}

pub(super) fn digests(text: &str) -> Result<Digests, String> {
    let mut digests = Digests::default();
    for word in text.split(',').map(str::trim).filter(|_| text != "none") {
        match word {
            "v1" => digests.v1 = true,
            "v2" => digests.v2 = true,
            "native" => digests.native = true,
            _ => return Err(format!("must be native, v1 and v2 with commas between them, or none, not `{text}`")),
        }
    }
    Ok(digests)
}

pub(super) fn path(text: &str) -> Result<PathBuf, String> {
    if text.is_empty() {
        return Err("must name a file, not be empty".into());
    }
    if text.starts_with("~/") {
        return Err(format!("must be a whole path: only a shell knows what ~ is, in `{text}`"));
    }
    Ok(PathBuf::from(text))
}

pub(super) fn log_level(text: &str) -> Result<LogLevel, String> {
    match text.parse::<Targets>() {
        Ok(_) if is_filter(text) => Ok(LogLevel(text.to_owned())),
        _ => Err(format!(
            "must be error, warn, info, debug, trace or off, or a list with parts of the program such as \
             info,bellwire_gateway=debug, not `{text}`"
        )),
    }
}

/// A filter takes any word for a part of the program, so that `inof` would silence everything.
fn is_filter(text: &str) -> bool {
    let levels = ["error", "warn", "info", "debug", "trace", "off"];
    !text.is_empty()
        && text
            .split(',')
            .all(|part| part.contains(['=', '[']) || levels.iter().any(|l| part.trim().eq_ignore_ascii_case(l)))
}

pub(super) fn log_format(text: &str) -> Result<LogFormat, String> {
    match text {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        _ => Err(format!("must be text or json, not `{text}`")),
    }
}

/// Never quotes what it was given: it may hold a password.
pub(super) fn log(text: &str) -> Result<LogAddress, String> {
    const FORMS: &str = "must be embedded:DIR, memory: or amqp://USER:PASSWORD@HOST:PORT/VHOST \
         (amqps:// for TLS; several nodes with commas between them)";
    if let Some(directory) = text.strip_prefix("embedded:") {
        return match path(directory) {
            Ok(directory) => Ok(LogAddress::Embedded(directory)),
            Err(error) => Err(format!("the directory behind embedded: {error}")),
        };
    }
    match text {
        "memory:" => Ok(LogAddress::Memory),
        _ if text.starts_with("amqp://") || text.starts_with("amqps://") => amqp::parse(text).map(LogAddress::Amqp),
        _ => Err(FORMS.to_owned()),
    }
}

/// Never quotes what it was given.
pub(super) fn secret(text: &str) -> Result<Secret, String> {
    if text.is_empty() {
        return Err("must not be empty".into());
    }
    if text.len() > SECRET_BYTES_MAX {
        return Err(format!("must be at most {SECRET_BYTES_MAX} bytes"));
    }
    if !text.bytes().all(|b| b.is_ascii_graphic()) {
        return Err("must consist of visible ASCII characters without spaces".into());
    }
    Ok(Secret::new(text))
}

/// openITCOCKPIT's factory setting of the shared key, the seed value of its database: everybody knows it.
pub const FACTORY_KEY: &str = "UNSAVE_DEFAULT_CHANGE_ASAP";

fn shared_key(text: &str) -> Result<Secret, String> {
    if text == FACTORY_KEY {
        return Err("is openITCOCKPIT's factory setting, which everybody knows; set another key there and here".into());
    }
    secret(text)
}

/// What a file holds as shared key, without the white space around it; openITCOCKPIT's factory setting only if that is
/// allowed. The error never quotes it.
pub fn shared_key_of(text: &str, allows_default: bool) -> Result<Secret, String> {
    shared_key_parser(allows_default)(text.trim())
}

/// Takes openITCOCKPIT's factory setting only if that is allowed.
pub(super) fn shared_key_parser(allows_default: bool) -> fn(&str) -> Result<Secret, String> {
    if allows_default { secret } else { shared_key }
}

/// The text of a PEM file with at least one certificate.
pub(super) fn certificates(text: &str) -> Result<String, String> {
    if text.contains("-----BEGIN CERTIFICATE-----") {
        return Ok(text.to_owned());
    }
    Err("must be certificates in PEM form (-----BEGIN CERTIFICATE-----)".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        assert_eq!(address("[::1]:80").unwrap().to_string(), "[::1]:80");
        assert_eq!(address("localhost:80").unwrap().to_string(), "127.0.0.1:80");
        for (text, expected) in [("8083", "127.0.0.1:8083"), (":8083", "0.0.0.0:8083"), ("example.org:1", "IP:PORT")] {
            let error = address(text).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
        assert!(address("127.0.0.1:65536").is_err());
    }

    #[test]
    fn durations_have_units_and_limits() {
        for text in ["600", "600s", "10m", "10min"] {
            assert_eq!(ttl(text).unwrap(), Duration::from_secs(600), "{text}");
        }
        assert_eq!(ttl("30m").unwrap(), TTL_MAX);
        for text in ["", "s", "-1", "1.5m", "10x", "10 m", "99999999999999999999"] {
            assert!(ttl(text).unwrap_err().contains("600s or 10m"), "{text}");
        }
        for text in ["0", "31m", "1801", "1h", "18446744073709551615h"] {
            assert!(ttl(text).unwrap_err().contains("from 1 s to 30 min"), "{text}");
        }
        assert_eq!(drain("0").unwrap(), Duration::ZERO);
        for text in ["3601", "-1", "5s", ""] {
            assert!(drain(text).unwrap_err().contains("from 0 to 3600"), "{text}");
        }
    }

    #[test]
    fn shards_have_limits() {
        assert_eq!(shards("64").unwrap(), 64);
        for text in ["0", "65", "70000", "four", ""] {
            assert!(shards(text).unwrap_err().contains("from 1 to 64"), "{text}");
        }
    }

    #[test]
    fn logs() {
        assert_eq!(log("memory:").unwrap(), LogAddress::Memory);
        assert_eq!(log("embedded:/d").unwrap(), LogAddress::Embedded("/d".into()));
        assert_eq!(log("embedded:/d").unwrap().to_string(), "embedded:/d");
        for (text, expected) in [
            ("embedded:", "empty"),
            ("embedded:~/x", "whole path"),
            ("memory", "memory:"),
            ("http://s3cret@x", "amqp://"),
        ] {
            let error = log(text).unwrap_err();
            assert!(error.contains(expected) && !error.contains("s3cret"), "{error}");
        }
    }

    #[test]
    fn levels() {
        for text in ["info", "off", "info,bellwire_gateway=debug", "warn,bellwire_common=trace"] {
            assert_eq!(log_level(text).unwrap().as_str(), text);
        }
        for text in ["", "inof", "info,x=loud", "INFO,,"] {
            assert!(log_level(text).unwrap_err().contains("must be error"), "{text}");
        }
        assert_eq!(log_format("json").unwrap(), LogFormat::Json);
        assert!(log_format("JSON").is_err());
    }

    #[test]
    fn secrets_have_limits_and_are_not_quoted() {
        for text in ["", "s3cret with space", "s3cretä", &"s3cret".repeat(200)] {
            assert!(!secret(text).unwrap_err().contains("s3cret"), "{text}");
        }
        assert!(shared_key(FACTORY_KEY).unwrap_err().contains("everybody knows"));
        assert!(shared_key_of(FACTORY_KEY, false).is_err());
        assert_eq!(shared_key_of(" UNSAVE_DEFAULT_CHANGE_ASAP\n", true).unwrap().expose(), FACTORY_KEY);
        assert_eq!(shared_key(&"a".repeat(SECRET_BYTES_MAX)).unwrap().expose().len(), SECRET_BYTES_MAX);
    }
}
