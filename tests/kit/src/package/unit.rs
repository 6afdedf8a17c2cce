//! What a unit says, and what systemd would make of it.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use tokio::process::Command;

use super::House;

/// A unit's lines in their order: section, name, value.
#[derive(Debug)]
pub struct Unit {
    lines: Vec<(String, String, String)>,
}

impl Unit {
    /// Reads the unit in this file of a house.
    pub async fn read(house: &House, path: &str) -> Result<Self> {
        let text = house.sh(&format!("cat {path}")).await?;
        let mut section = String::new();
        let mut lines = Vec::new();
        for line in text.lines().filter(|line| !line.starts_with(['#', ';']) && !line.is_empty()) {
            if let Some(name) = line.strip_prefix('[') {
                name.trim_end_matches(']').clone_into(&mut section);
            } else {
                let (name, value) = line.split_once('=').with_context(|| format!("{path}: {line}"))?;
                lines.push((section.clone(), name.to_owned(), value.to_owned()));
            }
        }
        Ok(Self { lines })
    }

    /// The last value of this name, which is the one that counts; empty if there is none.
    #[must_use]
    pub fn value(&self, name: &str) -> &str {
        self.lines.iter().rev().find(|(_, n, _)| n == name).map_or("", |(.., value)| value)
    }

    /// The lines of its section `[Service]`.
    #[must_use]
    pub fn service(&self) -> Vec<&(String, String, String)> {
        self.lines.iter().filter(|(section, ..)| section == "Service").collect()
    }

    /// What it starts, as whom, with the state directory, if any, that systemd would make.
    pub async fn start(&self, house: &House) -> Result<Command> {
        let (user, state) = (self.value("User"), self.value("StateDirectory"));
        let state = (!state.is_empty()).then(|| format!("/var/lib/{state}"));
        if let Some(state) = &state {
            let mode = self.value("StateDirectoryMode");
            house.sh(&format!("install -d -o {user} -g {user} -m {mode} {state}")).await?;
        }
        let variables = match self.value("EnvironmentFile") {
            "" => String::new(),
            // One that may be missing begins with a dash.
            file => house.sh(&format!("cat {}", file.trim_start_matches('-'))).await?,
        };
        let variables: Vec<_> =
            variables.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once('=')).collect();
        let mut words = Vec::new();
        for word in self.value("ExecStart").split(' ') {
            match word.strip_prefix('$') {
                // Without braces a variable is as many words as it has.
                Some(name) => {
                    let value = variables.iter().find(|(n, _)| *n == name).with_context(|| format!("no {name}"))?;
                    words.extend(value.1.split(' '));
                }
                None => words.push(word),
            }
        }
        ensure!(words.first().is_some_and(|program| Path::new(program).is_absolute()), "{words:?}");
        let mut command = house.command("setpriv");
        command.args(["--reuid", user, "--regid", user]);
        match self.value("SupplementaryGroups") {
            "" => command.arg("--clear-groups"),
            groups => command.args(["--groups", &groups.replace(' ', ",")]),
        };
        command.args(["--no-new-privs", "--bounding-set=-all"]).args(words);
        command.envs(state.map(|state| ("STATE_DIRECTORY", state))).envs(variables.iter().copied());
        Ok(command)
    }
}
