//! Bellwire as an administrator gets it: the Debian packages of this tree, and a system to install them in.

mod house;
mod unit;

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::process::Command;
use tokio::time::timeout;

pub use self::house::House;
pub use self::unit::Unit;
use crate::process::binary;

/// On a machine that builds something else.
const BUILT_WITHIN: Duration = Duration::from_secs(300);

/// Makes the packages `bellwire` and `bellwire-openitcockpit` of the programs of this build, in `dir`; in the order in
/// which they are to be installed.
pub async fn build(dir: &Path, version: &str) -> Result<Vec<PathBuf>> {
    let programs = binary("bellwire");
    ensure!(programs.parent() == binary("bellwire-notify").parent(), "the programs are of two builds");
    let folder = programs.parent().context("a program has a folder")?;
    let mut build = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packaging/deb/build"));
    build.arg(folder).arg(dir).arg(version).stdin(Stdio::null()).kill_on_drop(true);
    let output = timeout(BUILT_WITHIN, build.output()).await.context("the packages take too long")??;
    ensure!(output.status.success(), "packaging/deb/build: {}", String::from_utf8_lossy(&output.stderr));
    let made: Vec<_> = String::from_utf8(output.stdout)?.lines().map(PathBuf::from).collect();
    ensure!(made.len() == 2 && made.iter().all(|path| path.is_file()), "packaging/deb/build made {made:?}");
    Ok(made)
}
