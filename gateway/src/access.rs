//! Who may listen.

pub mod jwt;
