//! What the tests start and drive: private brokers, Bellwire processes, browser tabs. Knows none of Bellwire's crates.
//!
//! - [`broker`]: a private RabbitMQ node, or a cluster of them
//! - [`process`]: any program, with its output kept; [`bellwire`]: a node of Bellwire on free ports
//! - [`tab`]: pages that behave as the real front ends do, or badly in a chosen way
//! - [`engine`]: a private Nagios or Icinga
//! - [`webdriver`]: real, headless browsers; [`nginx`]: a web server for their pages; [`farewell`]: a server that V2 pages
//!   cannot cope with; [`login`]: openITCOCKPIT's answer to who is logged in
//! - [`mariadb`]: a private database with openITCOCKPIT's tables
//! - [`certs`]: certificates, and connections with TLS
//! - [`package`]: Debian packages of this build, and a system to install them in
//! - [`network`]: one that a test has for itself
//! - [`http`], [`ports`], [`eventually`]: what those need

pub mod bellwire;
pub mod broker;
pub mod certs;
pub mod engine;
pub mod eventually;
pub mod farewell;
pub mod http;
pub mod login;
pub mod mariadb;
pub mod network;
pub mod nginx;
pub mod package;
pub mod ports;
pub mod process;
pub mod proxy;
pub mod tab;
pub mod webdriver;
