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
use crate::package::House;
use crate::process::Process;

/// The commands by which openITCOCKPIT notifies browsers: of hosts, of services.
pub const COMMANDS: [&str; 2] = ["cd13d22e-acd4-4a67-997b-6e120e0d3153", "c23255b7-5b1a-40b4-b614-17837dc376af"];
/// A setting of the main configuration, as openITCOCKPIT has it.
pub const SETTINGS: &str = "illegal_macro_output_chars=`~$&|'\"<>\n";

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
    dir: PathBuf,
    commands: PathBuf,
    process: Process,
    /// Where it is not in a house, which goes with everything in it.
    _folder: Option<TempDir>,
}

impl Engine {
    /// Nagios 4 with more lines of its main configuration, and objects. `env` is what its commands find in theirs.
    pub async fn nagios(settings: &str, objects: &str, env: &[(&str, &str)]) -> Result<Self> {
        let folder = folder()?;
        let (user, group) = (ourselves("-un").await?, ourselves("-gn").await?);
        let dir = folder.path().to_owned();
        write_nagios(&dir, &dir.display().to_string(), &user, &group, settings, objects)?;
        let process = start("nagios4", NAGIOS, vec![dir.join("main.cfg").display().to_string()], env)?;
        Self::nagios_at(dir, process, Some(folder)).await
    }

    /// As [`Engine::nagios`], in a house, as a user of it that has a group of the same name.
    pub async fn nagios_in(house: &House, user: &str, settings: &str, objects: &str) -> Result<Self> {
        let at = house.sh("printf %s \"$(mktemp -d /var/lib/bellwire-engine-XXXXXX)\"").await?;
        let dir = house.path(&at);
        write_nagios(&dir, &at, user, user, settings, objects)?;
        house.sh(&format!("chown -R {user}:{user} {at}")).await?;
        let mut args = house.entrance();
        let program = args.remove(0);
        let own = format!("{at}/main.cfg");
        let words = ["setpriv", "--reuid", user, "--regid", user, "--clear-groups", NAGIOS, &own];
        args.extend(words.map(str::to_owned));
        let process = start("nagios4", &program, args, &[])?;
        Self::nagios_at(dir, process, None).await
    }

    async fn nagios_at(dir: PathBuf, process: Process, folder: Option<TempDir>) -> Result<Self> {
        process.line("launched command file worker", START_DEADLINE).await?;
        Ok(Self { commands: dir.join("run/commands"), dir, process, _folder: folder })
    }

    /// Icinga 2 with objects. `env` is what its commands find in theirs.
    pub async fn icinga(objects: &str, env: &[(&str, &str)]) -> Result<Self> {
        let folder = folder()?;
        let dir = folder.path().to_owned();
        let at = dir.display();
        let config = dir.join("icinga2.conf");
        fs::write(&config, format!("{ICINGA_SETTINGS}{objects}"))?;
        let mut args = vec!["daemon".to_owned(), "-c".to_owned(), config.display().to_string()];
        let names = [("RunAsUser", ourselves("-un").await?), ("RunAsGroup", ourselves("-gn").await?)];
        let names = names.into_iter().chain(["NodeName", "ZoneName"].map(|name| (name, "test".to_owned())));
        let places = ["DataDir", "LogDir", "CacheDir", "SpoolDir", "InitRunDir"].map(|name| (name, name));
        let files = [
            ("PidPath", "InitRunDir/pid"),
            ("StatePath", "DataDir/state"),
            ("ModAttrPath", "DataDir/modified.conf"),
            ("ObjectsPath", "CacheDir/objects"),
            ("VarsPath", "CacheDir/variables"),
        ];
        for (_, place) in places {
            fs::create_dir(dir.join(place))?;
        }
        let places = places.into_iter().chain(files).map(|(name, place)| (name, format!("{at}/{place}")));
        args.extend(names.chain(places).flat_map(|(name, value)| ["-D".to_owned(), format!("{name}={value}")]));
        let process = start("icinga2", ICINGA, args, env)?;
        process.line("Activated all objects", START_DEADLINE).await?;
        Ok(Self { commands: dir.join("InitRunDir/commands"), dir, process, _folder: Some(folder) })
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
        let log = fs::read(self.dir.join(NAGIOS_LOG)).unwrap_or_default();
        format!("{}{}", self.process.output(), String::from_utf8_lossy(&log))
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = fs::read(self.dir.join(NAGIOS_LOG)).unwrap_or_default();
            eprintln!("--- log of the engine:\n{}---", String::from_utf8_lossy(&log));
        }
    }
}

