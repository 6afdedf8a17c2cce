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

/// A test for each name, and one that no target is missing here.
macro_rules! targets_hold {
    ($($name:ident),* $(,)?) => {
        $(
            #[test]
            fn $name() {
                check(stringify!($name));
            }
        )*

        #[test]
        fn every_target_is_run() {
            let all: Vec<_> = TARGETS.iter().map(|target| target.name).collect();
            assert_eq!([$(stringify!($name)),*][..], all, "name the new target in `targets_hold!`");
        }
    };
}

targets_hold!(record, message, alertmanager, v1, v2, native, events, keys, token, claims, credentials, login);

#[test]
fn what_fails_is_kept_for_the_next_run() {
    let folder = tempfile::tempdir().unwrap();
    let path = corpus::save(folder.path(), b"input").unwrap();
    assert_eq!(corpus::save(folder.path(), b"input").unwrap(), path);
    assert_eq!(corpus::load(folder.path()).unwrap(), [(path.display().to_string(), b"input".to_vec())]);
}
