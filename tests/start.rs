//! The program from the outside: its exit codes, what it prints, its start and its end.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::Command;

use bellwire_testkit::http;
use bellwire_testkit::process::{Process, Signal};

const PROGRAM: &str = env!("CARGO_BIN_EXE_bellwire");
const WITHIN: Duration = Duration::from_secs(30);

fn command(home: &Path, args: &str) -> Command {
    let mut command = Command::new(PROGRAM);
    command.env_clear().env("PATH", "/usr/bin:/bin").env("HOME", home).args(args.split_whitespace());
    command
}

async fn output(home: &Path, args: &str) -> Result<(Option<i32>, String, String)> {
    let Output { status, stdout, stderr } = command(home, args).stdin(Stdio::null()).output().await?;
    Ok((status.code(), String::from_utf8(stdout)?, String::from_utf8(stderr)?))
}

/// A node on ports that the system chose.
struct Node {
    process: Process,
    admin: SocketAddr,
}

impl Node {
    async fn start(mut command: Command) -> Result<Self> {
        command.args(["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]);
        let process = Process::spawn("bellwire", command)?;
        let line = process.line(" starting ", WITHIN).await?;
        let admin = field(&line, "admin=")?.parse()?;
        Ok(Self { process, admin })
    }

    async fn listen(&self) -> Result<SocketAddr> {
        Ok(field(&self.process.line(" listening ", WITHIN).await?, "address=")?.parse()?)
    }

    async fn stop(mut self) -> Result<()> {
        self.process.signal(Signal::Term).await?;
        let status = self.process.wait(WITHIN).await?;
        ensure!(status.success(), "{status}: {}", self.process.output());
        Ok(())
    }
}

fn field<'a>(line: &'a str, name: &str) -> Result<&'a str> {
    line.split_whitespace().find_map(|word| word.strip_prefix(name)).with_context(|| format!("no {name} in {line}"))
}

#[tokio::test]
async fn wrong_settings_end_with_64_and_say_why() -> Result<()> {
    let home = tempfile::tempdir()?;
    for (args, expected) in [
        ("--shards 900", "shards (flag --shards): must be a whole number from 1 to 64"),
        ("--shard 3", "--shards"),
        ("gateway", "log (default): must be given"),
        ("ingest --log memory:", "bellwire standalone"),
        ("--ingest-tokens-file /nowhere", "ingest-tokens-file"),
        ("config --ingest-tokens-file /nowhere", "ingest-tokens-file"),
        ("config --jwt-keys-file /nowhere --jwt-audience bellwire", "jwt-keys-file"),
        ("config ingest --log amqp://rabbit --mysql-file /nowhere", "mysql-file (/nowhere): cannot be read"),
        (
            "ingest --log amqp://rabbit --mysql-file /nowhere --admin-listen 127.0.0.1:0",
            "mysql-file (/nowhere): cannot be read",
        ),
        ("config --config /nowhere", "config (flag --config): cannot read /nowhere"),
    ] {
        let (code, stdout, stderr) = output(home.path(), args).await?;
        assert_eq!(code, Some(64), "{args}: {stderr}");
        assert!(stderr.contains(expected) && stdout.is_empty(), "{args}: {stdout} {stderr}");
    }
    let (code, _, stderr) = output(home.path(), "--log embedded:/proc/nowhere").await?;
    assert!(code == Some(1) && stderr.contains("/proc/nowhere"), "{code:?} {stderr}");
    Ok(())
}

#[tokio::test]
async fn help_and_settings_are_printed() -> Result<()> {
    let home = tempfile::tempdir()?;
    let (code, stdout, _) = output(home.path(), "--help").await?;
    assert!(code == Some(0) && stdout.contains("BELLWIRE_LISTEN") && stdout.contains("bellwire notify"), "{stdout}");
    let (code, stdout, stderr) = output(home.path(), "config ingest --log amqp://u:s3cret@rabbit").await?;
    assert!(code == Some(0) && stdout.contains("log = \"amqp://u@rabbit:5672/%2F\""), "{stdout} {stderr}");
    assert!(!stdout.contains("s3cret") && !stderr.contains("s3cret"), "{stdout} {stderr}");
    let (code, stdout, _) = output(home.path(), "config --markdown").await?;
    assert!(code == Some(0) && stdout == include_str!("../docs/configuration.md"), "{code:?}");
    let (code, stdout, _) = output(home.path(), "config --metrics-markdown").await?;
    assert!(code == Some(0) && stdout == include_str!("../docs/metrics.md"), "{code:?}");
    Ok(())
}

