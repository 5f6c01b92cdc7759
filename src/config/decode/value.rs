//! Values that many nodes have: names, durations, keys.

use std::time::Duration;

use super::super::document::Node;
use super::super::error::{Diagnostic, Report, Span, quoted};
use super::super::public_key;
use crate::model::{InvalidName, PublicKey};

/// A value and where it stands.
#[derive(Debug, Clone)]
pub(in crate::config) struct Spanned<T> {
    pub(in crate::config) value: T,
    pub(in crate::config) span: Span,
}

const DAY: u64 = 24 * 60 * 60;

/// Longer times are typing errors.
const LONGEST: u64 = 100 * 366 * DAY;

/// A text that must follow the rule of a name.
pub(super) fn name<T>(
    given: Option<(&str, Span)>,
    new: impl FnOnce(String) -> Result<T, InvalidName>,
    report: &mut Report,
) -> Option<Spanned<T>> {
    let (text, span) = given?;
    match new(text.to_owned()) {
        Ok(value) => Some(Spanned { value, span }),
        Err(error) => {
            report.add(
                Diagnostic::error("xopero::invalid-name", error.to_string())
                    .at(span, format!("{} is not", quoted(text))),
            );
            None
        }
    }
}

/// The first argument of `node` as a duration.
pub(super) fn duration(node: &Node, least: Duration, report: &mut Report) -> Option<Duration> {
    let (text, span) = node.text()?;
    let found = parse_duration(text).filter(|found| *found >= least);
    if found.is_none() {
        let mut wrong = Diagnostic::error(
            "xopero::invalid-duration",
            format!("{} is not a duration for `{}`", quoted(text), node.name),
        )
        .at(span, "not a duration")
        .help("write a whole number and a unit: \"30s\", \"5m\", \"12h\", \"7d\" or \"2w\"");
        if !least.is_zero() {
            wrong.message = format!("{} of at least {} s", wrong.message, least.as_secs());
        }
        report.add(wrong);
    }
    found
}

fn parse_duration(text: &str) -> Option<Duration> {
    let unit = text.chars().next_back()?;
    let digits = &text[..text.len() - unit.len_utf8()];
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let factor = match unit {
        's' => 1,
        'm' => 60,
        'h' => 60 * 60,
        'd' => DAY,
        'w' => 7 * DAY,
        _ => return None,
    };
    let seconds = digits.parse::<u64>().ok()?.checked_mul(factor)?;
    (seconds <= LONGEST).then(|| Duration::from_secs(seconds))
}

/// The first argument of `node` as a public key.
pub(super) fn public_key(node: &Node, report: &mut Report) -> Option<Spanned<PublicKey>> {
    let (text, span) = node.text()?;
    let reason = match PublicKey::new(text) {
        Ok(key) => match public_key::check(text) {
            Ok(()) => return Some(Spanned { value: key, span }),
            Err(reason) => reason.to_owned(),
        },
        Err(error) => error.to_string(),
    };
    report.add(
        Diagnostic::error("xopero::invalid-key", "this is not an age public key")
            .at(span, reason)
            .help("copy the `age1…` text from the `# public key:` line of the identity file"),
    );
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_number_and_a_unit() {
        let seconds = |text: &str| parse_duration(text).map(|found| found.as_secs());
        assert_eq!(seconds("30s"), Some(30));
        assert_eq!(seconds("5m"), Some(300));
        assert_eq!(seconds("12h"), Some(43_200));
        assert_eq!(seconds("2w"), Some(14 * DAY));
        for wrong in ["", "s", "7", "7 d", "-7d", "7x", "1.5h", "99999999999999999999w", "9999999w", "7ü"] {
            assert_eq!(seconds(wrong), None, "{wrong}");
        }
    }
}
