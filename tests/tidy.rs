//! What the compiler does not check: purity, size, what must not stand in the tree, links of the documentation.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Lines of a Rust file without its tests. The aim is 400; the difference is for a file that would split badly.
const LINES_MAX: usize = 450;

/// Files and folders (with everything in them) that know no clock, no chance, no I/O and no runtime.
const PURE: &[&str] = &[
    "common/src/directory/cache.rs",
    "common/src/directory/credentials.rs",
    "common/src/directory/desk.rs",
    "common/src/directory/key.rs",
    "common/src/ids.rs",
    "common/src/notification.rs",
    "common/src/notification",
    "common/src/record.rs",
    "common/src/spans/ids.rs",
    "gateway/src/access/origin.rs",
    "gateway/src/access/verdict.rs",
    "gateway/src/delivery.rs",
    "gateway/src/delivery",
    "gateway/src/ledger.rs",
    "gateway/src/liveness.rs",
    "gateway/src/protocol.rs",
    "gateway/src/protocol",
    "ingest/src/alerts.rs",
    "ingest/src/alerts",
    "ingest/src/intake.rs",
    "ingest/src/tokens/grant.rs",
    "ingest/src/tokens/line.rs",
];

const IMPURE: &[&str] = &[
    "Instant::now",
    "SystemTime",
    "UnixMillis::now",
    "fastrand",
    "RandomState",
    "async ",
    "tokio::",
    "std::net",
    "std::fs",
    "std::env",
];

#[test]
fn pure_modules_have_no_clock_no_chance_and_no_io() {
    let is_pure = |file: &File| PURE.iter().any(|p| file.path.starts_with(p)) && !file.is_test();
    let found: Vec<_> = sources().into_iter().filter(is_pure).collect();
    // A renamed module would leave this test checking nothing.
    for path in PURE.iter().filter(|p| p.ends_with(".rs")) {
        assert!(found.iter().any(|file| file.path == Path::new(path)), "{path} is gone: mend the list");
    }
    let hits = found.iter().flat_map(|file| file.lines_with(IMPURE)).collect::<Vec<_>>();
    assert!(hits.is_empty(), "pure modules know too much:\n{}", hits.join("\n"));
}

#[test]
fn the_pure_half_of_common_depends_on_no_runtime() {
    let output = Command::new(env!("CARGO"))
        .args([
            "tree",
            "--locked",
            "-p",
            "bellwire-common",
            "--no-default-features",
            "-e",
            "normal",
            "--prefix",
            "none",
        ])
        .current_dir(root())
        .output()
        .unwrap();
    let tree = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(tree.contains("bellwire-common") && tree.contains("serde"), "{tree}");
    for runtime in ["tokio", "axum", "hyper", "lapin", "fjall", "metrics", "tracing", "fastrand"] {
        let hit = tree.lines().find(|line| line.starts_with(runtime));
        assert_eq!(hit, None, "bellwire-common without its feature `runtime` depends on {runtime}");
    }
}

#[test]
fn ingest_and_gateway_do_not_know_each_other() {
    for (krate, stranger) in
        [("ingest", "bellwire-gateway"), ("gateway", "bellwire-ingest"), ("common", "bellwire-gateway")]
    {
        let manifest = fs::read_to_string(root().join(krate).join("Cargo.toml")).unwrap();
        assert!(!manifest.contains(stranger), "{krate} names {stranger}");
    }
}

#[test]
fn every_integration_test_is_run() {
    let runner = fs::read_to_string(root().join("tests/run")).unwrap();
    for file in sources().iter().filter(|file| file.path.parent().is_some_and(|folder| folder.ends_with("tests"))) {
        let name = file.path.file_stem().and_then(|name| name.to_str()).unwrap();
        let is_target = !file.path.starts_with("gateway/src") && !file.path.starts_with("common/src");
        assert!(!is_target || runner.contains(&format!("--test {name}")), "tests/run does not run {name}");
    }
}

#[test]
fn files_are_small() {
    let big: Vec<_> = sources()
        .iter()
        .map(|file| (file.code().count(), file))
        .filter(|(lines, _)| *lines > LINES_MAX)
        .map(|(lines, file)| format!("{}: {lines} lines", file.path.display()))
        .collect();
    assert!(big.is_empty(), "over {LINES_MAX} lines without tests, split them:\n{}", big.join("\n"));
}

#[test]
fn metrics_are_declared_in_the_catalogue() {
    let raw = [concat!("metrics::", "counter!"), concat!("metrics::", "gauge!"), concat!("metrics::", "histogram!")];
    let hits: Vec<_> = sources()
        .iter()
        .filter(|file| file.path != Path::new("common/src/metrics.rs"))
        .flat_map(|file| file.lines_with(&raw))
        .collect();
    assert!(hits.is_empty(), "declare them in common/src/metrics.rs:\n{}", hits.join("\n"));
}

