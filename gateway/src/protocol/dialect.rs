//! One tab's conversation.

use bellwire_common::ids::Offset;
use bellwire_common::notification::{Kind, Notification};

use super::{End, Identity, Protocol, SharedKey, greeting, native, v1, v2};

/// One tab's side of the protocol: what it has said so far, as far as that matters.
#[derive(Debug)]
pub struct Dialect {
    secret: u64,
    /// From the handshake (V2), until it is announced.
    identity: Option<Identity>,
    protocol: Protocol,
    announced: bool,
}

/// What a message of the tab leads to.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// To be sent at once, as one text frame; before the close frame if the event is an end.
    pub reply: Option<String>,
    /// What the session has to act on.
    pub event: Option<TabEvent>,
}

/// Something that a tab said and that the session acts on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TabEvent {
    /// The tab wants notifications. At most once per tab, if not told by [`TestMessage::announce`].
    Announce {
        /// Whose tab it is.
        identity: Identity,
        /// The native cursor token with which the browser comes back, as given.
        cursor: Option<String>,
    },
    /// The page has handled everything up to here. It may name what was never sent to this tab: take no more
    /// than that.
    PageProof(Proof),
    /// The tab asks for a test notification to all browsers of its user.
    Test(TestMessage),
    /// The session is over.
    End(End),
}

/// How far a page has proved to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proof {
    /// V1 and V2: the echo of the greeting for this offset.
    Offset(Offset),
    /// Native: a cursor token as given ([`native::cursor_of`] reads it).
    Cursor(String),
}

/// A test notification as a tab asks for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestMessage {
    /// The tab has not been announced yet, and is by this: it is to receive the test as well.
    pub announce: Option<Identity>,
    /// First line; none for ours.
    pub title: Option<String>,
    /// Path of an icon.
    pub icon: Option<String>,
    /// What it pretends to be about.
    pub kind: Kind,
    /// The engine's type that it pretends to have; may be empty.
    pub notification_type: String,
    /// The state that it pretends to tell.
    pub state: i64,
}

impl TestMessage {
    /// Longest title of a test, in bytes. V1 and V2 titles are cut, native ones refused.
    pub const TITLE_BYTES_MAX: usize = 256;
    /// Longest icon path of a test, in bytes. Longer ones of V2 are left out, native ones refused.
    pub const ICON_BYTES_MAX: usize = 512;
    /// Longest notification type of a test, in bytes.
    pub const TYPE_BYTES_MAX: usize = 64;

    const TITLE: &str = "Test notification";
    const BODY: &str = "A tab asked for this test. Notifications reach this browser.";

    /// What is to be sent; `timestamp` is now, in seconds since 1970. It has no host and no service, so that
    /// no click leads anywhere.
    #[must_use]
    pub fn notification(&self, timestamp: i64) -> Notification {
        Notification {
            timestamp,
            kind: self.kind,
            notification_type: self.notification_type.clone(),
            state: self.state,
            host: None,
            service: None,
            title: self.title.clone().unwrap_or_else(|| Self::TITLE.to_owned()),
            body: Self::BODY.to_owned(),
            url: None,
            icon: self.icon.clone(),
        }
    }
}

impl Step {
    pub(super) fn reply(reply: String) -> Self {
        Self { reply: Some(reply), event: None }
    }

    pub(super) fn event(event: TabEvent) -> Self {
        Self { reply: None, event: Some(event) }
    }

    pub(super) fn end(end: End) -> Self {
        Self::event(TabEvent::End(end))
    }

    /// Whether a page that the server knows said it. A V1 connection comes in without a key: until it has registered, only
    /// what a right key let through keeps it, or a stranger would stay by saying anything.
    pub(crate) fn is_of_a_page(&self, announced: bool) -> bool {
        announced || self.reply.is_some() || self.event.is_some()
    }

    pub(super) fn with_proof(self, proof: Option<Offset>) -> Self {
        Self { event: self.event.or(proof.map(|offset| TabEvent::PageProof(Proof::Offset(offset)))), ..self }
    }
}

