//! Links and pages: what the two unmodified front ends and our own client do.

use bellwire_gateway::protocol::Protocol;

use super::{Event, Frame, Link, Message, State, Tab, World};
use crate::history::{Connection, Ms, Shown};
use crate::plan::Kind;

/// The unmodified V2 front end comes back after this.
const V2_RECONNECT_MS: Ms = 3_000;
/// So long a slow page thinks at most.
pub(super) const SLOW_MS_MAX: Ms = 7_000;
/// V1 and V2 pages speak this often.
const KEEP_ALIVE_MS: Ms = 30_000;

impl World {
    pub(super) fn open_tab(&mut self, browser: usize, protocol: Protocol) {
        // A page may be slow to answer its first greeting.
        let slow_until = if self.chance(Kind::Slow, 128) { self.now + SLOW_MS_MAX } else { 0 };
        self.tabs.push(Tab {
            browser,
            protocol,
            open: true,
            connection: None,
            hung_until: 0,
            slow_until,
            silent: false,
            waiting: Vec::new(),
            link: Vec::new(),
        });
        self.connect(self.tabs.len() - 1);
    }

    /// Connects to any node that a load balancer would give.
    pub(super) fn connect(&mut self, index: usize) {
        if !self.tabs[index].open || self.tabs[index].connection.is_some() {
            return;
        }
        let ready: Vec<usize> = (0..self.nodes.len()).filter(|&n| self.nodes[n].state == State::Serving).collect();
        if ready.is_empty() {
            return self.after(V2_RECONNECT_MS, Event::Connect { tab: index });
        }
        let node = ready[self.rng.usize(..ready.len())];
        let tab = &mut self.tabs[index];
        let slow_until = if tab.slow_until > self.now { tab.slow_until + SLOW_MS_MAX } else { 0 };
        let unwell_until = tab.hung_until.max(slow_until);
        self.history.connections.push(Connection {
            browser: tab.browser,
            protocol: tab.protocol,
            node,
            greeted: None,
            announced: None,
            ended: None,
            drained: false,
            shown: Vec::new(),
            proofs: Vec::new(),
            // A page that hangs or is slow is no better on a new connection.
            broken: vec![(self.now, if tab.silent { Ms::MAX } else { unwell_until })],
        });
        let connection = self.history.connections.len() - 1;
        tab.connection = Some(connection);
        let browser = tab.browser;
        tab.waiting.clear();
        tab.link = vec![Link::default()];
        let native = tab.protocol == Protocol::Native;
        self.tell(|| format!("connection {connection} of browser {browser} to node {node}"));
        let delay = self.rng.u64(1..20);
        self.after(delay, Event::Accept { connection });
        if native {
            let kept = self.kept[self.tabs[index].browser];
            self.say_after(connection, delay + 1, Message::Hello(kept));
        } else {
            self.after(10_000, Event::KeepAlive { connection });
        }
    }

    fn tab_of(&self, connection: usize) -> Option<usize> {
        self.tabs.iter().position(|tab| tab.connection == Some(connection))
    }

    // --- the two directions ---

    pub(super) fn send(&mut self, connection: usize, frame: Frame) {
        let delay = self.rng.u64(1..15);
        let now = self.now;
        let Some(tab) = self.tab_of(connection) else { return };
        let link = &mut self.tabs[tab].link[0];
        if link.dark_until > now || !link.held.is_empty() {
            return link.held.push(frame);
        }
        link.last_to_tab = link.last_to_tab.max(now + delay);
        let at = link.last_to_tab;
        self.at(at, Event::ToTab { connection, frame });
    }

    fn say_after(&mut self, connection: usize, delay: Ms, message: Message) {
        let now = self.now;
        let Some(tab) = self.tab_of(connection) else { return };
        let link = &mut self.tabs[tab].link[0];
        if link.dark_until > now || !link.said.is_empty() {
            return link.said.push(message);
        }
        link.last_to_node = link.last_to_node.max(now + delay);
        let at = link.last_to_node;
        self.at(at, Event::ToNode { connection, message });
    }

    pub(super) fn say(&mut self, connection: usize, message: Message) {
        let delay = self.rng.u64(1..15);
        self.say_after(connection, delay, message);
    }

