//! A short name for a set of recipients.

use std::fmt;

use sha2::{Digest, Sha256};

use super::{PublicKey, hex};

/// Tells sets of recipients apart: `r:` and the first eight digits of a digest over the sorted keys.
///
/// An age file does not say whom it is sealed for, so this stands beside it. It is advice: only opening proves anything.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RecipientsMark(String);

impl RecipientsMark {
    /// The mark of a set. Order does not count, and a key that is given twice counts once.
    pub fn of<'a>(keys: impl IntoIterator<Item = &'a PublicKey>) -> Self {
        let mut keys: Vec<&str> = keys.into_iter().map(PublicKey::as_str).collect();
        keys.sort_unstable();
        keys.dedup();
        let mut digits = hex::encode(&Sha256::digest(keys.join("\n")));
        digits.truncate(8);
        Self(format!("r:{digits}"))
    }

    /// The mark as it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RecipientsMark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_are_told_apart_whatever_their_order() {
        let key = |text: &str| PublicKey::new(text).unwrap();
        let (a, b) = (key("age1a"), key("age1b"));
        let mark = RecipientsMark::of([&a, &b]);
        assert_eq!(mark, RecipientsMark::of([&b, &a, &b]));
        assert!(mark != RecipientsMark::of([&a]) && mark.as_str().starts_with("r:") && mark.as_str().len() == 10);
    }
}
