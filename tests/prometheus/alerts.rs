//! The shipped rules file, as text: its alerts, and variants of it.

use crate::board::shipped;

#[derive(Debug)]
pub(crate) struct Alert {
    pub(crate) name: String,
    /// All of its lines.
    text: String,
}

impl Alert {
    /// What stands behind `key:` on its line.
    pub(crate) fn field(&self, key: &str) -> &str {
        let found = self.text.lines().find_map(|line| line.trim_start().strip_prefix(key)?.strip_prefix(':'));
        found.map(str::trim).unwrap_or_default()
    }
}

pub(crate) fn rules() -> String {
    std::fs::read_to_string(shipped("prometheus/bellwire.rules.yaml")).unwrap()
}

pub(crate) fn alerts(rules: &str) -> Vec<Alert> {
    let blocks = rules.split("\n      - alert: ").skip(1);
    // The next group, or a recording rule, ends an alert.
    let own = blocks.map(|block| block.split("\n  - name: ").next().unwrap_or_default());
    own.map(|text| Alert { name: text.lines().next().unwrap_or_default().trim().to_owned(), text: text.to_owned() })
        .collect()
}

/// The rules with this in place of what each alert waits for; recording rules stay.
pub(crate) fn with_every_alert(rules: &str, expr: &str) -> String {
    let mut out = String::new();
    let (mut in_alert, mut in_expr) = (false, false);
    for line in rules.lines() {
        if line.starts_with("      - ") {
            in_alert = line.starts_with("      - alert: ");
        }
        let key = line.strip_prefix("        ").is_some_and(|rest| !rest.starts_with(' '));
        if key || line.starts_with("      - ") {
            in_expr = false;
        }
        if in_alert && line.starts_with("        expr:") {
            in_expr = true;
            out += &format!("        expr: {expr}\n");
        } else if !(in_expr || in_alert && line.starts_with("        for:")) {
            out += &format!("{line}\n");
        }
    }
    out
}
