//! A program under test: started, signalled, waited for; what it writes is kept and shown when the test fails.

use std::fmt;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::watch;
use tokio::time::timeout;

/// A running program. Dropping it kills it (SIGKILL); if the test is failing then, its output is printed.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    pid: u32,
    output: Output,
    /// See [`Process::spawn_group`].
    leash: Option<ChildStdin>,
}

/// Signals that tests send.
#[derive(Debug, Clone, Copy)]
pub enum Signal {
    /// The kernel ends it, without a word.
    Kill,
    /// A polite request to end.
    Term,
    /// Freezes it; connections stay open.
    Stop,
    /// Ends [`Signal::Stop`].
    Continue,
}

/// Kills its process group when its program ends or its standard input closes.
const LEASH: &str = r#"{ "$@" </dev/null; kill -KILL 0; } & cat >/dev/null; kill -KILL 0"#;

/// Becomes the program, with the standard input as the first socket that a service manager passes.
const PASS_SOCKET: &str = r#"export LISTEN_FDS=1 LISTEN_PID=$$; exec "$@" 3<&0 </dev/null"#;

/// A command that starts `program` as systemd's socket activation does; see [`Process::spawn_with_socket`].
#[must_use]
pub fn activated(program: &Path) -> Command {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", PASS_SOCKET, "sh"]).arg(program);
    command
}

/// The program `name` of the same build as the running test or tool.
///
/// # Panics
/// When it was not built.
#[must_use]
pub fn binary(name: &str) -> PathBuf {
    let exe = std::env::current_exe().expect("the path of the running program");
    // Tests lie one folder below the programs.
    let path = exe.ancestors().skip(1).take(2).map(|folder| folder.join(name)).find(|path| path.is_file());
    path.unwrap_or_else(|| panic!("no {name} beside {}: cargo build --release --workspace", exe.display()))
}

impl Process {
    /// Starts `command` with no standard input, and keeps what it writes.
    pub fn spawn(name: &str, mut command: Command) -> Result<Self> {
        command.stdin(Stdio::null()).kill_on_drop(true);
        Self::start(name, command)
    }

    /// As [`Process::spawn`], for a command of [`activated`]: the program inherits `socket`, which stays open here.
    pub fn spawn_with_socket(name: &str, mut command: Command, socket: &TcpListener) -> Result<Self> {
        command.stdin(Stdio::from(OwnedFd::from(socket.try_clone()?))).kill_on_drop(true);
        Self::start(name, command)
    }

    /// As [`Process::spawn`], for a program that starts others: all of them are killed when it ends, when it is killed
    /// or dropped, and when the test process is gone. Signals other than those reach only the shell that sees to it.
    pub fn spawn_group(name: &str, program: &str, args: &[String]) -> Result<Self> {
        let mut command = Command::new("sh");
        command.args(["-c", LEASH, "sh", program]).args(args).stdin(Stdio::piped()).process_group(0);
        Self::start(name, command)
    }

    fn start(name: &str, mut command: Command) -> Result<Self> {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().with_context(|| format!("cannot start {name}: {command:?}"))?;
        let pid = child.id().context("ended at once")?;
        let output = Output::default();
        output.keep(child.stdout.take());
        output.keep(child.stderr.take());
        Ok(Self { name: name.to_owned(), leash: child.stdin.take(), child, pid, output })
    }

    /// The first line that contains `words`, which may have been written already. Fails at once when no more can come.
    pub async fn line(&self, words: &str, deadline: Duration) -> Result<String> {
        let found = self.output.wait_for(|lines| lines.iter().find(|line| line.contains(words)).cloned());
        let line = timeout(deadline, found).await.ok().flatten();
        line.with_context(|| {
            format!("{} did not write {words:?} within {deadline:?}, or has ended:\n{}", self.name, self.output)
        })
    }

    /// Everything that it has written so far, both streams in the order of arrival.
    #[must_use]
    pub fn output(&self) -> String {
        self.output.to_string()
    }

    /// Sends a signal.
    pub async fn signal(&self, signal: Signal) -> Result<()> {
        let name = match signal {
            Signal::Kill => "KILL",
            Signal::Term => "TERM",
            Signal::Stop => "STOP",
            Signal::Continue => "CONT",
        };
        let status = Command::new("sh").args(["-c", &format!("kill -{name} {}", self.pid)]).status().await?;
        ensure!(status.success(), "cannot send {name} to {}", self.name);
        Ok(())
    }

    /// Kills it and waits until it is gone.
    pub async fn kill(&mut self) -> Result<()> {
        if self.leash.take().is_some() {
            self.child.wait().await?;
            return Ok(());
        }
        Ok(self.child.kill().await?)
    }

