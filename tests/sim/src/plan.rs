//! What is to happen, made from a seed. Steps can be left out, which is how a failing schedule is made small.

use std::fmt;

use bellwire_gateway::protocol::Protocol;

use crate::history::Ms;

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident $text:literal,)*) => {
        /// A kind of fault, or of trouble that people make.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Kind { $($(#[$doc])* $name,)* }

        impl Kind {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// For people.
            #[must_use]
            pub fn text(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

kinds! {
    /// A report is not written, and its node learns that.
    ReportFails "report fails",
    /// A report is written although its node takes it for failed, perhaps late, behind others.
    ReportUnknown "report fails, yet lands late",
    /// A report is in the log twice.
    ReportTwice "report lands twice",
    /// A notification is not written; the client tries again.
    NotifyFails "notification fails",
    /// A notification is written though its append failed, and tried again.
    NotifyUnknown "notification fails, yet lands",
    /// A node dies, its connections break.
    Crash "crash",
    /// A node's machine dies: its tabs are not told.
    PowerCut "power cut",
    /// A node stands still for seconds.
    Freeze "freeze",
    /// A node stands still for longer than it is remembered.
    Forgotten "frozen until forgotten",
    /// A node's reader brings nothing.
    Deaf "reader stands still",
    /// A node's appends fail.
    Dumb "writer fails",
    /// A node's appends get no answer, and land all at once when that ends.
    Stuck "writer stuck, then all lands",
    /// The broker is away for all, and comes back for one after the other.
    Outage "broker outage",
    /// Another log stands where the old one was.
    Replaced "log replaced",
    /// A node is drained, and another one started.
    Drain "drain",
    /// A node starts late.
    LateStart "late start",
    /// A reader lags.
    Lag "reader lags",
    /// A tab's link carries nothing, and then breaks.
    HalfOpen "half-open link",
    /// A tab's link carries nothing, and then everything that waited.
    Blackout "link comes back",
    /// A tab's connection breaks.
    Break "connection breaks",
    /// A page hangs while its browser answers pings.
    Hang "page hangs",
    /// A page answers late.
    Slow "page answers late",
    /// A page shows what comes and never answers again.
    Silent "page never answers",
    /// A tab is closed.
    Close "tab closed",
    /// A tab moves to another node.
    Move "tab moves",
    /// A producer's clock is wrong by seconds.
    Skew "producer's clock",
    /// A node's clock is wrong by an hour.
    WrongClock "node's clock",
    /// The same notification comes twice.
    Repeat "notification repeated",
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

/// One thing that happens. Which tab or node it strikes is chosen by `pick` among those that are there then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// When.
    pub at: Ms,
    /// Which tab, node or browser.
    pub pick: u64,
    /// What.
    pub what: What,
}

/// See [`Step`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// An engine notifies.
    Notify,
    /// A tab is opened.
    Open(Protocol),
    /// A fault, for so long where it lasts.
    Fault(Kind, Ms),
}

/// A run.
#[derive(Debug, Clone)]
pub struct Plan {
    /// What it was made of.
    pub seed: u64,
    /// Gateways at the start.
    pub nodes: usize,
    /// Users, and browsers of each.
    pub users: usize,
    /// See `users`.
    pub browsers: usize,
    /// Time to live.
    pub ttl: Ms,
    /// So often every session is named.
    pub round_every: Ms,
    /// Small bounds on what is held for a user.
    pub bounded: bool,
    /// The run goes on until everything has expired.
    pub to_the_end: bool,
    /// Kinds that may happen.
    pub kinds: Vec<Kind>,
    /// In the order of time.
    pub steps: Vec<Step>,
    /// When trouble ends.
    pub calm_from: Ms,
}

/// Steps of a run at the least.
pub const STEPS_MIN: usize = 300;
/// Kinds of fault in a run at the least, calm runs aside.
pub const KINDS_MIN: usize = 5;
/// Nodes of a run at the least.
pub const NODES_MIN: usize = 3;

/// Kinds that make each other worse, and seldom come together by chance.
const THEMES: [&[Kind]; 4] = [
    // Late readers meet what the others have forgotten.
    &[Kind::Forgotten, Kind::LateStart, Kind::Close, Kind::Move, Kind::Break, Kind::Freeze],
    // Late proofs of old tabs, while others have gone on.
    &[Kind::Hang, Kind::Slow, Kind::Close, Kind::Move, Kind::ReportTwice, Kind::Break],
    // Nodes that write and do not read, or the other way round.
    &[Kind::Deaf, Kind::Dumb, Kind::Stuck, Kind::Lag, Kind::Freeze, Kind::Move],
    // Deploys in bad weather.
    &[Kind::Drain, Kind::LateStart, Kind::ReportUnknown, Kind::ReportTwice, Kind::Repeat, Kind::Break],
];

impl Plan {
    /// A run with many kinds of fault at once.
    #[must_use]
    pub fn of(seed: u64) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed ^ 0x5eed_0000_0000_0001);
        let mut kinds = Kind::ALL.to_vec();
        rng.shuffle(&mut kinds);
        if rng.u8(..) < 64 {
            let theme = THEMES[rng.usize(..THEMES.len())];
            kinds.retain(|kind| !theme.contains(kind));
            kinds.splice(0..0, theme.iter().copied());
        }
        // Some find nothing to strike.
        kinds.truncate(rng.usize(KINDS_MIN + 4..=13));
        Self::with(seed, kinds, &mut rng)
    }

    /// A run with at most one kind of fault: here nearly nothing excuses a repeat.
    #[must_use]
    pub fn calm(seed: u64) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed ^ 0xca1f_0000_0000_0002);
        let kinds = if rng.bool() { Vec::new() } else { vec![Kind::ALL[rng.usize(..Kind::ALL.len())]] };
        Self::with(seed, kinds, &mut rng)
    }

    fn with(seed: u64, kinds: Vec<Kind>, rng: &mut fastrand::Rng) -> Self {
        let calm_from = rng.u64(40_000..70_000);
        let ttl = [20_000, 60_000, 300_000][rng.usize(..3)];
        let mut plan = Self {
            seed,
            nodes: rng.usize(NODES_MIN..=4),
            users: rng.usize(2..=4),
            browsers: rng.usize(1..=3),
            ttl,
            // Often, so that late readers live of it; or seldom, so that nothing else is made good by it.
            round_every: if rng.bool() { 10_000 } else { 40_000 },
            bounded: rng.u8(..) < 24,
            to_the_end: ttl < 300_000 && rng.u8(..) < 96,
            kinds,
            steps: Vec::new(),
            calm_from,
        };
        plan.add_life(rng);
        plan.add_faults(rng);
        plan.steps.sort_by_key(|step| step.at);
        plan
    }

    fn add_life(&mut self, rng: &mut fastrand::Rng) {
        for browser in 0..self.users * self.browsers {
            // Most tabs are there from the beginning; some browsers come later.
            let at = if rng.u8(..) < 180 { rng.u64(1_000..3_000) } else { rng.u64(3_000..self.calm_from) };
            self.steps.push(Step { at, pick: browser as u64, what: What::Open(protocol(rng)) });
        }
        for _ in 0..rng.usize(2..12) {
            let at = rng.u64(3_000..self.calm_from);
            self.steps.push(Step { at, pick: rng.u64(..), what: What::Open(protocol(rng)) });
        }
        while self.steps.len() < STEPS_MIN {
            let at = rng.u64(2_500..self.calm_from);
            // Alone, or as a storm.
            let storm = if rng.u8(..) < 16 { rng.usize(5..20) } else { 1 };
            let pick = rng.u64(..);
            for _ in 0..storm {
                self.steps.push(Step { at: at + rng.u64(..50), pick, what: What::Notify });
            }
        }
    }

    fn add_faults(&mut self, rng: &mut fastrand::Rng) {
        for kind in self.kinds.clone() {
            let times = match kind {
                Kind::Forgotten | Kind::Replaced | Kind::WrongClock | Kind::Skew => 1,
                Kind::Repeat | Kind::Close | Kind::Move | Kind::Break => rng.usize(3..10),
                _ => rng.usize(1..4),
            };
            for _ in 0..times {
                let lasts = match kind {
                    Kind::Forgotten => self.ttl.min(60_000) + rng.u64(8_000..20_000),
                    Kind::Freeze => rng.u64(500..9_000),
                    Kind::Deaf | Kind::Dumb | Kind::Stuck => {
                        let most = if rng.bool() { 8_000 } else { 30_000 };
                        rng.u64(500..most)
                    }
                    Kind::Lag => rng.u64(5_000..20_000),
                    _ => rng.u64(300..12_000),
                };
                let latest = self.calm_from.saturating_sub(lasts).max(4_000);
                let at = rng.u64(3_000..=latest);
                if matches!(kind, Kind::Freeze | Kind::Forgotten) {
                    self.calm_from = self.calm_from.max(at + lasts + 1);
                }
                self.steps.push(Step { at, pick: rng.u64(..), what: What::Fault(kind, lasts) });
            }
        }
    }
}

fn protocol(rng: &mut fastrand::Rng) -> Protocol {
    Protocol::SPOKEN[rng.usize(..Protocol::SPOKEN.len())]
}
