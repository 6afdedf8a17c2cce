//! The way to openITCOCKPIT's mobile app: notifications go to the relay that its database names, one request for each
//! device of the user.

pub(crate) mod duty;
mod places;
mod request;
mod sender;
mod targets;

pub use sender::Relay;
