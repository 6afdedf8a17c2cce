//! Two ingest and two gateway processes around a private RabbitMQ node.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::Path;

use bellwire_testkit::bellwire::{Bellwire, Setup};
use bellwire_testkit::broker::Broker;
use bellwire_testkit::eventually::eventually;
use bellwire_testkit::http;
use bellwire_testkit::process::binary;
use bellwire_testkit::tab::{Front, Seen, Tab};
use tokio::process::Command;
use tokio::time::Instant;

use crate::support::{FRONTS, PATIENCE, expect_once, message, open, send, shown_once};

struct Cluster {
    broker: Broker,
    ingests: [Bellwire; 2],
    gateways: [Bellwire; 2],
}

impl Cluster {
    async fn start() -> Self {
        let broker = Broker::start().await.unwrap();
        let url = broker.url();
        let start = |role: &'static str| Setup::new(role, &url).start();
        let (a, b, c, d) = tokio::join!(start("ingest"), start("ingest"), start("gateway"), start("gateway"));
        Self { ingests: [a.unwrap(), b.unwrap()], gateways: [c.unwrap(), d.unwrap()], broker }
    }

    /// Both ingests, as `--ingest` takes them; the first one changes from call to call.
    fn ingest_addresses(&self, turn: usize) -> String {
        let [a, b] =
            [&self.ingests[turn % 2], &self.ingests[(turn + 1) % 2]].map(|node| format!("http://{}", node.listen));
        format!("{a},{b}")
    }

    /// A browser of a user: a tab on each gateway, the older one on the first or the second.
    async fn browser(&self, front: Front, user: &str, browser: &str, turn: usize) -> [Tab; 2] {
        let nodes = [&self.gateways[turn % 2], &self.gateways[(turn + 1) % 2]];
        [open(front, user, browser, nodes[0].listen).await, open(front, user, browser, nodes[1].listen).await]
    }
}

/// openITCOCKPIT's two command definitions (its rows 27 and 28) with our program in front.
const HOST_COMMAND: &str = r#"send_push_notification --type Host --notificationtype $NOTIFICATIONTYPE$ --hostuuid "$HOSTNAME$" --state "$HOSTSTATEID$" --output "$HOSTOUTPUT$" --ackauthor "$NOTIFICATIONAUTHOR$" --ackcomment "$NOTIFICATIONCOMMENT$" --user-id $_CONTACTOITCUSERID$"#;
const SERVICE_COMMAND: &str = r#"send_push_notification --type Service --notificationtype $NOTIFICATIONTYPE$ --hostuuid "$HOSTNAME$" --serviceuuid "$SERVICEDESC$" --state "$SERVICESTATEID$" --output "$SERVICEOUTPUT$" --ackauthor "$NOTIFICATIONAUTHOR$" --ackcomment "$NOTIFICATIONCOMMENT$" --user-id $_CONTACTOITCUSERID$"#;

/// What Naemon takes out of outputs under openITCOCKPIT's settings.
const ILLEGAL: &[u8] = b"`~$&|'\"<>";

/// Outputs that plugins print; each is followed by what a page must show of it, where that differs.
const OUTPUTS: &[(&[u8], Option<&str>)] = &[
    (b"OK - everything is fine", None),
    (b"", None),
    (b"--state", None),
    (b"-1 degrees; load=(0.1, 0.2) * 100% ?", None),
    (b"a < b & \"c\" | d=1;2;3 $HOME `id` ~", Some("a  b  c  d=1;2;3 HOME id")),
    (b"first line\\nsecond line", Some("first line\nsecond line")),
    ("Größe überschritten – 日本語 🔔".as_bytes(), None),
    (b"Gr\xf6\xdfe in Latin-1", Some("Gr\u{fffd}\u{fffd}e in Latin-1")),
    (br"C:\ drive C:\\temp is full", Some(r"C:\ drive C:\temp is full")),
    (b"tab\there", Some("tab here")),
];

struct Event {
    service: bool,
    user: String,
    output: &'static [u8],
    body: String,
}

fn events() -> Vec<Event> {
    let mut events = Vec::new();
    for (i, (output, shown)) in OUTPUTS.iter().enumerate() {
        for user in 1..=3 {
            let body = shown.map_or_else(|| String::from_utf8_lossy(output).into_owned(), str::to_owned);
            events.push(Event { service: i % 2 == 0, user: user.to_string(), output, body });
        }
    }
    events
}

