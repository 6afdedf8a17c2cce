//! From flags, environment and file to one text for each setting.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, Command};

use super::nearest::nearest;
use super::table::{Default, Role, Setting, Shown, TABLE};
use super::{Invalid, Problem, Sources};

/// Name of the environment variable with the TOML file's path.
pub const CONFIG_ENV: &str = "BELLWIRE_CONFIG";

const CONFIG: &str = "config";
const PREFIX: &str = "BELLWIRE_";

/// What other parts of Bellwire read from the environment: the notify command (whose tests look for each of its
/// variables here), the build, the tests.
const FOREIGN: &[&str] = &[
    "BELLWIRE_TYPE",
    "BELLWIRE_NOTIFICATIONTYPE",
    "BELLWIRE_HOSTUUID",
    "BELLWIRE_SERVICEUUID",
    "BELLWIRE_STATE",
    "BELLWIRE_OUTPUT",
    "BELLWIRE_ACKAUTHOR",
    "BELLWIRE_ACKCOMMENT",
    "BELLWIRE_USER_ID",
    "BELLWIRE_USER_FROM",
    "BELLWIRE_HOST_NAME",
    "BELLWIRE_SERVICE_NAME",
    "BELLWIRE_TITLE",
    "BELLWIRE_BODY",
    "BELLWIRE_URL",
    "BELLWIRE_TTL",
    "BELLWIRE_INGEST",
    "BELLWIRE_TOKEN_FILE",
    "BELLWIRE_CA_FILE",
    "BELLWIRE_CLIENT_CERT",
    "BELLWIRE_CLIENT_KEY",
    "BELLWIRE_SPOOL",
    "BELLWIRE_DEADLINE",
    "BELLWIRE_REVISION",
];
const FOREIGN_PREFIXES: &[&str] = &["BELLWIRE_TEST_", "BELLWIRE_FUZZ_"];

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Nobody gave it.
    Default,
    /// The TOML file of this path.
    File(String),
    /// The environment.
    Environment,
    /// The command line.
    Flag,
}

impl Source {
    /// The source of the setting `name`, for people.
    #[must_use]
    pub fn of(&self, name: &str) -> String {
        match self {
            Self::Default => "default".into(),
            Self::File(path) => format!("file {path}"),
            Self::Environment => format!("environment {}", env_name(name)),
            Self::Flag => format!("flag --{name}"),
        }
    }

    pub(super) fn rank(&self) -> u8 {
        match self {
            Self::Default => 0,
            Self::File(_) => 1,
            Self::Environment => 2,
            Self::Flag => 3,
        }
    }
}

/// The environment variable of the setting `name`.
#[must_use]
pub fn env_name(name: &str) -> String {
    format!("{PREFIX}{}", name.to_ascii_uppercase().replace('-', "_"))
}

/// Gives `command` the flags of `role`'s settings, and `--config`.
#[must_use]
pub fn add_flags(command: Command, role: Role) -> Command {
    let config = Arg::new(CONFIG)
        .long(CONFIG)
        .value_name("FILE")
        .help(format!("TOML file with settings; its keys are the names of these flags [env: {CONFIG_ENV}]"));
    let settings = TABLE.iter().filter_map(|setting| Some(flag(setting, setting.default(role)?)));
    command.arg(config).args(settings)
}

fn flag(setting: &'static Setting, default: Default) -> Arg {
    let arg = Arg::new(setting.name).long(setting.name).value_name(setting.value).action(ArgAction::Set);
    if setting.shown == Shown::Secret {
        // Known, so that giving it gets the reason why not.
        return arg.num_args(0..=1).hide(true);
    }
    let default = match default {
        Default::Text(text) => format!("[default: {text}] "),
        Default::Unset(meaning) => format!("[default: {meaning}] "),
        Default::Required => "[required] ".into(),
    };
    let tail = format!("{default}[env: {}]", env_name(setting.name));
    arg.help(format!("{} {tail}", setting.help)).long_help(format!(
        "{}\n{tail}\nLimits: {}\nCost: {}\nChange it: {}",
        setting.help, setting.limits, setting.cost, setting.change
    ))
}

/// The text of a setting and where it came from. Its [`fmt::Debug`] shows no text, which may be a secret.
#[derive(Clone)]
pub struct Given {
    /// As it was given.
    pub text: String,
    /// Where.
    pub source: Source,
}

/// The settings that flags, environment and file give, unchecked: for commands that work beside a node.
///
/// # Errors
/// Names that do not exist, and a file that cannot be read.
pub fn given(role: Role, sources: &Sources<'_>) -> Result<BTreeMap<&'static str, Given>, Invalid> {
    let mut problems = Vec::new();
    let given = collect(role, sources, &mut problems);
    if problems.is_empty() { Ok(given) } else { Err(Invalid(problems)) }
}

impl fmt::Debug for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Given").field("source", &self.source).finish_non_exhaustive()
    }
}

