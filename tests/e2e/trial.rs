//! The first minute: start it without any setting and follow what it prints.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bellwire_testkit::http;
use bellwire_testkit::ports;
use bellwire_testkit::process::{Process, binary};
use bellwire_testkit::tab::{Front, Profile};
use tokio::process::Command;

use crate::support::PATIENCE;

/// `bellwire` with nothing but free ports and a home folder of its own, and what it told to do next.
pub(crate) struct Trial {
    pub(crate) process: Process,
    /// The page's address with user and key behind the `#`.
    pub(crate) page: String,
    /// The commands that send a notification.
    commands: [String; 2],
    home: PathBuf,
    pub(crate) listen: SocketAddr,
    admin: SocketAddr,
}

impl Trial {
    pub(crate) async fn start(home: &Path) -> Self {
        Self::start_on(home, ports::free(), ports::free()).await
    }

    /// Starts it again after its end, on the same ports.
    pub(crate) async fn restart(&mut self) {
        *self = Self::start_on(&self.home, self.listen, self.admin).await;
    }

    async fn start_on(home: &Path, listen: SocketAddr, admin: SocketAddr) -> Self {
        let mut command = Command::new(binary("bellwire"));
        command.env_clear().env("HOME", home).env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.args(["--listen", &listen.to_string(), "--admin-listen", &admin.to_string()]);
        let process = Process::spawn("bellwire for a trial", command).unwrap();
        process.line("For real use", PATIENCE).await.unwrap();
        let said = process.output();
        let page = said.split_whitespace().find(|word| word.contains("#user=")).unwrap().to_owned();
        let commands = [" notify ", "curl "].map(|words| command_with(&said, words));
        let ready = || async { Ok((http::get(admin, "/readyz").await?.status == 200).then_some(())) };
        bellwire_testkit::eventually::eventually("readiness", PATIENCE, ready).await.unwrap();
        assert!(page.starts_with(&format!("http://{listen}/")), "{page}");
        Self { process, page, commands, home: home.to_owned(), listen, admin }
    }

    /// Runs the printed commands exactly as they stand, in a shell.
    pub(crate) async fn notify(&self) {
        for line in &self.commands {
            let mut command = Command::new("sh");
            command.args(["-c", line]).env_clear().env("HOME", &self.home);
            command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
            let output = command.output().await.unwrap();
            assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
        }
    }

    /// Where the page comes from.
    pub(crate) fn origin(&self) -> String {
        format!("http://{}", self.listen)
    }

    /// The sum of a metric's samples that have these labels.
    pub(crate) async fn metric(&self, name: &str, labels: &[&str]) -> f64 {
        bellwire_testkit::bellwire::metric(self.admin, name, labels).await.unwrap()
    }

    /// User and key of the page's address.
    pub(crate) fn user_and_key(&self) -> (String, String) {
        let (_, fragment) = self.page.split_once('#').unwrap();
        let value = |name: &str| fragment.split('&').find_map(|pair| pair.strip_prefix(name)).unwrap().to_owned();
        (value("user="), value("key="))
    }
}

/// The command that begins with the line with these words, to the last of the lines that a backslash joins.
fn command_with(said: &str, words: &str) -> String {
    let mut command = String::new();
    for line in said.lines().skip_while(|line| !line.contains(words)) {
        command += line;
        command.push('\n');
        if !line.ends_with('\\') {
            return command;
        }
    }
    panic!("no command with {words:?} in {said}");
}

#[tokio::test]
async fn what_it_prints_works() {
    let home = tempfile::tempdir().unwrap();
    let trial = Trial::start(home.path()).await;
    let (user, key) = trial.user_and_key();
    assert!(key.len() >= 32, "a key that nobody guesses");
    let profile = Profile { key, ..Profile::new(Front::Native, &user, "browser", trial.listen) };
    let tab = profile.open().await.unwrap();
    trial.notify().await;
    tab.wait_shown(2).await.unwrap();
}

#[tokio::test]
async fn the_key_outlives_a_restart_and_is_for_its_owner_only() {
    use std::os::unix::fs::PermissionsExt;

    let home = tempfile::tempdir().unwrap();
    let mut first = Trial::start(home.path()).await;
    first.process.kill().await.unwrap();
    let second = Trial::start(home.path()).await;
    assert_eq!(first.user_and_key(), second.user_and_key());
    let (_, key) = second.user_and_key();
    let mut holders = Vec::new();
    let mut folders = vec![home.path().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
            if entry.path().is_dir() {
                folders.push(entry.path());
            } else if std::fs::read(entry.path()).is_ok_and(|bytes| String::from_utf8_lossy(&bytes).contains(&key)) {
                holders.push((entry.path(), entry.metadata().unwrap().permissions().mode() & 0o777));
            }
        }
    }
    assert_eq!(holders.iter().map(|(_, mode)| *mode).collect::<Vec<_>>(), [0o600], "{holders:?}");
}

#[tokio::test]
async fn it_ends_at_once_when_asked() {
    use bellwire_testkit::process::Signal;

    let home = tempfile::tempdir().unwrap();
    let mut trial = Trial::start(home.path()).await;
    trial.process.signal(Signal::Term).await.unwrap();
    assert!(trial.process.wait(Duration::from_secs(20)).await.unwrap().success());
}
