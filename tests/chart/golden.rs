//! What the presets render, to be read in reviews; `BLESS=1` writes it anew.

use std::fs;

use crate::helm::{Helm, root};
use crate::objects::Objects;
use crate::sets;

#[test]
fn presets_render_what_was_reviewed() {
    let folder = root().join("tests/chart/golden");
    let mut known = Vec::new();
    for values in sets::presets() {
        let name = values.files[0].file_name().unwrap().to_str().unwrap().replace("values-", "");
        let rendered = reviewed(&Helm::V4.render(&values));
        let file = folder.join(&name);
        if std::env::var_os("BLESS").is_some() {
            fs::write(&file, &rendered).unwrap();
        }
        let golden = fs::read_to_string(&file).unwrap_or_default();
        let place = golden
            .lines()
            .zip(rendered.lines())
            .position(|(a, b)| a != b)
            .unwrap_or(golden.lines().count().min(rendered.lines().count()));
        assert!(
            golden == rendered,
            "tests/chart/golden/{name}, from line {}: look at `git diff` after BLESS=1",
            place + 1
        );
        known.push(name);
    }
    let left: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| !known.contains(name))
        .collect();
    assert!(left.is_empty(), "no preset renders {left:?}");
}

/// All but what has a file of its own that is reviewed: alerts and dashboards; and all but checksums.
fn reviewed(rendered: &str) -> String {
    let documents = rendered.split("---\n").filter(|document| {
        let objects = Objects::parse(document).unwrap();
        !objects.0.iter().any(|object| object.kind() == "PrometheusRule" || object.name().contains("dashboard"))
    });
    let text = documents.collect::<Vec<_>>().join("---\n");
    text.lines().filter(|line| !line.trim_start().starts_with("checksum/")).flat_map(|line| [line, "\n"]).collect()
}
