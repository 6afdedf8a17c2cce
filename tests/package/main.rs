//! The Debian packages: built, installed in a copy of this system that nobody else sees, used, and removed.

use std::path::Path;
use std::time::Duration;

use bellwire_testkit::bellwire::KEY;
use bellwire_testkit::eventually::eventually;
use bellwire_testkit::package::{House, Unit, build};
use bellwire_testkit::process::{Process, Signal, binary};
use bellwire_testkit::tab::{Front, Profile};
use bellwire_testkit::{http, ports};
use tempfile::TempDir;
use tokio::process::Command;

/// Building and installing, on a machine that builds something else.
const PATIENCE: Duration = Duration::from_secs(300);

const NAMES: [&str; 2] = ["openitcockpit-websocket.service", "push_notification.service"];
const UNITS: [&str; 5] = [
    "/usr/lib/systemd/system/bellwire.service",
    "/usr/lib/systemd/system/bellwire-gateway.service",
    "/usr/lib/systemd/system/bellwire-ingest.service",
    "/etc/systemd/system/openitcockpit-websocket.service",
    "/etc/systemd/system/push_notification.service",
];

/// What is said of a setting that there is not, and of a file that is none of settings.
const UNKNOWN: [&str; 2] = ["no such setting", "is not TOML"];

/// Everything of Bellwire that has come to the system within a day.
const LEFT: &str = "find / -xdev \\( -path /proc -o -path /tmp -o -path /var/log -o -path /var/tmp \\) -prune -o -newerct '-1 day' \
                    -ipath '*bellwire*' -print | grep -v -e target/ -e /src/ || true";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

async fn installed() -> (House, TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let made = build(dir.path(), "0.1.0").await.unwrap();
    let house = House::open().await.unwrap();
    house.sh("getent passwd nagios || useradd --system --user-group nagios").await.unwrap();
    house.install(&made).await.unwrap();
    (house, dir)
}

#[tokio::test]
async fn it_comes_is_updated_and_goes_without_a_trace() {
    let dir = tempfile::tempdir().unwrap();
    let old = build(&dir.path().join("old"), "0.1.0").await.unwrap();
    let new = build(&dir.path().join("new"), "0.1.1").await.unwrap();
    let house = House::open().await.unwrap();
    house.sh("getent passwd nagios || useradd --system --user-group nagios").await.unwrap();
    house.install(&old).await.unwrap();

    assert_eq!(house.sh("stat -c '%a %U %G' /etc/bellwire").await.unwrap(), "750 root bellwire\n");
    assert_eq!(house.sh("stat -c '%a %U' /var/spool/bellwire").await.unwrap(), "700 nagios\n");
    house
        .sh("bellwire --version && bellwire-notify --version && bellwire config --config /etc/bellwire/bellwire.toml")
        .await
        .unwrap();
    house.sh("zcat /usr/share/man/man8/bellwire.8.gz | grep -q 'admin.-listen'").await.unwrap();
    let wants = house.sh("find /etc/systemd/system /run -name '*bellwire*'").await.unwrap();
    assert_eq!(wants, "", "an installation starts nothing");

    house
        .sh("echo 'ttl = \"300s\"' >>/etc/bellwire/bellwire.toml; echo changed >/etc/bellwire/openitcockpit.env")
        .await
        .unwrap();
    house.sh("echo secret >/etc/bellwire/shared-key").await.unwrap();
    house.install(&new).await.unwrap();
    assert_eq!(
        house.sh("dpkg-query -W -f '${Version} ' bellwire bellwire-openitcockpit").await.unwrap(),
        "0.1.1 0.1.1 "
    );
    let kept = house.sh("tail -1 /etc/bellwire/bellwire.toml; cat /etc/bellwire/openitcockpit.env").await.unwrap();
    assert_eq!(kept, "ttl = \"300s\"\nchanged\n");

    let found = house.sh(LEFT).await.unwrap();
    assert!(found.lines().any(|line| line == "/usr/bin/bellwire"), "what looks for remains finds them: {found}");

    // The way back: with the package go the names, so that openITCOCKPIT's own units count again.
    house.sh("dpkg -r bellwire-openitcockpit").await.unwrap();
    for name in NAMES {
        house.sh(&format!("test ! -e /etc/systemd/system/{name}")).await.unwrap();
    }
    house.sh("mkdir -p /var/lib/bellwire && touch /var/lib/bellwire/log").await.unwrap();
    house.sh("dpkg -r bellwire && test -e /etc/bellwire/shared-key").await.unwrap();
    house.sh("dpkg -P bellwire-openitcockpit bellwire").await.unwrap();
    let of_this_tree = |line: &&str| !Path::new(line).starts_with(root());
    let left = house.sh(LEFT).await.unwrap();
    let left: Vec<_> = left.lines().filter(of_this_tree).filter(|line| !is_a_checkout(line)).collect();
    assert_eq!(left, Vec::<&str>::new());
    house.sh("! getent passwd bellwire && ! getent group bellwire && ! dpkg -s bellwire").await.unwrap();
}

