//! `bellwire watch`: a service that runs as long as a cluster elsewhere can be reached, for those who look at services.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use clap::{Arg, ArgAction, ArgMatches, Command};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tracing::{error, info, warn};

use bellwire_common::fetch::{Client, Terms};
use bellwire_common::lifecycle;

use crate::cli::WrongCall;
use crate::supervisor::Supervisor;

/// How often everything is asked, unless the patience is so short that more is needed.
const ASK_EVERY: Duration = Duration::from_secs(5);
/// Questions within the shortest patience.
const ASK_TIMES: u32 = 5;
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// A probe answers in a word; a gateway's page is not asked for.
const ANSWER_BYTES_MAX: u64 = 64 * 1024;
/// So much of an answer is told.
const SAID_CHARS_MAX: usize = 100;

const TARGETS_MAX: usize = 16;
const URLS_MAX: usize = 16;
const PATIENCE_MAX: Duration = Duration::from_secs(3600);

const EXAMPLES: &str = "\
Two gateways, of which one is enough, and two nodes of ingest, of which one is enough:
  bellwire watch --target http://push1:9083/readyz,http://push2:9083/readyz \\
                 --target http://push1:9084/readyz,http://push2:9084/readyz

What browsers use, through the proxy in front of the cluster:
  bellwire watch --target https://monitoring.example/bellwire/healthz

It says READY to systemd (Type=notify) once every target was reached, tells what it sees as the unit's status, and ends
with 1 when a target was not reached for --for in a row. Reached is an answer with a status from 200 to 299.

Exit codes: 0 told to end, 1 the cluster is out of reach, 64 wrong call.";

/// The command, for the help and the parser.
pub(crate) fn command(name: &'static str) -> Command {
    Command::new(name)
        .about("Runs as long as a cluster elsewhere can be reached: a service for those who look at services")
        .after_help(EXAMPLES)
        .arg(
            Arg::new("target")
                .long("target")
                .value_name("URL,...")
                .action(ArgAction::Append)
                .required(true)
                .help("What must be reached: http:// or https:// addresses, of which one is enough. May be repeated"),
        )
        .arg(
            Arg::new("ca-file")
                .long("ca-file")
                .value_name("FILE")
                .help("PEM file with authorities that may sign the certificates, instead of the system's"),
        )
        .arg(
            Arg::new("for")
                .long("for")
                .value_name("SECONDS")
                .default_value("60")
                .help("How long a target may be out of reach, 1 to 3600 s"),
        )
}

/// What to ask, and for how long to bear that there is no answer.
#[derive(Debug)]
pub(crate) struct Watch {
    targets: Vec<Vec<String>>,
    ca_file: Option<PathBuf>,
    patience: Duration,
}

impl Watch {
    /// The watch that the command line asks for.
    pub(crate) fn of(flags: &ArgMatches) -> Result<Self, String> {
        let targets: Vec<_> = flags.get_many::<String>("target").into_iter().flatten().map(|text| urls(text)).collect();
        if targets.len() > TARGETS_MAX {
            return Err(format!("--target: at most {TARGETS_MAX}, not {}", targets.len()));
        }
        let patience = flags.get_one::<String>("for").map_or(Ok(ANSWER_WITHIN), |text| patience(text))?;
        let ca_file = flags.get_one::<String>("ca-file").map(PathBuf::from);
        Ok(Self { targets: targets.into_iter().collect::<Result<_, _>>()?, ca_file, patience })
    }

