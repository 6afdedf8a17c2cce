//! What `bellwire trace` prints for people. Pure.

use std::fmt::Write as _;

use bellwire_common::ids::UnixMillis;
use bellwire_gateway::trace::answer::{Answer, Browser, State, Story, Tab, User, Way, WayState};

/// The answer, line by line.
pub(crate) fn text(answer: &Answer) -> String {
    let mut page = Page { answer, out: String::new() };
    page.head();
    let users = answer.user.iter().chain(&answer.user_also);
    users.filter(|user| !user.browsers.is_empty()).for_each(|user| page.user(user));
    page.stories();
    page.foot();
    page.out
}

struct Page<'a> {
    answer: &'a Answer,
    out: String,
}

impl Page<'_> {
    fn line(&mut self, text: &str) {
        self.out.push_str(text);
        self.out.push('\n');
    }

    /// A line of a timeline; 0 is before there was time.
    fn event(&mut self, at: u64, text: &str) {
        if at == 0 {
            self.line(&format!("{:44}{text}", ""));
            return;
        }
        let (time, age) = (UnixMillis(at).utc(), self.age(at));
        let _ = writeln!(self.out, "    {time}  {age:<12}  {text}");
    }

    /// A line of a timeline that says what is, not what was.
    fn state(&mut self, text: &str) {
        let _ = writeln!(self.out, "    {:<40}{text}", "now");
    }

    fn age(&self, at: u64) -> String {
        age(self.answer.at, at)
    }

    fn time(&self, at: u64) -> String {
        format!("{} ({})", UnixMillis(at).utc(), self.age(at))
    }

    fn head(&mut self) {
        let answer = self.answer;
        self.line(&format!("asked node {} at {}", answer.node, UnixMillis(answer.at).utc()));
        self.line(&format!("what happened before {} is not known to it", self.time(answer.since)));
        if !answer.not_sending.is_empty() {
            self.line(
                "THIS NODE SENDS NOTHING AT PRESENT: it has not read back its own last report. See its log for whether it \
                 reaches RabbitMQ, or its disk.",
            );
        }
    }

    // --- the user ---

    fn user(&mut self, user: &User) {
        let read = user.applied.map_or_else(|| "nothing".to_owned(), |offset| format!("up to {offset}"));
        self.line(&format!("\nuser {}: shard {}, log {}, read {read}", user.id, user.shard, user.log));
        for browser in &user.browsers {
            self.browser(browser);
        }
        self.more(user.browsers_left_out, "browsers");
    }

    fn browser(&mut self, browser: &Browser) {
        let has =
            browser.cursor.map_or_else(|| "has nothing yet".to_owned(), |offset| format!("has all up to {offset}"));
        self.line(&format!("  browser {}: {has}", browser.id));
        if let Some(since) = browser.away_since {
            let since = if since == 0 { String::new() } else { format!(" since {}", self.time(since)) };
            self.line(&format!("    no tab{since}"));
        }
        for tab in &browser.tabs {
            let role = if tab.owner { "shows what comes" } else { "stands by" };
            self.line(&format!("    tab: {}, {role}{}", self.place(&tab.node, tab.session), trouble(tab)));
        }
        self.more(browser.tabs_left_out, "tabs");
    }

    fn more(&mut self, left_out: usize, what: &str) {
        if left_out > 0 {
            self.line(&format!("    and {left_out} more {what}"));
        }
    }

    fn place(&self, node: &str, session: u64) -> String {
        if node == self.answer.node {
            format!("session {session} on this node")
        } else {
            format!("session {session} on node {node}")
        }
    }

    // --- notifications ---

    fn stories(&mut self) {
        let answer = self.answer;
        if answer.notifications.is_empty() {
            self.line("\nno notification is known: none was accepted, or it was before the time above");
        }
        if answer.left_out > 0 {
            self.line(&format!("\n{} older ones are left out", answer.left_out));
        }
        answer.notifications.iter().for_each(|story| self.story(story));
    }

    fn story(&mut self, story: &Story) {
        self.line(&format!("\nnotification {} for user {}: {}", story.id, story.user, summary(story)));
        self.event(story.accepted_at, &format!("accepted, lives until {}", self.time(story.expires_at)));
        self.line(&format!("{:44}appended to shard {} at {} (log {})", "", story.shard, story.offset, story.log));
        for again in &story.repeats {
            self.event(again.accepted_at, &format!("accepted again, a repeat: dropped at {}", again.offset));
        }
        self.more(story.repeats_left_out, "repeats");
        if let Some(dropped) = &story.dropped {
            let (how, whose) = match story.state {
                State::Dropped => ("dropped", "nobody had confirmed it"),
                _ => ("ended", "some browser had it"),
            };
            self.event(dropped.at, &format!("{how}, {} ({whose})", why(&dropped.reason)));
        }
        if story.browsers.is_empty() {
            let then =
                if story.state == State::Waiting { "it goes to the first that opens" } else { "it had nowhere to go" };
            self.line(&format!("  no browser of the user is known: {then}"));
        }
        story.browsers.iter().for_each(|way| self.way(way));
        self.more(story.browsers_left_out, "browsers");
    }

    fn way(&mut self, way: &Way) {
        self.line(&format!("  browser {}: {}", way.id, headline(way)));
        if way.sent_left_out > 0 {
            self.line(&format!("{:44}sent by this node {} times before", "", way.sent_left_out));
        }
        for sent in &way.sent {
            self.event(sent.at, &format!("sent by this node (session {}, {})", sent.session, sent.protocol));
        }
        if let Some(confirmed) = &way.confirmed {
            let place = self.place(&confirmed.node, confirmed.session);
            let what = match (confirmed.before, confirmed.digested) {
                (true, _) => "known to have it, told by",
                (false, true) => "confirmed, shown in a digest, by",
                (false, false) => "confirmed by",
            };
            self.event(confirmed.at, &format!("{what} {place}"));
        }
        if let Some(tab) = &way.tab {
            let place = self.place(&tab.node, tab.session);
            let sent = if way.sent.iter().any(|sent| sent.session == tab.session) || tab.node != self.answer.node {
                ""
            } else {
                ", not sent to it yet"
            };
            self.state(&format!("waiting for its tab: {place}{sent}{}", trouble(tab)));
        }
        if let Some(since) = way.away_since.filter(|&since| since > 0) {
            self.event(since, "its last tab was gone");
        }
    }

    /// What of the above is not the whole truth.
    fn foot(&mut self) {
        let mine = |node: &str| node == self.answer.node;
        let ways = self.answer.notifications.iter().flat_map(|story| &story.browsers);
        let mut others = ways.flat_map(|way| {
            way.confirmed.iter().map(|confirmed| &confirmed.node).chain(way.tab.iter().map(|tab| &tab.node))
        });
        if others.any(|node| !mine(node)) {
            self.line(
                "\nEvery node knows what all have confirmed, but only of itself when it sent. For the sending times of another \
                 node run this command on that one.",
            );
        }
    }
}

