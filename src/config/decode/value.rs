//! Values that many nodes have: names, durations, keys.

use std::fmt::Display;
use std::time::Duration;

use jiff::civil::{Date, Time};

use super::super::document::{Node, Value};
use super::super::error::{Diagnostic, Report, Span, quoted};
use super::super::public_key;
use super::super::shape::is_age;
use crate::model::{BaseUrl, InvalidName, Percent, PublicKey, Sealed};

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
    named(given, new, |wrong, _| wrong, report)
}

fn named<T>(
    given: Option<(&str, Span)>,
    new: impl FnOnce(String) -> Result<T, InvalidName>,
    advise: impl FnOnce(Diagnostic, &str) -> Diagnostic,
    report: &mut Report,
) -> Option<Spanned<T>> {
    let (text, span) = given?;
    match new(text.to_owned()) {
        Ok(value) => Some(Spanned { value, span }),
        Err(error) => {
            let wrong = Diagnostic::error("xopero::invalid-name", error.to_string());
            report.add(advise(wrong.at(span, format!("{} is not", quoted(text))), text));
            None
        }
    }
}

/// The same for what may be a pattern: people write those of other programs.
pub(super) fn pattern<T>(
    given: Option<(&str, Span)>,
    new: impl FnOnce(String) -> Result<T, InvalidName>,
    report: &mut Report,
) -> Option<Spanned<T>> {
    let advise = |wrong: Diagnostic, text: &str| {
        if !text.contains(['[', ']', '{', '}', '(', ')', '|', ',', '+', '^', '$', '!']) {
            return wrong;
        }
        wrong.help(
            "in a pattern `*` stands for any characters and `?` for one; for several patterns or names, repeat the node",
        )
    };
    named(given, new, advise, report)
}

/// The first argument of `node` as a duration.
pub(super) fn duration(node: &Node, least: Duration, report: &mut Report) -> Option<Duration> {
    duration_of(node.args.first(), &node.name, least, report)
}

/// A value as a duration; `what` is what it is for.
pub(super) fn duration_of(given: Option<&Value>, what: &str, least: Duration, report: &mut Report) -> Option<Duration> {
    let (text, span) = given?.text()?;
    let found = parse_duration(text).filter(|found| *found >= least);
    if found.is_none() {
        let mut wrong =
            Diagnostic::error("xopero::invalid-duration", format!("{} is not a duration for `{what}`", quoted(text)))
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

/// A value as a date.
pub(super) fn date(given: Option<&Value>, report: &mut Report) -> Option<Date> {
    let (text, span) = given?.text()?;
    let parsed = (text.len() == 10).then(|| text.parse::<Date>().ok()).flatten();
    if parsed.is_none() {
        report.add(
            Diagnostic::error("xopero::invalid-date", format!("{} is not a date", quoted(text)))
                .at(span, "not a date")
                .help("write year, month and day: \"2027-03-01\""),
        );
    }
    parsed
}

/// A value as a time of day, to the minute.
pub(super) fn time_of_day(given: &Value, report: &mut Report) -> Option<Time> {
    let (text, span) = given.text()?;
    let parsed = (text.len() == 5 && text.as_bytes()[2] == b':').then(|| text.parse::<Time>().ok()).flatten();
    if parsed.is_none() {
        report.add(
            Diagnostic::error("xopero::invalid-time", format!("{} is not a time of day", quoted(text)))
                .at(span, "not a time of day")
                .help("write hours and minutes: \"08:00\""),
        );
    }
    parsed
}

/// A value as a share of at least `least`.
pub(super) fn percent(given: Option<&Value>, least: u8, report: &mut Report) -> Option<Percent> {
    let (text, span) = given?.text()?;
    let found = text.parse::<Percent>().ok().filter(|found| found.get() >= least);
    if found.is_none() {
        report.add(
            Diagnostic::error("xopero::invalid-share", format!("{} is not a share", quoted(text)))
                .at(span, format!("not from {least}% to 100%"))
                .help("write a whole number and a percent sign: \"20%\""),
        );
    }
    found
}

/// A value as the address of a server.
pub(super) fn base_url(given: Option<&Value>, report: &mut Report) -> Option<BaseUrl> {
    url(given, report, BaseUrl::new)
}

/// A value as an address, which `read` understands or says of what it is.
pub(super) fn url<T, E: Display>(
    given: Option<&Value>,
    report: &mut Report,
    read: impl FnOnce(&str) -> Result<T, E>,
) -> Option<T> {
    let given = given?;
    let (text, span) = given.text()?;
    // An address that was cut at its `//` is reported with the reason.
    if given.bare && text.ends_with(':') {
        return None;
    }
    read(text)
        .map_err(|error| {
            report.add(
                Diagnostic::error("xopero::invalid-url", "the address cannot be used")
                    .at(span, "this address")
                    .help(format!("it {error}")),
            );
        })
        .ok()
}

/// The sealed value in the first argument of `node`, unless it is not one: that is reported with its shape.
pub(super) fn sealed(node: &Node) -> Option<Sealed> {
    let given = node.args.first()?;
    let (text, _) = given.text()?;
    (is_age(text) && given.annotation.as_deref() == Some("age")).then(|| Sealed::new(text))
}

/// The sealed value of `node`, which stands in its argument or in a file.
pub(super) fn sealed_or_file(node: &Node, report: &mut Report) -> Option<Sealed> {
    match (node.args.first(), node.prop("file")) {
        (Some(_), None) => sealed(node),
        (None, Some(file)) => {
            // A file that could not be had is reported where it was to be read.
            let text = node.attached.as_deref()?;
            if !is_age(text) {
                report.add(
                    Diagnostic::error("xopero::plaintext-secret", format!("the file holds no sealed {}", node.name))
                        .at(file.span, "not an age ciphertext in text form")
                        .help(
                            "the whole file is ASCII armor, as `age --armor` writes it; if a working secret was ever \
                             committed there, revoke it",
                        ),
                );
                return None;
            }
            Some(Sealed::new(text.trim()))
        }
        (Some(value), Some(file)) => {
            report.add(
                Diagnostic::error(
                    "xopero::two-secrets",
                    format!("the {} stands here or in a file, not both", node.name),
                )
                .at(file.span, "in a file")
                .at(value.span, "and here"),
            );
            None
        }
        (None, None) => {
            // A misspelt property is reported, and is probably what was meant.
            if node.props.is_empty() {
                report.add(
                    Diagnostic::error("xopero::missing-argument", format!("`{}` needs a sealed value", node.name))
                        .at(node.name_span, "add the sealed value")
                        .help("seal one into the file with `xopero credential add`, or name a file: file=\"…\""),
                );
            }
            None
        }
    }
}

/// The first argument of `node` as a public key.
pub(super) fn public_key(node: &Node, report: &mut Report) -> Option<Spanned<PublicKey>> {
    let (text, span) = node.text()?;
    if text.trim_start().starts_with("AGE-SECRET-KEY-") {
        report.add(
            Diagnostic::error("xopero::plaintext-secret", "this is an identity, and in clear text")
                .at(span, "a public key begins with `age1`")
                .help(
                    "make another identity with `xopero secrets keygen` and write its public key here: whoever has \
                     seen this file can open what was encrypted to this one",
                ),
        );
        return None;
    }
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
