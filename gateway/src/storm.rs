//! The digest of a storm, for tabs that cannot make one themselves: V1's and V2's (rule 14). Pure.
//!
//! It gathers what is not shown by itself and says when it is to be told: soon after it began, soon after it got worse,
//! and else rarely, because those front ends show each digest as a notification of its own.

use std::fmt::Write;

use bellwire_common::notification::{Kind, Notification};

use crate::delivery::{Position, STORM_WINDOW_MS};

/// The worst state of a storm is to be seen within 3 s.
const SOON_MS: u64 = 2_000;

/// What a notification is counted as, the worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Class {
    Down,
    Critical,
    Unreachable,
    Unknown,
    Warning,
    Other,
    Up,
    Ok,
}

/// See the module. Times are milliseconds of the node's steady clock.
#[derive(Debug, Default)]
pub(crate) struct Digest {
    counts: [u32; Class::ALL.len()],
    worst: Option<(Class, Notification)>,
    upto: Position,
    /// When what is gathered is to be told.
    due_at: Option<u64>,
    /// When something was told last, and how bad it was.
    told: Option<(u64, u8)>,
}

impl Digest {
    /// Gathers a notification; `upto` is the position behind it.
    pub(crate) fn add(&mut self, now: u64, upto: Position, notification: Notification) {
        let class = Class::of(&notification);
        self.counts[class as usize] += 1;
        self.upto = upto;
        let due = match self.told {
            Some((at, severity)) if now < at + STORM_WINDOW_MS && class.severity() <= severity => at + STORM_WINDOW_MS,
            _ => now + SOON_MS,
        };
        self.due_at = Some(self.due_at.map_or(due, |at| at.min(due)));
        if self.worst.as_ref().is_none_or(|(worst, _)| class < *worst) {
            self.worst = Some((class, notification));
        }
    }

    /// The position behind what is gathered; none when there is nothing.
    pub(crate) fn upto(&self) -> Option<Position> {
        self.due_at.map(|_| self.upto)
    }

    /// When it is to be told; none when there is nothing.
    pub(crate) fn due_at(&self) -> Option<u64> {
        self.due_at
    }

    /// What is to be told now, and the position that it stands for.
    pub(crate) fn take(&mut self, now: u64) -> Option<(Notification, Position)> {
        let (class, worst) = self.worst.take()?;
        let counts = std::mem::take(&mut self.counts);
        self.told = Some((now, class.severity()));
        self.due_at = None;
        Some((digest(counts, worst), self.upto))
    }

    /// Forgets what is gathered: somebody else is to tell it.
    pub(crate) fn drop_gathered(&mut self) {
        *self = Self { told: self.told, ..Self::default() };
    }
}

fn digest(counts: [u32; Class::ALL.len()], worst: Notification) -> Notification {
    let all: u32 = counts.iter().sum();
    let mut title = format!("{all} more: ");
    let mut separator = "";
    for (class, count) in Class::ALL.iter().zip(counts).filter(|(_, count)| *count > 0) {
        let _ = write!(title, "{separator}{count} {}", class.word());
        separator = ", ";
    }
    Notification {
        timestamp: worst.timestamp,
        kind: Kind::Message,
        notification_type: String::new(),
        state: 0,
        host: None,
        service: None,
        title,
        body: format!("The worst: {}", worst.title),
        url: None,
        icon: worst.icon,
    }
}

impl Class {
    const ALL: [Self; 8] =
        [Self::Down, Self::Critical, Self::Unreachable, Self::Unknown, Self::Warning, Self::Other, Self::Up, Self::Ok];

    /// By the state; that somebody has acknowledged a problem, for example, is no further problem.
    fn of(n: &Notification) -> Self {
        let tells_state = matches!(n.notification_type.as_str(), "" | "PROBLEM" | "RECOVERY" | "CUSTOM");
        match (n.kind, n.state) {
            (Kind::Message, _) => Self::Other,
            _ if !tells_state => Self::Other,
            (Kind::Host, 0) => Self::Up,
            (Kind::Host, 1) => Self::Down,
            (Kind::Host, _) => Self::Unreachable,
            (Kind::Service, 0) => Self::Ok,
            (Kind::Service, 1) => Self::Warning,
            (Kind::Service, 2) => Self::Critical,
            (Kind::Service, _) => Self::Unknown,
        }
    }

