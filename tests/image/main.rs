//! The container image, as far as it can be tried without an engine: nothing here runs packaging/Dockerfile, but everything that
//! it says is used.

mod compose;
mod container;
mod context;
mod dockerfile;

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bellwire_testkit::eventually::eventually;
use bellwire_testkit::process::{Process, Signal, binary};
use tokio::process::Command;

use crate::container::{Container, Image, LIBRARIES, make, run};
use crate::dockerfile::stages;

/// On a machine that builds something else.
const PATIENCE: Duration = Duration::from_secs(60);

const CLUSTER: [(&str, &str); 3] = [
    ("BELLWIRE_LOG", "amqp://127.0.0.1:1"),
    ("BELLWIRE_SHARED_KEY", "a-key-for-tests-of-160-hexadecimal-characters-at-most"),
    ("BELLWIRE_SESSION_CHECK", "key-only"),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Waits until the image's health check says that it lives.
async fn alive(container: &Container<'_>, process: &Process) {
    let asked = || async { Ok((container.health().await.0 == Some(0)).then_some(())) };
    eventually("a health check that passes", PATIENCE, asked)
        .await
        .unwrap_or_else(|error| panic!("{error}: {}", process.output()));
}

#[tokio::test]
async fn its_base_has_all_libraries_that_the_programs_load() {
    let (_, stage) = stages();
    assert_eq!(stage.one("FROM"), "${BASE}");
    let text = std::fs::read_to_string(root().join("packaging/Dockerfile")).unwrap();
    assert!(text.contains("\nARG BASE=gcr.io/distroless/cc-debian12:nonroot\n"), "LIBRARIES are those of another base");
    for program in ["bellwire", "bellwire-notify"] {
        let said = run(Command::new("readelf").arg("--dynamic").arg(binary(program))).await;
        let needed: Vec<_> = said.lines().filter_map(|line| line.split_once("Shared library: [")).collect();
        let needed: Vec<_> = needed.into_iter().map(|(_, name)| name.trim_end_matches(']')).collect();
        assert!(needed.contains(&"libc.so.6"), "{said}");
        let strange: Vec<_> = needed.into_iter().filter(|name| !LIBRARIES.contains(name)).collect();
        assert!(strange.is_empty(), "{program} needs {strange:?}");
    }
}

#[tokio::test]
async fn every_program_and_role_runs_in_it() {
    let image = Image::build().await;
    let container = image.container(&CLUSTER).await;
    let version = env!("CARGO_PKG_VERSION");
    for words in [&["/usr/bin/bellwire", "--version"][..], &["/usr/bin/bellwire-notify", "--version"]] {
        let said = run(&mut container.exec(words)).await;
        assert!(said.contains(version), "{words:?}: {said}");
    }
    for role in ["standalone", "gateway", "ingest"] {
        // Off loopback, ingest wants tokens.
        let listen =
            [(if role == "standalone" { "BELLWIRE_INGEST_LISTEN" } else { "BELLWIRE_LISTEN" }, "127.0.0.1:8084")];
        let container = image.container(&[&CLUSTER[..], &listen].concat()).await;
        let said = run(&mut container.exec(&["/usr/bin/bellwire", "config", role])).await;
        let line = said.lines().find(|line| line.starts_with("admin-listen = \"0.0.0.0:9083\" "));
        assert!(line.is_some_and(|line| line.ends_with("# file /etc/bellwire/bellwire.toml")), "{role}: {said}");
    }
}

/// Nobody has to guess why a container that was started without a word ended at once.
#[tokio::test]
async fn without_a_key_it_says_what_is_missing() {
    let image = Image::build().await;
    let container = image.container(&[]).await;
    let none: [&str; 0] = [];
    let mut process = container.run(&none);
    assert_eq!(process.wait(PATIENCE).await.unwrap().code(), Some(64));
    let line = process.line("listen (file /etc/bellwire/bellwire.toml)", PATIENCE).await.unwrap();
    assert!(line.contains("shared-key-file") && line.contains("BELLWIRE_SHARED_KEY"), "{line}");
    let mut process = container.run(&["gateway"]);
    assert_eq!(process.wait(PATIENCE).await.unwrap().code(), Some(64));
    process.line("log (default): must be given", PATIENCE).await.unwrap();
}

/// One health check for all roles, and no broker is needed to be alive.
#[tokio::test]
async fn each_role_is_found_alive_by_the_health_check_of_the_image() {
    let image = Image::build().await;
    for (role, more) in [
        ("gateway", &[][..]),
        ("ingest", &[("BELLWIRE_LISTEN", "127.0.0.1:8084")]),
        ("standalone", &[("BELLWIRE_LOG", "memory:"), ("BELLWIRE_INGEST_LISTEN", "127.0.0.1:8084")]),
    ] {
        let container = image.container(&[&CLUSTER[..], more].concat()).await;
        let (code, said) = container.health().await;
        assert!(code == Some(1) && said.contains("127.0.0.1:9083"), "{role} before its start: {code:?} {said}");
        let mut process = container.run(&[role]);
        alive(&container, &process).await;
        process.signal(Signal::Term).await.unwrap();
        assert!(process.wait(PATIENCE).await.unwrap().success(), "{role}: {}", process.output());
    }
}

/// The lines of docs/operations.md that try the image out.
#[tokio::test]
async fn standalone_runs_as_the_page_says() {
    let page = std::fs::read_to_string(root().join("docs/operations.md")).unwrap();
    let lines = page.split("```sh\n").find_map(|rest| rest.strip_prefix("docker run").map(|_| rest)).unwrap();
    let lines = lines.split("```").next().unwrap();
    let script = format!("docker() {{ printf '%s\\0' \"$@\" $'\\n'; }}\n{lines}");
    let said = run(Command::new("bash").args(["-euc", &script])).await;
    let mut calls: Vec<Vec<&str>> = said.split("\n\0").map(|call| call.split_terminator('\0').collect()).collect();
    calls.retain(|call| !call.is_empty());
    let (start, further) = calls.split_first().unwrap();
    let option = |name: &str| start.windows(2).filter(|w| w[0] == name).map(|w| w[1]).collect::<Vec<_>>();
    let env: Vec<_> = option("--env").into_iter().map(|pair| pair.split_once('=').unwrap()).collect();
    let image = Image::build().await;
    assert_eq!(option("--volume"), [format!("bellwire:{}", image.stage.words("VOLUME")[0])]);
    assert_eq!((start[0], start.contains(&"--read-only")), ("run", true));
    assert_eq!(
        start.last(),
        Some(&&*format!("bellwire:{}", env!("CARGO_PKG_VERSION"))),
        "the tag that `make image` gives"
    );

    let container = image.container(&env).await;
    let none: [&str; 0] = [];
    let mut process = container.run(&none);
    alive(&container, &process).await;
    process.line("whom=\"notifications\"", PATIENCE).await.unwrap();
    assert_eq!(further.len(), 2, "{said}");
    for (call, expected) in further.iter().zip(["accepted", "OK"]) {
        assert_eq!(call[..2], ["exec", option("--name")[0]]);
        let said = container.exec(&call[2..]).output().await.unwrap();
        let text = String::from_utf8_lossy(&said.stdout).into_owned() + &String::from_utf8_lossy(&said.stderr);
        assert!(said.status.success(), "{call:?}: {text}");
        assert!(call.contains(&"notify") || text.contains(expected), "{call:?}: {text}");
    }

    // Who it is, and what it may do.
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.pid())).unwrap();
    let line = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().to_owned();
    assert_eq!(line("Uid:").split_whitespace().next(), image.stage.one("USER").split(':').next());
    assert_eq!(
        (line("Groups:"), line("CapEff:"), line("NoNewPrivs:")),
        (String::new(), "0".repeat(16), "1".to_owned())
    );
    let refused = container.beside("/usr/bin/touch").arg(image.root().join("usr/written")).output().await.unwrap();
    assert!(String::from_utf8_lossy(&refused.stderr).contains("Read-only"), "{refused:?}");
    let volume = image.root().join("var/lib/bellwire");
    let kept = run(container.beside("/usr/bin/find").arg(&volume).args(["-type", "f"])).await;
    assert!(!kept.is_empty(), "nothing is kept in the volume");

    assert_eq!(image.stage.one("STOPSIGNAL"), "SIGTERM");
    process.signal(Signal::Term).await.unwrap();
    assert!(process.wait(PATIENCE).await.unwrap().success(), "{}", process.output());
    assert_eq!(container.health().await.0, Some(1));
}