    /// The link carries again what has waited.
    pub(super) fn on_light(&mut self, connection: usize) {
        let Some(tab) = self.tab_of(connection) else { return };
        let link = &mut self.tabs[tab].link[0];
        if link.dark_until > self.now {
            return;
        }
        let (held, said) = (std::mem::take(&mut link.held), std::mem::take(&mut link.said));
        for frame in held {
            self.send(connection, frame);
        }
        for message in said {
            self.say(connection, message);
        }
    }

    /// The tab's side finds its connection broken.
    pub(super) fn on_snap(&mut self, connection: usize) {
        let Some(tab) = self.tab_of(connection) else { return };
        self.history.connections[connection].ended.get_or_insert(self.now);
        let dark = self.tabs[tab].link[0].dark_until > self.now;
        if !dark {
            self.say(connection, Message::Broken);
        }
        self.tab_lost(tab);
    }

    fn tab_lost(&mut self, index: usize) {
        let again = self.rng.u64(1..1_000);
        let tab = &mut self.tabs[index];
        tab.connection = None;
        // A page handles what its browser had received before it hears of the end.
        match tab.protocol {
            Protocol::V1 => tab.open = false,
            Protocol::V2 => self.after(V2_RECONNECT_MS, Event::Connect { tab: index }),
            Protocol::Native | Protocol::Events => self.after(again, Event::Connect { tab: index }),
        }
    }

    pub(super) fn close_tab(&mut self, index: usize) {
        self.tabs[index].open = false;
        if let Some(connection) = self.tabs[index].connection {
            self.history.connections[connection].ended.get_or_insert(self.now);
            self.say(connection, Message::Close);
            self.tabs[index].connection = None;
        }
    }

    // --- the browser and the page ---

    pub(super) fn on_frame(&mut self, connection: usize, frame: Frame) {
        let Some(index) = self.tab_of(connection) else { return };
        if let Frame::Ping(upto) = frame {
            // The browser answers for its page.
            return self.say(connection, Message::Pong(upto));
        }
        self.tabs[index].waiting.push(frame);
        self.on_page(index);
    }

    /// The page handles what has come, unless it hangs.
    pub(super) fn on_page(&mut self, index: usize) {
        if self.tabs[index].hung_until > self.now {
            return;
        }
        for frame in std::mem::take(&mut self.tabs[index].waiting) {
            let Some(connection) = self.tabs[index].connection else { return };
            self.handle(index, connection, frame);
        }
    }

    fn handle(&mut self, index: usize, connection: usize, frame: Frame) {
        let slow = self.tabs[index].slow_until > self.now;
        let think = if slow { self.rng.u64(500..SLOW_MS_MAX) } else { self.rng.u64(1..30) };
        match frame {
            Frame::Greeting(Some(_)) | Frame::NativePing if self.tabs[index].silent => {}
            Frame::Greeting(place) => self.say_after(connection, think, Message::Register(place)),
            Frame::NativePing => self.say_after(connection, think, Message::NativePong),
            Frame::Notification { sent, epoch, offset, number } => {
                let shown = Shown { at: self.now, sent, epoch, offset, number };
                self.tell(|| format!("connection {connection} shows {number} ({offset})"));
                self.history.connections[connection].shown.push(shown);
                if self.tabs[index].protocol == Protocol::Native {
                    let kept = &mut self.kept[self.tabs[index].browser];
                    *kept = (*kept).max(Some((epoch, offset)));
                    if !self.tabs[index].silent {
                        self.say_after(connection, think, Message::Ack(epoch, offset));
                    }
                }
            }
            Frame::End => {
                self.history.connections[connection].ended.get_or_insert(self.now);
                self.tab_lost(index);
            }
            Frame::Ping(_) => {}
        }
    }

    pub(super) fn keep_alive(&mut self, connection: usize) {
        let Some(index) = self.tab_of(connection) else { return };
        if self.tabs[index].hung_until <= self.now {
            self.say(connection, Message::KeepAlive);
        }
        self.after(KEEP_ALIVE_MS, Event::KeepAlive { connection });
    }
}
