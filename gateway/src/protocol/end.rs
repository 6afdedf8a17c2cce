//! Every way a session ends: who ended it, why, and what its tab is told.

use super::Protocol;

/// How a session ended. Each ended session counts one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum End {
    /// The tab closed the WebSocket.
    Closed,
    /// The connection ended without a closing handshake.
    Eof,
    /// Reading failed.
    ReadError,
    /// Writing failed.
    WriteError,
    /// A ping was not answered in time.
    PongTimeout,
    /// A write made no progress in time.
    WriteTimeout,
    /// A V1 message had a wrong key.
    BadKey,
    /// A message was not what the protocol allows.
    BadMessage,
    /// A message was larger than [`FRAME_BYTES_MAX`](super::FRAME_BYTES_MAX).
    TooLarge,
    /// A binary message, which no protocol has.
    Binary,
    /// The tab did not say rightly whose it is.
    NoIdentity,
    /// A native tab did not say hello in time.
    HelloTimeout,
    /// The tab said more than it may, so that its pongs were not read in time.
    Flood,
    /// The user has as many sessions here as one may have.
    UserLimit,
    /// openITCOCKPIT could not be asked for the login that the tab needs.
    LoginAway,
    /// The login, or the token, is another user's than the tab says.
    WrongUser,
    /// The login counts no longer, or is another user's now.
    LoggedOut,
    /// Somebody who runs this node ended the user's sessions.
    Revoked,
    /// The token has expired: a new one opens a new session.
    TokenExpired,
    /// A page that cannot come back has been silent for too long.
    Silent,
    /// The node is being drained: the tab is to go to another one.
    Drain,
    /// The node stops now.
    Shutdown,
    /// A defect of the gateway's own.
    Internal,
}

/// What a native client does after its connection was closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Advice {
    /// Connect again at once.
    AtOnce,
    /// Connect again after a delay that grows with each failure.
    Later,
    /// Connect again only with another key, token, user or browser.
    NewIdentity,
    /// Do not connect again: the client has a defect, which repeating does not mend.
    Never,
}

impl Advice {
    /// What a close code asks for. Codes that are not listed yet follow their hundred; codes outside 4000 to 4399
    /// (lost connections are seen as 1006) mean [`Advice::Later`].
    #[must_use]
    pub fn of(code: u16) -> Self {
        match code {
            4000..=4099 => Self::AtOnce,
            4200..=4299 => Self::NewIdentity,
            4300..=4399 => Self::Never,
            _ => Self::Later,
        }
    }
}

impl End {
    /// Every way.
    pub const ALL: [Self; 23] = [
        Self::Closed,
        Self::Eof,
        Self::ReadError,
        Self::WriteError,
        Self::PongTimeout,
        Self::WriteTimeout,
        Self::BadKey,
        Self::BadMessage,
        Self::TooLarge,
        Self::Binary,
        Self::NoIdentity,
        Self::HelloTimeout,
        Self::Flood,
        Self::UserLimit,
        Self::LoginAway,
        Self::WrongUser,
        Self::LoggedOut,
        Self::Revoked,
        Self::TokenExpired,
        Self::Silent,
        Self::Drain,
        Self::Shutdown,
        Self::Internal,
    ];