#[tokio::test]
async fn what_it_is_told_is_said_by_the_makefile_and_to_those_who_read_labels() {
    let (build, stage) = stages();
    assert_eq!(build.one("RUN"), "make image-root DESTDIR=/image");
    let labels = stage.pairs("LABEL");
    let manifest = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
    for name in ["description", "licenses"] {
        let label = &labels[&format!("org.opencontainers.image.{name}")];
        assert!(manifest.contains(&format!(" = \"{label}\"\n")), "{name} of Cargo.toml is another: {label}");
    }
    let said = make(&["image", "ENGINE=echo", "SOURCE=https://sources.example"]).await;
    assert!(said.starts_with("build ") && said.trim_end().ends_with(" ."), "{said}");
    let words: Vec<_> = said.split_whitespace().collect();
    let of = |name: &str| words.windows(2).filter(|w| w[0] == name).map(|w| w[1]).collect::<Vec<_>>();
    assert_eq!(of("--file"), ["packaging/Dockerfile"]);
    let told: Vec<_> = of("--build-arg").into_iter().map(|pair| pair.split_once('=').unwrap()).collect();
    for name in ["version", "revision", "source"] {
        let argument = name.to_uppercase();
        assert_eq!(labels[&format!("org.opencontainers.image.{name}")], format!("${{{argument}}}"));
        assert!(stage.all("ARG").contains(&&*format!("{argument}=unknown")), "{argument}");
        assert!(told.iter().any(|(name, value)| *name == argument && !value.is_empty()), "{argument}: {said}");
    }
    assert!(told.contains(&("VERSION", env!("CARGO_PKG_VERSION"))), "{said}");
    // What is not in every build is asked for by name, and arrives in the environment of the recipe.
    assert!(!said.contains("FEATURES"), "{said}");
    assert!(make(&["image", "ENGINE=echo", "FEATURES=otlp"]).await.contains(" --build-arg FEATURES=otlp "));
    assert!(build.all("ARG").contains(&"FEATURES="));
    let recipe = make(&["--dry-run", "image-root", "FEATURES=otlp"]).await;
    assert!(recipe.contains("cargo build ") && recipe.contains(" --features otlp"), "{recipe}");
    // Podman and buildah would leave the health check out of their own format.
    assert!(make(&["--dry-run", "image", "ENGINE=/usr/bin/podman"]).await.contains("podman build --format docker "));
}