    /// Steps that are worth another notification.
    fn severity(self) -> u8 {
        match self {
            Self::Down | Self::Critical => 3,
            Self::Unreachable | Self::Unknown => 2,
            Self::Warning => 1,
            Self::Other | Self::Up | Self::Ok => 0,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Down => "down",
            Self::Critical => "critical",
            Self::Unreachable => "unreachable",
            Self::Unknown => "unknown",
            Self::Warning => "warning",
            Self::Other => "other",
            Self::Up => "up",
            Self::Ok => "ok",
        }
    }
}

#[cfg(test)]
mod tests {
    use bellwire_common::ids::Offset;

    use super::*;

    const P: fn(u64) -> Position = |n| Position::after(Offset(n));

    fn of(kind: Kind, state: i64, title: &str) -> Notification {
        let (notification_type, body) = ("PROBLEM".to_owned(), String::new());
        let (host, service, url, icon) = (None, None, None, Some(format!("/{title}.png")));
        let title = title.to_owned();
        Notification { timestamp: 1, kind, notification_type, state, host, service, title, body, url, icon }
    }

    #[test]
    fn it_counts_by_state_and_names_the_worst() {
        let mut digest = Digest::default();
        for n in 0..20 {
            digest.add(0, P(n), of(Kind::Service, 1, "warn"));
        }
        for n in 20..32 {
            digest.add(0, P(n), of(Kind::Service, 2, "disk"));
        }
        for n in 32..37 {
            digest.add(0, P(n), of(Kind::Host, 1, &format!("web{n}")));
        }
        let acknowledged = Notification { notification_type: "ACKNOWLEDGEMENT".into(), ..of(Kind::Host, 1, "ack") };
        digest.add(0, P(37), acknowledged);
        let (told, upto) = digest.take(2_000).unwrap();
        assert_eq!(told.title, "38 more: 5 down, 12 critical, 20 warning, 1 other");
        assert_eq!(told.body, "The worst: web32");
        assert_eq!((told.icon.as_deref(), told.host, upto), (Some("/web32.png"), None, P(37)));
        assert_eq!((digest.take(2_000), digest.upto(), digest.due_at()), (None, None, None));
    }

    #[test]
    fn it_is_told_soon_then_rarely_and_soon_again_when_it_gets_worse() {
        let mut digest = Digest::default();
        digest.add(100, P(1), of(Kind::Service, 1, "a"));
        digest.add(900, P(2), of(Kind::Service, 1, "b"));
        assert_eq!(digest.due_at(), Some(2_100));
        digest.take(2_100).unwrap();
        digest.add(3_000, P(3), of(Kind::Service, 1, "c"));
        assert_eq!(digest.due_at(), Some(32_100));
        digest.add(4_000, P(4), of(Kind::Host, 1, "d"));
        assert_eq!(digest.due_at(), Some(6_000));
        assert_eq!(digest.take(6_000).unwrap().0.title, "2 more: 1 down, 1 warning");
        digest.add(7_000, P(5), of(Kind::Service, 2, "e"));
        assert_eq!(digest.due_at(), Some(36_000), "as bad as what was told");
    }

    /// 5,000 in a minute, the states as bad for this as they can be: five by themselves, and five digests.
    #[test]
    fn a_long_storm_makes_at_most_five_digests_a_minute() {
        let mut digest = Digest::default();
        let mut told = 0;
        for n in 0..5_000_u64 {
            let now = n * 12;
            if digest.due_at().is_some_and(|at| at <= now) {
                assert!(digest.take(now).is_some());
                told += 1;
            }
            let (kind, state) = match now {
                0..8_000 => (Kind::Service, 0),
                8_000..12_000 => (Kind::Service, 1),
                12_000..20_000 => (Kind::Service, 3),
                20_000..25_000 => (Kind::Service, 2),
                _ => (Kind::Host, 1),
            };
            digest.add(now, P(n), of(kind, state, "x"));
        }
        assert_eq!(told, 5);
    }

    #[test]
    fn what_somebody_else_tells_is_forgotten() {
        let mut digest = Digest::default();
        digest.add(100, P(1), of(Kind::Service, 1, "a"));
        digest.drop_gathered();
        assert_eq!((digest.upto(), digest.due_at(), digest.take(9_000)), (None, None, None));
    }
}
