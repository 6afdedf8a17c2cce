//! A copy of this system in which everything may be changed: an overlay whose upper layer is in memory, in a mount namespace
//! of its own. It goes with the test.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;
use tokio::process::Command;

use crate::process::Process;

const OPENS_WITHIN: Duration = Duration::from_secs(60);

/// `$1` is an empty folder. /run is empty, so that no script believes that systemd runs here.
const SCRIPT: &str = r#"
mount --make-rprivate /
mount -t tmpfs -o mode=755 tmpfs "$1"
mkdir "$1/upper" "$1/work" "$1/house"
mount -t overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" overlay "$1/house"
for folder in proc sys dev; do mount --rbind "/$folder" "$1/house/$folder"; done
mount -t tmpfs -o mode=755 tmpfs "$1/house/run"
exec chroot "$1/house" /bin/sh -c 'echo open; exec sleep infinity'
"#;

const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// See the module.
#[derive(Debug)]
pub struct House {
    holder: Process,
    _dir: TempDir,
}

impl House {
    /// Opens one. Needs root's rights.
    ///
    /// # Errors
    /// Says which rights are missing.
    pub async fn open() -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("bellwire-house-").tempdir()?;
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "unshare", "--mount", "/bin/sh", "-euc", SCRIPT, "sh"]).arg(dir.path());
        let holder = Process::spawn("house", command)?;
        holder.line("open", OPENS_WITHIN).await.context(
            "this needs root's rights to mount an overlay in a mount namespace of its own (in a container: CAP_SYS_ADMIN)",
        )?;
        Ok(Self { holder, _dir: dir })
    }

    /// A command that is in it, with nothing of this process's environment.
    #[must_use]
    pub fn command(&self, program: &str) -> Command {
        let entrance = self.entrance();
        let mut command = Command::new(&entrance[0]);
        command.args(&entrance[1..]).arg(program);
        command.env_clear().env("PATH", PATH).env("DEBIAN_FRONTEND", "noninteractive");
        command.stdin(Stdio::null()).kill_on_drop(true);
        command
    }

    /// The words before those of a command that is to run in it.
    #[must_use]
    pub fn entrance(&self) -> Vec<String> {
        let pid = self.holder.pid().to_string();
        ["/usr/bin/nsenter", "--mount", "--root", "--wd", "--target", &pid].map(str::to_owned).to_vec()
    }

    /// Where this process finds what is at `inside` in it.
    #[must_use]
    pub fn path(&self, inside: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{inside}", self.holder.pid()))
    }

    /// Copies a file into it, and makes the folders that are missing. It need not lie in a file system that the house shows.
    pub fn put(&self, file: &Path, inside: &str) -> Result<()> {
        let to = self.path(inside);
        std::fs::create_dir_all(to.parent().context("a file has a folder")?)?;
        std::fs::copy(file, &to).with_context(|| format!("{} to {inside}", file.display())).map(drop)
    }

    /// Runs a script, which must succeed; what it writes.
    pub async fn sh(&self, script: &str) -> Result<String> {
        let output = self.command("/bin/sh").args(["-euc", script]).output().await?;
        let [out, err] = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        ensure!(output.status.success(), "{script}: {}\n{out}{err}", output.status);
        Ok(out)
    }

    /// Installs packages that lie in this system, in this order.
    pub async fn install(&self, packages: &[PathBuf]) -> Result<()> {
        let files: Vec<_> = packages.iter().map(|path| path.display().to_string()).collect();
        self.sh(&format!("dpkg -i {}", files.join(" "))).await.map(drop)
    }
}