#[test]
fn nothing_is_left_open() {
    // Split, so that this file does not find itself.
    let open = [
        concat!("TO", "DO"),
        concat!("FIX", "ME"),
        concat!("XX", "X:"),
        concat!("todo", "!("),
        concat!("unimplemented", "!("),
    ];
    let hits: Vec<_> = texts().iter().flat_map(|file| file.lines_with(&open)).collect();
    assert!(hits.is_empty(), "finish it, or leave it out:\n{}", hits.join("\n"));
}

#[test]
fn no_test_is_switched_off() {
    let off = [concat!("#[ig", "nore"), concat!("it.", "only("), concat!("it.", "skip(")];
    let mut hits: Vec<_> = texts().iter().flat_map(|file| file.lines_with(&off)).collect();
    // The body of a process that other tests start and kill.
    hits.retain(|hit| !hit.contains("started by the other tests"));
    assert!(hits.is_empty(), "{}", hits.join("\n"));
}

#[test]
fn no_machine_is_named() {
    let words = [
        concat!("/wo", "rk/"),
        concat!("/tm", "p/h/"),
        concat!("/ro", "ot/"),
        concat!("/ho", "me/"),
        concat!(".lib", "rary"),
    ];
    let hits: Vec<_> = texts().iter().flat_map(|file| file.lines_with(&words)).collect();
    assert!(hits.is_empty(), "paths of one machine:\n{}", hits.join("\n"));
}

#[test]
fn links_in_the_documentation_lead_somewhere() {
    let mut broken = Vec::new();
    let pages: Vec<_> = texts().into_iter().filter(|file| file.path.extension().is_some_and(|e| e == "md")).collect();
    assert!(pages.iter().any(|page| page.path == Path::new("README.md")));
    for page in &pages {
        for link in links(&page.text) {
            if !resolves(&page.path, &link) {
                broken.push(format!("{}: {link}", page.path.display()));
            }
        }
    }
    assert!(broken.is_empty(), "broken links:\n{}", broken.join("\n"));
}

#[test]
fn every_page_of_docs_is_reachable_from_the_readme() {
    let mut seen = BTreeSet::new();
    let mut next = vec![PathBuf::from("README.md")];
    while let Some(page) = next.pop() {
        let Ok(text) = fs::read_to_string(root().join(&page)) else { continue };
        if seen.insert(page.clone()) {
            let targets = links(&text).into_iter().filter(|link| !is_outside(link));
            next.extend(targets.map(|link| normal(&page, link.split('#').next().unwrap_or_default())));
        }
    }
    let lost: Vec<_> =
        texts().into_iter().map(|file| file.path).filter(|p| p.starts_with("docs") && !seen.contains(p)).collect();
    assert!(lost.is_empty(), "no link leads to {lost:?}");
}

#[test]
fn alerts_and_panels_that_the_operations_page_names_are_there() {
    let read = |path: &str| fs::read_to_string(root().join(path)).unwrap();
    let page = read("docs/operations.md").split_whitespace().collect::<Vec<_>>().join(" ");
    let rules = read("helm/bellwire/files/prometheus/bellwire.rules.yaml");
    let alerts: BTreeSet<_> = page.split('`').skip(1).step_by(2).filter(|code| code.starts_with("Bellwire")).collect();
    let lost: Vec<_> =
        alerts.iter().filter(|name| !rules.lines().any(|l| l.trim() == format!("- alert: {name}"))).collect();
    assert!(alerts.len() > 10 && lost.is_empty(), "{} alerts are named, lost are {lost:?}", alerts.len());
    let dashboard = read("helm/bellwire/files/dashboards/bellwire.json");
    let steps = page.split_once("## When people miss alerts").unwrap().1.split("## ").next().unwrap();
    let panels: BTreeSet<_> = steps.split('"').skip(1).step_by(2).collect();
    let lost: Vec<_> = panels.iter().filter(|title| !dashboard.contains(&format!("\"title\": \"{title}\""))).collect();
    assert!(panels.len() > 8 && lost.is_empty(), "{} panels are named, lost are {lost:?}", panels.len());
}

#[test]
fn tests_that_the_security_page_names_are_there() {
    let page = fs::read_to_string(root().join("docs/security.md")).unwrap();
    let named: Vec<_> = page.split('`').skip(1).step_by(2).filter_map(|code| code.split_once(".rs::")).collect();
    let is_there = |(file, test): &(&str, &str)| {
        fs::read_to_string(root().join(format!("{file}.rs"))).is_ok_and(|text| is_tested(&text, test))
    };
    let lost: Vec<_> = named.iter().filter(|name| !is_there(name)).collect();
    assert!(named.len() > 30 && lost.is_empty(), "docs/security.md names {} tests, lost are {lost:?}", named.len());
    // A claim without a test is none.
    let claims = page.split("| claim | test |\n| --- | --- |\n").skip(1);
    let rows = claims.flat_map(|table| table.lines().take_while(|line| line.starts_with('|')));
    let unproved: Vec<_> = rows.filter(|row| !row.contains(".rs::")).collect();
    assert!(unproved.is_empty(), "{unproved:#?}");
}