    /// Waits until it ends by itself.
    pub async fn wait(&mut self, deadline: Duration) -> Result<ExitStatus> {
        match timeout(deadline, self.child.wait()).await {
            Ok(status) => Ok(status?),
            Err(_) => bail!("{} has not ended within {deadline:?}:\n{}", self.name, self.output),
        }
    }

    /// Fails with what it wrote if it has ended.
    pub fn check_alive(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => bail!("{} has ended ({status}):\n{}", self.name, self.output),
        }
    }

    /// Waits until everything that it has written is in [`Process::output`]: for one that has ended.
    pub async fn written(&self, deadline: Duration) {
        let _ = timeout(deadline, self.output.wait_for(|_| None::<()>)).await;
    }

    /// Its process number.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- output of {}:\n{}---", self.name, self.output);
        }
    }
}

/// Lines as they come, shared with the tasks that read them.
#[derive(Debug, Clone)]
struct Output {
    lines: Arc<Mutex<Vec<String>>>,
    /// Pipes that are open.
    open: Arc<AtomicUsize>,
    grown: Arc<watch::Sender<()>>,
}

/// A test that makes a program write more than this has gone astray.
const LINES_MAX: usize = 20_000;

impl Default for Output {
    fn default() -> Self {
        Self { lines: Arc::default(), open: Arc::default(), grown: Arc::new(watch::channel(()).0) }
    }
}

impl Output {
    fn keep(&self, pipe: Option<impl AsyncRead + Unpin + Send + 'static>) {
        let Some(pipe) = pipe else { return };
        let this = self.clone();
        this.open.fetch_add(1, Ordering::AcqRel);
        tokio::spawn(async move {
            let mut pipe = BufReader::new(pipe);
            let mut line = Vec::new();
            while pipe.read_until(b'\n', &mut line).await.is_ok_and(|n| n > 0) {
                this.push(String::from_utf8_lossy(&line).trim_end().to_owned());
                line.clear();
            }
            this.open.fetch_sub(1, Ordering::AcqRel);
            this.grown.send_replace(());
        });
    }

    fn push(&self, line: String) {
        let mut lines = self.lines.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if lines.len() < LINES_MAX {
            lines.push(line);
        }
        drop(lines);
        self.grown.send_replace(());
    }

    async fn wait_for<T>(&self, find: impl Fn(&[String]) -> Option<T>) -> Option<T> {
        let mut grown = self.grown.subscribe();
        loop {
            // Looked at before the lines: the last one may come with the end.
            let ended = self.open.load(Ordering::Acquire) == 0;
            if let Some(found) = find(&self.lines.lock().unwrap_or_else(std::sync::PoisonError::into_inner)) {
                return Some(found);
            }
            if ended {
                return None;
            }
            grown.changed().await.ok()?;
        }
    }
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines = self.lines.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        lines.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_secs(20);

    fn shell(script: &str) -> Process {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        Process::spawn("shell", command).unwrap()
    }

    #[tokio::test]
    async fn lines_and_status_are_seen() {
        let mut process = shell("echo out; echo err >&2; exit 3");
        assert_eq!(process.line("out", SOON).await.unwrap(), "out");
        assert_eq!(process.line("er", SOON).await.unwrap(), "err");
        assert_eq!(process.wait(SOON).await.unwrap().code(), Some(3));
        assert!(process.line("nothing like it", SOON * 1000).await.is_err(), "no more can come");
        assert!(process.check_alive().unwrap_err().to_string().contains("ended"));
    }

    #[tokio::test]
    async fn signals_arrive() {
        let mut process = shell("trap 'echo caught; exit 0' TERM; echo ready; while :; do sleep 0.05; done");
        process.line("ready", SOON).await.unwrap();
        process.signal(Signal::Term).await.unwrap();
        process.line("caught", SOON).await.unwrap();
        assert!(process.wait(SOON).await.unwrap().success());
    }

    #[tokio::test]
    async fn a_group_ends_as_a_whole() {
        for killed in [true, false] {
            let args = ["-c".to_owned(), "sleep 1000 & echo child $!; wait".to_owned()];
            let mut process = Process::spawn_group("group", "sh", &args).unwrap();
            let line = process.line("child ", SOON).await.unwrap();
            let stat = format!("/proc/{}/stat", line.strip_prefix("child ").unwrap());
            if killed {
                process.kill().await.unwrap();
            }
            drop(process);
            // A zombie is gone too: it only waits for a parent that asks.
            let gone =
                || async { Ok(std::fs::read_to_string(&stat).map_or(true, |stat| stat.contains(") Z")).then_some(())) };
            crate::eventually::eventually("the child's end", SOON, gone).await.unwrap();
        }
    }

    #[tokio::test]
    async fn a_killed_process_is_gone() {
        let mut process = shell("echo ready; while :; do sleep 1; done");
        process.line("ready", SOON).await.unwrap();
        process.check_alive().unwrap();
        process.kill().await.unwrap();
        assert!(process.check_alive().is_err());
    }
}
