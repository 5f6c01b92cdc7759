//! The value of an attribute.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use crate::model::Sealed;

/// Digits of a sealed value's digest that people are shown.
const SHOWN_DIGITS: usize = 8;

/// The canonical value of an attribute. Displayed as the language would spell it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Value {
    /// A text.
    Text(String),
    /// A number.
    Number(u64),
    /// A length of time.
    Duration(Duration),
    /// A set of texts, sorted.
    Set(Vec<String>),
    /// A secret, of which only the digest of the ciphertext is known.
    Sealed {
        /// SHA-256 of the ciphertext, in hexadecimal.
        digest: String,
    },
}

impl Value {
    /// A set of whatever has a name.
    pub(super) fn set<T: fmt::Display>(items: impl IntoIterator<Item = T>) -> Self {
        let mut items: Vec<String> = items.into_iter().map(|item| item.to_string()).collect();
        items.sort();
        items.dedup();
        Self::Set(items)
    }

    pub(super) fn sealed(sealed: &Sealed) -> Self {
        Self::Sealed { digest: sealed.full_digest() }
    }

    /// The beginning of the digest of a sealed value: tells two of them apart.
    pub fn short_digest(&self) -> Option<&str> {
        match self {
            Self::Sealed { digest } => digest.get(..SHOWN_DIGITS),
            Self::Text(_) | Self::Number(_) | Self::Duration(_) | Self::Set(_) => None,
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "\"{text}\""),
            Self::Number(number) => number.fmt(f),
            Self::Duration(duration) => write!(f, "\"{}\"", human(*duration)),
            Self::Set(items) => {
                let quoted: Vec<String> = items.iter().map(|item| format!("\"{item}\"")).collect();
                f.write_str(&quoted.join(" "))
            }
            Self::Sealed { .. } => write!(f, "(sensitive, sealed {})", self.short_digest().unwrap_or_default()),
        }
    }
}

/// The largest units first, those that are zero left out: `7d`, `1h 30m`.
fn human(duration: Duration) -> String {
    let mut rest = duration.as_secs();
    let mut parts = Vec::new();
    for (unit, seconds) in [("d", 86_400), ("h", 3600), ("m", 60), ("s", 1)] {
        if rest >= seconds {
            parts.push(format!("{}{unit}", rest / seconds));
            rest %= seconds;
        }
    }
    if duration.subsec_millis() > 0 {
        parts.push(format!("{}ms", duration.subsec_millis()));
    }
    if parts.is_empty() { "0s".to_owned() } else { parts.join(" ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_people_write_them() {
        for (seconds, text) in [(0, "0s"), (30, "30s"), (604_800, "7d"), (5400, "1h 30m"), (90_061, "1d 1h 1m 1s")] {
            assert_eq!(human(Duration::from_secs(seconds)), text);
        }
        assert_eq!(human(Duration::from_millis(1500)), "1s 500ms");
    }

    #[test]
    fn sets_have_one_order() {
        assert_eq!(Value::set(["b", "a", "b"]), Value::set(["a", "b"]));
        assert_eq!(Value::set(["b", "a"]).to_string(), r#""a" "b""#);
    }

    #[test]
    fn secrets_show_eight_digits() {
        let sealed = Sealed::new("ciphertext");
        assert_eq!(Value::sealed(&sealed).to_string(), format!("(sensitive, sealed {})", sealed.digest()));
    }
}
