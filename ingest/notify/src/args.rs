//! Arguments and environment in, a checked command out. Pure.
//!
//! The rules are those of both commands of openITCOCKPIT taken together (Go's flags and CakePHP's options), each
//! time the one that hands the notification over: one or two dashes, `=` or a space, capitals, a value that
//! begins with a dash, the last of repeated options. Bytes that are not UTF-8 become U+FFFD.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use crate::address::{Address, AddressError};
use crate::macros::{Engine, Macros};
use crate::options::{Flag, OPTIONS, Opt};
use crate::request::{
    AUTHOR_BYTES_MAX, Object, Request, TEXT_BYTES_MAX, TTL_MAX, TYPE_BYTES_MAX, cut, new_id, seconds,
};

/// Longest user id, as everywhere in Bellwire.
const USER_BYTES_MAX: usize = 64;
const DEADLINE_DEFAULT: Duration = Duration::from_secs(10);
/// Above this an engine would have killed the command long ago.
const DEADLINE_MAX: Duration = Duration::from_secs(3600);
/// Where ingest is when nothing says so.
pub const ADDRESS_DEFAULT: &str = "http://127.0.0.1:8083";

/// What the command line asks for.
#[derive(Debug)]
pub(crate) enum Command {
    Help,
    Version,
    /// The contact has no user: there is nobody to notify.
    Nobody,
    Send(Box<Request>, Delivery),
    /// Deliver what is in this spool.
    Flush(PathBuf, Delivery),
}

/// How to hand notifications over.
#[derive(Debug)]
pub(crate) struct Delivery {
    /// At least one.
    pub(crate) addresses: Vec<Address>,
    pub(crate) token_file: Option<PathBuf>,
    pub(crate) ca_file: Option<PathBuf>,
    pub(crate) client_cert: Option<PathBuf>,
    pub(crate) client_key: Option<PathBuf>,
    pub(crate) spool: Option<PathBuf>,
    /// For everything together, from the start of the process.
    pub(crate) deadline: Duration,
    /// Checkmk asks: it tries again after 1, and after 2 never.
    pub(crate) for_checkmk: bool,
}

/// A command, and what to say of the arguments that were not taken as they stand.
#[derive(Debug)]
pub(crate) struct Parsed {
    pub(crate) command: Command,
    pub(crate) remarks: Vec<String>,
}

/// Wrong usage.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum UsageError {
    #[error("unknown option {0:?}")]
    Unknown(String),
    #[error("--{0} needs a value")]
    NoValue(&'static str),
    #[error("--{0} takes no value")]
    Switch(&'static str),
    #[error("--{0} is missing ({1})")]
    Missing(&'static str, &'static str),
    #[error("--user-id must be 1 to {USER_BYTES_MAX} visible ASCII characters and not negative, not {0:?}")]
    User(String),
    #[error("--{0} must be a time such as 10, 10s, 500ms or 1m, above 0 and at most {1:?}, not {2:?}")]
    Time(&'static str, Duration, String),
    #[error(
        "--from-env finds no macros: none of NOTIFY_HOSTNAME, ICINGA_HOSTNAME, NAGIOS_HOSTNAME is set (Nagios needs enable_environment_macros=1)"
    )]
    NoMacros,
    #[error(
        "--user-from must be up to 8 names of macros without prefix and $, such as CONTACTNAME, separated by commas, not {0:?}"
    )]
    UserFrom(String),
    #[error("--user-from goes only with --from-env")]
    UserFromAlone,
    #[error("--{0} goes only with --type message")]
    MessageOnly(&'static str),
    #[error(transparent)]
    Address(#[from] AddressError),
}

/// Reads arguments (without the program's name); `env` is asked for options that are not given.
pub(crate) fn parse(
    args: impl Iterator<Item = OsString>,
    env: &dyn Fn(&str) -> Option<OsString>,
) -> Result<Parsed, UsageError> {
    let mut args = args.peekable();
    // openITCOCKPIT's console program takes the command's name as its first argument.
    args.next_if(|first| first == "send_push_notification");
    let flush = args.next_if(|first| first == "flush").is_some();
    let mut given = Given { values: vec![None; OPTIONS.len()], env, macros: None };
    let mut remarks = given.read(args)?.iter().map(|word| ignored(word)).collect::<Vec<_>>();
    let command = if given.has(Flag::Help) {
        Command::Help
    } else if given.has(Flag::Version) {
        Command::Version
    } else if flush {
        let delivery = given.delivery()?;
        let spool = delivery.spool.clone().ok_or(UsageError::Missing("spool", "the directory to deliver from"))?;
        Command::Flush(spool, delivery)
    } else {
        given.find_macros()?;
        match given.user()? {
            Some(user) => Command::Send(Box::new(given.request(user, &mut remarks)?), given.delivery()?),
            None => Command::Nobody,
        }
    };
    Ok(Parsed { command, remarks })
}

struct Given<'a> {
    /// By [`Flag`].
    values: Vec<Option<OsString>>,
    env: &'a dyn Fn(&str) -> Option<OsString>,
    /// With `--from-env`.
    macros: Option<Macros<'a>>,
}

