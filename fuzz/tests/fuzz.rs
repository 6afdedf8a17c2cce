//! Every target: its corpus, then new inputs for `BELLWIRE_FUZZ_SECONDS` (1) seconds.

use std::time::Duration;

use bellwire_fuzz::{TARGETS, corpus, run};

const SECONDS: u64 = 1;

fn check(name: &str) {
    let target = TARGETS.iter().find(|target| target.name == name).unwrap();
    let seconds = std::env::var("BELLWIRE_FUZZ_SECONDS").map_or(SECONDS, |text| text.parse().unwrap());
    let done =
        run(*target, fastrand::u64(..), Duration::from_secs(seconds)).unwrap_or_else(|broken| panic!("{broken}"));
    assert!(done.files > 0 && done.inputs > 0, "{done}");
}

#[test]
fn records_hold() {
    check("record");
}

#[test]
fn v1_holds() {
    check("v1");
}

#[test]
fn v2_holds() {
    check("v2");
}

#[test]
fn native_holds() {
    check("native");
}

#[test]
fn what_fails_is_kept_for_the_next_run() {
    let folder = tempfile::tempdir().unwrap();
    let path = corpus::save(folder.path(), b"input").unwrap();
    assert_eq!(corpus::save(folder.path(), b"input").unwrap(), path);
    assert_eq!(corpus::load(folder.path()).unwrap(), [(path.display().to_string(), b"input".to_vec())]);
}
