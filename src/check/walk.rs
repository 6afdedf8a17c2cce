//! The whole way, walked: tabs of our own at each gateway, a notification through each ingest.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::future::{join, join_all};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::Instant;

use bellwire_common::admin::TRACE_PATH;
use bellwire_common::directory::Directory;
use bellwire_common::fetch::{Client, Terms};
use bellwire_common::ids::{CHECK_USER, NotificationId};
use bellwire_common::notification;
use bellwire_common::settings::Secret;

use super::call::{Key, Plan};
use super::verdict::{Gateway, Ingest, Seen};
use crate::admin::{Admin, query};
use crate::dial::{DialError, Trust};
use crate::place::Place;
use crate::tab::{Tab, TabError};

/// How long a notification of a check is worth showing: what was left behind disturbs no later check for longer.
const TTL_SECONDS: u64 = 30;
/// An answer of ingest to one notification, and what a proxy says in its place.
const ANSWER_BYTES_MAX: u64 = 64 * 1024;
/// For a node's word about itself, when the check has failed already.
const SAID_WITHIN: Duration = Duration::from_secs(2);
const METRICS_BYTES_MAX: u64 = 4 * 1024 * 1024;
const HOST_CHARS_MAX: usize = 24;

/// Walks. An error: nothing could be tried.
pub(crate) async fn walk(plan: &Plan) -> Result<Seen, String> {
    let started = Instant::now();
    let until = started + plan.timeout;
    let is_tls = |places: &[Place]| places.iter().any(|place| place.tls);
    let trust = is_tls(&plan.gateways).then(|| Trust::of(plan.ca.as_deref())).transpose()?;
    let terms = Terms {
        timeout: plan.timeout,
        concurrency: plan.ingests.len(),
        answer_bytes_max: ANSWER_BYTES_MAX,
        ca: plan.ca.clone(),
    };
    let client = match is_tls(&plan.ingests) {
        true => Client::try_new_as(plan.identity.clone(), &terms).map_err(|error| error.to_string())?,
        false => Client::plain(&terms),
    };

    let key = key(&plan.key, until).await?;
    let browser = browser();
    let tabs = join_all(plan.gateways.iter().enumerate().map(async |(number, place)| {
        let opened = Tab::open(place, trust.as_ref(), &key, &format!("{browser}-{number}"), until).await;
        (place, opened.map(|tab| (tab, started.elapsed())))
    }));
    let tabs = tabs.await;
    if tabs.iter().all(|(_, opened)| opened.is_err()) {
        // Nobody would show it: it would only expire, and count as lost.
        let ingests = plan.ingests.iter().map(|place| Ingest { name: place.http(""), taken: None }).collect();
        let gateways = tabs.into_iter().map(|(place, opened)| unopened(place, opened.err())).collect();
        return Ok(Seen { gateways, ingests, said: Vec::new(), waited: started.elapsed() });
    }

    let ids: Vec<NotificationId> = plan.ingests.iter().map(|_| NotificationId::of_bits(random())).collect();
    // What is still to come; it shrinks when an ingest does not take it.
    let (expect, expected) = watch::channel(ids.clone());
    let sent_at = Instant::now();
    let sending = async {
        let sent = plan.ingests.iter().zip(&ids).map(|(place, id)| send(&client, plan, place, id, until));
        let taken = join_all(sent).await;
        expect.send_modify(|ids| {
            let mut taken = taken.iter();
            ids.retain(|_| taken.next().is_some_and(Result::is_ok));
        });
        taken
    };
    let listening = join_all(tabs.into_iter().map(async |(place, opened)| match opened {
        Ok((tab, greeted)) => listen(place, tab, greeted, &ids, expected.clone(), sent_at, until).await,
        Err(error) => unopened(place, Some(error)),
    }));
    let (taken, gateways) = join(sending, listening).await;
    let of = |(place, taken): (&Place, _)| Ingest { name: place.http(""), taken: Some(taken) };
    let ingests: Vec<_> = plan.ingests.iter().zip(taken).map(of).collect();
    let mut seen = Seen { gateways, ingests, said: Vec::new(), waited: plan.timeout };
    if let Some(id) = lost(&seen).and_then(|number| ids.get(number)) {
        seen.said = join_all(plan.admins.iter().map(|admin| ask(*admin, id))).await;
    }
    Ok(seen)
}

/// The number of the first ingest whose notification was accepted and did not come to every tab that was open.
fn lost(seen: &Seen) -> Option<usize> {
    let open: Vec<_> = seen.gateways.iter().filter(|gateway| gateway.opened.is_ok()).collect();
    let is_lost = |number: usize| open.iter().any(|gateway| gateway.shown.get(number).is_some_and(Option::is_none));
    let is_taken = |ingest: &Ingest| matches!(ingest.taken, Some(Ok(_)));
    seen.ingests
        .iter()
        .enumerate()
        .find(|(number, ingest)| is_taken(ingest) && is_lost(*number))
        .map(|(number, _)| number)
}

