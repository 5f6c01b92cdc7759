//! Patterns over repository slugs and project keys: `*` stands for any characters, `?` for one.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::names::InvalidName;

/// A pattern over repository slugs or project keys, such as `core-*`. Case does not matter, as in Bitbucket's own.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Pattern(String);

impl Pattern {
    /// Takes the characters of slugs and keys, `*` and `?`.
    pub fn new(text: impl Into<String>) -> Result<Self, InvalidName> {
        let text = text.into();
        let valid = (1..=128).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._~-*?".contains(&byte));
        if valid {
            Ok(Self(text))
        } else {
            Err(InvalidName {
                kind: "a pattern",
                rule: "1 to 128 letters, digits, `.`, `_`, `-` or `~`, with `*` and `?`",
            })
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

    /// Whether there is a text that fits both.
    pub fn overlaps(&self, other: &Self) -> bool {
        let (one, other) = (self.0.as_bytes(), other.0.as_bytes());
        // `reached[j]`: some text fits the read part of `one` and the first `j` characters of `other`.
        let mut reached = vec![false; other.len() + 1];
        reached[0] = true;
        let spread = |reached: &mut Vec<bool>| {
            for (at, byte) in other.iter().enumerate() {
                reached[at + 1] |= reached[at] && *byte == b'*';
            }
        };
        spread(&mut reached);
        for step in one {
            let mut next = vec![false; other.len() + 1];
            if *step == b'*' {
                // It takes whatever the other one asks for, or nothing.
                let mut any = false;
                for (at, reached) in reached.iter().enumerate() {
                    any |= *reached;
                    next[at] = any;
                }
            } else {
                for (at, byte) in other.iter().enumerate() {
                    let fits = *byte == b'?' || *step == b'?' || byte.eq_ignore_ascii_case(step);
                    next[at] |= reached[at] && *byte == b'*';
                    next[at + 1] |= reached[at] && *byte != b'*' && fits;
                }
                spread(&mut next);
            }
            reached = next;
        }
        reached[other.len()]
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
    use proptest::prelude::*;

    use super::*;

    fn overlap(one: &str, other: &str) -> bool {
        Pattern::new(one).unwrap().overlaps(&Pattern::new(other).unwrap())
    }

    #[test]
    fn patterns_overlap_where_one_text_fits_both() {
        for (one, other) in
            [("TEAM-*", "*-A"), ("*", "?"), ("a*b", "*"), ("TEAM-?", "team-a"), ("*a*", "*b*"), ("a", "A")]
        {
            assert!(overlap(one, other) && overlap(other, one), "{one} {other}");
        }
        for (one, other) in [("TEAM-*", "WEB-*"), ("?", "??"), ("a*b", "*c"), ("ab*", "ac?"), ("x*", "a*x")] {
            assert!(!overlap(one, other) && !overlap(other, one), "{one} {other}");
        }
    }

    proptest! {
        #[test]
        fn a_text_that_fits_two_patterns_proves_that_they_overlap(
            one in "[ab*?]{1,6}", other in "[ab*?]{1,6}", text in "[ab]{0,6}",
        ) {
            let (first, second) = (Pattern::new(one.as_str()).unwrap(), Pattern::new(other.as_str()).unwrap());
            prop_assert!(!(first.matches(&text) && second.matches(&text)) || first.overlaps(&second));
            prop_assert_eq!(first.overlaps(&second), second.overlaps(&first));
        }

        #[test]
        fn patterns_that_overlap_have_a_text_that_fits_both(one in "[ab*?]{1,4}", other in "[ab*?]{1,4}") {
            let (first, second) = (Pattern::new(one.as_str()).unwrap(), Pattern::new(other.as_str()).unwrap());
            // No shortest common text is longer than both patterns together.
            let mut texts = vec![String::new()];
            let mut found = false;
            for _ in 0..=8 {
                found |= texts.iter().any(|text| first.matches(text) && second.matches(text));
                texts = texts.iter().flat_map(|text| [format!("{text}a"), format!("{text}b")]).collect();
            }
            prop_assert_eq!(found, first.overlaps(&second));
        }
    }

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
