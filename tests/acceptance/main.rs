//! At home in openITCOCKPIT: a real engine, database, web server, broker and browsers around Bellwire as its packages install
//! it. Each test has a network and a copy of this system for itself, so that every address is the documented one.

mod guide;
mod person;
mod site;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use anyhow::ensure;
use bellwire_testkit::bellwire::metric;
use bellwire_testkit::broker::Broker;
use bellwire_testkit::engine::Engine;
use bellwire_testkit::eventually::eventually;
use bellwire_testkit::network;
use bellwire_testkit::package::Unit;
use bellwire_testkit::process::{Process, Signal};
use bellwire_testkit::tab::PATIENCE;
use bellwire_testkit::webdriver::Notice;
use guide::{Guide, uncomment};
use person::{Page, Person};
use site::{ANN, BOB, HOST, NAME, SERVICE, Site};

const ADMIN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9083);
const GATEWAY: &str = "/usr/lib/systemd/system/bellwire-gateway.service";
const INGEST: &str = "/usr/lib/systemd/system/bellwire-ingest.service";
const FLUSH: &str = "/usr/lib/systemd/system/bellwire-flush.service";

/// What `bellwire check` is told beside the settings: the limits are for machines that do nothing else.
const CHECK: &str = "runuser -u bellwire -- bellwire check --config /etc/bellwire/bellwire.toml -w 60 -c 60 -t 60";

/// What happens in the engine, and the title, the text and the icon that a person sees.
const STORY: [(&str, &str, &str, &str); 4] = [
    ("service;2", "web-01/Disk / is CRITICAL", "no space", "ServicePushIconCRITICAL"),
    ("service;0", "web-01/Disk / is OK", "fine again", "ServicePushIconOK"),
    ("host;1", "web-01 is DOWN", "no answer", "HostPushIconDOWN"),
    ("host;0", "web-01 is UP", "here again", "HostPushIconUP"),
];

/// A result of a check, as a plugin gives it.
async fn result(engine: &Engine, what: &str, output: &str) {
    let command = match what.split_once(';').unwrap() {
        ("service", state) => format!("PROCESS_SERVICE_CHECK_RESULT;{HOST};{SERVICE};{state};{output}"),
        (_, state) => format!("PROCESS_HOST_CHECK_RESULT;{HOST};{state};{output}"),
    };
    engine.command(&command).await.unwrap();
}

/// Each alert is shown before the next is raised: once in each browser, with names and icon.
async fn story(engine: &Engine, people: &[&Person], before: usize) {
    for (done, (what, title, body, icon)) in STORY.into_iter().enumerate() {
        result(engine, what, body).await;
        for person in people {
            let shown = person.shown(before + done + 1).await;
            let last = shown.last().unwrap();
            assert!(last.title.starts_with(title), "{}: not {title}", last.title);
            assert_eq!(last.option("body"), body);
            assert_eq!(last.option("icon"), format!("/img/push_notifications/wh/{icon}.png"));
        }
    }
    // What came too much would be there by now.
    for person in people {
        person.handled().await;
        person.shown(before + STORY.len()).await;
    }
}

/// What a click on a service's and on a host's notification opens.
async fn clicks(person: &Person, shown: &[Notice]) {
    for (notice, place) in [(0, format!("/a/services/browser/{SERVICE}")), (2, format!("/a/hosts/browser/{HOST}"))] {
        assert_eq!(person.click(&shown[notice]).await, place);
    }
}

/// Somebody who is logged in, and claims to be somebody else.
async fn intruder(page: Page) -> Person {
    let mut bob = Person::log_in(BOB.1).await;
    bob.pretend(ANN.0).await;
    bob.load(page).await;
    match page {
        // Its registration is answered with the end, of which it makes nothing.
        Page::V1 => bob.until("the end", "return page.socket?.readyState === WebSocket.CLOSED").await,
        // Its handshake is refused, and it tries again.
        Page::V2 => bob.until("a second refusal", "return page.errors > 1 && page.greetings === 0").await,
    };
    bob
}

async fn stop(mut process: Process) {
    process.signal(Signal::Term).await.unwrap();
    assert!(process.wait(PATIENCE).await.unwrap().success(), "{}", process.output());
}