async fn key(key: &Key, until: Instant) -> Result<Secret, String> {
    let file = match key {
        Key::Given(key) => return Ok(key.clone()),
        Key::Database(file) => file,
    };
    let directory = Directory::open(file).map_err(|error| format!("mysql-file {}: {error}", file.display()))?;
    let asked = tokio::time::timeout_at(until, directory.shared_key()).await;
    match asked.map_err(|_| "the database does not answer in time")? {
        Ok(Some(key)) => Ok(key),
        Ok(None) => Err("openITCOCKPIT's database has no shared key (SUDO_SERVER.API_KEY)".into()),
        Err(error) => Err(format!(
            "the shared key is in openITCOCKPIT's database, and {error}; start the database, or give the key by --key-file FILE"
        )),
    }
}

fn unopened(place: &Place, error: Option<TabError>) -> Gateway {
    let why = error.map_or_else(String::new, |error| explained(&error));
    Gateway { name: place.to_string(), opened: Err(why), shown: Vec::new(), ended: None }
}

/// What went wrong, and what is likely behind it.
fn explained(error: &TabError) -> String {
    let hint = match error {
        TabError::Dial(DialError::Refused { status, .. }) => match status {
            401 => ": is the key the gateway's?",
            400 | 426 => ": does a proxy on the way leave out Upgrade and Connection?",
            403 => ": does a proxy on the way forbid it?",
            404 => ": there is no gateway at this address",
            429 => ": too many attempts from this address",
            502..=504 => ": the proxy in front has no gateway, or the gateway is ending or full",
            _ => "",
        },
        TabError::Dial(DialError::Tls(why)) if why.contains("certificate") => {
            ": --ca-file names an authority of your own"
        }
        TabError::Dial(DialError::Tls(_)) => ": is TLS spoken there at all?",
        TabError::Late => " (no greeting)",
        _ => "",
    };
    format!("{error}{hint}")
}

/// Listens until everything that was accepted has been shown.
async fn listen(
    place: &Place,
    mut tab: Tab,
    greeted: Duration,
    ids: &[NotificationId],
    mut expected: watch::Receiver<Vec<NotificationId>>,
    sent_at: Instant,
    until: Instant,
) -> Gateway {
    let mut shown: BTreeMap<String, Duration> = BTreeMap::new();
    let (mut cursor, mut ended) = (None, None);
    while !expected.borrow_and_update().iter().all(|id| shown.contains_key(id.as_str())) {
        tokio::select! {
            changed = expected.changed() => if changed.is_err() { break },
            heard = tab.hear(until) => match heard {
                Ok(said) if said["op"] == "notification" => {
                    let id = said["id"].as_str().unwrap_or_default().to_owned();
                    shown.entry(id).or_insert_with(|| sent_at.elapsed());
                    // What earlier checks left behind is acknowledged as well.
                    cursor = Some(said["cursor"].clone());
                }
                Ok(_) => {}
                Err(TabError::Late) => break,
                Err(error) => {
                    ended = Some(error.to_string());
                    break;
                }
            },
        }
    }
    tab.leave(cursor.as_ref()).await;
    let shown = ids.iter().map(|id| shown.get(id.as_str()).copied()).collect();
    Gateway { name: place.to_string(), opened: Ok(greeted), shown, ended }
}

async fn send(
    client: &Client,
    plan: &Plan,
    place: &Place,
    id: &NotificationId,
    until: Instant,
) -> Result<Duration, String> {
    let sent_at = Instant::now();
    let body = json!({
        "id": id.as_str(), "user": CHECK_USER, "kind": "message", "ttl": TTL_SECONDS,
        "title": "bellwire check", "body": "Nobody should see this: it is for a tab of the check's own.",
    });
    let authorization = plan.token.as_ref().map(|token| format!("Bearer {}", token.expose()));
    let mut headers: Vec<(&str, &[u8])> = vec![("content-type", b"application/json")];
    headers.extend(authorization.as_ref().map(|value| ("authorization", value.as_bytes())));
    let url = place.http(notification::PATH);
    let posted = client.post(&url, &headers, body.to_string().into_bytes());
    let answer = match tokio::time::timeout_at(until, posted).await {
        Err(_) => return Err("does not answer in time".into()),
        Ok(Err(error)) => return Err(format!("cannot be reached: {error}")),
        Ok(Ok(answer)) => answer,
    };
    accepted(answer.status, &answer.body).map(|()| sent_at.elapsed())
}

/// Whether ingest has it, or why not.
fn accepted(status: u16, body: &[u8]) -> Result<(), String> {
    let said: Value = serde_json::from_slice(body).unwrap_or_default();
    if status == 202 && said["results"][0]["status"] == "accepted" {
        return Ok(());
    }
    let detail = said["detail"].as_str().map(|detail| format!(" ({detail})")).unwrap_or_default();
    Err(match status {
        401 | 403 => format!("refuses the sender with {status}{detail}: is --token-file right?"),
        503 => format!("has it not safe (503): its log, RabbitMQ or the disk, does not confirm{detail}"),
        502 | 504 => format!("is behind a proxy that does not reach it ({status})"),
        404 | 405 => format!("is no ingest ({status}): is the address right?"),
        202 => "answers 202, but not as ingest does: something else is at this address".to_owned(),
        _ => format!("refuses with {status}{detail}"),
    })
}