impl Given<'_> {
    fn read(&mut self, args: impl Iterator<Item = OsString>) -> Result<Vec<String>, UsageError> {
        let mut args = args.peekable();
        let mut ignored = Vec::new();
        while let Some(arg) = args.next() {
            if arg == "--" {
                ignored.extend(args.map(|word| lossy(&word)));
                break;
            }
            let (option, inline) = match as_option(&arg) {
                // Behind a word that belongs to nothing, what is unknown and what is a switch belongs to nothing, too: an
                // alarm must not be lost to `DISK CRITICAL -free 5%` without quotes, nor to a `-h` in it.
                Ok(Some((option, inline))) if ignored.is_empty() || !option.value.is_empty() => (option, inline),
                Err(error) if ignored.is_empty() => return Err(error),
                _ => {
                    ignored.push(lossy(&arg));
                    continue;
                }
            };
            let value = match inline {
                Some(_) if option.value.is_empty() => return Err(UsageError::Switch(option.name)),
                Some(value) => value,
                None if option.value.is_empty() => OsString::new(),
                // The engine's definitions do not quote these two: an empty macro leaves no argument at all.
                None if matches!(option.key, Flag::UserId | Flag::NotificationType) => {
                    args.next_if(|next| !matches!(as_option(next), Ok(Some(_)))).unwrap_or_default()
                }
                None => match args.next() {
                    Some(value) => value,
                    None if option.from_macro => OsString::new(),
                    None => return Err(UsageError::NoValue(option.name)),
                },
            };
            self.values[option.key as usize] = Some(value);
        }
        Ok(ignored)
    }

    fn has(&self, key: Flag) -> bool {
        self.values[key as usize].is_some()
    }

    fn find_macros(&mut self) -> Result<(), UsageError> {
        if !self.has(Flag::FromEnv) {
            return if self.has(Flag::UserFrom) { Err(UsageError::UserFromAlone) } else { Ok(()) };
        }
        let user_from = self.text(Flag::UserFrom);
        let macros = Macros::find(self.env, &user_from).map_err(|_| UsageError::UserFrom(user_from))?;
        self.macros = Some(macros.ok_or(UsageError::NoMacros)?);
        Ok(())
    }

    /// As given, even if empty; else the environment's, unless empty; else the engine's macro.
    fn value(&self, key: Flag) -> Option<OsString> {
        let option = &OPTIONS[key as usize];
        let given = self.values[key as usize].clone().or_else(|| option.env.iter().find_map(|name| self.env(name)));
        given.or_else(|| self.macros.as_ref()?.value(key))
    }

    fn env(&self, name: &str) -> Option<OsString> {
        (self.env)(name).filter(|value| !value.is_empty())
    }

    fn text(&self, key: Flag) -> String {
        let text = self.value(key).map_or(String::new(), |value| lossy(&value));
        // An output may look like a macro and be none.
        let is_macro = OPTIONS[key as usize].from_macro && key != Flag::Output && is_unfilled(&text);
        if is_macro { String::new() } else { text }
    }

    /// A setting: an empty value is as good as none.
    fn path(&self, key: Flag) -> Option<PathBuf> {
        self.value(key).filter(|value| !value.is_empty()).map(PathBuf::from)
    }

    fn needed(&self, key: Flag, why: &'static str) -> Result<String, UsageError> {
        let text = self.text(key);
        if text.is_empty() { Err(UsageError::Missing(OPTIONS[key as usize].name, why)) } else { Ok(text) }
    }

    fn time(&self, key: Flag, max: Duration) -> Result<Option<Duration>, UsageError> {
        let text = self.text(key);
        let text = text.trim();
        if text.is_empty() {
            return Ok(None);
        }
        let time = duration(text).filter(|time| !time.is_zero() && *time <= max);
        time.map(Some).ok_or_else(|| UsageError::Time(OPTIONS[key as usize].name, max, text.to_owned()))
    }

    /// Who receives; none where the engine has nobody to name.
    fn user(&self) -> Result<Option<String>, UsageError> {
        let Some(value) = self.value(Flag::UserId) else {
            return Err(UsageError::Missing("user-id", "who receives"));
        };
        let user = lossy(&value).trim().to_owned();
        if user.bytes().all(|b| b == b'0') || is_unfilled(&user) {
            return Ok(None);
        }
        let negative = user.strip_prefix('-').is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_digit()));
        if negative || user.len() > USER_BYTES_MAX || !user.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(UsageError::User(user));
        }
        Ok(Some(user))
    }

    fn kind(&self) -> &'static str {
        let long = self.text(Flag::Type);
        let kind = if long.is_empty() { self.text(Flag::T) } else { long }.trim().to_ascii_lowercase();
        match kind.as_str() {
            "service" => "service",
            "message" => "message",
            _ => "host",
        }
    }

    /// What is no number is 0, as for the PHP command: a wrong state is better than no alarm.
    fn state(&self, remarks: &mut Vec<String>) -> i64 {
        let text = self.text(Flag::State);
        match text.trim() {
            "" => 0,
            number => number.parse().unwrap_or_else(|_| {
                remarks.push(format!("--state must be a whole number, not {text:?}; taken as 0"));
                0
            }),
        }
    }

    fn request(&self, user: String, remarks: &mut Vec<String>) -> Result<Request, UsageError> {
        let kind = self.kind();
        let is_message = kind == "message";
        let title = if is_message { self.needed(Flag::Title, "the first line of the message")? } else { String::new() };
        for key in [Flag::Title, Flag::Body] {
            if !is_message && self.has(key) {
                return Err(UsageError::MessageOnly(OPTIONS[key as usize].name));
            }
        }
        let host = match kind {
            "message" => None,
            _ => Some(self.object(Flag::HostUuid, Flag::HostName, "the engine's name of the host")?),
        };
        let service = match kind {
            "service" => Some(self.object(Flag::ServiceUuid, Flag::ServiceName, "the engine's name of the service")?),
            _ => None,
        };
        let engine_text = |key, bytes_max| if is_message { String::new() } else { cut(self.text(key), bytes_max) };
        let now = seconds(SystemTime::now());
        let raised_at = self.macros.as_ref().and_then(Macros::raised_at);
        let mut request = Request {
            id: new_id(),
            user,
            timestamp: raised_at.map_or(now, |micros| now.min(micros / 1_000_000)),
            ttl: self.time(Flag::Ttl, TTL_MAX)?.map(|ttl| ttl.as_secs().max(1)),
            kind: kind.to_owned(),
            notification_type: engine_text(Flag::NotificationType, TYPE_BYTES_MAX),
            state: if is_message { 0 } else { self.state(remarks) },
            host,
            service,
            output: engine_text(Flag::Output, TEXT_BYTES_MAX),
            author: engine_text(Flag::AckAuthor, AUTHOR_BYTES_MAX),
            comment: engine_text(Flag::AckComment, TEXT_BYTES_MAX),
            title: cut(title, TEXT_BYTES_MAX),
            body: if is_message { cut(self.text(Flag::Body), TEXT_BYTES_MAX) } else { String::new() },
            url: self.text(Flag::Url),
        };
        if let Some(micros) = raised_at {
            request.id = request.lasting_id(micros);
        }
        Ok(request)
    }

    fn object(&self, id: Flag, name: Flag, why: &'static str) -> Result<Object, UsageError> {
        Ok(Object { id: self.needed(id, why)?, name: cut(self.text(name), TEXT_BYTES_MAX) })
    }

    fn delivery(&self) -> Result<Delivery, UsageError> {
        Ok(Delivery {
            addresses: self.addresses()?,
            token_file: self.path(Flag::TokenFile),
            ca_file: self.path(Flag::CaFile),
            client_cert: self.path(Flag::ClientCert),
            client_key: self.path(Flag::ClientKey),
            spool: self.path(Flag::Spool),
            deadline: self.time(Flag::Deadline, DEADLINE_MAX)?.unwrap_or(DEADLINE_DEFAULT),
            for_checkmk: self.macros.as_ref().is_some_and(|macros| macros.engine == Engine::Checkmk),
        })
    }

    /// The first source that names an address: option, environment, openITCOCKPIT's environment, this machine.
    fn addresses(&self) -> Result<Vec<Address>, AddressError> {
        let flag = self.values[Flag::Ingest as usize].clone();
        for list in [flag, self.env("BELLWIRE_INGEST"), self.env("OITC_ADDRESS")].into_iter().flatten() {
            let addresses = Address::parse_list(&lossy(&list))?;
            if !addresses.is_empty() {
                return Ok(addresses);
            }
        }
        Ok(vec![Address::try_new(ADDRESS_DEFAULT)?])
    }
}

