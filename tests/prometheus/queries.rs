//! Each query of the dashboard and of the rules, against what real nodes have told.

use std::collections::BTreeSet;

use crate::alerts::{alerts, rules};
use crate::board::{Board, filled};
use crate::server::{Prometheus, now};

/// Panels, or some of their queries, that are empty where all is well.
const MAY_BE_EMPTY: [&str; 4] = [
    "Connections that were refused",
    "Requests that ingest refused",
    "Can every gateway send?",
    "What breaks around a node?",
];
/// Matchers whose values come from outside.
const OUTSIDE: [&str; 6] = ["cluster", "namespace", "job", "instance", "alertname", "alertstate"];

/// All have an answer, and name only metrics and label values that there are; panels show something since `from`.
pub(crate) async fn all_are_answered(board: &Board, prometheus: &Prometheus, from: f64) {
    let rules_read = prometheus.rules().await.unwrap();
    let shipped = rules();
    let recorded = shipped.matches("\n      - record: ").count();
    assert_eq!(rules_read.len(), alerts(&shipped).len() + recorded, "Prometheus has read all rules");
    assert!(rules_read.iter().all(|(_, kind, _)| kind == "alerting" || kind == "recording"));
    assert_eq!(prometheus.failed_rules().await.unwrap(), Vec::<String>::new());

    let mut queries: Vec<(String, String)> = Vec::new();
    for panel in &board.panels {
        for query in &panel.queries {
            let query = filled(query, ".*", 300);
            let curves = prometheus.range(&query, from, now()).await.unwrap();
            let empty = MAY_BE_EMPTY.contains(&panel.title.as_str());
            assert!(empty || !curves.is_empty(), "{} shows nothing: {query}", panel.title);
            queries.push((panel.title.clone(), query));
        }
    }
    queries.extend(board.annotations.iter().map(|(name, query)| (name.clone(), filled(query, ".*", 300))));
    queries.extend(rules_read.into_iter().map(|(name, _, query)| (name, query)));
    let mut unknown = BTreeSet::new();
    for (what, query) in &queries {
        prometheus.query(query).await.unwrap_or_else(|error| panic!("{what}: {error:#}"));
        for selector in selectors(query) {
            if !prometheus.knows(&selector).await.unwrap() {
                unknown.insert(format!("{what}: {selector}"));
            }
        }
    }
    assert!(unknown.is_empty(), "no node has these: {unknown:#?}");
}

/// What a query asks for, one selector for each value of each label that it names: `a{b=~"c|d"}` is `a{b="c"}`, `a{b="d"}`.
fn selectors(query: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = query;
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    while let Some(begin) = rest.find(|c: char| is_name(c) || c == '"') {
        rest = &rest[begin..];
        if let Some(text) = rest.strip_prefix('"') {
            rest = text.split_once('"').map_or("", |(_, after)| after);
            continue;
        }
        let end = rest.find(|c| !is_name(c)).unwrap_or(rest.len());
        let (name, after) = rest.split_at(end);
        rest = after;
        if !(name.starts_with("bellwire") || name.starts_with("process_") || name == "up" || name == "ALERTS") {
            continue;
        }
        found.push(name.to_owned());
        let Some(inside) = after.strip_prefix('{') else { continue };
        let (matchers, after) = inside.split_once('}').unwrap_or((inside, ""));
        rest = after;
        found.extend(matchers.split("\",").flat_map(values).map(|matcher| format!("{name}{{{matcher}}}")));
    }
    found
}

/// `b=~"c|d"` as `b="c"` and `b="d"`; nothing of what comes from outside.
fn values(matcher: &str) -> Vec<String> {
    let Some((label, value)) = matcher.trim().trim_end_matches('"').split_once('"') else { return Vec::new() };
    let label = label.trim_end_matches(['=', '~', '!']);
    if OUTSIDE.contains(&label) {
        return Vec::new();
    }
    value.split('|').map(|value| format!("{label}=\"{value}\"")).collect()
}

#[cfg(test)]
mod tests {
    use super::selectors;

    #[test]
    fn each_value_of_each_label_is_asked_for() {
        let query = r#"sum by (up_to, reason) (rate(bellwire_a_total{job=~".*",reason!~"c|d"}[5m])) / on (job) up"#;
        assert_eq!(
            selectors(query),
            ["bellwire_a_total", r#"bellwire_a_total{reason="c"}"#, r#"bellwire_a_total{reason="d"}"#, "up"]
        );
    }

    #[test]
    fn recorded_names_and_texts_are_told_apart() {
        let query = r#"bellwire:up{role="gateway"} and ALERTS{alertname="up"}"#;
        assert_eq!(selectors(query), ["bellwire:up", r#"bellwire:up{role="gateway"}"#, "ALERTS"]);
    }
}
