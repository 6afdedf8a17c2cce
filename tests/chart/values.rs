//! values.yaml: each value is documented, in the schema, and changes what is rendered; the table in the chart's README.

mod alive;

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;

use crate::helm::{chart, root};

/// A value that is documented.
#[derive(Debug)]
pub(crate) struct Entry {
    /// With dots between the steps.
    pub(crate) path: String,
    /// As it stands behind the name; empty for a map or list in lines of its own.
    default: String,
    meaning: String,
}

/// All of them, and names of values that have no meaning written above them.
fn entries(yaml: &str) -> (Vec<Entry>, Vec<String>) {
    let (mut found, mut without) = (Vec::new(), Vec::new());
    let mut meaning: Option<String> = None;
    let mut steps: Vec<(usize, String)> = Vec::new();
    // The column of a documented value whose own lines are being passed over.
    let mut inside: Option<usize> = None;
    for line in yaml.lines() {
        let text = line.trim_start();
        let column = line.len() - text.len();
        if let Some(words) = text.strip_prefix("# -- ") {
            meaning = Some(words.to_owned());
        } else if let Some(words) = text.strip_prefix("# ") {
            if let Some(meaning) = &mut meaning {
                meaning.push(' ');
                meaning.push_str(words);
            }
        } else if let Some((name, value)) = text.split_once(':').filter(|(name, _)| is_name(name)) {
            if inside.is_some_and(|documented| column > documented) {
                assert_eq!(meaning, None, "a meaning inside of a value that has one: {line}");
                continue;
            }
            inside = None;
            steps.retain(|(at, _)| *at < column);
            steps.push((column, name.to_owned()));
            let path = steps.iter().map(|(_, name)| name.as_str()).collect::<Vec<_>>().join(".");
            match meaning.take() {
                Some(meaning) => {
                    inside = Some(column);
                    found.push(Entry { path, default: value.trim().to_owned(), meaning });
                }
                None if value.trim().is_empty() => {}
                None => without.push(path),
            }
        } else if text.is_empty() {
            meaning = None;
        }
    }
    (found, without)
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

pub(crate) fn yaml() -> String {
    fs::read_to_string(chart().join("values.yaml")).unwrap()
}

pub(crate) fn documented() -> Vec<Entry> {
    entries(&yaml()).0
}

fn schema() -> Value {
    serde_json::from_str(&fs::read_to_string(chart().join("values.schema.json")).unwrap()).unwrap()
}

/// What a reference inside of the schema leads to.
fn resolved<'a>(schema: &'a Value, node: &'a Value) -> &'a Value {
    match node["$ref"].as_str() {
        Some(to) => resolved(
            schema,
            schema.pointer(to.trim_start_matches('#')).unwrap_or_else(|| panic!("{to} is not in the schema")),
        ),
        None => node,
    }
}

/// The schema of a value.
fn of_path<'a>(schema: &'a Value, path: &str) -> Option<&'a Value> {
    let step = |node: &'a Value, name: &str| Some(resolved(schema, resolved(schema, node)["properties"].get(name)?));
    path.split('.').try_fold(schema, step)
}

#[test]
fn every_value_is_documented() {
    let (found, without) = entries(&yaml());
    assert!(found.len() > 250, "{}", found.len());
    assert_eq!(without, Vec::<String>::new(), "no `# --` above");
    let short: Vec<_> =
        found.iter().filter(|entry| !entry.meaning.ends_with(['.', ')']) || entry.meaning.len() < 6).collect();
    assert!(short.is_empty(), "not a sentence: {short:#?}");
}

#[test]
fn meanings_are_found_as_they_are_written() {
    let (found, without) = entries(
        "a:\n  # -- One,\n  # and more.\n  b: 1 # no\n  c: 2\n# -- Two.\nd:\n  e: 1\n  f:\n    - g: 2\n# -- Three.\nh: []\n",
    );
    let paths: Vec<_> = found.iter().map(|entry| (entry.path.as_str(), entry.meaning.as_str())).collect();
    assert_eq!(paths, [("a.b", "One, and more."), ("d", "Two."), ("h", "Three.")]);
    assert_eq!(without, ["a.c"]);
}

