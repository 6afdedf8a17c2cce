//! What `bellwire config` prints, and `docs/configuration.md`.

use std::collections::BTreeMap;
use std::fmt::{self, Write};

use super::sources::{Given, Source, env_name};
use super::table::{Default, Role, Setting, Shown, TABLE};
use super::value;

/// The settings that a process works with, each with its source. Shown as TOML that can be used as it is;
/// secrets and what is not set are comments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effective {
    role: Role,
    lines: Vec<(String, String)>,
}

impl Effective {
    pub(super) fn new(role: Role, given: &BTreeMap<&'static str, Given>, note: Option<(&str, String)>) -> Self {
        let line = |setting: &Setting| {
            let default = setting.default(role)?;
            let Some(given) = given.get(setting.name) else {
                let meaning = if let Default::Unset(meaning) = default { meaning } else { "" };
                return Some((format!("# {} is not set", setting.name), meaning.to_owned()));
            };
            let source = match &note {
                Some((name, note)) if *name == setting.name && given.source == Source::Default => note.clone(),
                _ => given.source.of(setting.name),
            };
            Some((assignment(setting, &given.text), source))
        };
        Self { role, lines: TABLE.iter().filter_map(line).collect() }
    }
}

fn assignment(setting: &Setting, text: &str) -> String {
    let name = setting.name;
    // What JSON escapes, TOML reads.
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    match setting.shown {
        Shown::Secret => format!("# {name} = (set)"),
        Shown::Plain => format!("{name} = {}", quoted(text)),
        // What passed the checks can be read again.
        Shown::WithoutPasswords => value::log(text)
            .map_or_else(|_| format!("# {name} = (set)"), |log| format!("{name} = {}", quoted(&log.to_string()))),
    }
}

impl fmt::Display for Effective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "# settings of bellwire {}: value, and where it comes from", self.role)?;
        let width = self.lines.iter().map(|(left, _)| left.chars().count()).max().unwrap_or(0);
        for (left, right) in &self.lines {
            writeln!(f, "{left:width$}  # {right}")?;
        }
        Ok(())
    }
}

/// `docs/configuration.md`.
#[must_use]
pub fn markdown() -> String {
    let mut page = String::from(INTRODUCTION);
    page.push_str("\n## All settings\n\n| setting | standalone | gateway | ingest |\n| --- | --- | --- | --- |\n");
    for setting in TABLE {
        let cells = Role::ALL.map(|role| default(setting, role));
        let _ = writeln!(page, "| [`{0}`](#{0}) | {1} |", setting.name, cells.join(" | "));
    }
    for setting in TABLE {
        section(&mut page, setting);
    }
    page
}

fn default(setting: &Setting, role: Role) -> String {
    match setting.default(role) {
        None => "–".into(),
        Some(Default::Required) => "required".into(),
        Some(Default::Unset(_)) => "not set".into(),
        Some(Default::Text(text)) => format!("`{text}`"),
    }
}

fn section(page: &mut String, setting: &Setting) {
    let name = setting.name;
    let _ = writeln!(page, "\n### {name}\n\n{}.\n", setting.help);
    if setting.shown == Shown::Secret {
        let _ = writeln!(page, "- `{}`, `{name} = ...` in the file; no flag", env_name(name));
    } else {
        let _ = writeln!(page, "- `--{name} {}`, `{}`, `{name} = ...` in the file", setting.value, env_name(name));
    }
    let meanings = setting.defaults.iter().filter_map(|(role, default)| match default {
        Default::Unset(meaning) => Some((role, meaning)),
        _ => None,
    });
    if let Some((_, meaning)) = meanings.into_iter().next() {
        let _ = writeln!(page, "- Not set: {meaning}");
    }
    let _ = writeln!(page, "- Limits: {}", setting.limits);
    let _ = writeln!(page, "- Cost: {}", setting.cost);
    let _ = writeln!(page, "- Change it: {}", setting.change);
}

const INTRODUCTION: &str = "# Configuration

<!-- Made by `bellwire config --markdown`; a test compares it with the table in common/src/settings/table.rs. -->

Every setting has one name in three spellings: the flag `--admin-listen`, the environment variable
`BELLWIRE_ADMIN_LISTEN`, and the key `admin-listen` in a TOML file. The nearest to the call wins: flag, then environment,
then file, then default.

- The file is named by `--config FILE` or `BELLWIRE_CONFIG`; without either there is none. One file or environment may
  serve several roles: a role leaves aside what it does not have.
- Unknown keys and unknown `BELLWIRE_*` variables are refused, with the nearest name that exists. An empty variable counts
  as not set.
- `bellwire config [standalone|gateway|ingest]` takes the same flags, environment and file, checks them, and prints each
  setting with its source, without secrets.
- Secrets never stand in the command line, where `ps` shows them. They come from a file (`shared-key-file`,
  `amqp-password-file`, `ingest-tokens-file`), or from the environment or the TOML file (`shared-key`, and the password in `log`).
- A mistake ends the program with code 64 and one line for each thing that is wrong; a start that fails ends it with 1.
";

#[cfg(test)]
mod tests {
    use super::super::CONFIG_ENV;
    use super::*;

    #[test]
    fn the_page_in_docs_is_this_table() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/configuration.md");
        let page = std::fs::read_to_string(path).unwrap_or_default();
        assert!(page == markdown(), "run: bellwire config --markdown > docs/configuration.md");
    }

    #[test]
    fn the_page_names_every_variable() {
        let page = markdown();
        assert!(page.contains(CONFIG_ENV));
        for setting in TABLE {
            assert!(page.contains(&env_name(setting.name)), "{}", setting.name);
        }
    }
}
