//! Tells the program which revision it was built from, as far as that is known.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

const VARIABLE: &str = "BELLWIRE_REVISION";

/// Characters of a revision that are enough to find it.
const SHORT: usize = 12;

fn main() {
    println!("cargo::rerun-if-env-changed={VARIABLE}");
    println!("cargo::rerun-if-changed=build.rs");
    let given = env::var(VARIABLE).ok().filter(|revision| !revision.is_empty());
    let revision = given.or_else(of_git).unwrap_or_else(|| "unknown".into());
    println!("cargo::rustc-env=BUILD_REVISION={revision}");
}

/// Reads git's files: the program git need not be there.
fn of_git() -> Option<String> {
    let git = directory(Path::new(&env::var_os("CARGO_MANIFEST_DIR")?))?;
    let head = read(&git.join("HEAD"))?;
    let full = match head.strip_prefix("ref: ") {
        None => head,
        Some(branch) => of_branch(&git, branch.trim())?,
    };
    Some(full.trim().chars().take(SHORT).collect())
}

/// In a worktree `.git` is a file that names the directory.
fn directory(root: &Path) -> Option<PathBuf> {
    let git = root.join(".git");
    if git.is_dir() {
        return Some(git);
    }
    Some(root.join(fs::read_to_string(git).ok()?.strip_prefix("gitdir: ")?.trim()))
}

fn of_branch(git: &Path, branch: &str) -> Option<String> {
    // A worktree keeps its branches with the main one.
    let common = fs::read_to_string(git.join("commondir")).map_or(git.to_owned(), |path| git.join(path.trim()));
    if let Some(revision) = read(&common.join(branch)) {
        return Some(revision);
    }
    let packed = read(&common.join("packed-refs"))?;
    packed.lines().find_map(|line| line.strip_suffix(branch)?.strip_suffix(' ').map(str::to_owned))
}

fn read(path: &Path) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    println!("cargo::rerun-if-changed={}", path.display());
    Some(text)
}