#[tokio::test]
async fn what_a_trial_prints_works_and_its_key_stays() -> Result<()> {
    let home = tempfile::tempdir()?;
    let node = Node::start(command(home.path(), "")).await?;
    let page = node.process.line("/#user=1&key=", WITHIN).await?;
    node.process.line("docs/configuration.md", WITHIN).await?;
    let ready = http::get(node.admin, "/readyz").await?;
    assert_eq!((ready.status, ready.text().as_str()), (200, "ready\n"));

    // What is indented and is not the page's address is for a shell.
    let output = node.process.output();
    let commands: Vec<_> =
        output.lines().filter_map(|line| line.split_once("   ").map(|(_, command)| command)).collect();
    let commands: Vec<_> = commands.into_iter().filter(|line| !line.trim_start().starts_with("http://")).collect();
    let script = commands.join("\n");
    assert!(script.contains(" notify ") && script.contains("curl "), "{output}");
    let ran = Command::new("bash").args(["-euc", &script]).output().await?;
    let said = String::from_utf8_lossy(&ran.stdout).into_owned() + &String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success() && said.contains("accepted"), "{script}\n{said}");
    let metrics = http::get(node.admin, "/metrics").await?.text();
    assert!(metrics.contains("bellwire_ingest_notifications_total{result=\"accepted\"} 2"), "{metrics}");
    assert!(metrics.contains("role=\"standalone\"") && metrics.contains("process_resident_memory_bytes"), "{metrics}");

    let mut second = Process::spawn("second", command(home.path(), "--listen 127.0.0.1:0 --admin-listen 127.0.0.1:0"))?;
    assert_eq!(second.wait(WITHIN).await?.code(), Some(1));
    second.line("another process", WITHIN).await?;

    node.stop().await?;
    let again = Node::start(command(home.path(), "")).await?;
    let key = |line: &str| line.split_once("key=").map(|(_, key)| key.trim().to_owned());
    assert_eq!(key(&again.process.line("/#user=1&key=", WITHIN).await?), key(&page));
    again.stop().await
}

#[tokio::test]
async fn a_key_that_was_given_is_never_printed() -> Result<()> {
    let home = tempfile::tempdir()?;
    let mut start = command(home.path(), "--log memory:");
    start
        .env("BELLWIRE_SHARED_KEY", "a-key-that-was-given")
        .env("BELLWIRE_SESSION_CHECK", "key-only")
        .env("BELLWIRE_LOG_LEVEL", "debug");
    let node = Node::start(start).await?;
    node.listen().await?;
    assert!(!node.process.output().contains("a-key-that-was-given"), "{}", node.process.output());
    assert!(!node.process.output().contains("key="), "{}", node.process.output());
    node.stop().await
}

#[tokio::test]
async fn ingest_may_have_a_listener_of_its_own() -> Result<()> {
    let home = tempfile::tempdir()?;
    let node = Node::start(command(home.path(), "--log memory: --ingest-listen 127.0.0.1:0")).await?;
    let ingest: SocketAddr = {
        let line = node.process.line("whom=\"notifications\"", WITHIN).await?;
        field(&line, "address=")?.parse()?
    };
    let browsers: SocketAddr = {
        let line = node.process.line("whom=\"browsers\"", WITHIN).await?;
        field(&line, "address=")?.parse()?
    };
    let body = serde_json::json!({"user": "1", "kind": "message", "title": "Hello"});
    assert_eq!(http::post(ingest, "/v1/notifications", &body).await?.status, 202);
    assert_eq!(http::post(browsers, "/v1/notifications", &body).await?.status, 404);
    assert_eq!(http::get(browsers, "/").await?.status, 200);
    assert_eq!(http::get(ingest, "/").await?.status, 404);
    node.stop().await
}

