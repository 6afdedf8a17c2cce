//! The words: title, body and icon of a notification. One wording for all protocols.
//!
//! Which fields a title, a body and an icon are made of, and which types have an icon, is openITCOCKPIT's;
//! the words are ours. The object comes first and its state next, because browsers cut long titles.

use super::limits::{self, Lines, shown};
use super::{Kind, Object};

/// What the words are made of.
#[derive(Debug, Clone, Copy)]
pub(super) struct Facts<'a> {
    pub(super) is_service: bool,
    pub(super) notification_type: &'a str,
    pub(super) state: i64,
    pub(super) host: Option<&'a Object>,
    pub(super) service: Option<&'a Object>,
    pub(super) output: &'a str,
    pub(super) author: &'a str,
    pub(super) comment: &'a str,
}

/// What happened, as far as it has words of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Event {
    Acknowledged,
    DowntimeStarted,
    DowntimeEnded,
    DowntimeCancelled,
    FlappingStarted,
    FlappingStopped,
    FlappingDisabled,
    /// The state speaks: `PROBLEM`, `RECOVERY`, `CUSTOM`, and whatever an engine may come up with.
    State,
}

/// The title where the sender gave none.
pub(super) fn title(facts: &Facts<'_>) -> String {
    let object = object(facts);
    let title = match Event::of(facts.notification_type) {
        Event::Acknowledged => format!("{object} is {} (acknowledged)", state(facts)),
        Event::DowntimeStarted => format!("{object}: downtime started"),
        Event::DowntimeEnded => format!("{object}: downtime ended"),
        Event::DowntimeCancelled => format!("{object}: downtime cancelled"),
        Event::FlappingStarted => format!("{object}: flapping started"),
        Event::FlappingStopped => format!("{object}: flapping stopped"),
        Event::FlappingDisabled => format!("{object}: flap detection off"),
        Event::State if facts.notification_type.is_empty() => format!("{object} is {}", state(facts)),
        Event::State => format!("{object} is {} ({})", state(facts), facts.notification_type),
    };
    shown(&title, limits::TITLE_SHOWN_BYTES_MAX, Lines::One)
}

/// The body where the sender gave none.
pub(super) fn body(facts: &Facts<'_>) -> String {
    let what = if facts.is_service { Kind::Service } else { Kind::Host }.word();
    match Event::of(facts.notification_type) {
        Event::Acknowledged => acknowledgement(facts),
        Event::DowntimeStarted => format!("A scheduled downtime of the {what} has begun."),
        Event::DowntimeEnded => format!("The scheduled downtime of the {what} is over."),
        Event::DowntimeCancelled => format!("The scheduled downtime of the {what} was called off."),
        Event::FlappingStarted => format!("The {what} keeps changing its state."),
        Event::FlappingStopped => format!("The state of the {what} is steady again."),
        Event::FlappingDisabled => format!("Flap detection was switched off for the {what}."),
        Event::State => shown(facts.output, limits::BODY_SHOWN_BYTES_MAX, Lines::Many),
    }
}

