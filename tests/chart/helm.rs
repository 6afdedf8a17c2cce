//! The real helm, of both generations, on the real chart.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Mutex, OnceLock};

use crate::objects::Objects;

/// Where values of one render come from.
#[derive(Debug, Clone)]
pub(crate) struct Values {
    /// What a failure is reported under.
    pub(crate) name: String,
    /// In this order; the last wins.
    pub(crate) files: Vec<PathBuf>,
    /// As YAML, behind the files, the last wins.
    pub(crate) texts: Vec<String>,
}

/// The two that a chart of `apiVersion: v2` must please.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Helm {
    V3,
    V4,
}

pub(crate) const BOTH: [Helm; 2] = [Helm::V3, Helm::V4];
/// Those that tests/chart/tools has schemas of: the oldest that the chart takes, the newest, and two between.
pub(crate) const KUBERNETES: [&str; 4] = ["1.30", "1.33", "1.35", "1.37"];
/// What is rendered for where the version is of no matter.
pub(crate) const LATE: &str = KUBERNETES[2];
pub(crate) const RELEASE: &str = "push";
pub(crate) const NAMESPACE: &str = "alerting";

pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

pub(crate) fn chart() -> PathBuf {
    root().join("helm/bellwire")
}

/// The folder of what tests/chart/tools fetches, which it does now unless it has.
pub(crate) fn tools() -> &'static Path {
    static TOOLS: OnceLock<PathBuf> = OnceLock::new();
    TOOLS.get_or_init(|| {
        let output = Command::new(root().join("tests/chart/tools")).stdin(Stdio::null()).output().unwrap();
        assert!(output.status.success(), "tests/chart/tools: {}", text(&output.stderr));
        root().join("target/chart")
    })
}

// === impl Values ===

impl Values {
    /// The chart's own values with these over them.
    pub(crate) fn text(name: &str, text: &str) -> Self {
        Self { name: name.to_owned(), files: Vec::new(), texts: vec![text.to_owned()] }
    }

    /// A file of the chart.
    pub(crate) fn file(path: &str) -> Self {
        Self { name: path.to_owned(), files: vec![chart().join(path)], texts: Vec::new() }
    }

    /// These, and others over them.
    pub(crate) fn and(&self, name: &str, text: &str) -> Self {
        let mut more = self.clone();
        more.name = format!("{}, {name}", self.name);
        more.texts.push(text.to_owned());
        more
    }
}

// === impl Helm ===

impl Helm {
    fn command(self, home: &Path) -> Command {
        let mut command = Command::new(tools().join(if self == Self::V3 { "helm-3" } else { "helm-4" }));
        // Nothing of the caller's: no plugins, no repositories, no cluster.
        command.env_clear().env("HOME", home).env("KUBECONFIG", "/dev/null").stdin(Stdio::null());
        command
    }

    fn run(self, args: &[&str], values: &Values) -> Output {
        let dir = tempfile::tempdir().unwrap();
        let mut command = self.command(dir.path());
        command.args(args);
        for file in &values.files {
            command.arg("--values").arg(file);
        }
        for (at, text) in values.texts.iter().enumerate() {
            let file = dir.path().join(format!("{at}.yaml"));
            std::fs::write(&file, text).unwrap();
            command.arg("--values").arg(file);
        }
        command.output().unwrap()
    }

    /// What `helm template` writes, or its complaint.
    pub(crate) fn try_render(self, values: &Values, kubernetes: &str, release: &str) -> Result<String, String> {
        let chart = chart().display().to_string();
        let args = ["template", release, &chart, "--namespace", NAMESPACE, "--kube-version", kubernetes];
        let output = self.run(&args, values);
        if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
    }

    /// The text of what must render. Several tests look at the same.
    pub(crate) fn render(self, values: &Values) -> String {
        static DONE: Mutex<BTreeMap<String, String>> = Mutex::new(BTreeMap::new());
        let key = format!("{self:?} {:?} {:?}", values.files, values.texts);
        let done = DONE.lock().unwrap().get(&key).cloned();
        done.unwrap_or_else(|| {
            let rendered = self.try_render(values, LATE, RELEASE);
            let text = rendered.unwrap_or_else(|error| panic!("{self:?}, {}: {error}", values.name));
            DONE.lock().unwrap().insert(key, text.clone());
            text
        })
    }

    /// The objects of what must render.
    pub(crate) fn objects(self, values: &Values) -> Objects {
        Objects::parse(&self.render(values)).unwrap_or_else(|error| panic!("{self:?}, {}: {error}", values.name))
    }

    /// What `helm lint --strict` complains about.
    pub(crate) fn lint(self, values: &Values, kubernetes: &str) -> Option<String> {
        let chart = chart().display().to_string();
        let args = ["lint", "--strict", "--namespace", NAMESPACE, "--kube-version", kubernetes, &chart];
        let output = self.run(&args, values);
        (!output.status.success()).then(|| text(&output.stdout) + &text(&output.stderr))
    }
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
