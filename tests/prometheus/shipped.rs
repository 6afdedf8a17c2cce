//! What ships, looked at without a server: promtool, the runbooks, the form of the dashboard.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::alerts::{alerts, rules, with_every_alert};
use crate::board::{Board, shipped};

const ROWS: [&str; 5] = [
    "Do people get their alerts?",
    "How fast?",
    "Who is losing connections, and why?",
    "What was dropped, and why?",
    "Is a node in trouble, and which?",
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Files of the unit tests for rules.
fn cases() -> Vec<PathBuf> {
    let mut files: Vec<_> =
        fs::read_dir(root().join("tests/prometheus/rules")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn promtool(args: &[&str], files: &[PathBuf]) -> Output {
    Command::new("promtool").args(args).args(files).output().expect("promtool, of Debian's package prometheus")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn promtool_accepts_the_rules() {
    let output = promtool(&["check", "rules"], &[shipped("prometheus/bellwire.rules.yaml")]);
    assert!(output.status.success(), "{}", said(&output));
}

#[test]
fn every_case_of_every_alert_is_as_it_says() {
    let output = promtool(&["test", "rules"], &cases());
    assert!(output.status.success(), "{}", said(&output));
}

/// What promtool says of all cases when each alert has this expression.
fn judged(expr: &str) -> String {
    let tree = tempfile::tempdir().unwrap();
    let files = tree.path().join("tests/prometheus/rules");
    let rules_folder = tree.path().join("helm/bellwire/files/prometheus");
    fs::create_dir_all(&files).unwrap();
    fs::create_dir_all(&rules_folder).unwrap();
    fs::write(rules_folder.join("bellwire.rules.yaml"), with_every_alert(&rules(), expr)).unwrap();
    let copies: Vec<PathBuf> = cases().iter().map(|case| files.join(case.file_name().unwrap())).collect();
    for (case, copy) in cases().iter().zip(&copies) {
        fs::copy(case, copy).unwrap();
    }
    let output = promtool(&["test", "rules"], &copies);
    assert!(!output.status.success(), "with {expr} for every alert all cases pass");
    said(&output)
}

/// The alerts of which a case fails that expects nothing, or (`fires`) something.
fn failed(judgement: &str, fires: bool) -> BTreeSet<String> {
    let lines: Vec<&str> = judgement.lines().map(str::trim).collect();
    let pairs = lines.windows(2).filter(|pair| pair[0].starts_with("expr: ") && pair[1].starts_with("exp:"));
    let wanted = pairs.filter(|pair| fires != (pair[1].contains("nil") || pair[1].trim_end() == "exp:"));
    // promtool quotes the expression, and so each quote in it.
    wanted
        .filter_map(|pair| pair[0].split("alertname=").nth(1)?.split(['"', '\\']).find(|part| !part.is_empty()))
        .map(str::to_owned)
        .collect()
}

/// No alert is without a case that fires and one that does not: each fails when the alert does the other.
#[test]
fn every_alert_has_a_case_that_fires_and_one_that_stays_quiet() {
    let names: BTreeSet<String> = alerts(&rules()).into_iter().map(|alert| alert.name).collect();
    assert!(names.len() > 40, "{names:?}");
    assert_eq!(failed(&judged("vector(1)"), false), names, "cases that stay quiet, of alerts that always fire");
    assert_eq!(failed(&judged("vector(0) == 1"), true), names, "cases that fire, of alerts that never fire");
}

#[test]
fn every_alert_says_what_to_do_and_has_its_runbook() {
    let page = fs::read_to_string(root().join("docs/runbooks.md")).unwrap();
    let mut sections = BTreeSet::new();
    for section in page.split("\n### ").skip(1) {
        let name = section.lines().next().unwrap().to_owned();
        for word in ["Means", "Who notices", "Look at", "Do"] {
            assert!(section.contains(&format!("\n- **{word}:** ")), "docs/runbooks.md: {name} lacks {word:?}");
        }
        sections.insert(name);
    }
    let rules = rules();
    let alerts = alerts(&rules);
    for alert in &alerts {
        let severity = alert.field("severity");
        assert!(["critical", "warning", "info"].contains(&severity), "{}: severity {severity:?}", alert.name);
        assert!(!alert.field("summary").is_empty() && !alert.field("description").is_empty(), "{}", alert.name);
        assert_eq!(alert.field("runbook_url"), format!("docs/runbooks.md#{}", alert.name.to_lowercase()));
    }
    let names: BTreeSet<String> = alerts.iter().map(|alert| alert.name.clone()).collect();
    assert_eq!(names.len(), alerts.len(), "an alert is there twice");
    assert_eq!(sections, names, "sections of docs/runbooks.md, and alerts");
    // What the page calls by the name of a panel is one.
    let titles: BTreeSet<String> = Board::read().panels.into_iter().map(|panel| panel.title).collect();
    let prose = page.replace("**", "");
    let named: Vec<&str> = prose.split('*').skip(1).step_by(2).collect();
    assert!(named.len() > 50, "{named:?}");
    let lost: Vec<_> = named.iter().filter(|name| !titles.contains(**name)).collect();
    assert!(lost.is_empty(), "docs/runbooks.md names panels that are none: {lost:?}");
}

#[test]
fn the_dashboard_has_the_form_that_grafana_loads_everywhere() {
    let board = Board::read();
    let json = &board.json;
    assert_eq!(json["uid"], "bellwire");
    assert!(json["schemaVersion"].as_u64().is_some_and(|version| (37..=41).contains(&version)));
    assert!(json.get("__inputs").is_none() && json.get("id").is_none(), "made for one Grafana");
    let variables: Vec<_> = json["templating"]["list"].as_array().unwrap().iter().map(|one| &one["name"]).collect();
    assert_eq!(variables, ["datasource", "cluster", "namespace", "job", "instance"]);
    let panels = json["panels"].as_array().unwrap();
    let rows: Vec<_> = panels.iter().filter(|panel| panel["type"] == "row").map(|panel| &panel["title"]).collect();
    assert_eq!(rows, ROWS);
    let ids: BTreeSet<_> = panels.iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
    assert_eq!(ids.len(), panels.len(), "an id is there twice");
    let titles: BTreeSet<_> = board.panels.iter().map(|panel| &panel.title).collect();
    assert_eq!(titles.len(), board.panels.len(), "a title is there twice");
    for panel in panels.iter().filter(|panel| panel["type"] != "row") {
        assert_eq!(panel["datasource"]["uid"], "${datasource}", "{}", panel["title"]);
        assert!(panel["fieldConfig"]["defaults"]["unit"].is_string(), "{} has no unit", panel["title"]);
    }
    for panel in &board.panels {
        assert!(panel.description.contains("Normal: "), "{} does not say what is normal", panel.title);
        for query in &panel.queries {
            is_of_the_chosen_nodes(&panel.title, query);
        }
        assert!(ROWS.contains(&panel.row.as_str()), "{} stands in no row", panel.title);
    }
    for (name, query) in board.annotations.iter().filter(|(_, query)| !query.contains("ALERTS")) {
        is_of_the_chosen_nodes(name, query);
    }
}

/// Each selector, or what it is joined with, names what was chosen. Thanos and Mimir have several clusters, in which other things
/// may have the same names.
fn is_of_the_chosen_nodes(title: &str, query: &str) {
    let chosen = ["cluster", "namespace", "job", "instance"].map(|name| format!("{name}=~\"${name}\""));
    assert!(query.contains(&chosen.join(",")), "{title}: not of the chosen nodes: {query}");
    let names = query.matches("=~\"$").count();
    assert_eq!(
        names,
        query.matches(&chosen.join(",")).count() * chosen.len(),
        "{title}: a selector lacks one: {query}"
    );
    for join in query.split(" on (").skip(1) {
        assert!(
            join.starts_with("cluster, namespace, job, instance)"),
            "{title}: joins other clusters' nodes: {query}"
        );
    }
}

#[test]
fn no_panel_lies_on_another() {
    let board = Board::read();
    let mut taken = BTreeSet::new();
    for panel in board.json["panels"].as_array().unwrap() {
        let at = |name: &str| panel["gridPos"][name].as_u64().unwrap();
        assert!(at("x") + at("w") <= 24, "{} leaves the page", panel["title"]);
        for x in at("x")..at("x") + at("w") {
            for y in at("y")..at("y") + at("h") {
                assert!(taken.insert((x, y)), "{} lies on another", panel["title"]);
            }
        }
    }
}
