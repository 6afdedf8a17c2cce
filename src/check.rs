//! `bellwire check`: a plugin for monitoring engines that walks the whole way from notify to a tab of its own.

use std::collections::BTreeMap;

use clap::{Arg, ArgAction, ArgMatches, Command};

mod call;
mod range;
mod verdict;
mod walk;

use verdict::{State, line, verdict};

const EXAMPLES: &str = "\
The standalone of this machine, with the gateway's key:
  bellwire check --key-file /usr/local/etc/bellwire-check/key

A cluster, through the public address and at each node:
  bellwire check --key-file K --token-file T --ingest http://ingest1:8084,http://ingest2:8084 \\
           --gateway http://gateway1:8083 --gateway wss://monitoring.example/push_notifications

In openITCOCKPIT 5.3, as the system setting INIT.PUSH_NOTIFICATION; the file has one line,
mysql-file = \"/opt/openitc/etc/mysql/mysql.cnf\", so that the key comes from the database:
  /usr/bin/bellwire check --config /opt/openitc/etc/bellwire-check.toml -w 10 -c 10

It opens a tab at each gateway as the user bellwire.check, sends that user a notification through each
ingest, and waits until every tab has shown every one of them. What does not work is named: the gateway,
TLS, the key, the greeting, the ingest, its log, or the way from the log to the tab. Checks at the same
time do not disturb each other, and nobody else sees anything of them.

Thresholds are seconds from sending to showing, or ranges as the guidelines for plugins have them: 5,
0.1:5, @5:10. Performance data: total (sending to showing), accepted (until ingest had it safe), connected
(until the tab was greeted); the slowest of each.

Exit codes: 0 OK, 1 WARNING (slow, or one of several ingests is broken), 2 CRITICAL, 3 UNKNOWN (wrong call).";

/// The command, for the help and the parser.
pub(crate) fn command(name: &'static str) -> Command {
    let option = |name: &'static str, value: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name(value).help(help)
    };
    Command::new(name)
        .about("Checks the whole way from notify to a tab: a plugin for monitoring engines")
        .after_help(EXAMPLES)
        .arg(option("gateway", "URL", "Where tabs connect; repeated or a comma list [default: this machine's]")
            .action(ArgAction::Append))
        .arg(option("ingest", "URL", "Where notifications are sent; repeated or a comma list [default: this machine's] [env: BELLWIRE_INGEST]")
            .action(ArgAction::Append))
        .arg(option("key-file", "FILE", "File with the shared key [env: BELLWIRE_SHARED_KEY, or BELLWIRE_SHARED_KEY_FILE]"))
        .arg(option("token-file", "FILE", "File with the token that ingest asks for: the first of the file [env: BELLWIRE_TOKEN_FILE]"))
        .arg(option("ca-file", "FILE", "PEM file with the authorities to trust instead of the system's [env: BELLWIRE_CA_FILE]"))
        .arg(option("client-cert", "FILE", "PEM file with the certificate that ingest asks for, and those between; with --client-key [env: BELLWIRE_CLIENT_CERT]"))
        .arg(option("client-key", "FILE", "PEM file with the private key of --client-cert [env: BELLWIRE_CLIENT_KEY]"))
        .arg(option("config", "FILE", "The node's TOML file: its addresses, key and tokens [env: BELLWIRE_CONFIG]"))
        .arg(option("admin", "IP:PORT", "A node's admin-listen, asked when something did not arrive; repeated [default: this machine's, without --gateway]")
            .action(ArgAction::Append))
        .arg(option("warning", "SECONDS", "WARNING when it takes longer").short('w').default_value("1"))
        .arg(option("critical", "SECONDS", "CRITICAL when it takes longer").short('c').default_value("5"))
        .arg(option("timeout", "SECONDS", "How long to wait for all of it").short('t').default_value("10"))
        .arg(Arg::new("verbose").long("verbose").short('v').action(ArgAction::SetTrue).help("Tell each step, on further lines"))
}

/// What is to be printed, and the exit code.
pub(crate) fn run(flags: &ArgMatches, env: &BTreeMap<String, String>) -> (String, u8) {
    let (state, text) = judged(flags, env).unwrap_or_else(|error| (State::Unknown, line(State::Unknown, &error, "")));
    (text, state as u8)
}

/// The same for a call that cannot be read.
pub(crate) fn wrong_call(error: &clap::Error) -> (String, u8) {
    let said = error.to_string();
    let first = said.lines().next().unwrap_or_default().trim_start_matches("error: ");
    (line(State::Unknown, &format!("{first}; see bellwire check --help"), ""), State::Unknown as u8)
}

fn judged(flags: &ArgMatches, env: &BTreeMap<String, String>) -> Result<(State, String), String> {
    let plan = call::plan(flags, env)?;
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())?;
    let seen = runtime.block_on(walk::walk(&plan));
    // A request that was given up may still be under way.
    runtime.shutdown_background();
    Ok(verdict(&seen?, &plan.limits, plan.verbose))
}
