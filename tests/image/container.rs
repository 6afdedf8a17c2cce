//! What a container engine makes of the image, without one: the files that the Dockerfile copies beside what its base brings,
//! read-only, in mount and network namespaces of their own, under the image's user and with its environment.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use bellwire_testkit::process::{Process, binary};
use tempfile::TempDir;
use tokio::process::Command;

use crate::dockerfile::{Stage, stages};

const OPENS_WITHIN: Duration = Duration::from_secs(60);

/// Libraries that the base has (distroless cc: the C library's, and those of the compiler).
pub(crate) const LIBRARIES: [&str; 9] = [
    "ld-linux-x86-64.so.2",
    "ld-linux-aarch64.so.1",
    "libc.so.6",
    "libdl.so.2",
    "libgcc_s.so.1",
    "libm.so.6",
    "libpthread.so.0",
    "librt.so.1",
    "libstdc++.so.6",
];

/// As distroless sets it.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// What every engine gives a container.
const DEVICES: [&str; 5] = ["null", "zero", "full", "random", "urandom"];

/// `$1` is the image, `$2` where its volume is, the rest its devices. A new volume takes over the owner and the rights of what
/// the image has in its place.
const SCRIPT: &str = r#"
root=$1 volume=$1$2
shift 2
mount --make-rprivate /
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
for device in "$@"; do mount --bind "/dev/$device" "$root/dev/$device"; done
mount -t tmpfs -o "$(stat -c 'uid=%u,gid=%g,mode=%a' "$volume")" tmpfs "$volume"
mount -o remount,bind,ro "$root"
ip link set lo up
echo open
exec sleep infinity
"#;

/// The file tree, as it lies on this system.
pub(crate) struct Image {
    dir: TempDir,
    pub(crate) stage: Stage,
}

impl Image {
    /// What the build's steps and the copies make, on the base's libraries. Needs root's rights.
    pub(crate) async fn build() -> Self {
        let image =
            Self { dir: tempfile::Builder::new().prefix("bellwire-image-").tempdir().unwrap(), stage: stages().1 };
        let (made, root) = (image.dir.path().join("made"), image.root());
        make(&["image-root", &format!("DESTDIR={}", made.display())]).await;
        for folder in ["", "proc", "dev", "tmp"] {
            std::fs::create_dir(root.join(folder)).unwrap();
        }
        for device in DEVICES {
            std::fs::write(root.join("dev").join(device), "").unwrap();
        }
        for copy in image.stage.copies() {
            // The build's recipe writes to /image.
            let from = made.join(copy.from.strip_prefix("/image/").unwrap());
            let to = root.join(copy.to.trim_start_matches('/'));
            std::fs::create_dir_all(&to).unwrap();
            let script = r#"cp -R "$1/." "$2/" && chown -R "$3" "$2""#;
            let words = [from.as_os_str(), to.as_os_str(), copy.owner.as_ref()];
            run(Command::new("sh").args(["-euc", script, "sh"]).args(words)).await;
        }
        for library in libraries().await {
            let to = root.join(library.strip_prefix("/").unwrap());
            std::fs::create_dir_all(to.parent().unwrap()).unwrap();
            std::fs::copy(&library, &to).unwrap();
        }
        image
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.dir.path().join("root")
    }

    /// A container of it, in which nothing runs yet; with these variables beside those of the image.
    pub(crate) async fn container(&self, env: &[(&str, &str)]) -> Container<'_> {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "unshare", "--mount", "--net", "/bin/sh", "-euc", SCRIPT, "sh"]);
        let volumes = self.stage.words("VOLUME");
        command.arg(self.root()).arg(&volumes[0]).args(DEVICES);
        let holder = Process::spawn("container", command).unwrap();
        holder.line("open", OPENS_WITHIN).await.expect("this needs root's rights to make namespaces");
        let mut all: Vec<(String, String)> = vec![("PATH".into(), PATH.into())];
        all.extend(self.stage.pairs("ENV"));
        all.extend(env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        Container { image: self, holder, env: all }
    }
}

/// See [`Image::container`].
pub(crate) struct Container<'a> {
    image: &'a Image,
    holder: Process,
    env: Vec<(String, String)>,
}

impl Container<'_> {
    /// A program in it, as `docker exec` starts it.
    pub(crate) fn exec(&self, words: &[impl AsRef<str>]) -> Command {
        let mut command = self.beside("/usr/bin/setpriv");
        let user = self.image.stage.one("USER");
        command.args(["--no-new-privs", "/usr/sbin/chroot", &format!("--userspec={user}"), "--groups="]);
        command.arg(self.image.root()).args(words.iter().map(AsRef::as_ref));
        command.env_clear().envs(self.env.iter().map(|(name, value)| (name, value)));
        command
    }

    /// The image's program with these arguments, as `docker run` starts it.
    pub(crate) fn run(&self, args: &[impl AsRef<str>]) -> Process {
        let mut words = self.image.stage.words("ENTRYPOINT");
        words.extend(args.iter().map(|arg| arg.as_ref().to_owned()));
        Process::spawn("bellwire in its image", self.exec(&words)).unwrap()
    }

    /// What the image's own health check says.
    pub(crate) async fn health(&self) -> (Option<i32>, String) {
        let Output { status, stdout, stderr } =
            self.exec(&self.image.stage.words("HEALTHCHECK")).output().await.unwrap();
        (status.code(), String::from_utf8_lossy(&stdout).into_owned() + &String::from_utf8_lossy(&stderr))
    }

    /// A program of this system, with root's rights, that sees the container's mounts.
    pub(crate) fn beside(&self, program: &str) -> Command {
        let mut command = Command::new("/usr/bin/nsenter");
        command.args(["--mount", "--net", "--target", &self.holder.pid().to_string(), program]);
        command.stdin(Stdio::null()).kill_on_drop(true);
        command
    }
}

/// Runs a recipe of the Makefile; what it writes.
pub(crate) async fn make(words: &[&str]) -> String {
    let mut command = Command::new("make");
    command.arg("--silent").args(words).current_dir(env!("CARGO_MANIFEST_DIR"));
    // What cargo told this test about its package would make build scripts run anew.
    let of_cargo = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "OUT_DIR", "BELLWIRE_"];
    for (name, _) in std::env::vars().filter(|(name, _)| of_cargo.iter().any(|prefix| name.starts_with(prefix))) {
        command.env_remove(name);
    }
    run(&mut command).await
}

/// Runs a command, which must succeed; what it writes.
pub(crate) async fn run(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).kill_on_drop(true).output().await.unwrap();
    let [out, err] = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    assert!(output.status.success(), "{command:?}: {}\n{out}{err}", output.status);
    out
}

/// Where this system has the libraries that the programs load.
async fn libraries() -> Vec<PathBuf> {
    let said = run(Command::new("ldd").arg(binary("bellwire")).arg(binary("bellwire-notify"))).await;
    let mut paths: Vec<_> = said
        .split_whitespace()
        .filter(|word| word.starts_with("/lib"))
        .map(|word| Path::new(word).to_owned())
        .collect();
    paths.sort();
    paths.dedup();
    assert!(paths.iter().any(|path| path.ends_with("libc.so.6")), "{said}");
    paths
}
