//! Publishers: raw keep-alive HTTP/1.1 connections to ingest.

pub(crate) mod closed;
pub(crate) mod paced;

use std::collections::HashSet;
use std::net::SocketAddr;

use anyhow::ensure;

use bellwire_load::stamp::{STAMP_BYTES, Stamp};

use crate::tabs::user;

/// What the publishers of a run have seen.
#[derive(Debug, Default)]
pub(crate) struct Published {
    /// Answered with 202.
    pub(crate) accepted: u64,
    /// Answered with anything else: user and number.
    pub(crate) refused: HashSet<(u32, u32)>,
    /// The statuses other than 202, for the report.
    pub(crate) statuses: Vec<u16>,
    /// Not answered: the connection failed.
    pub(crate) unanswered: u64,
}

/// Statuses that a report names.
const STATUSES_MAX: usize = 8;

impl Published {
    /// Books one answer.
    pub(crate) fn answered(&mut self, status: u16, user: u32, stamp: Stamp) {
        if status == 202 {
            self.accepted += 1;
            return;
        }
        self.refused.insert((user, stamp.number));
        if !self.statuses.contains(&status) && self.statuses.len() < STATUSES_MAX {
            self.statuses.push(status);
        }
    }

    /// Adds another publisher's books.
    pub(crate) fn add(&mut self, other: Self) {
        self.accepted += other.accepted;
        self.unanswered += other.unanswered;
        self.refused.extend(other.refused);
        for status in other.statuses {
            if !self.statuses.contains(&status) && self.statuses.len() < STATUSES_MAX {
                self.statuses.push(status);
            }
        }
    }

    /// How many were sent.
    pub(crate) fn sent(&self) -> u64 {
        self.accepted + self.refused.len() as u64 + self.unanswered
    }
}

/// A request in which only the user and the stamp differ from one notification to the next.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    bytes: Vec<u8>,
    user: usize,
    stamp: usize,
}

const USER_BYTES: usize = 7;

impl Request {
    /// A request whose body is exactly `body_bytes` long: a service's problem, as an engine sends it. `now` is
    /// in seconds since 1970.
    pub(crate) fn new(ingest: SocketAddr, body_bytes: usize, now: u64) -> anyhow::Result<Self> {
        let user = user(0);
        let start = format!(r#"{{"user":"{user}","timestamp":{now},"kind":"service","type":"PROBLEM","state":2,"#)
            + r#""host":{"id":"c36b8048-93ce-4385-ac19-ab5c90574b77","name":"db-07.example.org"},"#
            + r#""service":{"id":"74fd8f59-1348-4e16-85f0-4a5c57c7dd62","name":"Disk usage"},"output":""#;
        let padding = body_bytes.checked_sub(start.len() + STAMP_BYTES + END.len());
        ensure!(padding.is_some(), "a notification of {body_bytes} bytes has no room for its marks");
        let stamp = "_".repeat(STAMP_BYTES);
        let body = format!("{start}{stamp}{}{END}", ".".repeat(padding.unwrap_or_default()));
        let head = format!(
            "POST /v1/notifications HTTP/1.1\r\nHost: {ingest}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        let (user, stamp) = (head.len() + r#"{"user":""#.len(), head.len() + start.len());
        Ok(Self { bytes: (head + &body).into_bytes(), user, stamp })
    }

    /// The request's bytes for this notification.
    pub(crate) fn fill(&mut self, place: u32, stamp: Stamp) -> &[u8] {
        self.bytes[self.user..self.user + USER_BYTES].copy_from_slice(user(place).as_bytes());
        stamp.write(&mut self.bytes[self.stamp..]);
        &self.bytes
    }
}

const END: &str = r#""}"#;

#[cfg(test)]
mod tests {
    use bellwire_load::http::Head;

    use super::*;

    #[test]
    fn a_request_has_the_size_the_user_and_the_stamp() {
        let mut request = Request::new("127.0.0.1:8083".parse().unwrap(), 350, 1_700_000_000).unwrap();
        let stamp = Stamp { run: 1, number: 2, nanos: 3 };
        let bytes = request.fill(9, stamp);
        let head = Head::read(bytes).unwrap().unwrap();
        assert_eq!((head.body_len(), bytes.len() - head.len), (Ok(350), 350));
        let body: serde_json::Value = serde_json::from_slice(&bytes[head.len..]).unwrap();
        assert_eq!(body["user"], "1000010");
        assert_eq!(Stamp::find(body["output"].as_str().unwrap().as_bytes()), Some(stamp));
    }

    #[test]
    fn a_size_without_room_is_refused() {
        assert!(Request::new("127.0.0.1:8083".parse().unwrap(), 200, 1).is_err());
    }
}