impl Event {
    /// The command line as Naemon fills it in.
    fn command_line(&self) -> Vec<u8> {
        let output: Vec<u8> = self.output.iter().copied().filter(|byte| !ILLEGAL.contains(byte)).collect();
        let macros: [(&str, &[u8]); 10] = [
            ("$NOTIFICATIONTYPE$", b"PROBLEM"),
            ("$HOSTNAME$", b"c36b8048-93ce-4385-ac19-ab5c90574b77"),
            ("$SERVICEDESC$", b"74fd8f59-1348-4e16-85f0-4a5c57c7dd62"),
            ("$HOSTSTATEID$", b"1"),
            ("$SERVICESTATEID$", b"2"),
            ("$HOSTOUTPUT$", &output),
            ("$SERVICEOUTPUT$", &output),
            ("$NOTIFICATIONAUTHOR$", b""),
            ("$NOTIFICATIONCOMMENT$", b""),
            ("$_CONTACTOITCUSERID$", self.user.as_bytes()),
        ];
        let mut line = if self.service { SERVICE_COMMAND } else { HOST_COMMAND }.as_bytes().to_vec();
        for (name, value) in macros {
            line = replace(&line, name.as_bytes(), value);
        }
        line
    }
}

fn replace(line: &[u8], name: &[u8], value: &[u8]) -> Vec<u8> {
    match line.windows(name.len()).position(|window| window == name) {
        Some(at) => [&line[..at], value, &line[at + name.len()..]].concat(),
        None => line.to_vec(),
    }
}

