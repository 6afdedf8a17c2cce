//! The queries of the admin server's routes: ids by name, each once. Pure.

use std::fmt;

use bellwire_common::ids::IdError;

use crate::protocol::decoded;

/// Two ids with every byte escaped, and their names.
const QUERY_BYTES_MAX: usize = 512;

/// Why a query cannot be answered.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Wrong {
    /// What must be there is not; in words.
    Missing(&'static str),
    TooLong,
    /// There is no such parameter, but those that are listed.
    Unknown(String, &'static str),
    Twice(&'static str),
    Escape(&'static str),
    Id(&'static str, IdError),
}

/// Hands each parameter of a query, and its value as it is spelled there, to `take`.
pub(crate) fn read(query: &str, mut take: impl FnMut(&str, &str) -> Result<(), Wrong>) -> Result<(), Wrong> {
    if query.len() > QUERY_BYTES_MAX {
        return Err(Wrong::TooLong);
    }
    query.split('&').filter(|pair| !pair.is_empty()).try_for_each(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        take(name, value)
    })
}

/// Takes an id, if there is none yet.
pub(crate) fn set<T>(
    place: &mut Option<T>,
    name: &'static str,
    value: &str,
    make: fn(&str) -> Result<T, IdError>,
) -> Result<(), Wrong> {
    let text = decoded(value).ok_or(Wrong::Escape(name))?;
    let id = make(&text).map_err(|error| Wrong::Id(name, error))?;
    if place.replace(id).is_some() { Err(Wrong::Twice(name)) } else { Ok(()) }
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(what) => f.write_str(what),
            Self::TooLong => write!(f, "the query must be at most {QUERY_BYTES_MAX} bytes"),
            Self::Unknown(name, known) => write!(f, "there is no parameter {name:?}, only {known}"),
            Self::Twice(name) => write!(f, "{name} must be given once"),
            Self::Escape(name) => write!(f, "{name} has a % escape that is none, or is not UTF-8"),
            Self::Id(name, error) => write!(f, "{name} {error}"),
        }
    }
}