/// The winning text of each setting that was given, or the problems.
pub(super) fn collect(role: Role, sources: &Sources<'_>, problems: &mut Vec<Problem>) -> BTreeMap<&'static str, Given> {
    let mut given = file(sources, problems);
    for setting in TABLE {
        // An empty variable is what scripts and compose files leave of an unset one.
        if let Some(text) = sources.env.get(&env_name(setting.name)).filter(|text| !text.is_empty()) {
            given.insert(setting.name, Given { text: text.clone(), source: Source::Environment });
        }
        if setting.default(role).is_some() {
            flags(setting, sources, &mut given, problems);
        }
    }
    check_environment(sources.env, problems);
    given
}

fn flags(
    setting: &'static Setting,
    sources: &Sources<'_>,
    given: &mut BTreeMap<&'static str, Given>,
    problems: &mut Vec<Problem>,
) {
    if sources.flags.value_source(setting.name) != Some(ValueSource::CommandLine) {
        return;
    }
    if setting.shown == Shown::Secret {
        let (name, variable) = (setting.name, env_name(setting.name));
        problems.push(Problem {
            setting: name.into(),
            source_name: Source::Flag.of(name),
            message: format!("a secret in the command line can be read in ps; use --{name}-file FILE or {variable}"),
        });
        return;
    }
    if let Some(text) = sources.flags.get_one::<String>(setting.name) {
        given.insert(setting.name, Given { text: text.clone(), source: Source::Flag });
    }
}

fn file(sources: &Sources<'_>, problems: &mut Vec<Problem>) -> BTreeMap<&'static str, Given> {
    let (path, source) = match sources.flags.get_one::<String>(CONFIG) {
        Some(path) => (path, Source::Flag),
        None => match sources.env.get(CONFIG_ENV).filter(|path| !path.is_empty()) {
            Some(path) => (path, Source::Environment),
            None => return BTreeMap::new(),
        },
    };
    let mut problem = |message: String| {
        problems.push(Problem { setting: CONFIG.into(), source_name: source.of(CONFIG), message });
    };
    let text = match (sources.read)(Path::new(path)) {
        Ok(text) => text,
        Err(error) => {
            problem(format!("cannot read {path}: {error}"));
            return BTreeMap::new();
        }
    };
    match text.parse::<toml::Table>() {
        Ok(table) => keys(path, &table, problems),
        Err(error) => {
            // The error's own text shows the line, which may hold the shared key.
            let line = error.span().map_or(1, |span| text[..span.start.min(text.len())].matches('\n').count() + 1);
            problem(format!("{path}, line {line}, is not TOML: {}", error.message()));
            BTreeMap::new()
        }
    }
}

fn keys(path: &str, table: &toml::Table, problems: &mut Vec<Problem>) -> BTreeMap<&'static str, Given> {
    let source = Source::File(path.to_owned());
    let mut given = BTreeMap::new();
    for (key, value) in table {
        let mut problem = |message: String| {
            problems.push(Problem { setting: key.clone(), source_name: source.of(key), message });
        };
        let Some(setting) = TABLE.iter().find(|setting| setting.name == key) else {
            problem(unknown(nearest(key, TABLE.iter().map(|setting| setting.name))));
            continue;
        };
        let text = match value {
            toml::Value::String(text) => text.clone(),
            toml::Value::Integer(number) => number.to_string(),
            other => {
                problem(format!("must be a text or a whole number, but is a TOML {}", other.type_str()));
                continue;
            }
        };
        given.insert(setting.name, Given { text, source: source.clone() });
    }
    given
}

fn unknown(nearest: Option<&str>) -> String {
    match nearest {
        Some(name) => format!("no such setting; did you mean {name}?"),
        None => "no such setting; `bellwire config` lists them".into(),
    }
}

fn check_environment(env: &BTreeMap<String, String>, problems: &mut Vec<Problem>) {
    let known: Vec<String> = TABLE.iter().map(|setting| env_name(setting.name)).collect();
    for name in env.keys().filter(|name| name.starts_with(PREFIX)) {
        let foreign = name == CONFIG_ENV
            || FOREIGN.contains(&name.as_str())
            || FOREIGN_PREFIXES.iter().any(|p| name.starts_with(p));
        if foreign || known.contains(name) || is_service_link(name, env) {
            continue;
        }
        let names = known.iter().map(String::as_str).chain([CONFIG_ENV]);
        problems.push(Problem {
            setting: name.clone(),
            source_name: "environment".into(),
            message: unknown(nearest(name, names)),
        });
    }
}

/// Kubernetes gives each pod variables for each service of its namespace: a service `bellwire-gateway` makes
/// `BELLWIRE_GATEWAY_SERVICE_HOST`, `BELLWIRE_GATEWAY_PORT_8083_TCP_ADDR` and more.
fn is_service_link(name: &str, env: &BTreeMap<String, String>) -> bool {
    ["_SERVICE_HOST", "_SERVICE_PORT", "_PORT"].iter().any(|part| {
        name.match_indices(part).any(|(at, _)| {
            let (service, rest) = (&name[..at], &name[at + part.len()..]);
            (rest.is_empty() || rest.starts_with('_'))
                && env.contains_key(&format!("{service}_SERVICE_HOST"))
                && env.contains_key(&format!("{service}_SERVICE_PORT"))
        })
    })
}