/// The nodes of a cluster, by the packages' units, and openITCOCKPIT around them.
#[tokio::test]
async fn an_alert_is_shown_once_to_whom_it_concerns() {
    if !network::is_own("an_alert_is_shown_once_to_whom_it_concerns").await.unwrap() {
        return;
    }
    let (mut site, broker) = tokio::join!(Site::start(), Broker::start());
    let mut broker = broker.unwrap();
    site.house.sh("cd /srv/packages && apt-get install ./bellwire_*.deb ./bellwire-openitcockpit_*.deb").await.unwrap();
    site.house.sh("install -g bellwire -m 640 /etc/nginx/site.pem /etc/bellwire/openitcockpit.pem").await.unwrap();
    site.house.sh("install -g bellwire -m 640 /opt/openitc/etc/mysql/mysql.cnf /etc/bellwire/mysql.cnf").await.unwrap();
    site.house.sh("sed -i '/^log = /d' /etc/bellwire/bellwire.toml").await.unwrap();
    uncomment(
        &site,
        &format!(
            "log = \"{}\"\nopenitcockpit-url = \"https://{NAME}\"\n\
             openitcockpit-ca-file = \"/etc/bellwire/openitcockpit.pem\"\nmysql-file = \"/etc/bellwire/mysql.cnf\"",
            broker.url()
        ),
    );
    site.write("/etc/nginx/openitc/custom.conf", "include /usr/share/bellwire/nginx/bellwire.conf;\n");
    site.reload_nginx().await;
    let (_gateway, ingest) = tokio::join!(site.start_unit(GATEWAY, 9083), site.start_unit(INGEST, 9084));
    let printed = "bellwire openitcockpit commands -- --ingest http://127.0.0.1:8084 --spool /var/spool/bellwire";
    let engine = site.engine(&site.house.sh(printed).await.unwrap()).await;

    // Two browsers: in one the older page comes first, and another tab is there that must not show it again.
    let (mut older, mut newer) = tokio::join!(Person::log_in(ANN.1), Person::log_in(ANN.1));
    older.open(Page::V1).await;
    older.open(Page::V2).await;
    newer.open(Page::V2).await;
    let intruders = tokio::join!(intruder(Page::V1), intruder(Page::V2));

    story(&engine, &[&older, &newer], 0).await;
    clicks(&older, &older.shown(4).await).await;
    clicks(&newer, &newer.shown(4).await).await;
    assert!(older.shown(4).await.iter().all(|notice| notice.page.ends_with("v1.html")), "the first tab shows it");
    for bob in [&intruders.0, &intruders.1] {
        assert_eq!(bob.run("return page.shown.length").await, 0);
        bob.shown(0).await;
    }
    let refused = metric(ADMIN, "bellwire_gateway_handshakes_refused_total", &["reason=\"session\""]).await.unwrap();
    assert!(refused > 1.0, "{refused}");
    the_commands_for_administrators_agree(&site, ingest).await;

    if std::env::var_os("BELLWIRE_TEST_FULL").is_some() {
        let _ingest = site.start_unit(INGEST, 9084).await;
        without_the_database(&site, &engine, &newer).await;
        over_a_restart_of_the_broker(&site, &mut broker, &engine, &newer).await;
    }
    for person in [older, newer, intruders.0, intruders.1] {
        person.leave().await;
    }
}

/// Ends ingest, and sees that it is missed.
async fn the_commands_for_administrators_agree(site: &Site, ingest: Process) {
    for role in ["gateway", "ingest"] {
        let doctor = format!("runuser -u bellwire -- bellwire doctor {role} --config /etc/bellwire/bellwire.toml");
        let (code, text) = site.said(&doctor).await;
        assert!(code == 0 && !text.contains("FAIL "), "{text}");
    }
    let check = format!("{CHECK} --ingest http://127.0.0.1:8084");
    let through =
        format!("{check} --gateway wss://{NAME}/push_notifications --ca-file /etc/bellwire/openitcockpit.pem");
    for check in [&check, &through] {
        let (code, text) = site.said(check).await;
        assert!(code == 0 && text.starts_with("BELLWIRE OK - "), "{text}");
    }
    stop(ingest).await;
    let (code, text) = site.said(&check).await;
    assert!(code == 2 && text.contains("ingest http://127.0.0.1:8084 cannot be reached"), "{text}");
}

/// Frozen: connections stay, and nothing answers.
async fn without_the_database(site: &Site, engine: &Engine, person: &Person) {
    site.database.pause().await.unwrap();
    result(engine, "service;2", "while the database is away").await;
    let shown = person.shown(STORY.len() + 1).await;
    let title = &shown.last().unwrap().title;
    // A node that was just started has seen no name yet.
    assert!(title.starts_with(&format!("{HOST}/{SERVICE} is CRITICAL")), "{title}");
    site.database.resume().await.unwrap();
}

