//! What `.dockerignore` leaves of the tree, which is all that the build gets.

use std::path::{Path, PathBuf};

use tokio::process::Command;

use crate::container::run;

/// What the programs are made of, and what lays out the image.
const NEEDED: [&str; 13] = [
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "Makefile",
    "build.rs",
    "client/connection.js",
    "common/src",
    "gateway/page",
    "gateway/src",
    "ingest",
    "packaging/image",
    "src",
];
const NOT_SENT: [&str; 5] =
    [".git/HEAD", "client/node_modules/x.js", "packaging/compose/secrets/key", "target/release/bellwire", "README.md"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Whether the engine leaves it out: a pattern names a path from the root, and with it all that is below; `**/` at any depth.
fn is_ignored(pattern: &str, path: &Path) -> bool {
    path.ancestors().filter(|part| !part.as_os_str().is_empty()).any(|part| {
        if let Some(name) = pattern.strip_prefix("**/") {
            return part.file_name().is_some_and(|last| last == name);
        }
        match pattern.strip_prefix('*') {
            Some(tail) => part.parent() == Some(Path::new("")) && part.to_string_lossy().ends_with(tail),
            None => part == Path::new(pattern),
        }
    })
}

#[tokio::test]
async fn the_build_gets_all_that_it_needs_and_no_more() {
    let text = std::fs::read_to_string(root().join(".dockerignore")).unwrap();
    let patterns: Vec<_> = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    let is_left_out = |path: &Path| patterns.iter().any(|pattern| is_ignored(pattern, path));
    for path in NOT_SENT {
        assert!(is_left_out(Path::new(path)), "{path} would be sent");
    }
    let mut list = Command::new("git");
    list.args(["ls-files", "--cached", "--others", "--exclude-standard"]).current_dir(root());
    let files: Vec<PathBuf> = run(&mut list).await.lines().map(PathBuf::from).collect();
    for needed in NEEDED {
        let below: Vec<_> = files.iter().filter(|path| path.starts_with(needed)).collect();
        let lost: Vec<_> = below.iter().filter(|path| is_left_out(path)).collect();
        assert!(!below.is_empty() && lost.is_empty(), "{needed}: {lost:?}");
    }

    // Cargo reads every member of the workspace, also those that the image has nothing of.
    let dir = tempfile::tempdir().unwrap();
    for path in files.iter().filter(|path| !is_left_out(path) && root().join(path).is_file()) {
        let to = dir.path().join(path);
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::copy(root().join(path), to).unwrap();
    }
    let mut metadata = Command::new(env!("CARGO"));
    metadata.args(["metadata", "--locked", "--offline", "--no-deps", "--format-version", "1"]).current_dir(dir.path());
    let metadata = run(&mut metadata).await;
    assert!(metadata.contains("\"name\":\"bellwire-notify\""), "{metadata}");
}
