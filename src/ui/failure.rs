//! Why something failed, for people.

use std::fmt::Write as _;

use super::Style;
use super::shown::shown_explanation;
use super::wrap::paragraph;

/// Adds what failed, with its causes and what to do about it. Put on lines that fit only for a `terminal`.
pub(super) fn failure(
    text: &mut String,
    name: &str,
    error: &[String],
    hint: Option<&str>,
    style: Style,
    terminal: bool,
) {
    text.push('\n');
    let mut explain = |indent: &str, label: &str, styled: &str, what: &str| {
        let told = paragraph(indent, (label, styled), &shown_explanation(what), terminal);
        writeln!(text, "{told}").expect("strings take everything");
    };
    let mut lines = error.iter();
    let first = lines.next().map(String::as_str).unwrap_or_default();
    explain("", "failed:", &style.red("failed:"), &format!("{name}: {first}"));
    for cause in lines {
        explain("  ", "caused by:", "caused by:", cause);
    }
    if let Some(hint) = hint {
        explain("  ", "help:", &style.green("help:"), hint);
    }
}
