//! The directory on a real MariaDB with openITCOCKPIT's tables: what it knows, and what it costs when the database does not
//! answer.

use std::fmt::Debug;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use bellwire_common::directory::{Device, Directory, DirectoryError, Known, LOOKUP_MAX, Names, User};
use bellwire_common::ids::UserId;
use bellwire_testkit::eventually::eventually;
use bellwire_testkit::mariadb::{MariaDb, PASSWORD};
use futures_util::FutureExt;
use futures_util::future::try_join_all;

const HOST: &str = "cd13d22e-acd4-4a67-997b-6e120e0d3153";
const SERVICE: &str = "c23255b7-5b1a-40b4-b614-17837dc376af";
const TEMPLATE_SERVICE: &str = "74fd8f59-1348-4e16-85f0-4a5c57c7dd62";
const NOBODY: &str = "00000000-0000-4000-8000-000000000000";
const KEY: &str = "a-key-of-openitcockpit";
const SOON: Duration = Duration::from_secs(60);

async fn seeded() -> Result<MariaDb> {
    let database = MariaDb::start().await?;
    database.seed(HOST, SERVICE, TEMPLATE_SERVICE, KEY).await?;
    Ok(database)
}

fn open(cnf: &Path) -> Result<Directory> {
    Ok(Directory::open(cnf)?)
}

fn user(id: &str) -> UserId {
    UserId::try_new(id).expect("an id")
}

fn names(host: Option<&str>, service: Option<&str>) -> Names {
    Names { host: host.map(str::to_owned), service: service.map(str::to_owned) }
}

async fn host_name(directory: &Directory) -> Option<String> {
    directory.names(Some(HOST), None).await.host
}

/// What it comes to know. On a busy machine the first answers may take longer than [`LOOKUP_MAX`], and then whoever asked had none;
/// they are kept all the same.
async fn learn<T: PartialEq + Debug>(what: &str, expected: T, ask: impl AsyncFn() -> T) -> Result<()> {
    let last = Mutex::new(None);
    let known = async || {
        let answer = ask().await;
        let is_known = (answer == expected).then_some(());
        *last.lock().unwrap_or_else(PoisonError::into_inner) = Some(answer);
        Ok(is_known)
    };
    eventually(what, SOON, known).await.with_context(|| format!("{last:?} is not {expected:?}"))
}

/// Of what must not wait for anything.
fn at_once<T>(answer: impl Future<Output = T>) -> Result<T> {
    answer.now_or_never().context("it waits")
}

async fn learn_host(directory: &Directory) -> Result<()> {
    learn("the host's name", Some("web-01".to_owned()), async || host_name(directory).await).await
}

