//! What packaging/Dockerfile says, so that a word that is wrong there makes a test fail.

use std::collections::BTreeMap;
use std::path::Path;

/// An instruction and what is behind it; lines that go on are one.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Instruction {
    name: String,
    rest: String,
}

/// A stage, from one `FROM` to the next.
#[derive(Debug)]
pub(crate) struct Stage {
    instructions: Vec<Instruction>,
}

/// A copy from the stage that builds: with which owner, from where, to where.
#[derive(Debug)]
pub(crate) struct Copy {
    pub(crate) owner: String,
    pub(crate) from: String,
    pub(crate) to: String,
}

/// The stage that builds, and the one that runs.
pub(crate) fn stages() -> (Stage, Stage) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/Dockerfile");
    let mut stages: Vec<Stage> = Vec::new();
    for instruction in parse(&std::fs::read_to_string(path).unwrap()) {
        if instruction.name == "FROM" {
            stages.push(Stage { instructions: Vec::new() });
        }
        if let Some(stage) = stages.last_mut() {
            stage.instructions.push(instruction);
        }
    }
    let [build, run] = <[Stage; 2]>::try_from(stages).unwrap();
    (build, run)
}

fn parse(text: &str) -> Vec<Instruction> {
    let mut lines = Vec::new();
    let mut open = String::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        match line.strip_suffix('\\') {
            Some(part) => open += part,
            None => lines.push(std::mem::take(&mut open) + line),
        }
    }
    assert!(open.is_empty(), "the last line goes on");
    let split = |line: String| {
        let (name, rest) = line.split_once(' ').unwrap();
        Instruction { name: name.to_owned(), rest: rest.trim().to_owned() }
    };
    lines.into_iter().map(split).collect()
}

impl Stage {
    /// What is behind each instruction of this name.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        self.instructions.iter().filter(|i| i.name == name).map(|i| i.rest.as_str()).collect()
    }

    /// What is behind the only instruction of this name.
    pub(crate) fn one(&self, name: &str) -> &str {
        let [rest] = self.all(name)[..] else { panic!("not one {name}: {:?}", self.all(name)) };
        rest
    }

    /// The words of an instruction in its JSON form, behind its options.
    pub(crate) fn words(&self, name: &str) -> Vec<String> {
        let rest = self.one(name);
        serde_json::from_str(&rest[rest.find('[').unwrap()..]).unwrap()
    }

    /// `NAME=value` of each `ENV` or `LABEL`, without quotes.
    pub(crate) fn pairs(&self, name: &str) -> BTreeMap<String, String> {
        self.all(name).into_iter().flat_map(pairs).collect()
    }

    /// In their order.
    pub(crate) fn copies(&self) -> Vec<Copy> {
        let copy = |rest: &str| {
            let [stage, owner, from, to] = rest.split_whitespace().collect::<Vec<_>>()[..] else { panic!("{rest}") };
            assert_eq!(stage, "--from=build", "{rest}");
            let owner = owner.strip_prefix("--chown=").unwrap().to_owned();
            Copy { owner, from: from.to_owned(), to: to.to_owned() }
        };
        self.all("COPY").into_iter().map(copy).collect()
    }
}

fn pairs(text: &str) -> Vec<(String, String)> {
    let mut pairs = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let (name, value) = rest.split_once('=').unwrap();
        let (value, behind) = match value.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap(),
            None => value.split_once(' ').unwrap_or((value, "")),
        };
        pairs.push((name.to_owned(), value.to_owned()));
        rest = behind.trim();
    }
    pairs
}

#[test]
fn lines_options_and_quotes_are_read() {
    let instructions = parse("# none\nFROM a AS b\nENV A=1 \\\n# none either\n    B=\"2 3\"\nCMD [\"x\"]\n");
    let stage = Stage { instructions };
    assert_eq!(stage.one("FROM"), "a AS b");
    assert_eq!(stage.pairs("ENV"), [("A", "1"), ("B", "2 3")].map(|(n, v)| (n.to_owned(), v.to_owned())).into());
    assert_eq!(stage.words("CMD"), ["x"]);
}
