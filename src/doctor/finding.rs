//! What a check of the doctor's comes to. Pure.

use std::fmt;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    /// As it should be.
    Ok,
    /// It works, but not as well or as safely as it could.
    Warn,
    /// It does not work, or is not safe.
    Fail,
}

/// One line: what is so, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) level: Level,
    pub(crate) topic: &'static str,
    pub(crate) text: String,
}

impl Finding {
    pub(crate) fn ok(topic: &'static str, text: impl Into<String>) -> Self {
        Self { level: Level::Ok, topic, text: text.into() }
    }

    pub(crate) fn warn(topic: &'static str, text: impl Into<String>) -> Self {
        Self { level: Level::Warn, topic, text: text.into() }
    }

    pub(crate) fn fail(topic: &'static str, text: impl Into<String>) -> Self {
        Self { level: Level::Fail, topic, text: text.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match self.level {
            Level::Ok => "ok  ",
            Level::Warn => "warn",
            Level::Fail => "FAIL",
        };
        // What others said may hold line ends.
        let text = self.text.split(char::is_control).filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ");
        write!(f, "{word} {}: {text}", self.topic)
    }
}
