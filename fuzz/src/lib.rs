//! Fuzzing on the stable toolchain: inputs from a corpus, mutated, and random ones.
//!
//! A target takes any bytes and panics where a promise is broken; not crashing alone is no promise. Coverage is
//! not measured: the formats are small, so good seeds (`corpus/<target>/`, taken from the golden files) and a
//! dictionary of their words get everywhere. The usual engines need a nightly compiler or C++, and the default
//! one of `bolero` on stable does not mutate its corpus, so it never makes anything like JSON.
//!
//! - [`TARGETS`]: what is fuzzed
//! - [`corpus`]: the files
//! - [`Mutator`]: from one input to the next
//! - [`hunt()`]: the loop
//! - [`run()`]: all of it, for one target

pub mod corpus;
mod hunt;
mod jwt;
mod mutate;
mod requests;
mod run;
mod targets;

pub use hunt::{Failure, attempt, hunt, shrink};
pub use jwt::{claims, keys, token};
pub use mutate::{INPUT_BYTES_MAX, Mutator};
pub use requests::events;
pub use run::{Broken, Done, run};
pub use targets::{alertmanager, credentials, login, message, native, record, v1, v2};

/// Something that takes any bytes and panics where a promise is broken.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Name on the command line, and of the folder of its corpus.
    pub name: &'static str,
    /// The target.
    pub run: fn(&[u8]),
}

/// Every target.
pub const TARGETS: &[Target] = &[
    Target { name: "record", run: record },
    Target { name: "message", run: message },
    Target { name: "alertmanager", run: alertmanager },
    Target { name: "v1", run: v1 },
    Target { name: "v2", run: v2 },
    Target { name: "native", run: native },
    Target { name: "events", run: events },
    Target { name: "keys", run: keys },
    Target { name: "token", run: token },
    Target { name: "claims", run: claims },
    Target { name: "credentials", run: credentials },
    Target { name: "login", run: login },
];
