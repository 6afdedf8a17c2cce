//! Icinga 2, which passes arguments without a shell.

use bellwire_testkit::engine::Engine;
use bellwire_testkit::tab::Front;

use super::{Trap, address, block, story};
use crate::support::{open, standalone};

/// Objects that are checked from outside only.
const OBJECTS: &str = r#"
object Host "web01" {
  display_name = "Web 1"
  check_command = "dummy"
  enable_active_checks = false
  max_check_attempts = 1
}
object Service "disk" {
  host_name = "web01"
  display_name = "Disk C"
  check_command = "dummy"
  enable_active_checks = false
  max_check_attempts = 1
}
"#;

#[tokio::test]
async fn arguments_carry_everything_past_the_shell() {
    let node = standalone("memory:").await;
    let tab = open(Front::Native, "ann", "browser", node.listen).await;
    let trap = Trap::new();
    let objects = block("icinga2.md", "objects") + OBJECTS;
    let engine = Engine::icinga(&objects, &[("BELLWIRE_INGEST", &address(&node))]).await.unwrap();
    let bodies = story(&engine, &tab, "web01", "disk", &trap).await;
    assert_eq!(bodies, trap.comments().map(|comment| format!("O'Neil: {comment}")));
    assert!(tab.titles()[0].starts_with("Web 1/Disk C is CRITICAL"), "{:?}", tab.titles());
}
