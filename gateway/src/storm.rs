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
    told: Option<Last>,
}

/// What was told last.
#[derive(Debug, Clone, Copy)]
struct Last {
    at: u64,
    /// What is not worse than this is told rarely...
    bar: u8,
    /// ...until then: a storm that goes up and down would else be told each time that it goes up.
    bar_until: u64,
}

impl Last {
    fn after(before: Option<Self>, at: u64, severity: u8) -> Self {
        match before {
            Some(before) if at < before.bar_until && severity < before.bar => Self { at, ..before },
            _ => Self { at, bar: severity, bar_until: at + 2 * STORM_WINDOW_MS },
        }
    }
}

impl Digest {
    /// Gathers a notification that expires in `left_ms`; `upto` is the position behind it.
    pub(crate) fn add(&mut self, now: u64, upto: Position, left_ms: u64, notification: Notification) {
        let class = Class::of(&notification);
        self.counts[class as usize] += 1;
        self.upto = upto;
        let due = match self.told {
            Some(told) if now < told.bar_until && class.severity() <= told.bar => told.at + STORM_WINDOW_MS,
            _ => now + SOON_MS,
        };
        // Nor later than it is worth showing.
        let due = due.max(now).min(now + left_ms.saturating_sub(SOON_MS));
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
        self.told = Some(Last::after(self.told, now, class.severity()));
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

    const TTL_MS: u64 = 600_000;
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
            digest.add(0, P(n), TTL_MS, of(Kind::Service, 1, "warn"));
        }
        for n in 20..32 {
            digest.add(0, P(n), TTL_MS, of(Kind::Service, 2, "disk"));
        }
        for n in 32..37 {
            digest.add(0, P(n), TTL_MS, of(Kind::Host, 1, &format!("web{n}")));
        }
        let acknowledged = Notification { notification_type: "ACKNOWLEDGEMENT".into(), ..of(Kind::Host, 1, "ack") };
        digest.add(0, P(37), TTL_MS, acknowledged);
        let (told, upto) = digest.take(2_000).unwrap();
        assert_eq!(told.title, "38 more: 5 down, 12 critical, 20 warning, 1 other");
        assert_eq!(told.body, "The worst: web32");
        assert_eq!((told.icon.as_deref(), told.host, upto), (Some("/web32.png"), None, P(37)));
        assert_eq!((digest.take(2_000), digest.upto(), digest.due_at()), (None, None, None));
    }

    #[test]
    fn it_is_told_soon_then_rarely_and_soon_again_when_it_gets_worse() {
        let mut digest = Digest::default();
        digest.add(100, P(1), TTL_MS, of(Kind::Service, 1, "a"));
        digest.add(900, P(2), TTL_MS, of(Kind::Service, 1, "b"));
        assert_eq!(digest.due_at(), Some(2_100));
        digest.take(2_100).unwrap();
        digest.add(3_000, P(3), TTL_MS, of(Kind::Service, 1, "c"));
        assert_eq!(digest.due_at(), Some(32_100));
        digest.add(4_000, P(4), TTL_MS, of(Kind::Host, 1, "d"));
        assert_eq!(digest.due_at(), Some(6_000));
        assert_eq!(digest.take(6_000).unwrap().0.title, "2 more: 1 down, 1 warning");
        digest.add(7_000, P(5), TTL_MS, of(Kind::Service, 2, "e"));
        assert_eq!(digest.due_at(), Some(36_000), "as bad as what was told");
    }

    proptest::proptest! {
        /// Whatever comes: with the five by themselves at most ten in any minute.
        #[test]
        fn at_most_five_digests_in_any_minute(states in proptest::collection::vec((0..4_i64, 1..3_000_u64), 1..600)) {
            let mut digest = Digest::default();
            let (mut now, mut told) = (0, Vec::new());
            for (n, (state, gap)) in (0..).zip(states) {
                let next = now + gap;
                while let Some(at) = digest.due_at().filter(|at| *at <= next) {
                    digest.take(at).unwrap();
                    told.push(at);
                }
                now = next;
                digest.add(now, P(n), TTL_MS, of(Kind::Service, state, "x"));
            }
            for (index, at) in told.iter().enumerate() {
                let minute = told[index..].iter().take_while(|other| **other < at + 60_000).count();
                proptest::prop_assert!(minute <= 5, "{:?}", &told[index..index + minute]);
            }
        }
    }

    #[test]
    fn it_is_told_before_it_is_worth_nothing() {
        let mut digest = Digest::default();
        digest.add(0, P(1), TTL_MS, of(Kind::Service, 2, "a"));
        digest.take(2_000).unwrap();
        digest.add(3_000, P(2), TTL_MS, of(Kind::Service, 2, "b"));
        digest.add(4_000, P(3), 15_000, of(Kind::Service, 2, "c"));
        assert_eq!(digest.due_at(), Some(17_000));
        digest.add(5_000, P(4), 500, of(Kind::Service, 2, "d"));
        assert_eq!(digest.due_at(), Some(5_000));
    }

    #[test]
    fn what_somebody_else_tells_is_forgotten() {
        let mut digest = Digest::default();
        digest.add(100, P(1), TTL_MS, of(Kind::Service, 1, "a"));
        digest.drop_gathered();
        assert_eq!((digest.upto(), digest.due_at(), digest.take(9_000)), (None, None, None));
    }
}
