//! Nagios 4, with its own documentation and with Naemon's, which Debian does not package.

use bellwire_testkit::engine::Engine;
use bellwire_testkit::tab::Front;

use super::{Trap, address, block, story};
use crate::support::{open, standalone};

/// What every installation has besides: a period, and objects that are checked from outside only.
pub(super) fn objects(host: &str, service: &str, contacts: &str) -> String {
    let days = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
    let days = days.map(|day| format!("{day} 00:00-24:00\n")).concat();
    let checked = format!(
        "check_command nothing\nmax_check_attempts 1\ncheck_period 24x7\nnotification_period 24x7\n\
         notification_interval 0\nactive_checks_enabled 0\ncontacts {contacts}\n"
    );
    format!(
        "define timeperiod {{\ntimeperiod_name 24x7\nalias always\n{days}}}\n\
         define command {{\ncommand_name nothing\ncommand_line /bin/true\n}}\n\
         define host {{\nhost_name {host}\ndisplay_name Web 1\naddress 127.0.0.1\n{checked}}}\n\
         define service {{\nhost_name {host}\nservice_description {service}\ndisplay_name Disk C\n{checked}}}\n"
    )
}

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
