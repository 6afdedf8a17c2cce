//! Real engines, with the definitions that `docs/engines/` shows: an alert must reach a tab, and nothing that
//! somebody writes into a comment may be run.

mod alertmanager;
mod checkmk;
mod icinga;
mod nagios;
mod openitcockpit;

use std::path::{Path, PathBuf};

use bellwire_testkit::bellwire::Bellwire;
use bellwire_testkit::engine::Engine;
use bellwire_testkit::process::binary;
use bellwire_testkit::tab::Tab;

/// The path of the program in the documentation.
const DOCUMENTED: &str = "/usr/bin/bellwire-notify";

/// The fenced block of a page in `docs/engines/` whose second word is `name`, with the program of this build.
fn block(page: &str, name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/engines").join(page);
    let text = std::fs::read_to_string(&path).unwrap();
    let mut lines = text.lines().skip_while(|line| {
        let is_fence = line.strip_prefix("```").and_then(|rest| rest.split_once(' ')).is_some_and(|(_, n)| n == name);
        !is_fence
    });
    assert!(lines.next().is_some(), "{page} has no block {name}");
    let block: Vec<_> = lines.take_while(|line| *line != "```").collect();
    block.join("\n").replace(DOCUMENTED, &notify()) + "\n"
}

fn notify() -> String {
    binary("bellwire-notify").display().to_string()
}

/// Where the commands of an engine find the node.
fn address(node: &Bellwire) -> String {
    format!("http://{}", node.listen)
}

/// A folder in which hostile texts try to leave a file.
struct Trap(tempfile::TempDir);

impl Trap {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Two comments that would leave a file each: one gets out of double quotes, one out of single ones.
    fn comments(&self) -> [String; 2] {
        let touch = |name: &str| format!("touch {}", self.file(name).display());
        [
            format!("\"; {}; \" $({})", touch("double"), touch("dollar")),
            format!("'; {}; ' `{}` <&|~> \\", touch("single"), touch("backtick")),
        ]
    }

    fn caught(&self) -> Vec<String> {
        let files = std::fs::read_dir(self.0.path()).unwrap();
        files.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }
}

/// A problem of a service, its acknowledgement with a hostile author and comment, its recovery; then a host's problem
/// and its acknowledgement. Each is shown before the next is raised. Gives the bodies of both acknowledgements; the
/// author is `O'Neil`.
async fn story(engine: &Engine, tab: &Tab, host: &str, service: &str, trap: &Trap) -> [String; 2] {
    let [double, single] = trap.comments();
    let object = format!("{host};{service}");
    let steps = [
        format!("PROCESS_SERVICE_CHECK_RESULT;{object};2;no space on C:\\"),
        format!("ACKNOWLEDGE_SVC_PROBLEM;{object};1;1;0;O'Neil;{double}"),
        format!("PROCESS_SERVICE_CHECK_RESULT;{object};0;fine again"),
        format!("PROCESS_HOST_CHECK_RESULT;{host};1;no answer"),
        format!("ACKNOWLEDGE_HOST_PROBLEM;{host};1;1;0;O'Neil;{single}"),
    ];
    for (done, step) in steps.iter().enumerate() {
        engine.command(step).await.unwrap();
        let shown = tab.wait_shown(done + 1).await;
        assert!(shown.is_ok(), "{step}: {:#}\n{}", shown.unwrap_err(), engine.output());
    }
    tab.settle().await.unwrap();
    assert_eq!(trap.caught(), Vec::<String>::new(), "a comment was run: {}", engine.output());
    let shown = tab.seen().shown;
    let states: Vec<_> = shown.iter().map(|shown| shown.title.as_str()).collect();
    assert_eq!(shown.len(), steps.len(), "{states:?}");
    assert_eq!([&*shown[0].body, &*shown[2].body, &*shown[3].body], ["no space on C:\\", "fine again", "no answer"]);
    for (title, words) in states.iter().zip(["CRITICAL", "acknowledged", "OK (RECOVERY)", "DOWN", "acknowledged"]) {
        assert!(title.contains(words), "{title}: not {words}");
    }
    [shown[1].body.clone(), shown[4].body.clone()]
}
