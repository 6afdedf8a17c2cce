//! `bellwire revoke`: ends the sessions of a user at a node on this machine.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::{Arg, ArgAction, ArgMatches, Command};
use serde_json::Value;

use bellwire_common::admin::REVOKE_PATH;
use bellwire_common::ids::{BrowserId, UserId};

use crate::admin::{self, Admin};
use crate::cli::WrongCall;

const ANSWER_WITHIN: Duration = Duration::from_secs(10);
const ANSWER_BYTES_MAX: u64 = 64 * 1024;

const EXAMPLES: &str = "\
Somebody has left, or lost a notebook: no tab of user 7 stays open, or none of one browser of theirs
(`bellwire trace 7` lists them):
  bellwire revoke 7
  bellwire revoke 7 --browser 0b6c3a3e-4d0e-4f1c-9a55-2f3f6d1c7a10

In a cluster, on each gateway; in Kubernetes, in each gateway's pod:
  kubectl exec POD -- bellwire revoke 7

It keeps nobody out who still has a login or a token: take those away first. What the node knew of the user's
logins is forgotten, so that it asks anew.

Exit codes: 0 the sessions were ended, also if there were none, 1 no node answers, or it refuses, 64 wrong call.";

/// The command, for the help and the parser.
pub(crate) fn command(name: &'static str) -> Command {
    Command::new(name)
        .about("Ends the sessions of a user, or of one of the user's browsers, at a gateway on this machine")
        .after_help(EXAMPLES)
        .arg(Arg::new("user").value_name("USER").required(true).help("Whose sessions end"))
        .arg(Arg::new("browser").long("browser").value_name("BROWSER").help("Only those of this browser"))
        .arg(admin::arg())
        .arg(Arg::new("json").long("json").action(ArgAction::SetTrue).help("Print the node's answer as it is"))
}

/// What was ended, for people or as the node says it.
pub(crate) fn run(flags: &ArgMatches, env: &BTreeMap<String, String>) -> anyhow::Result<String> {
    let whose = Whose::of(flags).map_err(WrongCall::of("revoke"))?;
    let address = admin::address(flags, env).map_err(WrongCall::of("revoke"))?;
    let node = Admin::new(address, ANSWER_WITHIN, ANSWER_BYTES_MAX);
    let (status, body) = admin::wait(address, "revoke", node.post(&whose.path()))?;
    match status {
        200 if flags.get_flag("json") => Ok(body + "\n"),
        200 => {
            let answer: Value = serde_json::from_str(&body).unwrap_or_default();
            let sessions = answer["sessions"].as_u64();
            let sessions =
                sessions.with_context(|| format!("what answers at {address} is no gateway of this version"))?;
            Ok(whose.told(sessions))
        }
        404 => bail!("what answers at {address} cannot revoke: it is no gateway, or of an earlier version"),
        status => bail!("the node at {address} answers {status}: {}", admin::detail(&body)),
    }
}

/// Whose sessions are to end.
#[derive(Debug, PartialEq, Eq)]
struct Whose {
    user: UserId,
    browser: Option<BrowserId>,
}

impl Whose {
    fn of(flags: &ArgMatches) -> Result<Self, String> {
        let given = |name: &str| flags.get_one::<String>(name).map(String::as_str);
        let user = UserId::try_new(given("user").unwrap_or_default()).map_err(|error| format!("the user {error}"))?;
        let browser = given("browser").map(BrowserId::try_new).transpose();
        Ok(Self { user, browser: browser.map_err(|error| format!("--browser {error}"))? })
    }

    fn path(&self) -> String {
        let browser = self.browser.as_ref().map(|browser| ("browser", browser.as_str()));
        REVOKE_PATH.to_owned() + &admin::query(std::iter::once(("user", self.user.as_str())).chain(browser))
    }

    fn told(&self, sessions: u64) -> String {
        let of = match &self.browser {
            Some(browser) => format!("browser {browser} of user {}", self.user),
            None => format!("user {}", self.user),
        };
        match sessions {
            0 => format!("no session of {of} was open on this node\n"),
            1 => format!("1 session of {of} was ended on this node\n"),
            _ => format!("{sessions} sessions of {of} were ended on this node\n"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whose(line: &str) -> Result<Whose, String> {
        Whose::of(&command("revoke").try_get_matches_from(line.split_whitespace()).unwrap())
    }

    #[test]
    fn the_node_is_asked_for_a_user_or_one_browser() {
        assert_eq!(whose("revoke 7").unwrap().path(), "/revoke?user=7");
        assert_eq!(whose("revoke a&b --browser c=d").unwrap().path(), "/revoke?user=a%26b&browser=c%3Dd");
        let long = "x".repeat(65);
        assert!(whose(&format!("revoke {long}")).unwrap_err().starts_with("the user must"));
        assert!(whose("revoke 7 --browser ä").unwrap_err().starts_with("--browser must"));
    }

    #[test]
    fn what_was_ended_is_told() {
        let (all, one) = (whose("revoke 7").unwrap(), whose("revoke 7 --browser b").unwrap());
        assert_eq!(all.told(2), "2 sessions of user 7 were ended on this node\n");
        assert_eq!(all.told(0), "no session of user 7 was open on this node\n");
        assert_eq!(one.told(1), "1 session of browser b of user 7 was ended on this node\n");
    }
}