    /// Watches until SIGTERM, or until the patience is at its end.
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let shutdown = lifecycle::shutdown_on_signals().context("cannot listen to signals")?;
        let client = self.client()?;
        let supervisor = Supervisor::start();
        info!(targets = ?self.targets, patience_s = self.patience.as_secs(), "watching");
        let mut ticks = interval(ASK_EVERY.min(self.patience / ASK_TIMES));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut outlook = Outlook::new(Instant::now(), self.patience);
        while shutdown.run_until_cancelled(ticks.tick()).await.is_some() {
            let Some(lost) = shutdown.run_until_cancelled(self.ask(&client)).await else { break };
            match outlook.judge(Instant::now(), lost.is_empty()) {
                News::Same => {}
                News::Reached => {
                    info!("the cluster can be reached");
                    supervisor.status("the cluster can be reached").await;
                    supervisor.ready().await;
                }
                News::Lost => {
                    warn!(?lost, "the cluster cannot be reached; asking on");
                    supervisor.status(&format!("not reached: {}", lost.join("; "))).await;
                }
                News::GivenUp => {
                    error!(?lost, "the cluster cannot be reached: look at its nodes and the way to them");
                    bail!("out of reach for {} s: {}", self.patience.as_secs(), lost.join("; "));
                }
            }
        }
        supervisor.ending(Duration::ZERO).await;
        Ok(())
    }

    fn client(&self) -> anyhow::Result<Client> {
        let wrong = WrongCall::of("watch");
        let read = |path: &Path| {
            std::fs::read_to_string(path).map_err(|error| wrong(format!("--ca-file {}: {error}", path.display())))
        };
        let ca = self.ca_file.as_deref().map(read).transpose()?;
        let concurrency = self.targets.iter().map(Vec::len).sum();
        let terms = Terms { timeout: ANSWER_WITHIN, concurrency, answer_bytes_max: ANSWER_BYTES_MAX, ca };
        if !self.needs_authorities() {
            return Ok(Client::plain(&terms));
        }
        Client::try_new(&terms).map_err(|error| wrong(format!("--ca-file: {error}")).into())
    }

    /// Where nothing is asked over TLS, a system without ca-certificates will do. A file that was given is looked at all
    /// the same.
    fn needs_authorities(&self) -> bool {
        self.ca_file.is_some() || self.targets.iter().flatten().any(|url| !url.starts_with("http://"))
    }

    /// The targets that were not reached, and why.
    async fn ask(&self, client: &Client) -> Vec<String> {
        let mut asked = JoinSet::new();
        for (index, url) in self.targets.iter().enumerate().flat_map(|(i, urls)| urls.iter().map(move |url| (i, url))) {
            let (client, url) = (client.clone(), url.clone());
            asked.spawn(async move { (index, answer(&client, &url).await.map_err(|why| format!("{url}: {why}"))) });
        }
        let mut lost = vec![Some(Vec::new()); self.targets.len()];
        for (index, answer) in asked.join_all().await {
            match (answer, &mut lost[index]) {
                (Ok(()), target) => *target = None,
                (Err(why), Some(whys)) => whys.push(why),
                (Err(_), None) => {}
            }
        }
        lost.into_iter().flatten().map(|whys| whys.join(", ")).collect()
    }
}

async fn answer(client: &Client, url: &str) -> Result<(), String> {
    match client.get(url, &[]).await {
        Ok(answer) if (200..300).contains(&answer.status) => Ok(()),
        Ok(answer) => {
            let said: String = String::from_utf8_lossy(&answer.body).trim().chars().take(SAID_CHARS_MAX).collect();
            Err(format!("status {} {said:?}", answer.status))
        }
        Err(error) => Err(error.to_string()),
    }
}

fn urls(text: &str) -> Result<Vec<String>, String> {
    let urls: Vec<_> = text.split(',').map(|url| url.trim().to_owned()).collect();
    let is_url = |url: &String| {
        let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
        rest.is_some_and(|rest| !rest.is_empty() && rest.chars().all(|c| c.is_ascii_graphic()) && !rest.contains('@'))
    };
    if let Some(wrong) = urls.iter().find(|url| !is_url(url)) {
        return Err(format!(
            "--target: {wrong:?} is not an address such as http://push1:9083/readyz (without user and password)"
        ));
    }
    if urls.len() > URLS_MAX {
        return Err(format!("--target: at most {URLS_MAX} addresses each, not {}", urls.len()));
    }
    Ok(urls)
}

