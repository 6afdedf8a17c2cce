//! Faults that the simulation plants, one at a time, to prove that its oracle would find them (`tests/sim`). In every
//! other build `planted` is a constant `false`.

/// One fault for each rule at least.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bug {
    /// Rule 0: a new browser starts where its tab was announced, not where it was greeted.
    ForgetGreeting,
    /// Rule 1: every tab of a browser is sent what comes.
    EveryTabOwns,
    /// Rule 1: a bad tab gives way although there is no other.
    BadTabsOwnNothing,
    /// Rule 2: a connection goes on at the browser's cursor whatever it was sent.
    ForgetSent,
    /// Rule 3: the cursor is what was confirmed last.
    CursorFalls,
    /// Rule 4: a new browser starts where its tab was greeted, though nobody saw what came before.
    IgnoreUnseen,
    /// Rule 5: log time is the latest clock of all.
    LatestClock,
    /// Rule 6: ids are not remembered.
    ForgetIds,
    /// Rule 7: a heartbeat does not wait for the one before.
    BeatBlindly,
    /// Rule 7: a heartbeat whose append failed is followed by another.
    BeatAnew,
    /// Rule 7: a node that is back gets its place back.
    KeepAge,
    /// Rule 8: a difference is told once and never again.
    TellOnce,
    /// Rule 8: no round is made.
    NoRounds,
    /// Rule 9: every node counts.
    EveryNodeCounts,
    /// Rule 10: nothing gives way.
    NoBounds,
    /// Rule 11: a page that does not answer stays the owner.
    NeverStall,
    /// Rule 11: the pong moves the cursor.
    LinkIsEnough,
    /// Rule 12: nothing is waited for.
    NoBarrier,
    /// Rule 13: positions of a log that was replaced are kept.
    KeepPositions,
}

impl Bug {
    /// All of them, with their rules.
    pub const ALL: [(u8, Self); 19] = [
        (0, Self::ForgetGreeting),
        (1, Self::EveryTabOwns),
        (1, Self::BadTabsOwnNothing),
        (2, Self::ForgetSent),
        (3, Self::CursorFalls),
        (4, Self::IgnoreUnseen),
        (5, Self::LatestClock),
        (6, Self::ForgetIds),
        (7, Self::BeatBlindly),
        (7, Self::BeatAnew),
        (7, Self::KeepAge),
        (8, Self::TellOnce),
        (8, Self::NoRounds),
        (9, Self::EveryNodeCounts),
        (10, Self::NoBounds),
        (11, Self::NeverStall),
        (11, Self::LinkIsEnough),
        (12, Self::NoBarrier),
        (13, Self::KeepPositions),
    ];
}
