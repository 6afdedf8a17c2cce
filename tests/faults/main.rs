//! Real processes and a real RabbitMQ under real faults, with many tabs and a steady stream of notifications.
//!
//! In each: every notification that was answered with 202 reaches every browser that is entitled to it, repeats come only
//! where the rules allow them (docs/delivery.md) and are counted, nobody is stuck, and the time to recovery is printed.

mod broker;
mod cluster;
mod field;
mod gateways;
mod hostile;
mod ingests;
mod layouts;
mod rolling;