fn patience(text: &str) -> Result<Duration, String> {
    let seconds = text.strip_suffix('s').unwrap_or(text).parse().map(Duration::from_secs).ok();
    seconds
        .filter(|time| (Duration::from_secs(1)..=PATIENCE_MAX).contains(time))
        .ok_or_else(|| format!("--for must be 1 to {} seconds, not {text:?}", PATIENCE_MAX.as_secs()))
}

/// What the answers so far say.
#[derive(Debug)]
struct Outlook {
    patience: Duration,
    /// When everything was reached last, or the watch began.
    good: Instant,
    last: Option<bool>,
}

#[derive(Debug, PartialEq, Eq)]
enum News {
    Same,
    Reached,
    Lost,
    GivenUp,
}

impl Outlook {
    const fn new(now: Instant, patience: Duration) -> Self {
        Self { patience, good: now, last: None }
    }

    fn judge(&mut self, now: Instant, reached: bool) -> News {
        let changed = self.last.replace(reached) != Some(reached);
        if reached {
            self.good = now;
        }
        match (reached, changed) {
            (true, true) => News::Reached,
            (false, _) if now - self.good >= self.patience => News::GivenUp,
            (false, true) => News::Lost,
            (_, false) => News::Same,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watch(line: &str) -> Result<Watch, String> {
        let flags = command("watch").try_get_matches_from(line.split_whitespace()).map_err(|e| e.to_string())?;
        Watch::of(&flags)
    }

    #[test]
    fn targets_are_needed_and_their_addresses_are_a_choice() {
        let watch = watch("watch --target http://a/readyz,https://b --target http://c/x --for 90s").unwrap();
        assert_eq!(watch.targets, [vec!["http://a/readyz", "https://b"], vec!["http://c/x"]]);
        assert_eq!(watch.patience, Duration::from_secs(90));
    }

    #[test]
    fn only_https_needs_authorities() {
        for (line, needs) in [
            ("watch --target http://a,http://b --target http://c", false),
            ("watch --target http://a --target http://b,https://c", true),
            ("watch --target http://a --ca-file /ca.pem", true),
        ] {
            assert_eq!(watch(line).unwrap().needs_authorities(), needs, "{line}");
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        let many = format!("watch --target {}", vec!["http://a"; 17].join(","));
        let often = format!("watch {}", ["--target http://a"; 17].join(" "));
        for (line, expected) in [
            ("watch --target push1:9083", "\"push1:9083\" is not an address"),
            ("watch --target http://a,", "\"\" is not an address"),
            ("watch --target http://", "is not an address"),
            ("watch --target http://user:secret@a/", "without user and password"),
            ("watch --target http://a --for 0", "--for must be 1 to 3600 seconds"),
            ("watch --target http://a --for 3601", "--for must be 1 to 3600 seconds"),
            ("watch --target http://a --for 1m", "not \"1m\""),
            (&many, "at most 16 addresses"),
            (&often, "at most 16, not 17"),
        ] {
            let error = watch(line).unwrap_err();
            assert!(error.contains(expected), "{line}: {error}");
        }
    }

    #[test]
    fn patience_counts_from_the_last_good_answer() {
        let begin = Instant::now();
        let at = |seconds| begin + Duration::from_secs(seconds);
        let mut outlook = Outlook::new(begin, Duration::from_secs(60));
        let mut judge = |seconds, reached| outlook.judge(at(seconds), reached);
        assert_eq!(judge(0, false), News::Lost);
        assert_eq!(judge(59, false), News::Same);
        assert_eq!(judge(59, true), News::Reached);
        assert_eq!(judge(64, true), News::Same);
        assert_eq!(judge(69, false), News::Lost);
        assert_eq!(judge(123, false), News::Same);
        assert_eq!(judge(124, false), News::GivenUp);
    }
}
