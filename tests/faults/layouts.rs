//! The number of shards is changed under load: gateways read both layouts, then ingest moves, then the old one goes. Each
//! step is taken back once.

use std::collections::BTreeSet;
use std::time::Duration;

use bellwire_testkit::bellwire::{Bellwire, Setup};
use bellwire_testkit::broker::Broker;
use bellwire_testkit::http;
use bellwire_testkit::tab::{FRONTS, Front, Profile, Tab};
use tokio::time::{Instant, sleep_until};

use crate::field::{Field, registered, settle};

const OLD: &str = "15";
const NEW: &str = "16";
/// Few, and time for each: a tab whose proof does not come before it is sent away may be shown something again, and a machine
/// that is too busy for that would be taken for a fault.
const USERS: usize = 8;
const PER_SECOND: usize = 40;
const DRAIN_SECONDS: &str = "2";
/// What went to the old logs has expired when this has passed.
const TTL: Duration = Duration::from_secs(12);
const EVENT_DEADLINE: Duration = Duration::from_secs(30);

async fn field() -> Field {
    let broker = Broker::start().await.unwrap();
    let setup = |role| {
        let setup = Setup::new(role, &broker.url()).env("BELLWIRE_SHARDS", OLD);
        setup.env("BELLWIRE_TTL", TTL.as_secs().to_string()).env("BELLWIRE_DRAIN_SECONDS", DRAIN_SECONDS)
    };
    let (mut ingests, mut gateways) = (Vec::new(), Vec::new());
    for _ in 0..2 {
        ingests.push(setup("ingest").start().await.unwrap());
        gateways.push(setup("gateway").start().await.unwrap());
    }
    Field { broker, ingests, gateways }
}

/// Each user has a browser of each front end, and each of those a tab on every gateway. Tabs that came back are the same
/// ones; a page of V1 is loaded again.
struct Tabs(Vec<(Front, usize, Tab)>);

impl Tabs {
    async fn open(&mut self, gateway: &Bellwire, fronts: &[Front]) {
        let mut tabs = Vec::new();
        for &front in fronts {
            for user in 0..USERS {
                let profile = Profile::new(front, &(user + 1).to_string(), &format!("{front:?}"), gateway.listen);
                tabs.push((front, user, profile.start()));
            }
        }
        for (front, user, tab) in tabs {
            if front != Front::Native {
                registered(std::slice::from_ref(&tab)).await;
            }
            self.0.push((front, user, tab));
        }
        all_there(gateway).await;
    }

    fn of(&self, front: Front) -> Vec<Vec<&Tab>> {
        let of =
            |user| self.0.iter().filter(move |tab| (tab.0, tab.1) == (front, user)).map(|(_, _, tab)| tab).collect();
        (0..USERS).map(of).collect()
    }
}

async fn all_there(gateway: &Bellwire) {
    for front in ["v1", "v2", "native"] {
        let label = format!("protocol=\"{front}\"");
        let sessions = "bellwire_gateway_sessions";
        gateway.wait_metric(sessions, &[&label], USERS as f64, EVENT_DEADLINE).await.unwrap();
    }
}

/// One after the other, with these numbers from then on; none for a setting that is not set.
async fn roll(gateways: &mut [Bellwire], tabs: &mut Tabs, shards: &str, also: &str) {
    for gateway in gateways {
        gateway.set("BELLWIRE_SHARDS", shards);
        gateway.set("BELLWIRE_SHARDS_ALSO", also);
        assert!(gateway.stop().await.unwrap().success(), "every session ended in time");
        gateway.restart().await.unwrap();
        tabs.open(gateway, &[Front::V1]).await;
    }
}

/// It has taken something when this returns.
async fn move_ingest(ingest: &mut Bellwire, shards: &str) {
    ingest.set("BELLWIRE_SHARDS", shards);
    assert!(ingest.stop().await.unwrap().success());
    ingest.restart().await.unwrap();
    let taken = "bellwire_ingest_notifications_total";
    ingest.wait_metric(taken, &["result=\"accepted\""], 1.0, EVENT_DEADLINE).await.unwrap();
}

/// The layouts whose logs a gateway knows notifications of some users from.
async fn layouts(gateway: &Bellwire) -> BTreeSet<String> {
    let mut layouts = BTreeSet::new();
    for user in 1..=USERS {
        let answer = http::get(gateway.admin, &format!("/trace?user={user}")).await.unwrap().json().unwrap();
        for story in answer["notifications"].as_array().unwrap() {
            let log = story["log"].as_str().unwrap();
            layouts.extend(log.split('.').nth(2).map(str::to_owned));
        }
    }
    layouts
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_number_of_shards_changes_under_load_and_nothing_is_lost_or_repeated() {
    let mut field = field().await;
    let mut tabs = Tabs(Vec::new());
    for gateway in &field.gateways {
        tabs.open(gateway, &FRONTS).await;
    }
    let stream = field.stream(USERS, PER_SECOND);
    roll(&mut field.gateways, &mut tabs, OLD, NEW).await;
    assert_eq!(layouts(&field.gateways[1]).await, [OLD.to_owned()].into());
    // The first one goes, comes back and goes again: while they differ, both layouts are in use.
    for shards in [NEW, OLD, NEW] {
        move_ingest(&mut field.ingests[0], shards).await;
    }
    move_ingest(&mut field.ingests[1], NEW).await;
    let moved = Instant::now();
    assert_eq!(layouts(&field.gateways[1]).await, [OLD.to_owned(), NEW.to_owned()].into());
    sleep_until(moved + TTL).await;
    // So does the first gateway; back is the same as before, whichever number is called the other one.
    for also in ["", OLD] {
        roll(&mut field.gateways[..1], &mut tabs, NEW, also).await;
    }
    roll(&mut field.gateways, &mut tabs, NEW, "").await;
    let accepted = stream.stop().await;
    for front in FRONTS {
        let books = settle(&accepted, &tabs.of(front)).await;
        books.print(&format!("the number of shards changed, {front:?}"), accepted.len());
        assert_eq!(books.repeated.len(), 0, "nobody was killed: nothing excuses a repeat");
    }
    assert_eq!(layouts(&field.gateways[0]).await, [NEW.to_owned()].into());
}
