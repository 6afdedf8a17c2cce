//! The command line.

use std::ffi::OsString;

use clap::{Arg, ArgAction, ArgMatches, Command};

use bellwire_common::metrics;
use bellwire_common::settings::{self, Role, add_flags};

use crate::{check, doctor, healthcheck, openitcockpit, revoke, trace, watch};

/// What is to be done, with the flags that it was given.
#[derive(Debug)]
pub(crate) enum Call {
    /// Be this node.
    Run(Role, ArgMatches),
    /// Show the settings that this node would have.
    Config(Role, ArgMatches),
    /// Print a page of docs/ that is made from the code.
    Markdown(fn() -> String),
    /// Check the whole way.
    Check(ArgMatches),
    /// Look at what this node needs.
    Doctor(Role, ArgMatches),
    /// Ask this node whether it is alive.
    Healthcheck(Role, ArgMatches),
    /// Tell what happened to a notification.
    Trace(ArgMatches),
    /// End the sessions of a user.
    Revoke(ArgMatches),
    /// Print what has to be changed in openITCOCKPIT.
    Openitcockpit(ArgMatches),
    /// Watch a cluster that is elsewhere.
    Watch(ArgMatches),
}

/// A call that is wrong, however often it is repeated.
#[derive(Debug, thiserror::Error)]
#[error("bellwire {command}: {what}; see bellwire {command} --help")]
pub(crate) struct WrongCall {
    command: &'static str,
    what: String,
}

impl WrongCall {
    /// Makes it of what is wrong, for this command.
    pub(crate) fn of(command: &'static str) -> impl Fn(String) -> Self + Copy {
        move |what| Self { command, what }
    }
}

/// Version and revision, as `--version` shows them.
pub(crate) const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " (", env!("BUILD_REVISION"), ")");

const MARKDOWN: &str = "markdown";
const METRICS_MARKDOWN: &str = "metrics-markdown";
const TRACE: &str = "trace";
const REVOKE: &str = "revoke";
const OPENITCOCKPIT: &str = "openitcockpit";
const WATCH: &str = "watch";
const DOCTOR: &str = "doctor";
const HEALTHCHECK: &str = "healthcheck";
/// Its exit codes are those of a plugin, also where the call cannot be read.
pub(crate) const CHECK: &str = "check";

const ABOUT: &str = "Carries a monitoring engine's notifications to the open browser tabs of the people on call.";

const EXAMPLES: &str = "\
Try it, on this machine, with nothing beside it:
  bellwire                                  says what to do next
  bellwire notify --type message --title Hello --user-id 1

Beside openITCOCKPIT, on one server:
  bellwire --shared-key-file /etc/bellwire/shared-key --openitcockpit-url https://monitoring.example

The two command lines that openITCOCKPIT needs:
  bellwire openitcockpit commands

Why did nothing come, who got it:
  bellwire trace 1                          a user's browsers and last notifications, or an id's way

Let nobody listen on as a user who has left:
  bellwire revoke 1

Does all of it work, and what is wrong:
  bellwire check                            a notification to a tab of its own: a plugin for engines
  bellwire doctor                           settings, secrets, log, openITCOCKPIT, proxy

As a cluster around RabbitMQ:
  bellwire gateway --log amqps://rabbit1,rabbit2 --amqp-user-file U --amqp-password-file P \\
           --listen 0.0.0.0:8083 --shared-key-file /etc/bellwire/shared-key \\
           --openitcockpit-url https://monitoring.example
  bellwire ingest --log amqps://rabbit1,rabbit2 --amqp-user-file U --amqp-password-file P \\
           --listen 0.0.0.0:8084 --ingest-tokens-file /etc/bellwire/tokens

A cluster elsewhere, for whoever looks at the services of this machine:
  bellwire watch --target http://push1:9083/readyz,http://push2:9083/readyz

Every flag is also an environment variable (--admin-listen: BELLWIRE_ADMIN_LISTEN) and a key of the TOML file
that --config names (admin-listen). `bellwire config` shows what comes of them. `bellwire COMMAND --help` says more
of each setting: limits, cost, when to change it. Exit codes: 64 wrong settings, 1 failed start.";

