//! The program: `bellwire standalone`, `gateway`, `ingest`, `notify`, `check`, `doctor`, `healthcheck`, `trace`, `revoke`,
//! `openitcockpit`, `watch`, `config`.

mod access;
mod admin;
mod check;
mod cli;
mod dial;
mod doctor;
mod gateway;
mod healthcheck;
mod ingest;
mod node;
mod openitcockpit;
mod place;
mod revoke;
mod standalone;
mod supervisor;
mod tab;
mod trace;
mod trial;
mod watch;

use std::ffi::OsString;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::ArgMatches;

use bellwire_common::http::Listeners;
use bellwire_common::settings::{self, Invalid, Loaded, LogFormat, LogLevel, Role, Sources};
use bellwire_common::spans;
use bellwire_common::telemetry;

use crate::cli::{Call, WrongCall};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// `EX_USAGE`: what is wrong is wrong with the call, and stays wrong however often it is repeated.
const EXIT_SETTINGS: u8 = 64;

/// How long what still runs in the background may hold up the end.
const BACKGROUND_WITHIN: Duration = Duration::from_secs(1);

/// How long traces that were not sent yet may hold up the end.
const TRACES_WITHIN: Duration = Duration::from_secs(2);

/// Names under which the program is the notify command.
const NOTIFY_NAMES: &[&str] = &["bellwire-notify", "send_push_notification"];

fn main() -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().collect();
    let program = args.first().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let name = Path::new(&program).file_name().unwrap_or_default().to_string_lossy();
    if NOTIFY_NAMES.contains(&&*name) {
        return notify(&program, args.into_iter().skip(1));
    }
    if args.get(1).is_some_and(|command| command == "notify") {
        return notify(&format!("{program} notify"), args.into_iter().skip(2));
    }
    let is_check = args.get(1).is_some_and(|command| command == cli::CHECK);
    let call = match cli::parse(args) {
        Ok(call) => call,
        Err(error) if is_check && error.use_stderr() => return plugin(&check::wrong_call(&error)),
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(EXIT_SETTINGS) } else { ExitCode::SUCCESS };
        }
    };
    let env = std::env::vars_os().map(|(n, v)| (n.to_string_lossy().into(), v.to_string_lossy().into())).collect();
    let read = |path: &Path| std::fs::read_to_string(path);
    let result = match call {
        Call::Run(role, flags) => run(role, &Sources { flags: &flags, env: &env, read: &read }, &program),
        Call::Config(role, flags) => config(role, &Sources { flags: &flags, env: &env, read: &read }),
        Call::Openitcockpit(flags) => print(&openitcockpit::text(&flags)),
        Call::Markdown(page) => print(&page()),
        Call::Check(flags) => return plugin(&check::run(&flags, &env)),
        Call::Doctor(role, flags) => match doctor::run(role, &flags, &env, print) {
            Ok(false) => return ExitCode::FAILURE,
            looked => looked.map(|_| ()),
        },
        Call::Healthcheck(role, flags) => {
            let told = healthcheck::run(role, &Sources { flags: &flags, env: &env, read: &read });
            let code = u8::from(told.is_err());
            return plugin(&(told.unwrap_or_else(|why| why) + "\n", code));
        }
        Call::Trace(flags) => trace::run(&flags, &env).and_then(|told| {
            print(&told.text)?;
            told.nothing.map_or(Ok(()), Err)
        }),
        Call::Revoke(flags) => revoke::run(&flags, &env).and_then(|told| print(&told)),
        Call::Watch(flags) => watch(&flags),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.is::<Invalid>() => {
            eprintln!("bellwire: these settings cannot be used:\n{error}");
            ExitCode::from(EXIT_SETTINGS)
        }
        Err(error) if error.is::<WrongCall>() => {
            eprintln!("{error}");
            ExitCode::from(EXIT_SETTINGS)
        }
        Err(error) => {
            eprintln!("bellwire: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Engines read the line and the code.
fn plugin((text, code): &(String, u8)) -> ExitCode {
    let _ = print(text);
    ExitCode::from(*code)
}

fn notify(program: &str, args: impl Iterator<Item = OsString>) -> ExitCode {
    bellwire_notify::run(program, args, &|name| std::env::var_os(name))
}

fn config(role: Role, sources: &Sources<'_>) -> anyhow::Result<()> {
    let (effective, warnings) = match role {
        Role::Standalone => {
            let Loaded { settings, effective, warnings } = settings::standalone(sources)?;
            ingest::tokens(settings.intake.tokens_file.as_deref())?;
            node::tls(&settings.node, settings.intake.client_ca_file.as_deref())?;
            node::directory(&settings.node)?;
            access::check(&settings.access)?;
            (effective, warnings)
        }
        Role::Gateway => {
            let Loaded { settings, effective, warnings } = settings::gateway(sources)?;
            node::tls(&settings.node, None)?;
            node::directory(&settings.node)?;
            access::check(&settings.access)?;
            (effective, warnings)
        }
        Role::Ingest => {
            let Loaded { settings, effective, warnings } = settings::ingest(sources)?;
            ingest::tokens(settings.intake.tokens_file.as_deref())?;
            node::tls(&settings.node, settings.intake.client_ca_file.as_deref())?;
            node::directory(&settings.node)?;
            (effective, warnings)
        }
    };
    for warning in warnings {
        eprintln!("bellwire: {warning}");
    }
    print(&effective.to_string())
}

/// Somebody who reads only the beginning (`bellwire config | head`) is no failure.
fn print(text: &str) -> anyhow::Result<()> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error).context("cannot write to stdout"),
        _ => Ok(()),
    }
}

fn run(role: Role, sources: &Sources<'_>, program: &str) -> anyhow::Result<()> {
    match role {
        Role::Standalone => {
            let Loaded { settings, warnings, .. } = settings::standalone(sources)?;
            let listeners = Listeners::inherit(&settings.listeners())?;
            let program = program.to_owned();
            in_node(&settings.node.clone(), &warnings, standalone::run(settings, listeners, program))
        }
        Role::Gateway => {
            let Loaded { settings, warnings, .. } = settings::gateway(sources)?;
            let listeners = Listeners::inherit(&settings.listeners())?;
            in_node(&settings.node.clone(), &warnings, gateway::run(settings, listeners))
        }
        Role::Ingest => {
            let Loaded { settings, warnings, .. } = settings::ingest(sources)?;
            let listeners = Listeners::inherit(&settings.listeners())?;
            in_node(&settings.node.clone(), &warnings, ingest::run(settings, listeners))
        }
    }
}

fn watch(flags: &ArgMatches) -> anyhow::Result<()> {
    let watch = watch::Watch::of(flags).map_err(WrongCall::of("watch"))?;
    in_runtime(&LogLevel::default(), LogFormat::default(), &[], watch.run())
}

fn in_node(
    node: &settings::Node,
    warnings: &[String],
    work: impl Future<Output = anyhow::Result<()>>,
) -> anyhow::Result<()> {
    let traced = async {
        spans::start(&|name| std::env::var(name).ok())?;
        work.await
    };
    let result = in_runtime(&node.log_level, node.log_format, warnings, traced);
    spans::stop(TRACES_WITHIN);
    result
}

fn in_runtime(
    level: &LogLevel,
    format: LogFormat,
    warnings: &[String],
    work: impl Future<Output = anyhow::Result<()>>,
) -> anyhow::Result<()> {
    telemetry::init(level, format)?;
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    node::raise_descriptor_limit();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start threads")?;
    let result = runtime.block_on(work);
    runtime.shutdown_timeout(BACKGROUND_WITHIN);
    result
}
