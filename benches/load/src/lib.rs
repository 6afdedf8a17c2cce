//! What the load generator and its bare partner share: the bytes on the wire and the stamp in a notification.
//!
//! Both speak WebSocket and HTTP/1.1 by hand. A benchmark's client shares the machine with the server that it
//! measures, so it must cost as little as it can: no buffer per connection, no copy of a frame, no JSON parser.

pub mod frame;
pub mod http;
pub mod stamp;
