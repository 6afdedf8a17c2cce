//! End to end: real processes, a real broker, tabs that behave as the real front ends do, a real browser.

mod browser;
mod check;
mod cluster;
mod crash;
mod directory;
mod doctor;
mod handover;
mod metrics;
mod notify;
mod proofs;
mod standalone;
mod support;
mod trace;
mod trial;
