use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::json;

use crate::server::{Received, Reply, Server, accept, problem, refusing, result};
use crate::{Notify, names, spooled};

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// Puts a notification there as an earlier call would have.
fn put(spool: &Path, id: &str, timestamp: u64) {
    let body =
        json!({ "id": id, "user": "7", "timestamp": timestamp, "kind": "host", "state": 1, "host": { "id": "h" } });
    fs::write(spool.join(format!("{:013}-{id}.json", timestamp * 1000)), body.to_string()).unwrap();
}

fn ids(received: &[Received]) -> Vec<&str> {
    received.iter().map(|request| request.body["id"].as_str().unwrap()).collect()
}

#[test]
fn what_nobody_takes_is_kept_and_goes_with_the_next_call() {
    let dir = tempfile::tempdir().unwrap();
    let spool = dir.path().join("a/b");
    let call = || Notify::problem(&refusing()).spool(&spool);
    let ended = call().run();
    ended.said(0, "refused");
    ended.said(0, "for the next call: service \"h\" \"s\" \"PROBLEM\" for user \"7\", id ");
    assert_eq!(fs::metadata(&spool).unwrap().permissions().mode() & 0o777, 0o700);
    let [name] = &spooled(&spool)[..] else { panic!() };
    assert_eq!(fs::metadata(spool.join(name)).unwrap().permissions().mode() & 0o777, 0o600);
    let kept: serde_json::Value = serde_json::from_slice(&fs::read(spool.join(name)).unwrap()).unwrap();

    let server = Server::accepting();
    Notify::problem(&server.address).spool(&spool).run().silent();
    let received = server.received();
    assert_eq!(received.len(), 2);
    assert_eq!(received[1].body, kept, "the spooled one follows, with its id and time");
    assert!(received.iter().all(|request| request.connection == 0), "over the same connection");
    assert!(spooled(&spool).is_empty());
}

#[test]
fn without_a_writable_spool_it_is_not_safe() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    let ended = Notify::problem(&refusing()).spool(&file.join("spool")).run();
    ended.said(1, "lost, because the spool");
    ended.said(1, "cannot be written");
}

#[test]
fn flush_delivers_all_in_order() {
    let dir = tempfile::tempdir().unwrap();
    put(dir.path(), "b", now() - 1);
    put(dir.path(), "c", now());
    put(dir.path(), "a", now() - 2);
    let server = Server::accepting();
    Notify::flush(dir.path(), &server.address).run().silent();
    assert_eq!(ids(&server.received()), ["a", "b", "c"]);
    Notify::flush(dir.path(), &server.address).run().silent();
    Notify::flush(&dir.path().join("none"), &server.address).run().silent();
    assert!(server.received().is_empty() && spooled(dir.path()).is_empty());
}

#[test]
fn flush_says_what_is_left() {
    let dir = tempfile::tempdir().unwrap();
    for id in ["a", "b", "c"] {
        put(dir.path(), id, now());
    }
    Notify::flush(dir.path(), &refusing()).run().said(1, "3 left in");
    let mut count = 0;
    let server = Server::start(move |request| {
        count += 1;
        if count == 1 { accept(request) } else { Reply::Silence }
    });
    let ended = Notify::flush(dir.path(), &server.address).args(["--deadline", "300ms"]).run();
    ended.said(1, "2 left in");
    assert_eq!(spooled(dir.path()).len(), 2);
}

#[test]
fn one_call_delivers_at_most_a_hundred() {
    let dir = tempfile::tempdir().unwrap();
    for n in 0..103 {
        put(dir.path(), &format!("n{n:03}"), now());
    }
    let server = Server::accepting();
    Notify::problem(&server.address).spool(dir.path()).run().silent();
    assert_eq!(server.received().len(), 101);
    assert_eq!(spooled(dir.path()).len(), 3);
}

#[test]
fn one_process_at_a_time_delivers() {
    let dir = tempfile::tempdir().unwrap();
    put(dir.path(), "a", now());
    let lock = File::open(dir.path()).unwrap();
    lock.lock().unwrap();
    let server = Server::accepting();
    Notify::problem(&server.address).spool(dir.path()).run().silent();
    assert_eq!(server.received().len(), 1, "only its own");
    Notify::flush(dir.path(), &server.address).run().said(0, "another process is delivering");
    assert!(server.received().is_empty());
    drop(lock);
    Notify::flush(dir.path(), &server.address).run().silent();
    assert_eq!(ids(&server.received()), ["a"]);
}