/// Whether it is there as a test.
fn is_tested(text: &str, name: &str) -> bool {
    let lines: Vec<_> = text.lines().map(str::trim).collect();
    let (plain, asynchronous) = (format!("fn {name}("), format!("async fn {name}("));
    let is_named = |line: &str| line.starts_with(&plain) || line.starts_with(&asynchronous);
    lines.windows(2).any(|pair| pair[0].starts_with("#[") && pair[0].contains("test") && is_named(pair[1]))
}

struct File {
    path: PathBuf,
    text: String,
}

impl File {
    /// A module of tests in a file of its own.
    fn is_test(&self) -> bool {
        self.path.iter().any(|part| part == "tests" || part == "tests.rs")
    }

    /// Lines up to the tests, which the style puts last, and without what only the feature `runtime` has.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let mut depth: Option<i64> = None;
        let lines = self.text.lines().enumerate().take_while(|(_, line)| *line != "#[cfg(test)]");
        lines.filter(move |(_, line)| {
            if line.trim() == r#"#[cfg(feature = "runtime")]"# {
                depth = Some(0);
                return false;
            }
            let Some(open) = depth else { return true };
            let open = open + count(line, '{') - count(line, '}');
            let ended = open == 0 && (line.trim_end().ends_with('}') || line.trim_end().ends_with(';'));
            depth = if ended { None } else { Some(open) };
            false
        })
    }

    fn lines_with(&self, words: &[&str]) -> Vec<String> {
        let rust = self.path.extension().is_some_and(|e| e == "rs") && self.path != Path::new("tests/tidy.rs");
        let lines: Vec<_> = if rust { self.code().collect() } else { self.text.lines().enumerate().collect() };
        lines
            .into_iter()
            .filter(|(_, line)| words.iter().any(|word| line.contains(word)))
            .map(|(number, line)| format!("{}:{}: {}", self.path.display(), number + 1, line.trim()))
            .collect()
    }
}

fn count(line: &str, c: char) -> i64 {
    line.matches(c).count() as i64
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sources() -> Vec<File> {
    texts().into_iter().filter(|file| file.path.extension().is_some_and(|e| e == "rs")).collect()
}

/// Every text file of the tree that people write.
fn texts() -> Vec<File> {
    let mut files = Vec::new();
    let mut folders = vec![root().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap_or_default();
            // Links lead to what is read where it lives.
            if path.is_symlink() {
                continue;
            }
            if path.is_dir() {
                if !["target", ".git", "corpus", "node_modules"].iter().any(|skip| name == *skip) {
                    folders.push(path);
                }
            } else if !["Cargo.lock", ".git"].iter().any(|skip| name == *skip)
                && let Ok(text) = fs::read_to_string(&path)
            {
                files.push(File { path: path.strip_prefix(root()).unwrap().to_owned(), text });
            }
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files
}

/// The targets of Markdown links outside code.
fn links(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut fenced = false;
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        }
        if fenced {
            continue;
        }
        // Every second piece of a line split at backticks is code.
        let prose = line.split('`').step_by(2).collect::<Vec<_>>().join("`");
        found.extend(prose.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(to, _)| to.to_owned()));
    }
    found
}

fn is_outside(link: &str) -> bool {
    link.contains("://") || link.starts_with("mailto:")
}

fn resolves(page: &Path, link: &str) -> bool {
    if is_outside(link) {
        return true;
    }
    let (file, anchor) = link.split_once('#').map_or((link, None), |(file, anchor)| (file, Some(anchor)));
    let target = root().join(normal(page, file));
    match anchor {
        None => target.exists(),
        Some(anchor) => fs::read_to_string(target).is_ok_and(|text| {
            text.lines()
                .filter_map(|line| line.strip_prefix('#'))
                .any(|title| slug(title.trim_start_matches('#')) == anchor)
        }),
    }
}

/// A link's path from the root of the tree.
fn normal(page: &Path, link: &str) -> PathBuf {
    if link.is_empty() {
        return page.to_owned();
    }
    let mut path = page.parent().unwrap_or(Path::new("")).to_owned();
    for part in link.split('/') {
        match part {
            "." | "" => {}
            ".." => drop(path.pop()),
            part => path.push(part),
        }
    }
    path
}

/// The anchor that a heading gets where Markdown is shown as a page.
fn slug(title: &str) -> String {
    let kept = title.trim().to_lowercase();
    kept.chars().filter(|c| c.is_alphanumeric() || "-_ ".contains(*c)).map(|c| if c == ' ' { '-' } else { c }).collect()
}