/// What the ingest cannot take waits in the engine's spool, and the timer's unit brings it.
async fn over_a_restart_of_the_broker(site: &Site, broker: &mut Broker, engine: &Engine, person: &Person) {
    broker.stop().await.unwrap();
    result(engine, "service;0", "while the broker is away").await;
    let waits = || async { Ok(site.house.path("/var/spool/bellwire").read_dir()?.next().map(drop)) };
    eventually("a notification in the spool", PATIENCE, waits).await.unwrap();
    broker.restart().await.unwrap();
    let unit = Unit::read(&site.house, FLUSH).await.unwrap();
    // Again and again, as by its timer: the ingest needs a moment to be connected again.
    let flushed = || async {
        let mut command = unit.start(&site.house).await?;
        command.env("BELLWIRE_INGEST", "http://127.0.0.1:8084");
        let output = command.output().await?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Ok(Some(()))
    };
    eventually("an empty spool", PATIENCE, flushed).await.unwrap();
    let shown = person.shown(STORY.len() + 2).await;
    assert_eq!(shown.last().unwrap().option("body"), "while the broker is away");
}

/// The way of most: what docs/openitcockpit.md says, and nothing else.
#[tokio::test]
async fn the_guide_is_all_that_it_takes() {
    if !network::is_own("the_guide_is_all_that_it_takes").await.unwrap() {
        return;
    }
    const UNIT: &str = "/etc/systemd/system/openitcockpit-websocket.service";
    let mut site = Site::start().await;
    let mut guide = Guide::read("On the monitoring server", "openitcockpit-websocket.service");
    let run = async |site: &Site, script: &str| site.house.sh(&format!("cd /srv/packages\n{script}")).await.unwrap();

    run(&site, &guide.next("sh", "apt-get install ./bellwire_")).await;
    uncomment(&site, &guide.next("toml", "mysql-file"));
    run(&site, &guide.next("sh", "openssl s_client")).await;
    uncomment(&site, &guide.next("toml", "openitcockpit-ca-file"));
    let doctor = guide.next("sh", "bellwire doctor");
    let (code, text) = site.said(&doctor).await;
    assert!(code == 0 && !text.contains("FAIL "), "{text}");
    run(&site, &guide.next("sh", "systemctl restart")).await;
    let node = site.start_unit(UNIT, 9083).await;
    let printed = run(&site, &guide.next("sh", "bellwire openitcockpit commands")).await;
    let engine = site.engine(&printed).await;

    let mut ann = Person::log_in(ANN.1).await;
    ann.open(Page::V2).await;
    let traced = run(&site, &guide.next("sh", "runuser -u nagios")).await;
    assert_eq!(ann.shown(1).await[0].title, "Hello");
    assert!(traced.contains("for user 2"), "{traced}");
    let bob = intruder(Page::V2).await;
    story(&engine, &[&ann], 1).await;
    bob.shown(0).await;
    bob.leave().await;
    // What is not known to be shown comes again to her next browser.
    let all = (1 + STORY.len()) as f64;
    let known = || async {
        Ok((metric(ADMIN, "bellwire_gateway_notifications_delivered_total", &[]).await? >= all).then_some(()))
    };
    eventually("all is known to be shown", PATIENCE, known).await.unwrap();
    ann.leave().await;

    site.write("/etc/nginx/openitc/custom.conf", &guide.next("nginx", "bellwire.conf"));
    run(&site, "nginx -t && systemctl reload nginx").await;
    site.reload_nginx().await;
    guide.end();
    let mut ann = Person::log_in(ANN.1).await;
    ann.open(Page::V1).await;
    assert_eq!(ann.run("return Symbol.for('bellwire.openitcockpit-tabs') in window").await, true);
    story(&engine, &[&ann], 0).await;
    clicks(&ann, &ann.shown(STORY.len()).await).await;
    let (code, text) = site.said(&doctor).await;
    assert!(code == 0 && !text.contains("FAIL "), "{text}");
    let (code, text) = site.said("bellwire check --config /etc/bellwire/bellwire.toml -w 60 -c 60 -t 60").await;
    assert!(code == 0, "{text}");
    ann.leave().await;
    stop(node).await;
    let asked = run(&site, "cat /run/systemctl").await;
    for order in ["restart openitcockpit-websocket.service", "enable --now bellwire-flush.timer", "reload nginx"] {
        assert!(asked.lines().any(|line| line == order), "{asked}");
    }
}
