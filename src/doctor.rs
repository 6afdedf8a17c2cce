//! `bellwire doctor`: looks at everything that a node needs, and says what to do.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Arg, ArgMatches, Command};
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, join_all};

use bellwire_common::settings::{Role, Sources, add_flags};

mod context;
mod database;
mod finding;
mod jwt;
mod log;
mod machine;
mod secrets;
mod site;
mod through;
mod tls;

use context::Context;
use finding::{Finding, Level};

use crate::cli::WrongCall;
use crate::place::Place;

/// For one check, whatever it waits for.
const CHECK_WITHIN: Duration = Duration::from_secs(5);
const IDLE_MAX: u64 = 3600;

const THROUGH: &str = "through";
const IDLE: &str = "idle";
const CA: &str = "through-ca-file";

const EXAMPLES: &str = "\
With the same flags, environment and file as the node itself, and as its user (-G only beside openITCOCKPIT):
  runuser -u bellwire -g bellwire -G nagios -- bellwire doctor --config /etc/bellwire/bellwire.toml
  runuser -u bellwire -- bellwire doctor gateway --config /etc/bellwire/bellwire.toml

And the way of the browsers, through the proxy; a proxy that cuts quiet connections shows after a minute:
  bellwire doctor --config FILE --through wss://monitoring.example/push_notifications --idle 70

One line for each finding: ok, warn or FAIL, and what to do. It may run beside the node, and takes
nothing away from it. In RabbitMQ it makes the streams if they are missing, as a node would.

Exit codes: 0 nothing has failed, 1 something has (the lines with FAIL, or it could not look), 64 wrong call.";

/// The command, for the help and the parser.
pub(crate) fn command(name: &'static str) -> Command {
    let command = Command::new(name)
        .about("Checks what a node needs (settings, secrets, log, openITCOCKPIT, proxy), and says what to do")
        .after_help(EXAMPLES)
        .args_conflicts_with_subcommands(true)
        .disable_help_subcommand(true)
        .subcommands(Role::ALL.map(|role| {
            let about = format!("Checks what bellwire {role} needs");
            with_flags(Command::new(role.name()).about(about).after_help(EXAMPLES), role)
        }));
    with_flags(command, Role::Standalone)
}

fn with_flags(command: Command, role: Role) -> Command {
    let option = |name: &'static str, value: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name(value).help(help)
    };
    add_flags(command, role)
        .next_help_heading("Of the doctor")
        .arg(option(THROUGH, "URL", "Public address of the gateway, to open a tab through the proxy"))
        .arg(
            option(IDLE, "SECONDS", "How long this tab must be left alone while it is quiet")
                .default_value("0")
                .requires(THROUGH)
                .value_parser(clap::value_parser!(u64).range(0..=IDLE_MAX)),
        )
        .arg(
            option(CA, "FILE", "PEM file with the authorities to trust there instead of the system's")
                .requires(THROUGH),
        )
}

/// What is found, and whether nothing has failed.
pub(crate) fn run(
    role: Role,
    flags: &ArgMatches,
    env: &BTreeMap<String, String>,
    mut print: impl FnMut(&str) -> anyhow::Result<()>,
) -> anyhow::Result<bool> {
    let way = Way::of(flags).map_err(WrongCall::of("doctor"))?;
    let read = |path: &Path| std::fs::read_to_string(path);
    let mut context = match Context::load(role, &Sources { flags, env, read: &read }) {
        Ok(context) => context,
        Err(invalid) => {
            for problem in invalid.0 {
                print(&format!("{}\n", Finding::fail("settings", problem.to_string())))?;
            }
            return Ok(false);
        }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.context("cannot start threads")?;
    let findings = runtime.block_on(async {
        context.look().await;
        examine(&context, way.as_ref()).await
    });
    runtime.shutdown_background();
    for finding in &findings {
        print(&format!("{finding}\n"))?;
    }
    Ok(findings.iter().all(|finding| finding.level < Level::Fail))
}

/// The public address.
struct Way {
    place: Place,
    idle: Duration,
    ca: Option<String>,
}

impl Way {
    fn of(flags: &ArgMatches) -> Result<Option<Self>, String> {
        let Some(text) = flags.get_one::<String>(THROUGH) else { return Ok(None) };
        let place = Place::parse(text).map_err(|error| format!("--{THROUGH} {error}"))?;
        let idle = Duration::from_secs(flags.get_one::<u64>(IDLE).copied().unwrap_or_default());
        let ca = flags.get_one::<String>(CA);
        let read = |file| std::fs::read_to_string(file).map_err(|error| format!("--{CA} {file}: {error}"));
        let ca = ca.map(read).transpose()?;
        Ok(Some(Self { place, idle, ca }))
    }
}

type Check = for<'a> fn(&'a Context) -> BoxFuture<'a, Vec<Finding>>;

/// In the order of the lines.
const CHECKS: &[(&str, Check)] = &[
    ("settings", |context| at_once(settings(context))),
    ("node", |context| at_once(machine::node(context))),
    ("secrets", |context| at_once(secrets::files(context))),
    ("key", |context| at_once(secrets::key(context))),
    ("tokens", |context| at_once(secrets::tokens(context))),
    ("tls", |context| at_once(tls::tls(context))),
    ("listen", |context| at_once(machine::listeners(context))),
    ("files", |context| at_once(machine::files(context))),
    ("log", |context| log::log(context).boxed()),
    ("database", |context| database::database(context).boxed()),
    ("jwt", |context| jwt::jwt(context).boxed()),
    ("openitcockpit", |context| site::site(context).boxed()),
];

fn at_once<'a>(findings: Vec<Finding>) -> BoxFuture<'a, Vec<Finding>> {
    std::future::ready(findings).boxed()
}

async fn examine(context: &Context, way: Option<&Way>) -> Vec<Finding> {
    let checks = CHECKS.iter().map(|(topic, check)| async move {
        let findings = tokio::time::timeout(CHECK_WITHIN, check(context)).await;
        let late = || vec![Finding::fail(topic, format!("no answer within {} s", CHECK_WITHIN.as_secs()))];
        findings.unwrap_or_else(|_| late())
    });
    let mut findings = join_all(checks).await.concat();
    if let Some(Way { place, idle, ca }) = way {
        let progress = |text: String| eprintln!("bellwire doctor: quiet at {place} for {text}");
        findings.extend(through::through(place, ca.as_deref(), context.any_key(), *idle, progress).await);
    }
    findings
}

fn settings(context: &Context) -> Vec<Finding> {
    let warnings = context.warnings.iter().map(|warning| Finding::warn("settings", warning));
    let sources = context.given.len();
    let ok = format!("all are valid; {sources} were given (`bellwire config {}` shows them)", context.role);
    std::iter::once(Finding::ok("settings", ok)).chain(warnings).collect()
}