#[tokio::test(flavor = "multi_thread")]
async fn it_knows_what_openitcockpit_knows() -> Result<()> {
    let database = seeded().await?;
    let directory = open(&database.cnf())?;
    directory.ping().await.map_err(anyhow::Error::msg)?;

    let known = async |host: &str, service: &str, expected: Names| {
        learn("names", expected, async || directory.names(Some(host), Some(service)).await).await
    };
    known(HOST, SERVICE, names(Some("web-01"), Some("Disk /"))).await?;
    known(&HOST.to_uppercase(), TEMPLATE_SERVICE, names(Some("web-01"), Some("Ping"))).await?;
    database.run(&format!("UPDATE services SET name = '' WHERE uuid = '{SERVICE}'")).await?;
    let fresh = open(&database.cnf())?;
    let ping = names(None, Some("Ping"));
    learn("the template's name", ping, async || fresh.names(None, Some(SERVICE)).await).await?;
    for (host, service) in [(Some(NOBODY), Some(NOBODY)), (Some("web-01"), Some("' OR 1=1 -- ")), (None, None)] {
        assert_eq!(directory.names(host, service).await, Names::default());
    }

    let both = User { host_push: true, service_push: true };
    let known =
        async |id: &str, expected: Known<User>| learn(id, expected, async || directory.user(&user(id)).await).await;
    known("7", Known::Yes(both)).await?;
    known("8", Known::Yes(User { host_push: true, service_push: false })).await?;
    known("9", Known::Yes(User::default())).await?;
    for unknown in ["10", "alice", "007", "99999999999"] {
        known(unknown, Known::No).await?;
    }

    assert_eq!(directory.shared_key().await?.context("no key")?.expose(), KEY);
    database.run("DELETE FROM systemsettings").await?;
    assert_eq!(directory.shared_key().await?, None);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn relay_devices_and_exports_are_read_as_they_are() -> Result<()> {
    let database = seeded().await?;
    let directory = open(&database.cnf())?;
    assert_eq!(directory.relay().await?, None);
    database.run("INSERT INTO push_notifications_relay (address, port, auth_key, enabled) VALUES ('off', 1, 'x', 0), ('relay.example', 8443, 'secret', 1)").await?;
    let relay = directory.relay().await?.context("no relay")?;
    assert_eq!((&*relay.address, relay.port, relay.auth_key.expose()), ("relay.example", 8443, "secret"));
    assert!(!format!("{relay:?}").contains("secret"));

    database.run("INSERT INTO mobile_devices (user_id, device_id) VALUES (7, 'a\\'b'), (7, 'c'), (8, 'a\\'b')").await?;
    let device = |user, id: &str| Device { user, id: id.to_owned() };
    assert_eq!(directory.devices(&user("7")).await?, [device(7, "c"), device(7, "a'b")]);
    directory.remove_device(&device(7, "a'b")).await?;
    assert_eq!(directory.devices(&user("7")).await?, [device(7, "c")]);
    assert_eq!(directory.devices(&user("8")).await?, [device(8, "a'b")], "another user's device stays");
    assert_eq!(directory.devices(&user("alice")).await?, []);

    assert_eq!(directory.export_status().await?, None);
    let start = "INSERT INTO exports (task, finished) VALUES ('export_started', 0), ('export_create_backup', 1)";
    database.run(start).await?;
    let running = directory.export_status().await?.context("no export")?;
    database.run("UPDATE exports SET finished = 1").await?;
    let ended = directory.export_status().await?.context("no export")?;
    assert!(running.running && !ended.running && running.version < ended.version, "{running:?} {ended:?}");
    database.run(&format!("DELETE FROM exports;\n{start}")).await?;
    let next = directory.export_status().await?.context("no export")?;
    assert!(next.running && next.version > ended.version, "{next:?}");

    let null = |table: &str, column: &str, kind: &str| {
        format!("ALTER TABLE {table} MODIFY {column} {kind} NULL;\nUPDATE {table} SET {column} = NULL;\n")
    };
    database.run(&null("exports", "finished", "INT(1)")).await?;
    assert!(directory.export_status().await?.context("no export")?.running);
    database.run("ALTER TABLE mobile_devices DROP KEY device").await?;
    database.run(&null("mobile_devices", "device_id", "VARCHAR(255)")).await?;
    assert_eq!(directory.devices(&user("7")).await?, []);
    let of_relay = [("address", "VARCHAR(255)"), ("port", "INT"), ("auth_key", "VARCHAR(255)")];
    for (column, kind) in of_relay {
        database.run(&null("push_notifications_relay", column, kind)).await?;
    }
    let relay = directory.relay().await?.context("no relay")?;
    assert_eq!((&*relay.address, relay.port, relay.auth_key.expose()), ("", 0, ""));
    database.run("ALTER TABLE push_notifications_relay MODIFY port VARCHAR(9);\nUPDATE push_notifications_relay SET port = 'x'").await?;
    assert!(matches!(directory.relay().await, Err(DirectoryError::Refused(_))), "a column of another kind");
    database.run(&null("systemsettings", "value", "VARCHAR(255)")).await?;
    assert_eq!(directory.shared_key().await?, None);
    let nameless = open(&database.cnf())?;
    database.run(&null("hosts", "name", "VARCHAR(255)")).await?;
    assert_eq!(host_name(&nameless).await, None);
    database.run("UPDATE hosts SET name = 'web-01'").await?;

    // As openITCOCKPIT 5.3, which has neither table.
    database.run("DROP TABLE push_notifications_relay;\nDROP TABLE mobile_devices").await?;
    assert_eq!((directory.relay().await?, directory.devices(&user("7")).await?), (None, Vec::new()));
    // A refusal is not an outage.
    database.run("DROP TABLE systemsettings").await?;
    assert!(matches!(directory.shared_key().await, Err(DirectoryError::Refused(_))));
    learn_host(&directory).await
}

#[tokio::test(flavor = "multi_thread")]
async fn many_who_ask_are_few_queries() -> Result<()> {
    let database = seeded().await?;
    let directory = open(&database.cnf())?;
    // The connection is there.
    directory.shared_key().await?;
    let before = database.status("Com_select").await?;
    let both = User { host_push: true, service_push: true };
    let expected = (names(Some("web-01"), None), Known::Yes(both));
    let asked = &directory;
    try_join_all((0..500).map(|number: u32| {
        let (other, expected) = (format!("00000000-0000-4000-8000-{:012}", number % 50), expected.clone());
        async move {
            let ask = async || {
                let names = asked.names(Some(HOST), Some(&other)).await;
                (names, asked.user(&user("7")).await)
            };
            learn("names and the user", expected, ask).await
        }
    }))
    .await?;
    let selects = database.status("Com_select").await? - before;
    // 52 different questions of 1000 who ask: what comes while a query is on its way waits for the next one.
    ensure!((2..=20).contains(&selects), "{selects} queries");
    let before = database.status("Com_select").await?;
    assert_eq!(at_once(directory.names(Some(HOST), Some(NOBODY)))?, names(Some("web-01"), None));
    assert_eq!(
        database.status("Com_select").await? - before,
        0,
        "both answers are remembered, also that there is none"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_away_costs_nothing_and_what_was_known_stays() -> Result<()> {
    let mut database = seeded().await?;
    let directory = open(&database.cnf())?;
    learn_host(&directory).await?;
    database.kill().await?;
    assert_eq!(directory.names(Some(HOST), Some(SERVICE)).await, names(Some("web-01"), None));
    assert_eq!(directory.user(&user("7")).await, Known::Unknown);
    eventually("the outage is known", SOON, || async {
        Ok((directory.shared_key().await == Err(DirectoryError::Away)).then_some(()))
    })
    .await?;
    for _ in 0..1000 {
        assert_eq!(at_once(directory.user(&user("7")))?, Known::Unknown);
    }
    assert!(directory.ping().await.is_err());

    database.restart().await?;
    let service = names(None, Some("Disk /"));
    learn("the service's name", service, async || directory.names(None, Some(SERVICE)).await).await?;
    let both = User { host_push: true, service_push: true };
    learn("the user", Known::Yes(both), async || directory.user(&user("7")).await).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_hangs_is_waited_for_once() -> Result<()> {
    let database = seeded().await?;
    let directory = open(&database.cnf())?;
    learn_host(&directory).await?;
    database.pause().await?;
    let started = Instant::now();
    assert_eq!(directory.names(None, Some(SERVICE)).await, Names::default());
    assert!(started.elapsed() >= LOOKUP_MAX, "it was waited for");
    // From when that query has taken as long, nobody waits for it any more: neither before it is given up nor after that.
    let ask = || directory.names(None, Some(TEMPLATE_SERVICE));
    eventually("nobody waits", SOON, || async { Ok(ask().now_or_never()) }).await?;
    let is_away = async || directory.shared_key().await == Err(DirectoryError::Away);
    for _ in 0..1000 {
        assert_eq!(at_once(ask())?, Names::default());
        assert_eq!(at_once(directory.names(Some(HOST), None))?, names(Some("web-01"), None));
    }
    eventually("the query is given up", SOON, || async { Ok(is_away().await.then_some(())) }).await?;
    assert_eq!(at_once(ask())?, Names::default());
    database.resume().await?;
    let service = names(None, Some("Disk /"));
    learn("the service's name", service, async || directory.names(None, Some(SERVICE)).await).await
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_starts_later_and_a_password_that_changes_need_no_restart() -> Result<()> {
    let mut database = seeded().await?;
    let cnf = database.cnf();
    database.stop().await?;
    let directory = open(&cnf)?;
    assert_eq!(host_name(&directory).await, None);
    database.restart().await?;
    eventually("the database is found", SOON, || async { Ok(host_name(&directory).await) }).await?;

    let port = database.address().port();
    let wrong = database.cnf_with("other.cnf", &format!("host = 127.0.0.1\nport = {port}\npassword = wrong\n"));
    let directory = open(&wrong)?;
    assert_eq!(directory.shared_key().await, Err(DirectoryError::Away));
    let said = directory.ping().await.err().context("a wrong password is taken")?;
    assert!(said.contains("Access denied") && !said.contains(PASSWORD), "{said}");
    let right = format!("host = 127.0.0.1\nport = {port}\npassword = \"{PASSWORD}\"\n");
    assert_eq!(database.cnf_with("other.cnf", &right), wrong);
    eventually("the file is read again", SOON, || async { Ok(host_name(&directory).await) }).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn localhost_is_the_socket_first_and_tcp_after_that() -> Result<()> {
    let database = seeded().await?;
    let (socket, port) = (database.socket().display().to_string(), database.address().port());
    // Nobody listens at port 1.
    let lines = format!("host = localhost\nport = 1\nsocket = {socket}\npassword = '{PASSWORD}'\n");
    let by_socket = open(&database.cnf_with("socket.cnf", &lines))?;
    learn_host(&by_socket).await?;
    let lines = format!("host = localhost\nport = {port}\nsocket = /nowhere\npassword = {PASSWORD}\n");
    let by_tcp = open(&database.cnf_with("tcp.cnf", &lines))?;
    if !["/run/mysqld/mysqld.sock", "/var/lib/mysql/mysql.sock"].iter().any(|path| Path::new(path).exists()) {
        learn_host(&by_tcp).await?;
    }
    Ok(())
}

#[test]
fn a_bad_file_is_told_at_once() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("mysql.cnf");
    let said = |path: &Path| Directory::open(path).expect_err("it is bad").to_string();
    assert!(said(&path).starts_with("cannot be read: "));
    std::fs::write(&path, "[client]\nuser = u\n").expect("a file");
    assert_eq!(said(&path), "database must be given in the section [client]");
}
