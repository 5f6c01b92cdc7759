//! What a line of a log begins with.

use jiff::Timestamp;

/// How much a line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// A defect of this program.
    Error,
    /// Somebody should look: the world, or a file, is not as it should be.
    Warn,
    /// The usual.
    Info,
    /// For developers.
    Debug,
}

impl Level {
    /// The word for programs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
        }
    }

    /// The number that the journal knows it by.
    const fn priority(self) -> u8 {
        match self {
            Self::Error => 3,
            Self::Warn => 4,
            Self::Info => 6,
            Self::Debug => 7,
        }
    }
}

/// What a line begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stamp {
    /// The time.
    Time,
    /// The priority, for the journal: it notes the time by itself.
    Priority,
}

impl Stamp {
    /// What a line of that time and level begins with.
    pub fn of(self, at: Timestamp, level: Level) -> String {
        match self {
            Self::Time => at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            Self::Priority => format!("<{}>", level.priority()),
        }
    }
}