/// A flush by another user must leave nothing that this one cannot open.
#[test]
fn nothing_but_notifications_stands_in_the_spool() {
    let dir = tempfile::tempdir().unwrap();
    put(dir.path(), "a", now());
    let server = Server::accepting();
    Notify::flush(dir.path(), &server.address).run().silent();
    assert!(names(dir.path()).is_empty(), "{:?}", names(dir.path()));
}

#[test]
fn many_calls_at_once_deliver_each_once() {
    let dir = tempfile::tempdir().unwrap();
    for n in 0..20 {
        put(dir.path(), &format!("n{n:02}"), now());
    }
    let server = Server::accepting();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| assert_eq!(Notify::flush(dir.path(), &server.address).run().code, 0));
        }
    });
    let received = server.received();
    assert_eq!(ids(&received).into_iter().collect::<std::collections::HashSet<_>>().len(), 20);
    assert_eq!(received.len(), 20);
}

#[test]
fn the_expired_are_named_and_removed() {
    let dir = tempfile::tempdir().unwrap();
    put(dir.path(), "old", now() - 1801);
    put(dir.path(), "young", now());
    let server = Server::accepting();
    let ended = Notify::flush(dir.path(), &server.address).run();
    ended.said(0, "dropped because it has expired: host \"h\" for user \"7\", id old");
    assert_eq!(ids(&server.received()), ["young"]);
    put(dir.path(), "stale", now() - 900);
    let server = Server::start(|request| result(422, request, "stale"));
    Notify::flush(dir.path(), &server.address).run().said(0, "id stale");
    assert!(spooled(dir.path()).is_empty());
}

#[test]
fn files_that_are_no_notifications_never_stop_the_others() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    fs::write(path("0000000000001-torn.json"), r#"{"id":"torn","user":"#).unwrap();
    fs::write(path("0000000000002-empty.json"), "").unwrap();
    fs::write(path("0000000000003-large.json"), vec![b' '; 1024 * 1024]).unwrap();
    fs::create_dir(path("0000000000004-dir.json")).unwrap();
    assert!(Command::new("mkfifo").arg(path("0000000000005-pipe.json")).status().unwrap().success());
    fs::write(path("unrelated"), "").unwrap();
    put(dir.path(), "good", now());
    let server = Server::accepting();
    let ended = Notify::flush(dir.path(), &server.address).run();
    for bad in ["torn", "empty", "large", "dir", "pipe"] {
        ended.said(0, &format!("-{bad}.json: "));
    }
    assert_eq!(ids(&server.received()), ["good"]);
    assert_eq!(names(dir.path()).iter().filter(|name| name.ends_with(".bad")).count(), 5);
    Notify::flush(dir.path(), &server.address).run().silent();
}

#[test]
fn what_ingest_refuses_is_set_aside() {
    let dir = tempfile::tempdir().unwrap();
    put(dir.path(), "a", now() - 1);
    put(dir.path(), "b", now());
    let refusal = json!({ "title": "Bad Request", "errors": [{ "field": "host.id", "message": "is too long" }] });
    let server =
        Server::start(move |request| if request.body["id"] == "a" { problem(400, &refusal) } else { accept(request) });
    let ended = Notify::flush(dir.path(), &server.address).run();
    ended.said(0, "refused: HTTP status 400: Bad Request: host.id: is too long: host \"h\" for user \"7\", id a");
    assert!(spooled(dir.path()).is_empty());
    assert_eq!(names(dir.path()).iter().filter(|name| name.ends_with("-a.json.bad")).count(), 1);
}

#[test]
fn only_so_many_files_stand_aside() {
    let dir = tempfile::tempdir().unwrap();
    for n in 0..102 {
        fs::write(dir.path().join(format!("{n:013}-x.json")), "damaged").unwrap();
    }
    let server = Server::accepting();
    let ended = Notify::flush(dir.path(), &server.address).run();
    ended.said(0, "removed, 100 files stand aside already: ");
    assert_eq!(names(dir.path()).iter().filter(|name| name.ends_with(".bad")).count(), 100);
    assert!(spooled(dir.path()).is_empty());
}

fn unavailable(request: &Received) -> Reply {
    result(503, request, "unavailable")
}

/// Puts a notification for this user there.
fn put_for(spool: &Path, user: &str, id: &str, timestamp: u64) {
    let body = json!({ "id": id, "user": user, "timestamp": timestamp, "kind": "host", "host": { "id": "h" } });
    fs::write(spool.join(format!("{:013}-{id}.json", timestamp * 1000)), body.to_string()).unwrap();
}

