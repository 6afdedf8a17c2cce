//! A supervising shell that leads a process group and kills all of it as soon as its standard input closes.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::eventually::eventually;

const SIGNAL_DEADLINE: Duration = Duration::from_secs(10);

/// What a script says after it has sent a signal.
const SENT: &str = "supervisor: signal sent";

/// Closes what it inherited beyond the standard three: a caller's lock must not live on in a broker.
const PRELUDE: &str = r#"
exec 2>&1
for fd in /proc/self/fd/*; do fd=${fd##*/}; [ "$fd" -gt 2 ] && eval "exec $fd>&-"; done 2>/dev/null
"#;

/// The shell, what it started, and what they say. Dropping it kills them and waits until they are gone.
#[derive(Debug)]
pub(super) struct Group {
    supervisor: Child,
    orders: Option<ChildStdin>,
    watch: Option<JoinHandle<()>>,
    state: watch::Receiver<State>,
    signalled: watch::Receiver<()>,
    output: Arc<Mutex<Vec<String>>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Starting,
    Ready,
    Ended,
}

impl Group {
    /// Runs a script with the environment of `shell`, and waits until a line contains `ready`.
    ///
    /// The script takes each line of its standard input for a signal, answers it with `$SENT`, and ends its group with
    /// the input.
    pub(super) async fn start(
        mut shell: Command,
        script: &str,
        ready: &'static str,
        deadline: Duration,
    ) -> Result<Self> {
        shell.arg("-c").arg(format!("{PRELUDE}{script}")).env("SENT", SENT).process_group(0);
        shell.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut supervisor = shell.spawn().context("cannot start bash (Debian package `bash`)")?;
        let (tell, state) = watch::channel(State::Starting);
        let (sent, signalled) = watch::channel(());
        let output = Arc::new(Mutex::new(Vec::new()));
        let stdout = supervisor.stdout.take().context("no standard output")?;
        let watch = thread::spawn({
            let output = Arc::clone(&output);
            move || {
                drain(stdout, &output, |line| {
                    if line.contains(ready) {
                        tell.send_replace(State::Ready);
                    } else if line == SENT {
                        sent.send_replace(());
                    }
                });
                tell.send_replace(State::Ended);
            }
        });
        let orders = supervisor.stdin.take();
        let mut group = Self { supervisor, orders, watch: Some(watch), state, signalled, output };
        group.wait(|state| state != State::Starting, deadline).await.with_context(|| group.last_words())?;
        ensure!(*group.state.borrow() == State::Ready, "ended while starting\n{}", group.last_words());
        Ok(group)
    }

    /// Waits until all of it has ended.
    pub(super) async fn ended(&mut self, deadline: Duration) -> Result<()> {
        self.wait(|state| state == State::Ended, deadline).await
    }

    async fn wait(&mut self, what: impl Fn(State) -> bool, deadline: Duration) -> Result<()> {
        timeout(deadline, self.state.wait_for(|state| what(*state))).await.context("it takes too long")??;
        Ok(())
    }

    /// Has a signal sent and waits until it is.
    pub(super) async fn signal(&mut self, signal: &str) -> Result<()> {
        let orders = self.orders.as_mut().context("the supervisor is gone")?;
        writeln!(orders, "{signal}")?;
        timeout(SIGNAL_DEADLINE, self.signalled.changed()).await.context("the supervisor does not answer")??;
        Ok(())
    }

    /// Waits until each thread of the group's programs of this name is stopped: on a busy machine one may run on for a while.
    pub(super) async fn stopped(&self, name: &str) -> Result<()> {
        let group = self.supervisor.id().to_string();
        let all = || async { Ok(threads(&group, name)?.iter().all(|state| state == "T").then_some(())) };
        eventually("the signal's effect", SIGNAL_DEADLINE, all).await
    }

    pub(super) fn last_words(&self) -> String {
        self.output.lock().map(|lines| lines.join("\n")).unwrap_or_default()
    }
}

/// The states of all threads of a process group's programs of this name (proc(5)).
fn threads(group: &str, name: &str) -> Result<Vec<String>> {
    let mut states = Vec::new();
    for process in std::fs::read_dir("/proc")?.flatten() {
        let fields = |path: &Path| -> Option<Vec<String>> {
            let stat = std::fs::read_to_string(path.join("stat")).ok()?;
            let (head, rest) = stat.rsplit_once(") ")?;
            head.ends_with(&format!("({name}")).then(|| rest.split(' ').map(str::to_owned).collect())
        };
        if fields(&process.path()).is_none_or(|fields| fields.get(2).is_none_or(|of| of != group)) {
            continue;
        }
        for thread in std::fs::read_dir(process.path().join("task"))?.flatten() {
            let stat = std::fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
            states.extend(stat.rsplit_once(") ").and_then(|(_, rest)| rest.split(' ').next().map(str::to_owned)));
        }
    }
    ensure!(!states.is_empty(), "there is no {name} in the group");
    Ok(states)
}

impl Drop for Group {
    fn drop(&mut self) {
        drop(self.orders.take());
        let _ = self.supervisor.wait();
        // The pipe ends with the last process of the group. Wait for it: the data folder goes next, or the next
        // start needs the ports.
        if let Some(watch) = self.watch.take() {
            let _ = watch.join();
        }
    }
}

/// Reads to the end and keeps the last lines.
fn drain(pipe: impl Read, keep: &Mutex<Vec<String>>, mut seen: impl FnMut(&str)) {
    const LINES_KEPT: usize = 60;
    let mut reader = BufReader::new(pipe);
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line).is_ok_and(|n| n > 0) {
        let text = String::from_utf8_lossy(&line).trim_end().to_owned();
        line.clear();
        seen(&text);
        if let Ok(mut lines) = keep.lock() {
            lines.push(text);
            if lines.len() > LINES_KEPT {
                lines.remove(0);
            }
        }
    }
}
