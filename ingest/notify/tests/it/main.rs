//! The real program against real sockets.

mod send;
mod server;
mod spool;
mod usage;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

/// One call of the program, with an empty environment.
struct Notify(Command);

/// How a call ended.
struct Ended {
    code: i32,
    stdout: String,
    stderr: String,
    took: Duration,
}

impl Notify {
    fn bare() -> Self {
        Self::program(Path::new(env!("CARGO_BIN_EXE_bellwire-notify")))
    }

    fn program(path: &Path) -> Self {
        let mut command = Command::new(path);
        command.env_clear();
        Self(command)
    }

    /// A service problem for user 7, to this address.
    fn problem(ingest: &str) -> Self {
        Self::bare()
            .args(["--type", "Service", "--notificationtype", "PROBLEM", "--hostuuid", "h", "--serviceuuid", "s"])
            .args(["--state", "2", "--output", "no answer", "--user-id", "7", "--ingest", ingest])
    }

    fn flush(spool: &Path, ingest: &str) -> Self {
        Self::bare().args(["flush", "--ingest", ingest, "--spool"]).arg(spool)
    }

    fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.0.arg(arg);
        self
    }

    fn args<const N: usize>(mut self, args: [&str; N]) -> Self {
        self.0.args(args);
        self
    }

    fn spool(self, spool: &Path) -> Self {
        self.arg("--spool").arg(spool)
    }

    fn env(mut self, name: &str, value: &str) -> Self {
        self.0.env(name, value);
        self
    }

    fn run(mut self) -> Ended {
        let start = Instant::now();
        let Output { status, stdout, stderr } = self.0.output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Ended {
            code: status.code().expect("it was killed"),
            stdout: text(stdout),
            stderr: text(stderr),
            took: start.elapsed(),
        }
    }
}

impl Ended {
    /// Exit 0 without a word.
    #[track_caller]
    fn silent(&self) {
        assert_eq!((self.code, self.stdout.as_str(), self.stderr.as_str()), (0, "", ""));
    }

    /// This exit status, this on standard error, and nothing on standard output.
    #[track_caller]
    fn said(&self, code: i32, text: &str) {
        assert_eq!((self.code, self.stdout.as_str()), (code, ""), "{}", self.stderr);
        assert!(self.stderr.contains(text), "{text:?} is not in: {}", self.stderr);
    }
}

/// Names in a spool that are notifications.
fn spooled(spool: &Path) -> Vec<String> {
    names(spool).into_iter().filter(|name| name.ends_with(".json")).collect()
}

fn names(dir: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(dir) else { return Vec::new() };
    let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn testdata(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata").join(name)
}