fn summary(story: &Story) -> String {
    let confirmed = story.browsers.iter().filter(|way| way.state == WayState::Confirmed).count();
    let browsers = match story.browsers_left_out {
        0 => format!("{confirmed} of {} browsers", story.browsers.len()),
        _ => format!("{confirmed} of the {} browsers listed", story.browsers.len()),
    };
    match (story.state, &story.dropped) {
        (State::Delivered, _) => format!("DELIVERED to {browsers}"),
        (State::Digested, _) => format!("DELIVERED to {browsers}, in the digest of a storm"),
        (State::Waiting, _) => "WAITING, nobody has confirmed it yet".to_owned(),
        (State::Dropped, Some(dropped)) => format!("DROPPED, {}", why(&dropped.reason)),
        (State::Dropped, None) => "DROPPED".to_owned(),
    }
}

fn headline(way: &Way) -> &'static str {
    match way.state {
        WayState::Confirmed => "confirmed",
        WayState::Waiting if way.sent.is_empty() => "waiting",
        WayState::Waiting => "sent, and not confirmed yet",
        WayState::Away => "not there; gets it when it opens a tab in time",
        WayState::NotThere => "was not there; it opened later, when another browser had it already",
        WayState::Dropped if way.sent.is_empty() => "not confirmed in time; this node is not known to have sent it",
        WayState::Dropped => "sent, but never confirmed",
        WayState::Late if way.sent.is_empty() => {
            "ended before this browser's proof; only the node that sent it knows whether it was sent"
        }
        WayState::Late => "sent, but ended before this browser's proof; whether it came is not known",
        WayState::Forgotten => "away for so long that nothing waits for it",
    }
}

fn why(reason: &str) -> String {
    let words = match reason {
        "expired" => "its time to live was over",
        "user_bound" => "too much waited for this user, the oldest gave way",
        "shard_bound" => "too much waited on this shard, the oldest gave way",
        _ => return reason.to_owned(),
    };
    format!("{reason}: {words}")
}

fn trouble(tab: &Tab) -> String {
    let stalled = if tab.stalled { ", STALLED (its page does not answer)" } else { "" };
    let lost = if tab.node_lost { ", NODE LOST (it gives no sign of life)" } else { "" };
    format!("{stalled}{lost}")
}

fn age(now: u64, at: u64) -> String {
    let millis = now.abs_diff(at);
    let seconds = millis / 1000;
    let amount = match seconds {
        0 => return "just now".to_owned(),
        1..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    };
    if at > now { format!("in {amount}") } else { format!("{amount} ago") }
}

#[cfg(test)]
mod tests;
