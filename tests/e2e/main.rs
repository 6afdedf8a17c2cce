//! End to end: real processes, a real broker, tabs that behave as the real front ends do, a real browser.

mod access;
mod browser;
mod cluster;
mod crash;
mod directory;
mod handover;
mod metrics;
mod notify;
mod proofs;
mod standalone;
mod support;
mod trace;
mod trial;
