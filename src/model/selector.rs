//! Which projects a declaration is about: one, or all that fit a pattern.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::Pattern;
use super::names::{InvalidName, ProjectKey};

/// One project by its key, or all whose keys fit a pattern: `PAY`, `TEAM-*`. Two with the same text are the same.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum ProjectSelector {
    /// One project.
    Key(ProjectKey),
    /// All projects of the server that fit, those of tomorrow too, unless they are declared by their key.
    Pattern(Pattern),
}

impl ProjectSelector {
    /// Takes a key, or a pattern: a text with `*` or `?`.
    pub fn new(text: impl Into<String>) -> Result<Self, InvalidName> {
        let text = text.into();
        if text.contains(['*', '?']) {
            Pattern::new(text).map(Self::Pattern)
        } else {
            ProjectKey::new(text).map(Self::Key)
        }
    }

    /// The text, as the file has it.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Key(key) => key.as_str(),
            Self::Pattern(pattern) => pattern.as_str(),
        }
    }

    /// The pattern, if it is one.
    pub fn pattern(&self) -> Option<&Pattern> {
        match self {
            Self::Key(_) => None,
            Self::Pattern(pattern) => Some(pattern),
        }
    }
}

impl fmt::Display for ProjectSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl From<ProjectKey> for ProjectSelector {
    fn from(key: ProjectKey) -> Self {
        Self::Key(key)
    }
}

impl FromStr for ProjectSelector {
    type Err = InvalidName;
    fn from_str(text: &str) -> Result<Self, InvalidName> {
        Self::new(text)
    }
}

impl TryFrom<String> for ProjectSelector {
    type Error = InvalidName;
    fn try_from(text: String) -> Result<Self, InvalidName> {
        Self::new(text)
    }
}

impl From<ProjectSelector> for String {
    fn from(selector: ProjectSelector) -> String {
        selector.as_str().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_and_question_marks_make_a_pattern() {
        let selector = |text: &str| ProjectSelector::new(text);
        assert_eq!(selector("PAY"), Ok(ProjectSelector::Key("PAY".parse().unwrap())));
        assert!(selector("TEAM-*").unwrap().pattern().is_some_and(|pattern| pattern.matches("TEAM-A")));
        assert!(selector("T?AM").unwrap().pattern().is_some());
        for wrong in ["", "-PAY", "a/*", "* ", "ü*"] {
            assert!(selector(wrong).is_err(), "{wrong:?}");
        }
    }
}