#[tokio::test]
async fn without_rabbitmq_gateway_waits_and_ingest_says_so() -> Result<()> {
    let home = tempfile::tempdir()?;
    let nowhere = format!("--log amqp://127.0.0.1:{}", bellwire_testkit::ports::free().port());
    let mut start = command(home.path(), &format!("gateway {nowhere}"));
    start.env("BELLWIRE_SHARED_KEY", "a-key-that-was-given").env("BELLWIRE_SESSION_CHECK", "key-only");
    let gateway = Node::start(start).await?;
    gateway.process.line("RabbitMQ cannot be used yet", WITHIN).await?;
    let ready = http::get(gateway.admin, "/readyz").await?;
    assert!(ready.status == 503 && ready.text().contains("caught_up"), "{}", ready.text());
    assert_eq!(http::get(gateway.admin, "/healthz").await?.status, 200);
    gateway.stop().await?;

    let ingest = Node::start(command(home.path(), &format!("ingest {nowhere}"))).await?;
    let listen = ingest.listen().await?;
    let body = serde_json::json!({"user": "1", "kind": "message", "title": "Hello"});
    let refused = http::post(listen, "/v1/notifications", &body).await?;
    assert!(refused.status == 503 && refused.header("retry-after").is_some(), "{}", refused.text());
    ingest.stop().await
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() -> Result<()> {
    let home = tempfile::tempdir()?;
    let mut node = Node::start(command(home.path(), "--log memory: --drain-seconds 60")).await?;
    let listen = node.listen().await?;
    // A request that does not end keeps the process from ending for some seconds.
    let mut stuck = TcpStream::connect(listen).await?;
    let head = "POST /message HTTP/1.1\r\nhost: 127.0.0.1\r\nexpect: 100-continue\r\ncontent-length: 9\r\n\r\n";
    stuck.write_all(head.as_bytes()).await?;
    let mut answer = [0; 12];
    stuck.read_exact(&mut answer).await?;
    assert_eq!(&answer, b"HTTP/1.1 100");
    node.process.signal(Signal::Term).await?;
    node.process.line("shutting down", WITHIN).await?;
    node.process.signal(Signal::Term).await?;
    assert_eq!(node.process.wait(WITHIN).await?.code(), Some(130));
    Ok(())
}

/// The README's lines for a cluster, with a look at its settings in the place of each start.
#[tokio::test]
async fn the_settings_of_the_readmes_cluster_can_be_used() -> Result<()> {
    let readme = include_str!("../README.md");
    let mut blocks = readme.split("```sh\n").filter_map(|rest| rest.split("```").next());
    let lines = blocks.find(|lines| lines.contains("export BELLWIRE_LOG=")).context("no lines in README")?;
    let lines: Vec<_> = lines.lines().filter(|line| !line.starts_with("bellwire notify")).collect();
    let script = format!("bellwire() {{ '{PROGRAM}' config \"$@\"; }}\n{}", lines.join("\n"));
    let home = tempfile::tempdir()?;
    let mut bash = Command::new("bash");
    bash.env_clear().env("PATH", "/usr/bin:/bin").env("HOME", home.path()).args(["-euc", &script]);
    let Output { status, stdout, stderr } = bash.output().await?;
    let said = String::from_utf8(stdout)?;
    ensure!(status.success(), "{script}\n{}", String::from_utf8_lossy(&stderr));
    for role in ["gateway", "ingest"] {
        ensure!(said.contains(&format!("# settings of bellwire {role}:")), "{script}\n{said}");
    }
    Ok(())
}

/// The README's first command. Cargo adds variables to the environment of what it runs.
#[tokio::test]
async fn it_runs_under_cargo() -> Result<()> {
    let home = tempfile::tempdir()?;
    let mut command = Command::new(env!("CARGO"));
    command.args(["run", "--release", "--locked", "--quiet", "--", "standalone", "--log", "memory:"]);
    command.args(["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]);
    command.current_dir(env!("CARGO_MANIFEST_DIR")).env("XDG_STATE_HOME", home.path());
    // What cargo told this test about its package would make build scripts run anew; what the runner tells the tests is no
    // setting of the program.
    let not_a_persons = ["CARGO_PKG_", "CARGO_MANIFEST_", "OUT_DIR", "BELLWIRE_"];
    for (name, _) in std::env::vars().filter(|(name, _)| not_a_persons.iter().any(|prefix| name.starts_with(prefix))) {
        command.env_remove(name);
    }
    let process = Process::spawn("bellwire", command)?;
    process.line(" listening ", Duration::from_secs(300)).await?;
    Ok(())
}
