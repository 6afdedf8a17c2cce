//! The directory on a real MariaDB with openITCOCKPIT's tables: what it knows, and what it costs when the database does not
//! answer.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use bellwire_common::directory::{Device, Directory, DirectoryError, Known, LOOKUP_MAX, Names, QUERY_TIMEOUT, User};
use bellwire_common::ids::UserId;
use bellwire_testkit::eventually::eventually;
use bellwire_testkit::mariadb::{MariaDb, PASSWORD};

const HOST: &str = "cd13d22e-acd4-4a67-997b-6e120e0d3153";
const SERVICE: &str = "c23255b7-5b1a-40b4-b614-17837dc376af";
const TEMPLATE_SERVICE: &str = "74fd8f59-1348-4e16-85f0-4a5c57c7dd62";
const NOBODY: &str = "00000000-0000-4000-8000-000000000000";
const KEY: &str = "a-key-of-openitcockpit";
const SOON: Duration = Duration::from_secs(60);

/// Room for a machine that is busy with other tests; what is measured is that nobody waits for the database, which would
/// be for ever.
const BUSY: Duration = Duration::from_secs(5);

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

#[tokio::test(flavor = "multi_thread")]
async fn it_knows_what_openitcockpit_knows() -> Result<()> {
    let database = seeded().await?;
    let directory = open(&database.cnf())?;
    directory.ping().await.map_err(anyhow::Error::msg)?;

    assert_eq!(directory.names(Some(HOST), Some(SERVICE)).await, names(Some("web-01"), Some("Disk /")));
    let shouted = HOST.to_uppercase();
    assert_eq!(directory.names(Some(&shouted), Some(TEMPLATE_SERVICE)).await, names(Some("web-01"), Some("Ping")));
    database.run(&format!("UPDATE services SET name = '' WHERE uuid = '{SERVICE}'")).await?;
    let fresh = open(&database.cnf())?;
    assert_eq!(fresh.names(None, Some(SERVICE)).await.service.as_deref(), Some("Ping"));
    for (host, service) in [(Some(NOBODY), Some(NOBODY)), (Some("web-01"), Some("' OR 1=1 -- ")), (None, None)] {
        assert_eq!(directory.names(host, service).await, Names::default());
    }

    let both = User { host_push: true, service_push: true };
    assert_eq!(directory.user(&user("7")).await, Known::Yes(both));
    assert_eq!(directory.user(&user("8")).await, Known::Yes(User { host_push: true, service_push: false }));
    assert_eq!(directory.user(&user("9")).await, Known::Yes(User::default()));
    for unknown in ["10", "alice", "007", "99999999999"] {
        assert_eq!(directory.user(&user(unknown)).await, Known::No, "{unknown}");
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
    assert_eq!(host_name(&directory).await.as_deref(), Some("web-01"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn many_who_ask_are_few_queries() -> Result<()> {
    let database = seeded().await?;
    let directory = open(&database.cnf())?;
    // The connection is there.
    directory.shared_key().await?;
    let before = database.status("Com_select").await?;
    let asking: Vec<_> = (0..500)
        .map(|number: u32| {
            let (directory, other) = (directory.clone(), format!("00000000-0000-4000-8000-{:012}", number % 50));
            tokio::spawn(
                async move { (directory.names(Some(HOST), Some(&other)).await, directory.user(&user("7")).await) },
            )
        })
        .collect();
    for asked in asking {
        let (found, known) = asked.await?;
        assert_eq!(
            (found, known),
            (names(Some("web-01"), None), Known::Yes(User { host_push: true, service_push: true }))
        );
    }
    let selects = database.status("Com_select").await? - before;
    // 52 different questions of 1000 who ask: what comes while a query is on its way waits for the next one.
    ensure!((2..=20).contains(&selects), "{selects} queries");
    let before = database.status("Com_select").await?;
    assert_eq!(directory.names(Some(HOST), Some(NOBODY)).await.host.as_deref(), Some("web-01"));
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
    assert_eq!(host_name(&directory).await.as_deref(), Some("web-01"));
    database.kill().await?;
    assert_eq!(directory.names(Some(HOST), Some(SERVICE)).await, names(Some("web-01"), None));
    assert_eq!(directory.user(&user("7")).await, Known::Unknown);
    eventually("the outage is known", SOON, || async {
        Ok((directory.shared_key().await == Err(DirectoryError::Away)).then_some(()))
    })
    .await?;
    let started = Instant::now();
    for _ in 0..10_000 {
        assert_eq!(directory.user(&user("7")).await, Known::Unknown);
    }
    assert!(started.elapsed() < BUSY, "nobody waits while it is away");
    assert!(directory.ping().await.is_err());

    database.restart().await?;
    eventually("it is asked again", SOON, || async {
        Ok((directory.names(None, Some(SERVICE)).await.service.as_deref() == Some("Disk /")).then_some(()))
    })
    .await?;
    assert!(matches!(directory.user(&user("7")).await, Known::Yes(_)));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_hangs_is_waited_for_once() -> Result<()> {
    let database = seeded().await?;
    let directory = open(&database.cnf())?;
    assert_eq!(host_name(&directory).await.as_deref(), Some("web-01"));
    database.pause().await?;
    let started = Instant::now();
    assert_eq!(directory.names(None, Some(SERVICE)).await, Names::default());
    assert!(started.elapsed() >= LOOKUP_MAX, "it was waited for");
    assert!(started.elapsed() < LOOKUP_MAX + BUSY);
    // The query is given up after its time; nobody waits for it any more before and after that.
    let started = Instant::now();
    for _ in 0..1000 {
        assert_eq!(directory.names(None, Some(TEMPLATE_SERVICE)).await, Names::default());
        assert_eq!(host_name(&directory).await.as_deref(), Some("web-01"));
    }
    assert!(started.elapsed() < QUERY_TIMEOUT + BUSY);
    database.resume().await?;
    eventually("it is asked again", SOON, || async {
        Ok((directory.names(None, Some(SERVICE)).await.service.as_deref() == Some("Disk /")).then_some(()))
    })
    .await?;
    Ok(())
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
    assert_eq!(host_name(&by_socket).await.as_deref(), Some("web-01"));
    let lines = format!("host = localhost\nport = {port}\nsocket = /nowhere\npassword = {PASSWORD}\n");
    let by_tcp = open(&database.cnf_with("tcp.cnf", &lines))?;
    if !["/run/mysqld/mysqld.sock", "/var/lib/mysql/mysql.sock"].iter().any(|path| Path::new(path).exists()) {
        assert_eq!(host_name(&by_tcp).await.as_deref(), Some("web-01"));
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
