//! One attribute, before and after.

use similar::{ChangeTag, TextDiff};

use super::super::{count, shown};
use super::lines::{Lines, Mark};
use crate::change::{Action, AttributeChange, Content, Value};

/// Columns after which paths are no longer aligned.
const WIDEST_PATH: usize = 36;

/// Where attributes begin, and where what does not fit goes on.
const COLUMNS: (usize, usize) = (6, 10);

/// A list that changes is shown as a difference if it has more items than this on one side.
const FEW: usize = 4;

/// The columns that the paths of some attributes take.
pub(super) fn column(attributes: &[AttributeChange]) -> usize {
    attributes.iter().map(|attribute| attribute.path.len()).max().unwrap_or(0).min(WIDEST_PATH)
}

pub(super) fn render(attribute: &AttributeChange, column: usize, lines: &mut Lines) {
    let AttributeChange { path, before, after, content } = attribute;
    let name = format!(" {:column$} =", shown(path));
    match (before, after) {
        (Some(Value::Set(before)), Some(Value::Set(after))) if before.len().max(after.len()) > FEW => {
            list(&name, before, after, lines);
        }
        (Some(Value::Text(before)), Some(Value::Text(after))) if before.contains('\n') || after.contains('\n') => {
            text(&name, before, after, lines);
        }
        (Some(before), Some(after)) => {
            let mut words = words(before);
            words.push("->".to_owned());
            words.extend(self::words(after));
            add(Action::Update, &name, &words, lines);
        }
        (None, Some(value)) => add(Action::Create, &name, &words(value), lines),
        (Some(value), None) => add(Action::Retire, &name, &words(value), lines),
        (None, None) => {}
    }
    if let Some(content) = content {
        lines.sentence((10, 12), Mark::Remark, meaning(*content));
    }
}

fn add(action: Action, name: &str, words: &[String], lines: &mut Lines) {
    lines.wrapped(COLUMNS, Mark::Action(action), name, words.iter().map(String::as_str));
}

const fn meaning(content: Content) -> &'static str {
    match content {
        Content::Same => "sealed anew; the secret is the same",
        Content::Other => "another secret",
        Content::Unknown => "sealed value differs (content unknown without an identity)",
    }
}

/// The pieces between which a value may be put on the next line.
fn words(value: &Value) -> Vec<String> {
    match value {
        Value::Set(items) if items.is_empty() => vec!["(none)".to_owned()],
        Value::Set(items) => items.iter().flat_map(|item| item_words(item)).collect(),
        Value::Text(_) | Value::Number(_) | Value::Duration(_) | Value::Sealed { .. } => {
            vec![shown(&value.to_string())]
        }
    }
}

/// An item in quotes. What is said of it in brackets stands behind it, and may go to the next line.
fn item_words(item: &str) -> Vec<String> {
    match item.split_once(" (") {
        Some((name, remark)) => vec![shown(&format!("\"{name}\"")), shown(&format!("({remark}"))],
        None => vec![shown(&format!("\"{item}\""))],
    }
}

/// Only the items that come and go, and how many stay.
fn list(name: &str, before: &[String], after: &[String], lines: &mut Lines) {
    let gone = before.iter().filter(|item| !after.contains(item)).map(|item| (Action::Retire, item));
    let new = after.iter().filter(|item| !before.contains(item)).map(|item| (Action::Create, item));
    let mut changed: Vec<_> = gone.chain(new).collect();
    changed.sort_by_key(|(action, item)| (*item, *action));
    let sizes = format!("{} -> {}", count(before.len() as u64, "item"), after.len());
    add(Action::Update, name, &[sizes], lines);
    for (action, item) in changed {
        let words = item_words(item);
        lines.wrapped((10, 12), Mark::Action(action), "", words.iter().map(String::as_str));
    }
    let same = before.iter().filter(|item| after.contains(item)).count();
    hidden(same, "item", lines);
}

fn hidden(number: usize, noun: &str, lines: &mut Lines) {
    if number > 0 {
        let remark = format!("# ({} hidden)", count(number as u64, &format!("unchanged {noun}")));
        let remark = lines.style.dim(&remark);
        lines.line(format!("{:10}{remark}", ""));
    }
}

/// The lines that come and go, and how many stay.
fn text(name: &str, before: &str, after: &str, lines: &mut Lines) {
    add(Action::Update, name, &["(several lines)".to_owned()], lines);
    let difference = TextDiff::from_lines(before, after);
    let mut same = 0;
    for change in difference.iter_all_changes() {
        let action = match change.tag() {
            ChangeTag::Equal => {
                same += 1;
                continue;
            }
            ChangeTag::Delete => Action::Retire,
            ChangeTag::Insert => Action::Create,
        };
        let line = shown(change.value().trim_end_matches(['\r', '\n']));
        lines.wrapped((10, 12), Mark::Action(action), "", line.split_whitespace());
    }
    hidden(same, "line", lines);
}
