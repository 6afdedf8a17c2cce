//! One node's copy of one shard: the fold, what the node has to report of its own sessions, and when. Pure: the caller
//! reads the log and the clock, appends what it is given, and says what became of it.

use bellwire_common::ids::{BrowserId, NodeId, NotificationId, Offset, SessionId, UnixMillis, UserId};
use bellwire_common::record::{Entry as Line, Record, Report};

use super::reporter::{Mine, Reporter};
use super::rhythm::Rhythm;
use super::{Doubt, Limits, Machine, Next, Outcomes, Position, Timing, Touched};

/// See the module. Times are milliseconds of the node's steady clock.
#[derive(Debug)]
pub struct Replica<X> {
    node: NodeId,
    machine: Machine<X>,
    reporter: Reporter,
    rhythm: Rhythm,
    /// Rises when another log stands where the old one was: positions of an earlier one mean nothing (rule 13).
    generation: u32,
    /// Outcomes that the caller has taken.
    taken: Outcomes,
    /// The barrier was passed when it was looked at last.
    sending: bool,
}

/// A place in a log that may be replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reached {
    /// Places of different generations have nothing to do with each other.
    pub generation: u32,
    /// The last offset that was folded.
    pub applied: Option<Offset>,
}

/// Which of the node's sessions are to be woken.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Wake {
    /// All of them: the node may send from now on.
    pub all: bool,
    /// These may have something to send.
    pub next: Vec<u64>,
    /// These are to prove that they live (rule 11).
    pub prove: Vec<u64>,
}

impl<X> Replica<X> {
    /// A copy that has read nothing. `first_round`, at random below the rounds' time, spreads the rounds of nodes that
    /// start together.
    #[must_use]
    pub fn new(node: NodeId, limits: Limits, timing: Timing, now: u64, first_round: u64) -> Self {
        Self {
            node,
            machine: Machine::new(limits, node),
            reporter: Reporter::new(node),
            rhythm: Rhythm::new(timing, now, first_round),
            generation: 0,
            taken: Outcomes::default(),
            sending: false,
        }
    }

    /// The fold.
    #[must_use]
    pub fn machine(&self) -> &Machine<X> {
        &self.machine
    }

    /// Whether this node may send now (rule 12).
    #[must_use]
    pub fn may_send(&self) -> bool {
        self.reporter.may_send(&self.machine)
    }

    /// How many sessions of this node want notifications of this shard.
    #[must_use]
    pub fn sessions(&self) -> usize {
        self.reporter.sessions()
    }