/// Runs a command line through the shell, as Naemon does; it succeeds without a word.
async fn run(line: &[u8], bin: &Path, ingests: &str) {
    let mut command = Command::new("/bin/sh");
    command.arg("-c").arg(OsStr::from_bytes(line)).env_clear();
    let output = command.env("PATH", bin).env("BELLWIRE_INGEST", ingests).output().await.unwrap();
    let (line, said) = (String::from_utf8_lossy(line), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{line}: {said}");
    assert!(output.stdout.is_empty() && output.stderr.is_empty(), "{line}: {said}");
}

#[tokio::test]
async fn commands_of_openitcockpit_reach_each_browser_once() {
    let cluster = Cluster::start().await;
    let mut browsers: Vec<(String, [Tab; 2])> = Vec::new();
    for (turn, (user, front)) in ["1", "2", "3"].into_iter().flat_map(|u| FRONTS.map(|f| (u, f))).enumerate() {
        let tabs = cluster.browser(front, user, &format!("{front:?}"), turn).await;
        browsers.push((user.to_owned(), tabs));
    }
    let bin = tempfile::tempdir().unwrap();
    symlink(binary("bellwire-notify"), bin.path().join("send_push_notification")).unwrap();
    let events = events();
    for (i, event) in events.iter().enumerate() {
        run(&event.command_line(), bin.path(), &cluster.ingest_addresses(i)).await;
    }
    // A contact without a user: Naemon leaves the macro, the shell makes it a lone dollar.
    let nobody = Event { user: "$_CONTACTOITCUSERID$".to_owned(), ..events.into_iter().next().unwrap() };
    run(&nobody.command_line(), bin.path(), &cluster.ingest_addresses(0)).await;
    for (user, tabs) in &browsers {
        let bodies: Vec<_> = self::events().into_iter().filter(|e| e.user == *user).map(|e| e.body).collect();
        let shown = shown_once(&tabs.each_ref(), bodies.len()).await;
        assert_eq!(shown.into_iter().map(|shown| shown.body).collect::<Vec<_>>(), bodies, "user {user}");
    }
    print_median(&cluster).await;
}

/// Time from the POST to a tab on either gateway. Printed, not asserted: the machine may be busy.
async fn print_median(cluster: &Cluster) {
    const SAMPLES: usize = 200;
    let tabs = [
        open(Front::V2, "21", "browser", cluster.gateways[0].listen).await,
        open(Front::Native, "22", "browser", cluster.gateways[1].listen).await,
    ];
    let mut times = Vec::new();
    for i in 0..SAMPLES {
        let (user, tab) = [("21", &tabs[0]), ("22", &tabs[1])][i % 2];
        let begin = Instant::now();
        send(cluster.ingests[i / 2 % 2].listen, user, &format!("sample {i}")).await;
        let shown = tab.wait_shown(i / 2 + 1).await.unwrap();
        times.push(shown[i / 2].at.duration_since(begin));
    }
    times.sort_unstable();
    let [median, p99] = [times[SAMPLES / 2], times[SAMPLES * 99 / 100]];
    println!("POST to tab through RabbitMQ, {SAMPLES} one at a time: median {median:?}, p99 {p99:?}");
}

#[tokio::test]
async fn the_next_tab_takes_over_on_another_gateway() {
    let cluster = Cluster::start().await;
    for (turn, front) in FRONTS.into_iter().enumerate() {
        let user = (turn + 1).to_string();
        let tabs = cluster.browser(front, &user, "browser", turn).await;
        send(cluster.ingests[0].listen, &user, "to the first").await;
        // Which tab is older is what the log says: their gateways announced them at nearly the same time.
        let [first, second] = tabs;
        let (owner, other) = tokio::select! {
            shown = first.wait_shown(1) => { shown.unwrap(); (first, second) }
            shown = second.wait_shown(1) => { shown.unwrap(); (second, first) }
        };
        owner.wait("its proof", |seen| seen.proofs >= if front == Front::Native { 1 } else { 2 }).await.unwrap();
        owner.settle().await.unwrap();
        owner.close().await.unwrap();
        send(cluster.ingests[1].listen, &user, "to the second").await;
        expect_once(&[&other], &["to the second".to_owned()]).await;
    }
}

#[tokio::test]
async fn a_broker_restart_loses_nothing_that_was_accepted() {
    let mut cluster = Cluster::start().await;
    let tabs = [
        open(Front::V1, "1", "one", cluster.gateways[0].listen).await,
        open(Front::V2, "1", "two", cluster.gateways[1].listen).await,
    ];
    send(cluster.ingests[0].listen, "1", "before").await;
    cluster.broker.settle().await.unwrap();
    cluster.broker.kill();
    let answer = http::post(cluster.ingests[0].listen, "/v1/notifications", &message("1", "lost")).await.unwrap();
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert!(answer.header("retry-after").is_some_and(|value| value.parse::<u32>().is_ok()));
    assert_eq!(http::get(cluster.gateways[0].admin, "/readyz").await.unwrap().status, 200, "the tabs stay");
    cluster.broker.restart().await.unwrap();
    for node in &cluster.ingests {
        let again = || async {
            let answer = http::post(node.listen, "/v1/notifications", &message("1", "after")).await?;
            Ok((answer.status == 202).then_some(()))
        };
        eventually("ingest accepts again", PATIENCE, again).await.unwrap();
    }
    for tab in &tabs {
        let seen = tab.wait("both after the restart", |seen| count(seen, "after") == 2).await.unwrap();
        assert_eq!(count(&seen, "before"), 1);
        assert!(seen.ends.is_empty(), "the tab stays connected");
    }
}

/// A disk that is nearly full: RabbitMQ takes nothing from anybody, which docs/operations.md says is as if it were away.
#[tokio::test]
async fn an_alarm_of_the_broker_stops_ingest_and_no_tab() {
    let cluster = Cluster::start().await;
    let (ingest, gateway) = (&cluster.ingests[0], &cluster.gateways[0]);
    let tab = open(Front::V2, "1", "one", gateway.listen).await;
    send(ingest.listen, "1", "before").await;
    tab.wait_shown(1).await.unwrap();
    let free = async |limit: &str| cluster.broker.rabbitmqctl(&["set_disk_free_limit", limit]).await.unwrap();
    let status = |title: &'static str, wanted: u16| async move {
        let answered = || async {
            let answer = http::post(ingest.listen, "/v1/notifications", &message("1", title)).await?;
            Ok((answer.status == wanted).then_some(()))
        };
        eventually(&format!("{wanted} of ingest"), PATIENCE, answered).await.unwrap();
    };
    free("1000000000000000").await;
    status("during", 503).await;
    tab.settle().await.unwrap();
    assert_eq!(http::get(gateway.admin, "/readyz").await.unwrap().status, 200);
    free("50MB").await;
    status("after", 202).await;
    let seen = tab.wait("what came after", |seen| count(seen, "after") > 0).await.unwrap();
    assert!(seen.ends.is_empty(), "the tab stays connected");
}

fn count(seen: &Seen, title: &str) -> usize {
    seen.shown.iter().filter(|shown| shown.title == title).count()
}