/// A folder's content, which the engine finds at `at`.
fn write_nagios(dir: &Path, at: &str, user: &str, group: &str, settings: &str, objects: &str) -> Result<()> {
    for sub in ["results", "run"] {
        fs::create_dir(dir.join(sub))?;
    }
    let main = format!(
        "cfg_file={at}/objects.cfg\nlog_file={at}/{NAGIOS_LOG}\nobject_cache_file={at}/cache\nstatus_file={at}/status\n\
         precached_object_file={at}/precache\nstate_retention_file={at}/retention\ncommand_file={at}/run/commands\n\
         query_socket={at}/run/queries\nlock_file={at}/run/lock\ntemp_file={at}/temp\ntemp_path={at}\n\
         check_result_path={at}/results\nnagios_user={user}\nnagios_group={group}\n{NAGIOS_SETTINGS}{settings}\n"
    );
    fs::write(dir.join("main.cfg"), main)?;
    Ok(fs::write(dir.join("objects.cfg"), objects)?)
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

/// A period, and a host and a service that are checked from outside only, for Nagios; `contacts` is a comma list.
#[must_use]
pub fn objects(host: &str, service: &str, contacts: &str) -> String {
    let days = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
    let days = days.map(|day| format!("{day} 00:00-24:00\n")).concat();
    let checked = format!(
        "check_command nothing\nmax_check_attempts 1\ncheck_period 24x7\nnotification_period 24x7\n\
         notification_interval 0\nactive_checks_enabled 0\ncontacts {contacts}\n"
    );
    format!(
        "define timeperiod {{\ntimeperiod_name 24x7\nalias always\n{days}}}\n\
         define command {{\ncommand_name nothing\ncommand_line /bin/true\n}}\n\
         define host {{\nhost_name {host}\ndisplay_name Web 1\naddress 127.0.0.1\n{checked}}}\n\
         define service {{\nhost_name {host}\nservice_description {service}\ndisplay_name Disk C\n{checked}}}\n"
    )
}

/// [`objects`] as openITCOCKPIT writes them, with its two commands, and contacts that have a user or none.
#[must_use]
pub fn openitcockpit(host: &str, service: &str, contacts: &[(&str, Option<i64>)], lines: &[String; 2]) -> String {
    let names: Vec<_> = contacts.iter().map(|(name, _)| *name).collect();
    let mut text = objects(host, service, &names.join(","));
    for (uuid, line) in COMMANDS.iter().zip(lines) {
        text.push_str(&format!("define command {{\ncommand_name {uuid}\ncommand_line {line}\n}}\n"));
    }
    let [for_hosts, for_services] = COMMANDS;
    for (contact, user) in contacts {
        let user = user.map(|user| format!("_OITCUSERID {user}\n")).unwrap_or_default();
        text.push_str(&format!(
            "define contact {{\ncontact_name {contact}\nhost_notification_period 24x7\nservice_notification_period 24x7\n\
             host_notification_options d,u,r,f,s\nservice_notification_options w,u,c,r,f,s\n\
             host_notification_commands {for_hosts}\nservice_notification_commands {for_services}\n{user}}}\n"
        ));
    }
    text
}

/// Name of the user or the group that runs the tests.
async fn ourselves(flag: &str) -> Result<String> {
    let output = Command::new("id").arg(flag).output().await?;
    ensure!(output.status.success(), "id {flag} failed");
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}