    /// Those of this user, of one browser or of all.
    pub fn numbers_of<'a>(
        &'a self,
        user: &'a UserId,
        browser: Option<&'a BrowserId>,
    ) -> impl Iterator<Item = u64> + 'a {
        self.reporter.numbers_of(user, browser)
    }

    // --- the node's own sessions ---

    /// How far the log has been folded, and of which generation that is.
    #[must_use]
    pub fn reached(&self) -> Reached {
        Reached { generation: self.generation, applied: self.machine.applied().last() }
    }

    /// A tab that was greeted at `reached` wants notifications. Gives the generation that its positions belong to.
    pub fn open(&mut self, now: u64, number: u64, reached: Reached, mine: Mine) -> u32 {
        let from = reached.applied.filter(|_| reached.generation == self.generation);
        self.reporter.open(number, Mine { from, ..mine });
        self.rhythm.on_changed(now);
        self.generation
    }

    /// A tab's connection has ended.
    pub fn close(&mut self, now: u64, number: u64) {
        self.reporter.close(number);
        self.rhythm.on_changed(now);
    }

    /// A tab has proved that it has everything below `upto`, a position of `generation`. True if others should learn of
    /// it soon, because it ends a stall.
    pub fn confirm(&mut self, now: u64, number: u64, generation: u32, upto: Position) -> bool {
        let good_again = generation == self.generation && self.reporter.confirm(number, upto);
        if good_again {
            self.rhythm.on_changed(now);
        }
        good_again
    }

    /// A session has passed over everything below `upto`, which its browser has had: no proof, so that a stall goes on.
    pub fn pass(&mut self, number: u64, generation: u32, upto: Position) {
        if generation == self.generation {
            self.reporter.pass(number, upto);
        }
    }

    /// A tab does not answer.
    pub fn stall(&mut self, now: u64, number: u64) {
        self.reporter.stall(number);
        self.rhythm.on_changed(now);
    }

    /// What a tab of this node at `position` is to be sent: nothing unless it is the owner of its browser and the node
    /// may send (rule 12).
    #[must_use]
    pub fn next(&self, now: u64, number: u64, position: Position, max: usize) -> Next<X> {
        // A session may run before the clock is looked at after a freeze.
        if !self.reporter.may_send(&self.machine) || self.rhythm.stood_still(now) {
            return Next { generation: self.generation, ..Next::none() };
        }
        let session = SessionId { node: self.node, number };
        Next { generation: self.generation, ..self.machine.next(session, position, max) }
    }

    /// Whether a tab of this browser that is at `position` of `generation`, or the browser before it, has had the notification
    /// with this id. What a position of another log says is not known.
    #[must_use]
    pub fn has_had(
        &self,
        user: &UserId,
        browser: &BrowserId,
        (generation, position): (u32, Position),
        id: &NotificationId,
    ) -> bool {
        generation == self.generation && self.machine.has_had(user, browser, position, id)
    }

    // --- what the log brings ---

    /// Folds the next record; whether it is a report of this node.
    pub fn apply(
        &mut self,
        now: u64,
        offset: Offset,
        record: Record,
        extra: impl FnOnce() -> X,
        touched: &mut Touched,
    ) -> bool {
        let own = matches!(&record, Record::Report(report) if report.node == self.node);
        if let Record::Report(report) = &record
            && own
        {
            self.reporter.on_read_back(report);
            self.rhythm.on_read_back(now);
        }
        let was_lost = self.machine.is_lost(self.node);
        self.machine.apply(offset, record, extra, touched);
        let removed = touched.removed.drain(..).filter(|session| session.node == self.node);
        removed.for_each(|session| self.reporter.check(session.number));
        if !was_lost && self.machine.is_lost(self.node) {
            touched.tally.lost += 1;
            self.raise_barrier(now);
        }
        own
    }

    /// The log has been read to its end as it was when the reader attached; whether for the first time.
    pub fn on_caught_up(&mut self, now: u64) -> bool {
        self.rhythm.on_caught_up(now)
    }

    /// The reader attached anew behind the last record that was folded.
    pub fn on_reattached(&mut self, now: u64) {
        self.raise_barrier(now);
    }

    /// Another log stands where the old one was, and is read from its beginning: what was folded is void (rule 13).
    pub fn on_replaced(&mut self) {
        self.machine = Machine::new(self.machine.limits().clone(), self.node);
        self.taken = Outcomes::default();
        self.generation = self.generation.wrapping_add(1);
        self.rhythm.on_replaced();
        self.reporter.on_replaced();
    }

    // --- what the log is told ---

    /// Looks at the clock. [`Doubt::Unseen`] asks the caller to attach the reader anew, which it need not tell.
    pub fn tick(&mut self, now: u64) -> Option<Doubt> {
        let doubt = self.rhythm.tick(now)?;
        self.raise_barrier(now);
        Some(doubt)
    }

    /// The reports to append now, as one append; none when nothing is due or one is under way. Whoever takes some must
    /// tell [`Replica::on_appended`]. `at` is the node's clock.
    pub fn due(&mut self, now: u64, at: UnixMillis) -> Vec<Report> {
        // A round tells the sessions' ages: one made of what the node knew before a freeze would take away what others
        // have been given since, so it waits for the barrier.
        let may_name = self.reporter.may_send(&self.machine);
        let Some(turn) = self.rhythm.turn(now, may_name) else { return Vec::new() };
        let mut lines = self.reporter.differences(&self.machine, turn.confirms);
        lines.extend(turn.beat.then(|| self.reporter.beat()).flatten());
        if turn.round {
            lines.extend(self.reporter.round(&self.machine));
        }
        if lines.is_empty() && !self.reporter.owes_barrier() {
            return Vec::new();
        }
        self.rhythm.on_append_started();
        self.reporter.reports(lines, at)
    }

    /// What became of the append; whether that is news: the first failure, or the first success behind one.
    pub fn on_appended(&mut self, now: u64, written: bool) -> bool {
        let news = self.rhythm.is_failing() == written;
        self.rhythm.on_appended(now, written);
        if !written {
            self.reporter.on_append_failed();
        }
        news
    }

    /// When [`Replica::tick`] and [`Replica::due`] are to be asked again at the latest.
    #[must_use]
    pub fn deadline(&self) -> u64 {
        self.rhythm.deadline()
    }

    /// The last report, when every session has ended; none if the log was never read to its end.
    pub fn leave(&mut self, at: UnixMillis) -> Vec<Report> {
        if !self.rhythm.is_live() {
            return Vec::new();
        }
        self.reporter.recheck(&self.machine);
        let mut lines = self.reporter.differences(&self.machine, true);
        lines.push(Line::Leave);
        self.reporter.reports(lines, at)
    }

    /// Whether the others have been told that this node goes.
    #[must_use]
    pub fn has_left(&self) -> bool {
        !self.machine.knows(self.node)
    }

    // --- for the caller ---

    /// How notifications ended since this was asked last, as far as it is this node's to count (rule 9).
    pub fn take_outcomes(&mut self) -> Outcomes {
        let now = self.machine.outcomes_to_count();
        now.since(std::mem::replace(&mut self.taken, now))
    }

    /// Whom the changes concern among this node's sessions.
    pub fn wake(&mut self, mut touched: Touched) -> Wake {
        let may = self.reporter.may_send(&self.machine);
        let all = may && !std::mem::replace(&mut self.sending, may);
        let mut wake = Wake { all, ..Wake::default() };
        if !may {
            return wake;
        }
        touched.users.sort_unstable();
        touched.users.dedup();
        let mine = |owner: &SessionId| owner.node == self.node;
        for user in &touched.users {
            wake.next.extend(self.machine.owners(user).filter(mine).map(|owner| owner.number));
        }
        wake.prove.extend(touched.prove.iter().filter(|session| mine(session)).map(|session| session.number));
        wake
    }

    /// Nothing is sent until a report yet to be made was read back (rule 12).
    fn raise_barrier(&mut self, now: u64) {
        if !self.reporter.owes_barrier() {
            self.reporter.raise_barrier();
        }
        self.rhythm.on_changed(now);
    }
}
