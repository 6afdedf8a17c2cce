//! End to end: real processes, a real broker, tabs that behave as the real front ends do, a real browser.

mod access;
mod browser;
mod check;
mod cluster;
mod crash;
mod directory;
mod doctor;
mod engines;
mod handover;
mod healthcheck;
mod metrics;
mod notify;
mod proofs;
mod proxies;
mod security;
mod standalone;
mod supervisor;
mod support;
mod tls;
mod trace;
mod trial;
mod watch;