fn ignored(word: &str) -> String {
    format!("ignored the argument {word:?}, which belongs to no option (is a value not quoted?)")
}

/// The option that an argument spells, with the value after `=`; none if it is a plain word.
fn as_option(arg: &OsStr) -> Result<Option<(&'static Opt, Option<OsString>)>, UsageError> {
    let bytes = arg.as_bytes();
    let Some(body) = bytes.strip_prefix(b"--").or_else(|| bytes.strip_prefix(b"-")) else { return Ok(None) };
    if body.is_empty() {
        return Ok(None);
    }
    let (name, value) = match body.iter().position(|b| *b == b'=') {
        Some(at) => (&body[..at], Some(OsStr::from_bytes(&body[at + 1..]).to_owned())),
        None => (body, None),
    };
    match Opt::find(name) {
        Some(option) => Ok(Some((option, value))),
        None => Err(UsageError::Unknown(lossy(arg))),
    }
}

/// Whether the engine left the macro as it stands; what a shell then leaves of a custom variable is `$`.
fn is_unfilled(text: &str) -> bool {
    text == "$"
        || text
            .strip_prefix('$')
            .and_then(|rest| rest.strip_suffix('$'))
            .is_some_and(|name| !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'))
}

fn lossy(text: &OsStr) -> String {
    text.to_string_lossy().into_owned()
}

/// A number of seconds, or a number with `ms`, `s` or `m`.
fn duration(text: &str) -> Option<Duration> {
    let split = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let factor = match unit {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" => 60.0,
        _ => return None,
    };
    Duration::try_from_secs_f64(number.parse::<f64>().ok()? * factor).ok()
}

#[cfg(test)]
#[path = "args/tests.rs"]
mod tests;