impl Dialect {
    /// A conversation that begins. `identity` is what [`decide`](super::decide) found; `secret` is random and
    /// new for each tab: only who was greeted with it can prove anything. The request for an event stream has announced
    /// its tab already.
    #[must_use]
    pub fn new(protocol: Protocol, identity: Option<Identity>, secret: u64) -> Self {
        Self { secret, identity, protocol, announced: protocol == Protocol::Events }
    }

    /// What the tab speaks.
    #[must_use]
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// The frame that goes first, before anything else; none for native, whose client begins.
    #[must_use]
    pub fn first_frame(&self) -> Option<String> {
        self.greet(None)
    }

    /// The greeting whose echo proves that the page has handled everything up to `upto`; none for native,
    /// whose client acknowledges by itself.
    #[must_use]
    pub fn greeting(&self, upto: Offset) -> Option<String> {
        self.greet(Some(upto))
    }

    fn greet(&self, upto: Option<Offset>) -> Option<String> {
        match self.protocol {
            Protocol::V1 => Some(v1::connection(&greeting::id(self.secret, upto)?)),
            Protocol::V2 => Some(v2::established(&greeting::id(self.secret, upto)?)),
            Protocol::Native | Protocol::Events => None,
        }
    }

    /// A text message of the tab; the session has checked that it has at most
    /// [`FRAME_BYTES_MAX`](super::FRAME_BYTES_MAX) bytes. `key` is compared with that of V1 messages; without one
    /// all of them are wrong.
    pub fn on_text(&mut self, text: &str, key: Option<&SharedKey>) -> Step {
        match self.protocol {
            Protocol::V1 => v1::on_text(self, text, key),
            Protocol::V2 => v2::on_text(self, text),
            Protocol::Native | Protocol::Events => native::on_text(self, text),
        }
    }

    /// A binary message, which no front end sends: V1 ignores it as it does all that is not JSON (its tab could
    /// not come back), V2 ends as for all that is not JSON, native ends with an error.
    pub fn on_binary(&mut self) -> Step {
        match self.protocol {
            Protocol::V1 => Step::default(),
            Protocol::V2 => Step::end(End::Binary),
            Protocol::Native | Protocol::Events => native::on_binary(),
        }
    }

    /// A message of more than [`FRAME_BYTES_MAX`](super::FRAME_BYTES_MAX) bytes: ends every session.
    pub fn on_oversize(&mut self) -> Step {
        match self.protocol {
            Protocol::V1 | Protocol::V2 => Step::end(End::TooLarge),
            Protocol::Native | Protocol::Events => native::on_oversize(),
        }
    }

    /// Another log stands where the old one was: what greetings of that one are answered with proves nothing.
    pub fn on_replaced(&mut self, secret: u64) {
        self.secret = secret;
    }

    pub(super) fn proof_of(&self, id: &str) -> Option<Offset> {
        greeting::offset_of(self.secret, id)
    }

    /// Whether the tab has said that it wants notifications.
    #[must_use]
    pub fn announced(&self) -> bool {
        self.announced
    }

    /// Notes that the tab is announced now; false if it was before.
    pub(super) fn announce_once(&mut self) -> bool {
        !std::mem::replace(&mut self.announced, true)
    }

    /// The identity of the handshake, the first time that the tab asks for notifications.
    pub(super) fn announce_from_handshake(&mut self) -> Option<Identity> {
        let identity = self.identity.take()?;
        self.announced = true;
        Some(identity)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stranger_is_no_page_whatever_it_says() {
        let key = SharedKey::try_new("secret").unwrap();
        let mut tab = Dialect::new(Protocol::V1, None, 1);
        let mut is_page = |text: &str| {
            let step = tab.on_text(text, Some(&key));
            step.is_of_a_page(tab.announced())
        };
        assert!(!is_page("x"));
        assert!(!is_page(r#"{"task":"keepAlive"}"#));
        assert!(is_page(r#"{"task":"keepAlive","key":"secret","uuid":"u"}"#));
        assert!(is_page(r#"{"task":"register","key":"secret","uuid":"u","data":{"userId":7,"browserUuid":"b"}}"#));
        assert!(is_page("x"), "a page that has registered lives");
    }
}
