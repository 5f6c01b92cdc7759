//! Patterns over repository slugs: `*` stands for any characters, `?` for one.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::names::InvalidName;

/// A pattern over repository slugs, such as `core-*`. Case does not matter, as in Bitbucket's slugs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Pattern(String);

impl Pattern {
    /// Takes slug characters, `*` and `?`.
    pub fn new(text: impl Into<String>) -> Result<Self, InvalidName> {
        let text = text.into();
        let valid = (1..=128).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._~-*?".contains(&byte));
        if valid {
            Ok(Self(text))
        } else {
            Err(InvalidName { kind: "a repository pattern", rule: "slug characters, `*` and `?`" })
        }
    }

    /// Whether the whole of `text` fits. Time is linear in `text` times the pattern at worst.
    pub fn matches(&self, text: &str) -> bool {
        let (pattern, text) = (self.0.as_bytes(), text.as_bytes());
        let (mut p, mut t) = (0, 0);
        let mut star: Option<(usize, usize)> = None;
        while t < text.len() {
            match pattern.get(p) {
                Some(b'*') => {
                    star = Some((p, t));
                    p += 1;
                }
                Some(byte) if *byte == b'?' || byte.eq_ignore_ascii_case(&text[t]) => {
                    p += 1;
                    t += 1;
                }
                _ => match star {
                    Some((star_p, star_t)) => {
                        star = Some((star_p, star_t + 1));
                        p = star_p + 1;
                        t = star_t + 1;
                    }
                    None => return false,
                },
            }
        }
        pattern[p..].iter().all(|byte| *byte == b'*')
    }

    /// The pattern as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Pattern {
    type Error = InvalidName;
    fn try_from(text: String) -> Result<Self, InvalidName> {
        Self::new(text)
    }
}

impl From<Pattern> for String {
    fn from(pattern: Pattern) -> String {
        pattern.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_and_question_marks() {
        let fits = |pattern: &str, text: &str| Pattern::new(pattern).unwrap().matches(text);
        assert!(fits("*", "anything"));
        assert!(fits("core-*", "core-ledger"));
        assert!(fits("core-*", "Core-Ledger"));
        assert!(fits("*-*-z", "a-b-c-z"));
        assert!(fits("l?dger", "ledger"));
        assert!(!fits("core-*", "score-ledger"));
        assert!(!fits("l?dger", "ldger"));
        assert!(!fits("ledger", "ledger2"));
    }
}