#[test]
fn one_shards_outage_does_not_stop_the_others() {
    let dir = tempfile::tempdir().unwrap();
    for (n, user) in ["1", "1", "1", "1", "1", "1", "2", "1", "3"].iter().enumerate() {
        put_for(dir.path(), user, &format!("n{n}"), now() - 20 + n as u64);
    }
    let script = |request: &Received| if request.body["user"] == "1" { unavailable(request) } else { accept(request) };
    let server = Server::start(script);
    let ended = Notify::flush(dir.path(), &server.address).run();
    ended.said(1, "kept, and what else is for this user: ");
    ended.said(1, "7 left in");
    assert_eq!(ids(&server.received()), ["n0", "n6", "n8"], "one attempt for the user whose shard is out");
    let server = Server::accepting();
    Notify::flush(dir.path(), &server.address).run().silent();
    assert_eq!(ids(&server.received()), ["n0", "n1", "n2", "n3", "n4", "n5", "n7"], "in order");
}

#[test]
fn a_log_that_takes_nothing_is_not_asked_for_each() {
    let dir = tempfile::tempdir().unwrap();
    for n in 0..20 {
        put_for(dir.path(), &format!("{}", n + 1), &format!("n{n:02}"), now());
    }
    let server = Server::start(unavailable);
    Notify::flush(dir.path(), &server.address).run().said(1, "20 left in");
    assert_eq!(server.received().len(), 4);
}

#[test]
fn what_cannot_be_removed_or_set_aside_is_left_and_stops_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    // A file cannot take the place of a folder that holds something.
    fs::write(path("0000000000001-torn.json"), "damaged").unwrap();
    fs::create_dir_all(path("0000000000001-torn.json.bad/x")).unwrap();
    put(dir.path(), "good", now());
    let server = Server::accepting();
    let ended = Notify::flush(dir.path(), &server.address).run();
    ended.said(1, "cannot be set aside");
    ended.said(1, "1 left in");
    assert_eq!(ids(&server.received()), ["good"]);

    fs::remove_file(path("0000000000001-torn.json")).unwrap();
    fs::create_dir(path("0000000000002-dir.json")).unwrap();
    for n in 0..100 {
        fs::write(path(&format!("{n}.bad")), "").unwrap();
    }
    put(dir.path(), "good", now());
    let ended = Notify::flush(dir.path(), &server.address).run();
    ended.said(1, "0000000000002-dir.json cannot be removed");
    ended.said(1, "1 left in");
    assert_eq!(ids(&server.received()), ["good"]);
}

#[test]
fn what_a_killed_process_left_stops_nothing() {
    let dir = tempfile::tempdir().unwrap();
    // A folder cannot be removed as a file.
    let half = dir.path().join(".new-x");
    fs::create_dir(&half).unwrap();
    File::open(&half).unwrap().set_modified(SystemTime::now() - Duration::from_secs(7200)).unwrap();
    put(dir.path(), "good", now());
    let server = Server::accepting();
    Notify::flush(dir.path(), &server.address).run().said(0, ".new-x cannot be removed");
    assert_eq!(ids(&server.received()), ["good"]);
}

/// As many as a spool holds, all of them of this time.
fn fill(spool: &Path, timestamp: u64) {
    for n in 0..10_000 {
        fs::write(spool.join(format!("{:013}-full{n}.json", timestamp * 1000)), "{}").unwrap();
    }
}

#[test]
fn a_full_spool_takes_nothing_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path(), now());
    let ended = Notify::problem(&refusing()).spool(dir.path()).run();
    ended.said(1, "lost, because the spool");
    ended.said(1, "is full: it holds 10000 notifications: service \"h\" \"s\"");
    assert_eq!(spooled(dir.path()).len(), 10_000);
}

#[test]
fn the_expired_make_room_and_are_named() {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path(), now());
    put_for(dir.path(), "9", "old", now() - 1900);
    fs::write(dir.path().join("0000000000001-torn.json"), "damaged").unwrap();
    let lock = File::open(dir.path()).unwrap();
    lock.lock().unwrap();
    Notify::problem(&refusing()).spool(dir.path()).run().said(1, "is full");
    assert_eq!(spooled(dir.path()).len(), 10_002, "who delivers removes what has expired");
    drop(lock);
    fs::remove_file(dir.path().join(spooled(dir.path()).last().unwrap())).unwrap();
    let ended = Notify::problem(&refusing()).spool(dir.path()).run();
    ended.said(0, "dropped because it has expired: host \"h\" for user \"9\", id old");
    ended.said(0, "dropped because it has expired: ");
    ended.said(0, "0000000000001-torn.json");
    assert_eq!(spooled(dir.path()).len(), 10_000);
}