/// The machine that tests may have this project elsewhere too.
fn is_a_checkout(path: &str) -> bool {
    Path::new(path).ancestors().any(|folder| folder.join("Cargo.toml").is_file() || folder.join(".git").exists())
}

#[tokio::test]
async fn the_same_input_makes_the_same_packages() {
    let dir = tempfile::tempdir().unwrap();
    let once = build(&dir.path().join("once"), "0.1.0").await.unwrap();
    let twice = build(&dir.path().join("twice"), "0.1.0").await.unwrap();
    for (once, twice) in once.iter().zip(&twice) {
        assert!(std::fs::read(once).unwrap() == std::fs::read(twice).unwrap(), "{} differs", once.display());
    }
}

#[tokio::test]
async fn the_units_are_sound_and_keep_it_in_bounds() {
    let (house, _dir) = installed().await;
    let more = "/usr/lib/systemd/system/bellwire.socket /usr/lib/systemd/system/bellwire-flush.timer";
    let flush = "/usr/lib/systemd/system/bellwire-flush.service";
    let said = house.sh(&format!("systemd-analyze verify {} {more} {flush} 2>&1", UNITS.join(" "))).await.unwrap();
    assert_eq!(said, "", "systemd-analyze verify");
    // docs/operations.md: the socket under one of openITCOCKPIT's names.
    let page = std::fs::read_to_string(root().join("docs/operations.md")).unwrap();
    let drop_in = page.split_once("```ini\n").and_then(|(_, rest)| rest.split_once("```")).unwrap().0;
    house.sh(&format!("mkdir /etc/systemd/system/bellwire.socket.d; printf '%s' '{drop_in}' >/etc/systemd/system/bellwire.socket.d/name.conf")).await.unwrap();
    let said = house.sh("systemd-analyze verify /usr/lib/systemd/system/bellwire.socket 2>&1").await.unwrap();
    assert_eq!(said, "", "systemd-analyze verify");
    // 0 is a process that may do nothing, 10 one that may do everything; network and AF_UNIX cost what is left.
    let security = format!("systemd-analyze security --offline=true --threshold=15 {} {flush} 2>&1", UNITS.join(" "));
    house.sh(&security).await.unwrap();
    for unit in UNITS {
        let unit = Unit::read(&house, unit).await.unwrap();
        assert_eq!((unit.value("Type"), unit.value("User")), ("notify", "bellwire"));
        // Tabs must be handed on before the manager loses its patience; the process asks for what it needs beyond.
        assert!(unit.value("TimeoutStopSec").parse::<u64>().unwrap() > 30);
        assert_eq!(unit.value("RestartPreventExitStatus"), "64");
    }
    let [one, other] = [Unit::read(&house, UNITS[3]).await.unwrap(), Unit::read(&house, UNITS[4]).await.unwrap()];
    assert_eq!(one.service(), other.service(), "one service under two names");
    for (unit, name) in [(one, NAMES[1]), (other, NAMES[0])] {
        assert!(unit.value("Conflicts").contains(name), "both would want the same port");
    }
}