/// Reads the command line; what it cannot read, and help, come as clap's error.
pub(crate) fn parse(args: Vec<OsString>) -> Result<Call, clap::Error> {
    let mut matches = command().try_get_matches_from(args)?;
    let Some((name, inner)) = matches.remove_subcommand() else {
        return Ok(Call::Run(Role::Standalone, matches));
    };
    if let Some(role) = role(&name) {
        return Ok(Call::Run(role, inner));
    }
    match name.as_str() {
        TRACE => return Ok(Call::Trace(inner)),
        REVOKE => return Ok(Call::Revoke(inner)),
        OPENITCOCKPIT => return Ok(Call::Openitcockpit(inner)),
        WATCH => return Ok(Call::Watch(inner)),
        CHECK => return Ok(Call::Check(inner)),
        DOCTOR => {
            let (role, flags) = of_role(inner);
            return Ok(Call::Doctor(role, flags));
        }
        HEALTHCHECK => {
            let (role, flags) = of_role(inner);
            return Ok(Call::Healthcheck(role, flags));
        }
        _ => {}
    }
    if inner.get_flag(MARKDOWN) {
        return Ok(Call::Markdown(settings::markdown));
    }
    if inner.get_flag(METRICS_MARKDOWN) {
        return Ok(Call::Markdown(metrics::markdown));
    }
    let (role, flags) = of_role(inner);
    Ok(Call::Config(role, flags))
}

/// The role that a command names, and the flags behind it; standalone if it names none.
fn of_role(mut command: ArgMatches) -> (Role, ArgMatches) {
    match command.remove_subcommand() {
        Some((name, flags)) => (role(&name).unwrap_or(Role::Standalone), flags),
        None => (Role::Standalone, command),
    }
}

fn role(name: &str) -> Option<Role> {
    Role::ALL.into_iter().find(|role| role.name() == name)
}

fn command() -> Command {
    let root = Command::new("bellwire")
        .about(ABOUT)
        .version(VERSION)
        .after_help(EXAMPLES)
        .args_conflicts_with_subcommands(true)
        .disable_help_subcommand(true)
        .subcommand_help_heading("Commands (without one: standalone)")
        .subcommands(Role::ALL.map(|role| add_flags(Command::new(role.name()).about(about(role)), role)))
        .subcommand(notify())
        .subcommand(check::command(CHECK))
        .subcommand(doctor::command(DOCTOR))
        .subcommand(healthcheck::command(HEALTHCHECK))
        .subcommand(trace::command(TRACE))
        .subcommand(revoke::command(REVOKE))
        .subcommand(openitcockpit::command(OPENITCOCKPIT))
        .subcommand(watch::command(WATCH))
        .subcommand(config());
    add_flags(root, Role::Standalone)
}

const fn about(role: Role) -> &'static str {
    match role {
        Role::Standalone => "Everything in one process, with a log of its own on disk",
        Role::Gateway => "Serves browser tabs from RabbitMQ",
        Role::Ingest => "Takes notifications into RabbitMQ",
    }
}

/// Stands in the help only: `main` hands its arguments on before clap sees them.
fn notify() -> Command {
    Command::new("notify")
        .about("Sends one notification: the command for the monitoring engine (see bellwire notify --help)")
}