/// The rust image must know the language of the workspace.
#[test]
fn its_compiler_is_new_enough() {
    let wanted = |text: &str, before: &str| -> (u32, u32) {
        let rest = text.split_once(before).unwrap().1;
        let number = rest.split(['"', '\n']).next().unwrap();
        let (major, minor) = number.split_once('.').unwrap();
        (major.parse().unwrap(), minor.parse().unwrap())
    };
    let of_image = std::fs::read_to_string(root().join("packaging/Dockerfile")).unwrap();
    let of_workspace = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
    assert!(wanted(&of_image, "ARG RUST_VERSION=") >= wanted(&of_workspace, "rust-version = \""));
}

#[tokio::test]
async fn its_files_are_those_that_should_be_there() {
    let image = Image::build().await;
    for (path, mode, owner) in [
        ("usr/bin/bellwire", 0o755, 0),
        ("usr/bin/bellwire-notify", 0o755, 0),
        ("etc/bellwire/bellwire.toml", 0o644, 0),
        ("usr/share/doc/bellwire/LICENSE-MIT", 0o644, 0),
        ("var/lib/bellwire", 0o755, 65532),
    ] {
        let metadata = std::fs::metadata(image.root().join(path)).unwrap();
        assert_eq!((metadata.mode() & 0o777, metadata.uid(), metadata.gid()), (mode, owner, owner), "{path}");
    }
    assert!(image.stage.one("EXPOSE").split(' ').eq(["8083", "8084", "9083", "9084"]));
}

#[tokio::test]
async fn hadolint_finds_nothing() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    run(&mut Command::new(folder.join("tests/image/tools"))).await;
    let hadolint = folder.join("target/image/hadolint");
    let said = run(Command::new(&hadolint)
        .args(["--failure-threshold", "style", "packaging/Dockerfile"])
        .current_dir(&folder))
    .await;
    assert_eq!(said, "");
    // It would find something.
    let dir = tempfile::tempdir().unwrap();
    let wrong = dir.path().join("Dockerfile");
    std::fs::write(&wrong, "FROM debian\nRUN cd /tmp && sudo make\n").unwrap();
    assert!(!Command::new(&hadolint).arg(&wrong).output().await.unwrap().status.success());
}