/// The icon where the sender gave none: only where the state speaks, and only of states that have one.
pub(super) fn icon(facts: &Facts<'_>) -> Option<&'static str> {
    if Event::of(facts.notification_type) != Event::State {
        return None;
    }
    match (facts.is_service, facts.state) {
        (false, 0) => Some("/img/push_notifications/wh/HostPushIconUP.png"),
        (false, 1) => Some("/img/push_notifications/wh/HostPushIconDOWN.png"),
        (false, 2) => Some("/img/push_notifications/wh/HostPushIconUNREACHABLE.png"),
        (true, 0) => Some("/img/push_notifications/wh/ServicePushIconOK.png"),
        (true, 1) => Some("/img/push_notifications/wh/ServicePushIconWARNING.png"),
        (true, 2) => Some("/img/push_notifications/wh/ServicePushIconCRITICAL.png"),
        (true, 3) => Some("/img/push_notifications/wh/ServicePushIconUNKNOWN.png"),
        _ => None,
    }
}

impl Event {
    fn of(notification_type: &str) -> Self {
        match notification_type {
            "ACKNOWLEDGEMENT" => Self::Acknowledged,
            "DOWNTIMESTART" => Self::DowntimeStarted,
            "DOWNTIMEEND" => Self::DowntimeEnded,
            "DOWNTIMECANCELLED" => Self::DowntimeCancelled,
            "FLAPPINGSTART" => Self::FlappingStarted,
            // Icinga says END.
            "FLAPPINGSTOP" | "FLAPPINGEND" => Self::FlappingStopped,
            "FLAPPINGDISABLED" => Self::FlappingDisabled,
            _ => Self::State,
        }
    }
}

fn object(facts: &Facts<'_>) -> String {
    let host = facts.host.map_or("unknown host", |host| &host.name);
    if facts.is_service {
        format!("{host}/{}", facts.service.map_or("unknown service", |service| &service.name))
    } else {
        host.to_owned()
    }
}

fn state(facts: &Facts<'_>) -> String {
    let name = match (facts.is_service, facts.state) {
        (false, 0) => "UP",
        (false, 1) => "DOWN",
        (false, 2) => "UNREACHABLE",
        (true, 0) => "OK",
        (true, 1) => "WARNING",
        (true, 2) => "CRITICAL",
        (true, 3) => "UNKNOWN",
        (_, number) => return format!("in state {number}"),
    };
    name.to_owned()
}

fn acknowledgement(facts: &Facts<'_>) -> String {
    let author = shown(facts.author, limits::AUTHOR_SHOWN_BYTES_MAX, Lines::One);
    let room = limits::BODY_SHOWN_BYTES_MAX - author.len() - 2;
    let comment = shown(facts.comment, room, Lines::Many);
    match (author.is_empty(), comment.is_empty()) {
        (false, false) => format!("{author}: {comment}"),
        (false, true) => author,
        (true, false) => comment,
        // Definitions that keep both away from a shell leave them out: then what the problem is says most.
        (true, true) => match shown(facts.output, limits::BODY_SHOWN_BYTES_MAX, Lines::Many) {
            output if output.is_empty() => "The problem was acknowledged.".to_owned(),
            output => output,
        },
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use super::*;

    const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/wording.txt");
    const TYPES: [&str; 14] = [
        "PROBLEM",
        "RECOVERY",
        "CUSTOM",
        "ACKNOWLEDGEMENT",
        "DOWNTIMESTART",
        "DOWNTIMEEND",
        "DOWNTIMECANCELLED",
        "FLAPPINGSTART",
        "FLAPPINGSTOP",
        "FLAPPINGEND",
        "FLAPPINGDISABLED",
        "",
        "problem",
        "ALERTHANDLER (x)",
    ];

    fn table() -> String {
        let host = Object { id: "h".into(), name: "web-1".into() };
        let service = Object { id: "s".into(), name: "HTTP".into() };
        let mut out = String::from("# kind | type | state | title | body | icon; BLESS=1 writes this file anew\n");
        for is_service in [false, true] {
            for notification_type in TYPES {
                for state in [0, 1, 2, 3, 4, -1] {
                    let facts = Facts {
                        is_service,
                        notification_type,
                        state,
                        host: Some(&host),
                        service: Some(&service),
                        output: "the output",
                        author: "alice",
                        comment: "the comment",
                    };
                    let kind = if is_service { "service" } else { "host" };
                    writeln!(
                        out,
                        "{kind} | {notification_type} | {state} | {} | {} | {}",
                        title(&facts),
                        body(&facts),
                        icon(&facts).unwrap_or("-")
                    )
                    .unwrap();
                }
            }
        }
        out
    }

    #[test]
    fn every_type_state_and_kind_has_its_words() {
        let table = table();
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(GOLDEN, &table).unwrap();
        }
        let golden = std::fs::read_to_string(GOLDEN).unwrap();
        for (ours, written) in table.lines().zip(golden.lines()) {
            assert_eq!(ours, written);
        }
        assert_eq!(table.lines().count(), golden.lines().count());
    }

    #[test]
    fn words_of_an_acknowledgement_are_bounded_and_never_half() {
        let facts = |author, comment| Facts {
            is_service: false,
            notification_type: "ACKNOWLEDGEMENT",
            state: 1,
            host: None,
            service: None,
            output: "the output",
            author,
            comment,
        };
        assert_eq!(body(&facts("", "")), "the output");
        assert_eq!(body(&Facts { output: " ", ..facts("", "") }), "The problem was acknowledged.");
        assert_eq!(body(&facts("bob", "")), "bob");
        assert_eq!(body(&facts("", "on it")), "on it");
        assert_eq!(body(&facts("bob", "line 1\\nline 2")), "bob: line 1\nline 2");
        let long = "x".repeat(5000);
        assert_eq!(body(&facts(&long, &long)).len(), limits::BODY_SHOWN_BYTES_MAX);
    }

    #[test]
    fn unknown_objects_have_words() {
        let facts = Facts {
            is_service: true,
            notification_type: "PROBLEM",
            state: 2,
            host: None,
            service: None,
            output: "",
            author: "",
            comment: "",
        };
        assert_eq!(title(&facts), "unknown host/unknown service is CRITICAL (PROBLEM)");
    }
}
