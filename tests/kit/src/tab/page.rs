//! The scripts of the three front ends, one connection long: text in, replies out.

use serde_json::{Value, json};
use tokio::time::Instant;

use super::{Front, Profile, Seen, Shown};

pub(super) struct Page {
    front: Front,
    user: String,
    browser: String,
    key: String,
    /// V1's `uuid`, V2's `clientUuid`.
    greeted_as: Option<String>,
    cursor: Option<Value>,
}

/// Whether a frame answers a keep-alive.
pub(super) fn is_keep_alive(frame: &Value) -> bool {
    matches!(frame["type"].as_str(), Some("keepAlive" | "KeepAlive")) || frame["op"] == "pong"
}

/// What a close code asks of a native client (docs/protocol.md, close codes).
pub(super) fn may_come_back(code: u16) -> bool {
    !(4200..4400).contains(&code)
}

impl Page {
    pub(super) fn new(profile: &Profile, cursor: Option<Value>) -> Self {
        Self {
            front: profile.front,
            user: profile.user.clone(),
            browser: profile.browser.clone(),
            key: profile.key.clone(),
            greeted_as: None,
            cursor,
        }
    }

    pub(super) fn on_open(&self) -> Vec<String> {
        if self.front != Front::Native {
            return Vec::new();
        }
        let mut hello = json!({ "op": "hello", "user": self.user, "browser": self.browser });
        if let Some(cursor) = &self.cursor {
            hello["cursor"] = cursor.clone();
        }
        vec![hello.to_string()]
    }

    /// What the page's timer sends; nothing before the greeting.
    pub(super) fn keep_alive(&self) -> Option<String> {
        match self.front {
            Front::V1 => self
                .greeted_as
                .as_ref()
                .map(|uuid| json!({ "task": "keepAlive", "key": self.key, "uuid": uuid }).to_string()),
            Front::V2 => Some(json!({ "type": "KeepAlive", "message": "KeepAlive" }).to_string()),
            Front::Native => Some(json!({ "op": "ping" }).to_string()),
        }
    }

    pub(super) fn on_text(&mut self, text: &str, seen: &mut Seen) -> Vec<String> {
        let handled = match serde_json::from_str::<Value>(text) {
            Err(_) => Err("not JSON"),
            Ok(frame) => match self.front {
                Front::V1 => self.on_v1(frame, seen),
                Front::V2 => self.on_v2(frame, seen),
                Front::Native => self.on_native(frame, seen),
            },
        };
        handled.unwrap_or_else(|fault| {
            seen.faults.push(format!("{fault}: {text}"));
            Vec::new()
        })
    }

    fn on_v1(&mut self, frame: Value, seen: &mut Seen) -> Result<Vec<String>, &'static str> {
        let data = frame.get("data").ok_or("no data")?;
        match frame["type"].as_str() {
            Some("connection") => {
                let uuid = data["uuid"].as_str().ok_or("no uuid")?.to_owned();
                let user: u64 = self.user.parse().map_err(|_| "a V1 user is a number")?;
                let reply = json!({
                    "task": "register", "key": self.key, "uuid": uuid,
                    "data": { "userId": user, "browserUuid": self.browser },
                });
                self.greeted_as = Some(uuid);
                greeted(frame, seen);
                return Ok(vec![reply.to_string()]);
            }
            Some("message") => {
                let title = data["title"].as_str().ok_or("no title")?.to_owned();
                let body = frame["message"].as_str().ok_or("no message")?.to_owned();
                // Null is no icon and no click; a field that is absent or an empty icon misleads the front end.
                for field in ["icon", "hostUuid", "serviceUuid"] {
                    let value = data.get(field).ok_or("a field is absent")?;
                    if field == "icon" && value == "" {
                        return Err("an empty icon");
                    }
                }
                seen.shown.push(Shown { at: Instant::now(), title, body, frame });
            }
            _ => seen.others.push(frame),
        }
        Ok(Vec::new())
    }

    fn on_v2(&mut self, frame: Value, seen: &mut Seen) -> Result<Vec<String>, &'static str> {
        let payload = frame.get("payload").ok_or("no payload")?;
        match frame["type"].as_str() {
            Some("ConnectionEstablished") => {
                let uuid = payload["clientUuid"].as_str().ok_or("no clientUuid")?.to_owned();
                let reply = json!({
                    "type": "RegisterBrowserPushNotification", "message": "",
                    "payload": { "clientUuid": uuid, "browserUuid": self.browser },
                });
                self.greeted_as = Some(uuid);
                greeted(frame, seen);
                return Ok(vec![reply.to_string()]);
            }
            Some("ProcessPushNotification") => {
                let title = payload["title"].as_str().ok_or("no title")?.to_owned();
                let body = frame["message"].as_str().ok_or("no message")?.to_owned();
                seen.shown.push(Shown { at: Instant::now(), title, body, frame });
            }
            _ => seen.others.push(frame),
        }
        Ok(Vec::new())
    }

    fn on_native(&mut self, frame: Value, seen: &mut Seen) -> Result<Vec<String>, &'static str> {
        match frame["op"].as_str().ok_or("no op")? {
            "welcome" => {
                seen.greeted += 1;
                seen.others.push(frame);
            }
            "notification" => {
                let title = frame["title"].as_str().ok_or("no title")?.to_owned();
                let body = frame["body"].as_str().unwrap_or_default().to_owned();
                let cursor = frame.get("cursor").ok_or("no cursor")?.clone();
                seen.cursor = Some(cursor.clone());
                seen.proofs += 1;
                seen.shown.push(Shown { at: Instant::now(), title, body, frame });
                return Ok(vec![json!({ "op": "ack", "cursor": cursor }).to_string()]);
            }
            "ping" => return Ok(vec![json!({ "op": "pong" }).to_string()]),
            _ => seen.others.push(frame),
        }
        Ok(Vec::new())
    }
}

/// Both openITCOCKPIT pages register anew on each greeting, the repeated ones included: that is their proof.
fn greeted(frame: Value, seen: &mut Seen) {
    seen.greeted += 1;
    seen.proofs += 1;
    seen.others.push(frame);
}