fn config() -> Command {
    let page = |name: &'static str, help: &'static str| {
        Arg::new(name).long(name).action(ArgAction::SetTrue).hide(true).help(help)
    };
    let command = Command::new("config")
        .about("Checks the settings of standalone (or gateway, ingest) and shows each with its source, without secrets")
        .args_conflicts_with_subcommands(true)
        .disable_help_subcommand(true)
        .subcommands(Role::ALL.map(|role| {
            let about = format!("Checks and shows the settings of bellwire {role}");
            add_flags(Command::new(role.name()).about(about), role)
        }))
        .arg(page(MARKDOWN, "Print docs/configuration.md"))
        .arg(page(METRICS_MARKDOWN, "Print docs/metrics.md"));
    add_flags(command, Role::Standalone)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Call, clap::Error> {
        parse(line.split_whitespace().map(OsString::from).collect())
    }

    #[test]
    fn the_command_is_sound() {
        command().debug_assert();
    }

    #[test]
    fn standalone_is_what_happens_without_a_command() {
        assert!(matches!(parsed("bellwire"), Ok(Call::Run(Role::Standalone, _))));
        assert!(matches!(parsed("bellwire --shards 3"), Ok(Call::Run(Role::Standalone, _))));
        assert!(matches!(parsed("bellwire standalone"), Ok(Call::Run(Role::Standalone, _))));
        assert!(matches!(parsed("bellwire gateway --log x"), Ok(Call::Run(Role::Gateway, _))));
        assert!(matches!(parsed("bellwire ingest"), Ok(Call::Run(Role::Ingest, _))));
        assert!(matches!(parsed("bellwire config --shards 3"), Ok(Call::Config(Role::Standalone, _))));
        assert!(matches!(parsed("bellwire config gateway --shards 3"), Ok(Call::Config(Role::Gateway, _))));
        assert!(matches!(parsed("bellwire config --markdown"), Ok(Call::Markdown(_))));
        assert!(matches!(parsed("bellwire config --metrics-markdown"), Ok(Call::Markdown(_))));
        assert!(matches!(parsed("bellwire trace 7"), Ok(Call::Trace(_))));
        assert!(matches!(parsed("bellwire revoke 7 --browser b"), Ok(Call::Revoke(_))));
        assert!(matches!(parsed("bellwire openitcockpit commands"), Ok(Call::Openitcockpit(_))));
        assert!(matches!(parsed("bellwire watch --target http://a/readyz"), Ok(Call::Watch(_))));
        assert!(matches!(parsed("bellwire check -w 1"), Ok(Call::Check(_))));
        assert!(matches!(parsed("bellwire doctor --shards 3"), Ok(Call::Doctor(Role::Standalone, _))));
        assert!(matches!(parsed("bellwire healthcheck"), Ok(Call::Healthcheck(Role::Standalone, _))));
        assert!(matches!(parsed("bellwire healthcheck ingest"), Ok(Call::Healthcheck(Role::Ingest, _))));
        assert!(matches!(parsed("bellwire doctor ingest --through x --idle 9"), Ok(Call::Doctor(Role::Ingest, _))));
    }

    #[test]
    fn wrong_calls_are_refused_and_help_is_not() {
        for line in [
            "bellwire gatewy",
            "bellwire --shard 3",
            "bellwire --shards 3 gateway",
            "bellwire ingest --ingest-listen x",
            "bellwire check 7",
            "bellwire doctor --idle 9",
            "bellwire doctor --through x --idle 3601",
            "bellwire healthcheck notify",
            "bellwire healthcheck ingest --ingest-listen x",
            "bellwire trace",
            "bellwire trace 7 --user 7",
            "bellwire trace 7 8",
            "bellwire revoke",
            "bellwire revoke 7 8",
            "bellwire openitcockpit",
            "bellwire openitcockpit commands extra",
            "bellwire watch",
        ] {
            assert!(parsed(line).unwrap_err().use_stderr(), "{line}");
        }
        assert!(parsed("bellwire --shard 3").unwrap_err().to_string().contains("--shards"));
        for line in [
            "bellwire --help",
            "bellwire -h",
            "bellwire gateway --help",
            "bellwire trace --help",
            "bellwire revoke --help",
            "bellwire check --help",
            "bellwire doctor --help",
            "bellwire healthcheck --help",
            "bellwire --version",
        ] {
            assert!(!parsed(line).unwrap_err().use_stderr(), "{line}");
        }
    }

    #[test]
    fn help_names_commands_and_variables() {
        let help = parsed("bellwire --help").unwrap_err().to_string();
        for part in [
            "gateway",
            "ingest",
            "notify",
            "check",
            "doctor",
            "healthcheck",
            "trace",
            "revoke",
            "watch",
            "config",
            "--shared-key-file",
            "BELLWIRE_ADMIN_LISTEN",
            "127.0.0.1:8083",
        ] {
            assert!(help.contains(part), "{part}: {help}");
        }
        assert!(!help.contains("--shared-key ") && !help.contains("markdown"), "{help}");
    }
}