    /// Label `initiator` of `GATEWAY_SESSIONS_CLOSED`: `client` closed it, `network` lost it (noticed by an
    /// error or by silence), `server` ended it.
    #[must_use]
    pub fn initiator(&self) -> &'static str {
        match self {
            Self::Closed => "client",
            Self::Eof | Self::ReadError | Self::WriteError | Self::PongTimeout | Self::WriteTimeout => "network",
            Self::BadKey
            | Self::BadMessage
            | Self::TooLarge
            | Self::Binary
            | Self::NoIdentity
            | Self::HelloTimeout
            | Self::Flood
            | Self::UserLimit
            | Self::LoginAway
            | Self::WrongUser
            | Self::LoggedOut
            | Self::Revoked
            | Self::TokenExpired
            | Self::Silent
            | Self::Drain
            | Self::Shutdown
            | Self::Internal => "server",
        }
    }

    /// Label `reason` of `GATEWAY_SESSIONS_CLOSED`.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Eof => "eof",
            Self::ReadError => "read_error",
            Self::WriteError => "write_error",
            Self::PongTimeout => "pong_timeout",
            Self::WriteTimeout => "write_timeout",
            Self::BadKey => "bad_key",
            Self::BadMessage => "bad_message",
            Self::TooLarge => "too_large",
            Self::Binary => "binary",
            Self::NoIdentity => "no_identity",
            Self::HelloTimeout => "hello_timeout",
            Self::Flood => "flood",
            Self::UserLimit => "user_limit",
            Self::LoginAway => "session_away",
            Self::WrongUser => "wrong_user",
            Self::LoggedOut => "logged_out",
            Self::Revoked => "revoked",
            Self::TokenExpired => "token_expired",
            Self::Silent => "silent",
            Self::Drain => "drain",
            Self::Shutdown => "shutdown",
            Self::Internal => "internal",
        }
    }

    /// Code and reason of the close frame to send; none ends the TCP connection without one.
    ///
    /// Never one for V2: its front end takes every closing handshake for the last word and stays silent until
    /// the page is loaded again, while it comes back 3 s after a connection that just ended (2.5). A V1 tab
    /// comes back in no case. An event stream is told by its last message. None either where nobody would read it, and where the tab itself closed (its
    /// close frame is answered by the WebSocket's own rules).
    #[must_use]
    pub fn close_frame(&self, protocol: Protocol) -> Option<(u16, &'static str)> {
        match protocol {
            Protocol::V1 => self.standard_code().map(|code| (code, self.reason())),
            Protocol::V2 => None,
            Protocol::Native | Protocol::Events => self.native_code().map(|code| (code, self.reason())),
        }
    }

    /// A code of RFC 6455.
    fn standard_code(self) -> Option<u16> {
        match self {
            Self::Closed | Self::Eof | Self::ReadError | Self::WriteError | Self::WriteTimeout => None,
            Self::Drain | Self::Shutdown | Self::PongTimeout | Self::Silent => Some(1001),
            Self::Binary => Some(1003),
            Self::BadKey
            | Self::BadMessage
            | Self::NoIdentity
            | Self::HelloTimeout
            | Self::Flood
            | Self::UserLimit
            | Self::LoginAway
            | Self::WrongUser
            | Self::LoggedOut
            | Self::Revoked
            | Self::TokenExpired => Some(1008),
            Self::TooLarge => Some(1009),
            Self::Internal => Some(1011),
        }
    }

    /// The hundred says what the client should do ([`Advice`]).
    fn native_code(self) -> Option<u16> {
        match self {
            Self::Closed | Self::Eof | Self::ReadError | Self::WriteError | Self::WriteTimeout => None,
            Self::Drain => Some(4000),
            Self::PongTimeout => Some(4001),
            Self::Silent => Some(4002),
            Self::Shutdown => Some(4100),
            Self::Internal => Some(4101),
            Self::HelloTimeout => Some(4102),
            Self::Flood => Some(4103),
            Self::UserLimit => Some(4104),
            Self::LoginAway => Some(4105),
            Self::BadKey => Some(4200),
            Self::NoIdentity => Some(4201),
            Self::WrongUser => Some(4202),
            Self::LoggedOut => Some(4203),
            Self::Revoked => Some(4204),
            Self::TokenExpired => Some(4210),
            Self::BadMessage => Some(4300),
            Self::TooLarge => Some(4301),
            Self::Binary => Some(4302),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use bellwire_common::metrics::GATEWAY_SESSIONS_CLOSED;

    use super::*;

    #[test]
    fn labels_are_those_of_the_catalogue() {
        let values = |name| GATEWAY_SESSIONS_CLOSED.0.labels.iter().find(|l| l.name == name).unwrap().values;
        let sorted = |values: &[&'static str]| values.iter().copied().collect::<BTreeSet<_>>();
        let reasons: Vec<_> = End::ALL.iter().map(End::reason).collect();
        assert_eq!(sorted(&reasons), sorted(values("reason")));
        assert_eq!(reasons.len(), sorted(&reasons).len());
        let initiators: Vec<_> = End::ALL.iter().map(End::initiator).collect();
        assert_eq!(sorted(&initiators), sorted(values("initiator")));
        for protocol in Protocol::ALL {
            assert!(values("protocol").contains(&protocol.label()));
        }
    }

    #[test]
    fn v2_never_gets_a_close_frame() {
        assert!(End::ALL.iter().all(|end| end.close_frame(Protocol::V2).is_none()));
    }

    #[test]
    fn what_the_server_ends_is_told_to_v1_and_native() {
        for end in End::ALL.iter().filter(|end| end.initiator() == "server") {
            let (code, reason) = end.close_frame(Protocol::Native).unwrap();
            assert!((4000..4400).contains(&code));
            assert!(reason.len() <= 123);
            assert!((1000..=1011).contains(&end.close_frame(Protocol::V1).unwrap().0));
        }
    }

    #[test]
    fn native_codes_are_unique() {
        let codes: Vec<_> = End::ALL.iter().filter_map(|end| end.close_frame(Protocol::Native)).map(|f| f.0).collect();
        assert_eq!(codes.len(), codes.iter().collect::<BTreeSet<_>>().len());
    }
}
