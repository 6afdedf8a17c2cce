//! Nagios 4, with its own documentation and with Naemon's, which Debian does not package.

use bellwire_testkit::engine::{Engine, objects};
use bellwire_testkit::tab::Front;

use super::{Trap, address, block, story};
use crate::support::{open, standalone};

#[tokio::test]
async fn the_environment_carries_everything_past_the_shell() {
    let node = standalone("memory:").await;
    let tab = open(Front::Native, "ann@example.org", "browser", node.listen).await;
    let trap = Trap::new();
    let page = |name| block("nagios.md", name);
    let objects = [objects("web01", "disk", "ann"), page("commands"), page("contact")].concat();
    let settings = page("settings");
    let engine = Engine::nagios(&settings, &objects, &[("BELLWIRE_INGEST", &address(&node))]).await.unwrap();
    let bodies = story(&engine, &tab, "web01", "disk", &trap).await;
    assert_eq!(bodies, trap.comments().map(|comment| format!("O'Neil: {comment}")));
    assert!(tab.titles()[0].starts_with("Web 1/Disk C is CRITICAL"), "{:?}", tab.titles());
}

#[tokio::test]
async fn naemon_s_definitions_need_no_shell() {
    let node = standalone("memory:").await;
    let tab = open(Front::Native, "ann", "browser", node.listen).await;
    let trap = Trap::new();
    let page = |name| block("naemon.md", name);
    let objects = [objects("web01", "disk", "ann"), page("commands"), page("contact")].concat();
    let settings = page("settings");
    let engine = Engine::nagios(&settings, &objects, &[("BELLWIRE_INGEST", &address(&node))]).await.unwrap();
    let bodies = story(&engine, &tab, "web01", "disk", &trap).await;
    assert_eq!(bodies, trap.comments().map(|comment| cleaned(&format!("O'Neil: {comment}"))));
    assert!(tab.titles()[0].starts_with("web01/disk is CRITICAL"), "{:?}", tab.titles());
}

/// What the engine leaves of a text.
pub(super) fn cleaned(text: &str) -> String {
    text.replace(['`', '~', '$', '&', '|', '\'', '"', '<', '>'], "")
}