/// What a node says of itself and of the notification that was lost.
async fn ask(admin: SocketAddr, id: &NotificationId) -> String {
    let node = Admin::new(admin, SAID_WITHIN, METRICS_BYTES_MAX);
    let Ok(ready) = node.get("/readyz").await else {
        return format!("node {admin} does not answer: does it run?");
    };
    let path = TRACE_PATH.to_owned() + &query([("id", id.as_str())]);
    let (metrics, trace) = join(node.get("/metrics"), node.get(&path)).await;
    let mut said = format!("node {admin} is ready");
    if ready.status != 200 {
        said = format!("node {admin} is not ready: {}", String::from_utf8_lossy(&ready.body).trim());
    }
    let metrics = metrics.map(|answer| String::from_utf8_lossy(&answer.body).into_owned()).unwrap_or_default();
    if let Some(lag) = lag(&metrics) {
        said += &format!(", {lag} records behind the log");
    }
    let trace = trace.ok().filter(|answer| answer.status == 200);
    let trace: Option<Value> = trace.and_then(|answer| serde_json::from_slice(&answer.body).ok());
    said + match trace.as_ref().map(|trace| trace["notifications"].as_array().is_some_and(|all| !all.is_empty())) {
        Some(true) => ", and has read the notification: it was lost between it and the tab",
        Some(false) => ", and has not read the notification: it was lost between the log and it",
        None => "",
    }
}

/// Records that a gateway has not read yet, over all shards.
fn lag(metrics: &str) -> Option<u64> {
    let lines = metrics.lines().filter(|line| line.starts_with("bellwire_gateway_log_lag_records"));
    let values: Vec<f64> = lines.filter_map(|line| line.rsplit_once(' ')?.1.parse().ok()).collect();
    (!values.is_empty()).then(|| values.iter().sum::<f64>() as u64)
}

/// New for each run: two checks at once are two browsers, or one would take what the other waits for. What is left of
/// them is bounded: the longest away is forgotten first.
fn browser() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host: String = host.chars().filter(char::is_ascii_graphic).take(HOST_CHARS_MAX).collect();
    format!("check-{host}-{:016x}", random() as u64)
}

fn random() -> u128 {
    let half = || u128::from(RandomState::new().build_hasher().finish());
    half() << 64 | half()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ingest_must_say_that_it_is_safe() {
        assert_eq!(accepted(202, br#"{"results":[{"id":"x","status":"accepted","errors":[]}]}"#), Ok(()));
        for (status, body, word) in [
            (202, "", "something else"),
            (503, r#"{"detail":"the log"}"#, "RabbitMQ or the disk, does not confirm (the log)"),
            (401, "", "--token-file"),
            (404, "<html>", "no ingest"),
            (502, "", "proxy"),
            (400, r#"{"detail":"user is unknown"}"#, "refuses with 400 (user is unknown)"),
        ] {
            let error = accepted(status, body.as_bytes()).unwrap_err();
            assert!(error.contains(word), "{status}: {error}");
        }
    }

    #[test]
    fn what_no_ingest_accepted_is_not_lost() {
        let (shown, refused) = (Some(Duration::ZERO), || Err("refuses".to_owned()));
        let ingest = |taken| Ingest { name: "i".into(), taken: Some(taken) };
        let gateway = |shown: &[Option<Duration>]| Gateway {
            name: "g".into(),
            opened: Ok(Duration::ZERO),
            shown: shown.to_vec(),
            ended: None,
        };
        let accepted = || Ok(Duration::ZERO);
        let unopened = Gateway { opened: Err("away".into()), ..gateway(&[]) };
        for (gateways, taken, expected) in [
            (vec![gateway(&[None, None])], [refused(), accepted()], Some(1)),
            (vec![gateway(&[None, shown])], [refused(), accepted()], None),
            (vec![gateway(&[shown, shown]), gateway(&[None, shown])], [accepted(), accepted()], Some(0)),
            (vec![unopened, gateway(&[shown, shown])], [accepted(), accepted()], None),
        ] {
            let seen = Seen { gateways, ingests: taken.map(ingest).into(), ..Seen::default() };
            assert_eq!(lost(&seen), expected, "{seen:?}");
        }
    }

    #[test]
    fn the_lag_is_that_of_all_shards() {
        let page = "# HELP bellwire_gateway_log_lag_records x\nbellwire_gateway_log_lag_records{shard=\"0\"} 2\n\
                    bellwire_gateway_log_lag_records{shard=\"1\"} 3\nother 7\n";
        assert_eq!(lag(page), Some(5));
        assert_eq!(lag("other 1\n"), None);
    }

    #[test]
    fn each_run_is_a_browser_that_there_can_be() {
        let browser = format!("{}-15", browser());
        assert!(bellwire_common::ids::BrowserId::try_new(&browser).is_ok(), "{browser}");
        assert_ne!(super::browser(), super::browser());
    }
}
