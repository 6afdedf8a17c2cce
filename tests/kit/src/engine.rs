//! Real monitoring engines: a private Nagios 4 or Icinga 2 each, in a folder of its own, as the user who runs the tests.
//!
//! Both take results and acknowledgements through a pipe of external commands, so a test raises an alert when it wants
//! one, and nothing is checked otherwise.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::net::unix::pipe;
use tokio::process::Command;

use crate::eventually::eventually;
use crate::process::Process;

const NAGIOS: &str = "/usr/sbin/nagios4";
const ICINGA: &str = "/usr/sbin/icinga2";
const NAGIOS_LOG: &str = "log";
const START_DEADLINE: Duration = Duration::from_secs(30);

/// What every Nagios of the tests has, beside its folder: nothing is checked by itself, results are taken at once.
const NAGIOS_SETTINGS: &str = "\
check_external_commands=1
use_syslog=0
check_for_updates=0
execute_host_checks=0
execute_service_checks=0
check_result_reaper_frequency=1
enable_flap_detection=0
";

const ICINGA_SETTINGS: &str = "\
include <itl>
object CheckerComponent \"checker\" { }
object NotificationComponent \"notification\" { }
object ExternalCommandListener \"command\" { command_path = InitRunDir + \"/commands\" }
object Endpoint NodeName { }
object Zone ZoneName { endpoints = [ NodeName ] }
";

/// A running engine. Dropping it kills it and everything that it started.
#[derive(Debug)]
pub struct Engine {
    dir: TempDir,
    commands: PathBuf,
    process: Process,
}

impl Engine {
    /// Nagios 4 with more lines of its main configuration, and objects. `env` is what its commands find in theirs.
    pub async fn nagios(settings: &str, objects: &str, env: &[(&str, &str)]) -> Result<Self> {
        let dir = folder()?;
        let at = dir.path().display();
        for sub in ["results", "run"] {
            fs::create_dir(dir.path().join(sub))?;
        }
        let (user, group) = (ourselves("-un").await?, ourselves("-gn").await?);
        let main = format!(
            "cfg_file={at}/objects.cfg\nlog_file={at}/{NAGIOS_LOG}\nobject_cache_file={at}/cache\nstatus_file={at}/status\n\
             precached_object_file={at}/precache\nstate_retention_file={at}/retention\ncommand_file={at}/run/commands\n\
             query_socket={at}/run/queries\nlock_file={at}/run/lock\ntemp_file={at}/temp\ntemp_path={at}\n\
             check_result_path={at}/results\nnagios_user={user}\nnagios_group={group}\n{NAGIOS_SETTINGS}{settings}\n"
        );
        fs::write(dir.path().join("main.cfg"), main)?;
        fs::write(dir.path().join("objects.cfg"), objects)?;
        let args = vec![format!("{at}/main.cfg")];
        let process = start("nagios4", NAGIOS, args, env)?;
        process.line("launched command file worker", START_DEADLINE).await?;
        let commands = dir.path().join("run/commands");
        Ok(Self { dir, commands, process })
    }

    /// Icinga 2 with objects. `env` is what its commands find in theirs.
    pub async fn icinga(objects: &str, env: &[(&str, &str)]) -> Result<Self> {
        let dir = folder()?;
        let at = dir.path().display();
        let config = dir.path().join("icinga2.conf");
        fs::write(&config, format!("{ICINGA_SETTINGS}{objects}"))?;
        let mut args = vec!["daemon".to_owned(), "-c".to_owned(), config.display().to_string()];
        let names = [("RunAsUser", ourselves("-un").await?), ("RunAsGroup", ourselves("-gn").await?)];
        let names = names.into_iter().chain(["NodeName", "ZoneName"].map(|name| (name, "test".to_owned())));
        let folders = ["DataDir", "LogDir", "CacheDir", "SpoolDir", "InitRunDir"].map(|name| (name, name));
        let files = [
            ("PidPath", "InitRunDir/pid"),
            ("StatePath", "DataDir/state"),
            ("ModAttrPath", "DataDir/modified.conf"),
            ("ObjectsPath", "CacheDir/objects"),
            ("VarsPath", "CacheDir/variables"),
        ];
        for (_, folder) in folders {
            fs::create_dir(dir.path().join(folder))?;
        }
        let places = folders.into_iter().chain(files).map(|(name, place)| (name, format!("{at}/{place}")));
        args.extend(names.chain(places).flat_map(|(name, value)| ["-D".to_owned(), format!("{name}={value}")]));
        let process = start("icinga2", ICINGA, args, env)?;
        process.line("Activated all objects", START_DEADLINE).await?;
        let commands = dir.path().join("InitRunDir/commands");
        Ok(Self { dir, commands, process })
    }

    /// Gives it an external command, such as `PROCESS_HOST_CHECK_RESULT;web01;1;no answer`.
    pub async fn command(&self, command: &str) -> Result<()> {
        let seconds = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        let line = format!("[{seconds}] {command}\n");
        // It opens the pipe a moment after it says that it runs.
        let open = || async { Ok(Some(pipe::OpenOptions::new().open_sender(&self.commands)?)) };
        let mut sender = eventually("a reader of external commands", START_DEADLINE, open).await?;
        sender.write_all(line.as_bytes()).await.with_context(|| self.output())
    }

    /// Everything that it has said so far, in its log file too.
    #[must_use]
    pub fn output(&self) -> String {
        let log = fs::read(self.dir.path().join(NAGIOS_LOG)).unwrap_or_default();
        format!("{}{}", self.process.output(), String::from_utf8_lossy(&log))
    }
}

fn folder() -> Result<TempDir> {
    Ok(tempfile::Builder::new().prefix("bellwire-engine-").tempdir()?)
}

fn start(name: &str, program: &str, args: Vec<String>, env: &[(&str, &str)]) -> Result<Process> {
    ensure!(Path::new(program).exists(), "{program} is not installed: tests/install");
    // Nothing of the caller's environment may change what is tested.
    let mut words = vec!["-i".to_owned(), "PATH=/usr/sbin:/usr/bin:/sbin:/bin".to_owned()];
    words.extend(env.iter().map(|(name, value)| format!("{name}={value}")));
    words.push(program.to_owned());
    words.extend(args);
    Process::spawn_group(name, "env", &words)
}

/// Name of the user or the group that runs the tests.
async fn ourselves(flag: &str) -> Result<String> {
    let output = Command::new("id").arg(flag).output().await?;
    ensure!(output.status.success(), "id {flag} failed");
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}