/// What the engine sends with the installed command is shown by a tab of what the unit starts.
#[tokio::test]
async fn what_a_unit_starts_brings_an_alarm_to_a_tab() {
    let (house, dir) = installed().await;
    let (listen, admin) = (ports::free(), ports::free());
    let settings = format!("listen = \"{listen}\"\nadmin-listen = \"{admin}\"\nsession-check = \"key-only\"\n");
    house.sh(&format!("printf '%s' '{settings}' >>/etc/bellwire/bellwire.toml")).await.unwrap();
    house
        .sh(&format!("(umask 027; echo {KEY} >/etc/bellwire/shared-key; chgrp bellwire /etc/bellwire/shared-key)"))
        .await
        .unwrap();
    house.sh("echo 'shared-key-file = \"/etc/bellwire/shared-key\"' >>/etc/bellwire/bellwire.toml").await.unwrap();
    for path in [UNITS[0], UNITS[3], UNITS[4]] {
        let unit = Unit::read(&house, path).await.unwrap();
        let mut process = Process::spawn(path, unit.start(&house).await.unwrap()).unwrap();
        let ready = || async { Ok((http::get(admin, "/readyz").await?.status == 200).then_some(())) };
        eventually("readiness", PATIENCE, ready).await.unwrap_or_else(|error| panic!("{error}: {}", process.output()));
        let tab = Profile::new(Front::V2, "1", "browser", listen).open().await.unwrap();
        let notify = format!(
            "setpriv --reuid nagios --regid nagios --clear-groups bellwire-notify --ingest http://{listen} --spool \
             /var/spool/bellwire --type host --notificationtype PROBLEM --hostuuid web01 --state 1 --output 'for {path}' \
             --user-id 1"
        );
        assert_eq!(house.sh(&notify).await.unwrap(), "");
        assert_eq!(tab.wait_shown(1).await.unwrap()[0].body, format!("for {path}"));
        process.signal(Signal::Term).await.unwrap();
        assert!(process.wait(PATIENCE).await.unwrap().success(), "{}", process.output());
    }
    assert_eq!(house.sh("stat -c %U /var/lib/bellwire").await.unwrap(), "bellwire\n");

    // The cluster is elsewhere: the same unit, with the other line of its settings.
    house
        .sh(&format!("echo 'RUN=watch --target http://{admin}/readyz --for 1' >/etc/bellwire/openitcockpit.env"))
        .await
        .unwrap();
    let unit = Unit::read(&house, UNITS[3]).await.unwrap();
    let mut process = Process::spawn("watch", unit.start(&house).await.unwrap()).unwrap();
    assert_eq!(process.wait(PATIENCE).await.unwrap().code(), Some(1), "{}", process.output());
    process.line("out of reach for 1 s", PATIENCE).await.unwrap();
    drop(dir);
}

/// Every line that is offered in the settings is known to the program.
#[tokio::test]
async fn the_settings_that_are_offered_exist() {
    let text = std::fs::read_to_string(root().join("packaging/bellwire.toml")).unwrap();
    let offered: Vec<_> =
        text.lines().filter_map(|line| line.strip_prefix('#')).filter(|line| line.contains(" = ")).collect();
    assert!(offered.len() > 5, "{text}");
    let dir = tempfile::tempdir().unwrap();
    let unknown = async |line: &str| {
        let file = dir.path().join("bellwire.toml");
        std::fs::write(&file, line).unwrap();
        let mut command = Command::new(binary("bellwire"));
        let output = command.env_clear().args(["config", "gateway", "--config"]).arg(&file).output().await.unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        UNKNOWN.iter().any(|words| said.contains(words)).then_some(said)
    };
    for line in offered {
        assert_eq!(unknown(line).await, None, "{line}");
        // And it would be said.
        let (name, value) = line.split_once(" = ").unwrap();
        for wrong in [format!("{name}x = {value}"), format!("{name} = {value}\"")] {
            assert!(unknown(&wrong).await.is_some(), "{wrong}");
        }
    }
}

/// What docs/openitcockpit.md tells to uncomment can be used, with files as they are on openITCOCKPIT's server.
#[tokio::test]
async fn the_settings_for_openitcockpit_can_be_used() {
    let dir = tempfile::tempdir().unwrap();
    let mysql = dir.path().join("mysql.cnf");
    let text =
        "; MySQL credentials\n[client]\ndatabase = openitcockpit\nhost = localhost\nuser = oitc\npassword = a;b#c\n";
    std::fs::write(&mysql, text).unwrap();
    let settings = std::fs::read_to_string(root().join("packaging/bellwire.toml")).unwrap();
    let mut lines: Vec<String> = settings.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect();
    for (name, path) in [
        ("openitcockpit-url", None),
        ("openitcockpit-ca-file", Some(Path::new("/etc/ssl/certs/ca-certificates.crt"))),
        ("mysql-file", Some(&*mysql)),
    ] {
        let line = settings.lines().find_map(|line| line.strip_prefix('#').filter(|l| l.starts_with(name))).unwrap();
        lines.push(path.map_or_else(|| line.to_owned(), |path| format!("{name} = \"{}\"", path.display())));
    }
    let file = dir.path().join("bellwire.toml");
    std::fs::write(&file, lines.join("\n")).unwrap();
    let output = Command::new(binary("bellwire")).env_clear().args(["config", "--config"]).arg(&file).output().await;
    let output = output.unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}
