//! The dashboard: its panels and their queries, with the variables filled in as Grafana would.

use std::path::PathBuf;

use serde_json::Value;

/// What Grafana makes of `$__rate_interval`: four scrapes and some more.
const RATE_INTERVAL: &str = "10s";

#[derive(Debug)]
pub(crate) struct Board {
    pub(crate) json: Value,
    pub(crate) panels: Vec<Panel>,
    /// Name and query.
    pub(crate) annotations: Vec<(String, String)>,
}

#[derive(Debug)]
pub(crate) struct Panel {
    pub(crate) title: String,
    pub(crate) row: String,
    pub(crate) description: String,
    pub(crate) queries: Vec<String>,
}

/// A file that ships with the chart.
pub(crate) fn shipped(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("helm/bellwire/files").join(name)
}

impl Board {
    pub(crate) fn read() -> Self {
        let text = std::fs::read_to_string(shipped("dashboards/bellwire.json")).unwrap();
        let json: Value = serde_json::from_str(&text).unwrap();
        let mut panels = Vec::new();
        let mut row = String::new();
        for panel in json["panels"].as_array().unwrap() {
            let text = |name: &str| panel[name].as_str().unwrap_or_default().to_owned();
            if panel["type"] == "row" {
                row = text("title");
                continue;
            }
            let targets = panel["targets"].as_array().unwrap();
            let queries = targets.iter().map(|target| target["expr"].as_str().unwrap().to_owned()).collect();
            panels.push(Panel { title: text("title"), row: row.clone(), description: text("description"), queries });
        }
        let list = json["annotations"]["list"].as_array().unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let annotations = list.iter().map(|one| (text(&one["name"]), text(&one["target"]["expr"]))).collect();
        Self { panels, annotations, json }
    }

    /// The queries of a panel for these jobs and a time of so many seconds.
    pub(crate) fn queries(&self, title: &str, jobs: &str, seconds: u64) -> Vec<String> {
        let panel = self.panels.iter().find(|panel| panel.title == title);
        let panel = panel.unwrap_or_else(|| panic!("no panel {title:?}"));
        panel.queries.iter().map(|query| filled(query, jobs, seconds)).collect()
    }

    pub(crate) fn annotation(&self, name: &str, jobs: &str) -> String {
        let found = self.annotations.iter().find(|(found, _)| found == name);
        filled(&found.unwrap_or_else(|| panic!("no annotation {name:?}")).1, jobs, 60)
    }
}

/// A query with its variables filled in.
pub(crate) fn filled(query: &str, jobs: &str, seconds: u64) -> String {
    let filled = query
        .replace("$__rate_interval", RATE_INTERVAL)
        .replace("$__range", &format!("{seconds}s"))
        .replace("$cluster", ".*")
        .replace("$namespace", ".*")
        .replace("$job", jobs)
        .replace("$instance", ".*");
    assert!(!filled.contains('$'), "a variable that is not known: {filled}");
    filled
}
