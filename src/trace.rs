//! `bellwire trace`: asks a node on this machine what happened to a notification, and prints it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use clap::{Arg, ArgAction, ArgGroup, ArgMatches, Command};

use bellwire_common::admin::TRACE_PATH;
use bellwire_common::ids::{IdError, NotificationId, UnixMillis, UserId};
use bellwire_gateway::trace::answer::Answer;

use crate::admin::{self, Admin};
use crate::cli::WrongCall;

mod print;

/// A node that takes longer has other troubles.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// Above the longest answer: some hundred notifications to a hundred browsers each.
const ANSWER_BYTES_MAX: u64 = 16 * 1024 * 1024;

const EXAMPLES: &str = "\
Why did nothing come? What this user's browsers are doing, and its last notifications:
  bellwire trace 7

Who got it? What happened to one notification (the id that ingest answered with):
  bellwire trace 5ac1be2c-9f43-4a3f-8d0e-3f1f7d0a0b11

A user whose id is also a notification's, one notification of one user, and for programs:
  bellwire trace --user 7
  bellwire trace --user 7 --id disk-full-web01
  bellwire trace --json 7 | jq '.notifications[].state'

In Kubernetes, in any gateway's pod:
  kubectl exec deploy/bellwire-gateway -- bellwire trace 7

It asks a gateway (or standalone) on this machine: others are not answered, because the
answer names users. One gateway knows what all of them confirmed, but only of itself when it
sent. It remembers what was accepted since its start and in the time to live before, up to
a bound. Times are UTC.

Exit codes: 0 something is known, 1 nothing is known (--json prints the answer all the same)
or no node answers, 64 wrong call.";

/// The command, for the help and the parser.
pub(crate) fn command(name: &'static str) -> Command {
    let id = |name: &'static str, value: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name(value).help(help)
    };
    Command::new(name)
        .about("Tells what happened to a notification, or to a user's notifications and browsers")
        .after_help(EXAMPLES)
        .arg(Arg::new("what").value_name("ID-OR-USER").help("A notification's id or a user's: both are tried"))
        .arg(id("user", "USER", "A user, and nothing else"))
        .arg(id("id", "ID", "A notification, and nothing else; with --user, that user's"))
        .group(ArgGroup::new("asked").args(["what", "user", "id"]).required(true).multiple(true))
        .mut_arg("what", |arg| arg.conflicts_with_all(["user", "id"]))
        .arg(admin::arg())
        .arg(Arg::new("json").long("json").action(ArgAction::SetTrue).help("Print the node's answer as it is"))
}

/// What to ask whom.
#[derive(Debug, PartialEq, Eq)]
struct Question {
    admin: SocketAddr,
    json: bool,
    /// One after the other until one is answered.
    queries: Vec<Vec<(&'static str, String)>>,
    /// In the words of the call.
    about: String,
}

/// What is to be printed, and what is wrong nevertheless.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) text: String,
    pub(crate) nothing: Option<anyhow::Error>,
}

/// Asks. Says no more where nothing is known than that it is so, as an error.
pub(crate) fn run(flags: &ArgMatches, env: &BTreeMap<String, String>) -> anyhow::Result<Told> {
    let question = question(flags, env).map_err(WrongCall::of("trace"))?;
    let mut empty = None;
    for query in &question.queries {
        let (body, answer) = ask(question.admin, query)?;
        if is_known(&answer) {
            let text = if question.json { body + "\n" } else { print::text(&answer) };
            return Ok(Told { text, nothing: None });
        }
        empty = Some((body, answer));
    }
    let Some((body, answer)) = empty else { bail!("nothing was asked") };
    let text = if question.json { body + "\n" } else { String::new() };
    Ok(Told { text, nothing: Some(anyhow!(nothing(&question, &answer))) })
}

/// Why nothing may be known, the likeliest first.
fn nothing(question: &Question, answer: &Answer) -> String {
    let Question { about, admin, .. } = question;
    let first = if answer.not_sending.is_empty() {
        ""
    } else {
        "THE NODE DOES NOT FOLLOW THE LOG AT PRESENT: it is catching up, or does not reach RabbitMQ or its disk (see its \
         log). Ask again when it does. Until then "
    };
    let since = UnixMillis(answer.since).utc();
    format!(
        "{first}nothing is known of {about}: the node at {admin} has seen no such notification since {since}, and no \
         browser of such a user is open. Is the id right, and did ingest answer with 202 (or /message with 200)?"
    )
}

fn is_known(answer: &Answer) -> bool {
    !answer.notifications.is_empty()
        || answer.user.iter().chain(&answer.user_also).any(|user| !user.browsers.is_empty())
}

// --- the call ---

fn question(flags: &ArgMatches, env: &BTreeMap<String, String>) -> Result<Question, String> {
    let given = |name: &str| flags.get_one::<String>(name).cloned();
    let user = |text: &String| checked("user", UserId::try_new(text).err());
    let id = |text: &String| checked("id", NotificationId::try_new(text).err());
    let (queries, about) = match (given("what"), given("user"), given("id")) {
        (Some(what), _, _) => {
            user(&what)?;
            (vec![vec![("user", what.clone())], vec![("id", what.clone())]], format!("{what:?}, be it a user or an id"))
        }
        (None, given_user, given_id) => {
            given_user.as_ref().map(user).transpose()?;
            given_id.as_ref().map(id).transpose()?;
            let about: Vec<String> = [("user", &given_user), ("id", &given_id)]
                .iter()
                .filter_map(|(name, given)| given.as_ref().map(|text| format!("{name} {text:?}")))
                .collect();
            let pairs = [("user", given_user), ("id", given_id)];
            let query = pairs.into_iter().filter_map(|(name, given)| Some((name, given?))).collect();
            (vec![query], about.join(", "))
        }
    };
    let admin = admin::address(flags, env)?;
    Ok(Question { admin, json: flags.get_flag("json"), queries, about })
}

fn checked(name: &str, error: Option<IdError>) -> Result<(), String> {
    error.map_or(Ok(()), |error| Err(format!("the {name} {error}")))
}

// --- the node ---

fn ask(address: SocketAddr, query: &[(&'static str, String)]) -> anyhow::Result<(String, Answer)> {
    let node = Admin::new(address, ANSWER_WITHIN, ANSWER_BYTES_MAX);
    let path = TRACE_PATH.to_owned() + &admin::query(query.iter().map(|(name, value)| (*name, value.as_str())));
    let (status, body) = admin::wait(address, "trace", node.get(&path))?;
    match status {
        200 => {
            let answer = serde_json::from_str(&body);
            let answer = answer.with_context(|| format!("what answers at {address} is no gateway of this version"))?;
            Ok((body, answer))
        }
        404 => bail!("what answers at {address} knows no trace: it is no gateway, or of an earlier version"),
        status => bail!("the node at {address} answers {status}: {}", admin::detail(&body)),
    }
}

#[cfg(test)]
mod tests;