#[test]
fn the_schema_knows_the_documented_values_and_no_others() {
    let schema = schema();
    let entries = documented();
    let lost: Vec<_> =
        entries.iter().filter(|entry| of_path(&schema, &entry.path).is_none()).map(|entry| &entry.path).collect();
    assert!(lost.is_empty(), "not in the schema: {lost:?}");
    let known: BTreeSet<_> = entries.iter().map(|entry| entry.path.clone()).collect();
    let mut problems = Vec::new();
    inspect(&schema, &schema, "", &known, &mut problems);
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

/// Our own maps are closed, and each of their members is documented, or has members that are.
fn inspect(schema: &Value, node: &Value, path: &str, known: &BTreeSet<String>, problems: &mut Vec<String>) {
    let Some(members) = node["properties"].as_object() else {
        return problems.push(format!("{path} is not documented"));
    };
    // What is global belongs to other charts, too.
    if node["additionalProperties"] != false && !path.starts_with("global") {
        problems.push(format!("{path} takes anything"));
    }
    for (name, member) in members {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        let is_group = known.iter().any(|known| known.starts_with(&format!("{path}.")));
        if is_group {
            inspect(schema, resolved(schema, member), &path, known, problems);
        } else if !known.contains(&path) {
            problems.push(format!("{path} is not in values.yaml"));
        }
    }
}

#[test]
fn templates_read_no_value_that_is_not_documented() {
    let entries = documented();
    let is_known = |path: &str| {
        let within = |entry: &Entry| {
            entry.path == path
                || entry.path.starts_with(&format!("{path}."))
                || path.starts_with(&format!("{}.", entry.path))
        };
        entries.iter().any(within)
    };
    let mut seen = 0;
    let mut unknown = Vec::new();
    let mut folders = vec![chart().join("templates")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let file = entry.unwrap().path();
            if file.is_dir() {
                folders.push(file);
                continue;
            }
            for part in fs::read_to_string(&file).unwrap().replace("$values.", ".Values.").split(".Values.").skip(1) {
                let end = part.find(|c: char| !c.is_ascii_alphanumeric() && c != '.').unwrap_or(part.len());
                let path = part[..end].trim_end_matches('.');
                seen += 1;
                if !is_known(path) {
                    unknown.push(format!("{}: {path}", file.file_name().unwrap().display()));
                }
            }
        }
    }
    assert!(seen > 100 && unknown.is_empty(), "{seen} places, of which unknown: {unknown:#?}");
}

/// `BLESS=1` writes it anew.
#[test]
fn the_table_in_the_readme_is_that_of_the_values() {
    const OPEN: &str = "<!-- values -->\n";
    const CLOSE: &str = "<!-- /values -->\n";
    let file = chart().join("README.md");
    let readme = fs::read_to_string(&file).unwrap();
    let (before, rest) = readme.split_once(OPEN).expect("a line <!-- values -->");
    let (_, after) = rest.split_once(CLOSE).expect("a line <!-- /values -->");
    let row = |entry: &Entry| {
        let default =
            if entry.default.is_empty() { "see values.yaml".to_owned() } else { format!("`{}`", entry.default) };
        let [default, meaning] = [&default, &entry.meaning].map(|text| text.replace('|', "\\|"));
        format!("| `{}` | {default} | {meaning} |\n", entry.path)
    };
    let rows: String = documented().iter().map(row).collect();
    let wanted = format!("{before}{OPEN}\n| value | default | meaning |\n| --- | --- | --- |\n{rows}\n{CLOSE}{after}");
    if std::env::var_os("BLESS").is_some() {
        fs::write(&file, &wanted).unwrap();
    }
    let first = readme.lines().zip(wanted.lines()).find(|(a, b)| a != b);
    assert!(
        std::env::var_os("BLESS").is_some() || readme == wanted,
        "BLESS=1 writes it anew; it differs in {first:#?}"
    );
    // Links of the meanings are to pages of this tree.
    for page in wanted.split("(docs/").skip(1).filter_map(|rest| rest.split_once(')')) {
        assert!(root().join("docs").join(page.0).is_file(), "docs/{}", page.0);
    }
}
