//! A change set as text for people.

use unicode_width::UnicodeWidthStr;

use super::super::wrap::{WIDTH, wrap};
use super::super::{Style, shown};
use super::BACKUPS_DELETED;
use crate::change::{Action, AttributeChange, Change, ChangeSet, Note, NoteKind, Rail, Risk, Value};
use crate::model::Address;

/// Columns after which paths are no longer aligned.
const WIDEST_PATH: usize = 36;

/// What `xopero plan` shows. `places` says where an address is declared.
pub fn render(set: &ChangeSet, places: &dyn Fn(&Address) -> Option<String>, style: &Style) -> String {
    let mut lines = Vec::new();
    let touched: Vec<&Change> = set.changes.iter().filter(|change| change.action != Action::Keep).collect();
    if touched.is_empty() {
        lines.push(match set.based_on {
            Some(generation) => format!("No changes: generation {generation} is what the file declares."),
            None => "No changes: nothing is declared and nothing is applied.".to_owned(),
        });
    } else {
        lines.push(legend(&touched, *style));
        lines.push(String::new());
        for change in &touched {
            render_change(change, places(&change.address), *style, &mut lines);
        }
    }
    section("Notes", &set.notes, *style, &mut lines, render_note);
    section("Guards", &set.rails, *style, &mut lines, render_rail);
    if !touched.is_empty() {
        lines.push(String::new());
        lines.extend(footer(set));
    }
    lines.push(String::new());
    lines.join("\n")
}

/// What a line begins with.
#[derive(Debug, Clone, Copy)]
enum Mark {
    /// What happens to something.
    Action(Action),
    /// A person has to look.
    Attention,
    /// A remark.
    Remark,
}

impl Mark {
    const fn symbol(self) -> &'static str {
        match self {
            Self::Action(Action::Create) => "+",
            Self::Action(Action::Update) => "~",
            Self::Action(Action::Retire) => "-",
            Self::Action(Action::Remove) => "x",
            Self::Action(Action::Keep) => " ",
            Self::Attention => "!",
            Self::Remark => "#",
        }
    }

    fn paint(self, style: Style) -> String {
        match self {
            Self::Action(Action::Create) => style.green(self.symbol()),
            Self::Action(Action::Update) | Self::Attention => style.yellow(self.symbol()),
            Self::Action(Action::Retire | Action::Remove) => style.red(self.symbol()),
            Self::Action(Action::Keep) | Self::Remark => style.dim(self.symbol()),
        }
    }
}

fn legend(touched: &[&Change], style: Style) -> String {
    let mut line = style.bold("Actions:");
    for (action, meaning) in [
        (Action::Create, "create"),
        (Action::Update, "change"),
        (Action::Retire, "retire (backups are kept)"),
        (Action::Remove, "remove"),
    ] {
        if touched.iter().any(|change| change.action == action) {
            line = format!("{line}  {} {meaning}", Mark::Action(action).paint(style));
        }
    }
    line
}

fn render_change(change: &Change, place: Option<String>, style: Style, lines: &mut Vec<String>) {
    let address = shown(change.address.as_str());
    lines.push(format!("  {} {}", Mark::Action(change.action).paint(style), style.bold(&address)));
    if let (Some(place), Some(line)) = (place, lines.last_mut()) {
        let place = format!("# {}", shown(&place));
        if 4 + address.width() + 2 + place.width() <= WIDTH {
            line.push_str("  ");
            line.push_str(&style.dim(&place));
        } else {
            lines.push(format!("      {}", style.dim(&place)));
        }
    }
    let column = change.attributes.iter().map(|attribute| attribute.path.len()).max().unwrap_or(0).min(WIDEST_PATH);
    for attribute in &change.attributes {
        render_attribute(attribute, column, style, lines);
    }
    if change.action == Action::Update && change.unchanged > 0 {
        let noun = if change.unchanged == 1 { "attribute" } else { "attributes" };
        lines.push(style.dim(&format!("      # ({} unchanged {noun} hidden)", change.unchanged)));
    }
    let mark = if change.risk == Risk::Guarded { Mark::Attention } else { Mark::Remark };
    for reason in &change.reasons {
        push_wrapped(lines, 6, mark, "", 8, shown(reason).split_whitespace(), style);
    }
}

fn render_attribute(attribute: &AttributeChange, column: usize, style: Style, lines: &mut Vec<String>) {
    let AttributeChange { path, before, after } = attribute;
    let (action, words) = match (before, after) {
        (Some(before), Some(after)) => {
            let mut words = words(before);
            words.push("->".to_owned());
            words.extend(self::words(after));
            (Action::Update, words)
        }
        (None, Some(value)) => (Action::Create, words(value)),
        (Some(value), None) => (Action::Retire, words(value)),
        (None, None) => return,
    };
    let name = format!(" {:column$} =", shown(path));
    push_wrapped(lines, 6, Mark::Action(action), &name, 10, words.iter().map(String::as_str), style);
}

/// The pieces between which a value may be put on the next line.
fn words(value: &Value) -> Vec<String> {
    match value {
        Value::Set(items) if items.is_empty() => vec!["(none)".to_owned()],
        Value::Set(items) => items.iter().map(|item| shown(&format!("\"{item}\""))).collect(),
        Value::Text(_) | Value::Number(_) | Value::Duration(_) | Value::Sealed { .. } => {
            vec![shown(&value.to_string())]
        }
    }
}

/// Adds words after a mark at column `at` and a heading; what does not fit goes on at column `indent`.
fn push_wrapped<'a>(
    lines: &mut Vec<String>,
    at: usize,
    mark: Mark,
    heading: &str,
    indent: usize,
    words: impl Iterator<Item = &'a str>,
    style: Style,
) {
    let symbol = mark.symbol();
    let mut wrapped = wrap(&format!("{:at$}{symbol}{heading}", ""), indent, words);
    if let Some(first) = wrapped.first_mut() {
        first.replace_range(at..at + symbol.len(), &mark.paint(style));
    }
    lines.extend(wrapped);
}

fn section<T>(
    title: &str,
    items: &[T],
    style: Style,
    lines: &mut Vec<String>,
    render: fn(&T, Style, &mut Vec<String>),
) {
    if !items.is_empty() {
        lines.push(String::new());
        lines.push(style.bold(title));
        for item in items {
            render(item, style, lines);
        }
    }
}

fn render_note(note: &Note, style: Style, lines: &mut Vec<String>) {
    let mark = match note.kind {
        NoteKind::Expired
        | NoteKind::Expiring
        | NoteKind::NeverEnabled
        | NoteKind::CredentialRejected
        | NoteKind::AccountMismatch
        | NoteKind::PermissionLost
        | NoteKind::ServerUnreachable
        | NoteKind::DestinationForeign
        | NoteKind::DestinationUnusable
        | NoteKind::Renamed
        | NoteKind::Gone => Mark::Attention,
        NoteKind::NotScheduled | NoteKind::NotObserved | NoteKind::Paused | NoteKind::NotActedOn => Mark::Remark,
    };
    let text = format!("{}: {}", shown(note.address.as_str()), shown(&note.message));
    push_wrapped(lines, 2, mark, "", 6, text.split_whitespace(), style);
}

fn render_rail(rail: &Rail, style: Style, lines: &mut Vec<String>) {
    let addresses: Vec<String> = rail.addresses.iter().map(|address| shown(address.as_str())).collect();
    let text = format!("{} needs approval: {}: {}", rail.kind.as_str(), addresses.join(", "), shown(&rail.message));
    push_wrapped(lines, 2, Mark::Attention, "", 6, text.split_whitespace(), style);
}

fn footer(set: &ChangeSet) -> Vec<String> {
    let counts = set.counts();
    let mut parts = vec![
        format!("{} to add", counts.add),
        format!("{} to change", counts.change),
        format!("{} to retire", counts.retire),
    ];
    if counts.remove > 0 {
        parts.push(format!("{} to remove", counts.remove));
    }
    let summary = format!("Plan {}: {}. Backups deleted: {BACKUPS_DELETED}.", set.plan_id, parts.join(", "));
    wrap("", 0, summary.split(' '))
}

/// The command that applies a change set, as a line; nothing for one without changes.
pub fn next_command(set: &ChangeSet, style: &Style) -> String {
    if set.is_empty() { String::new() } else { format!("To apply:  {}\n", style.bold(&apply_command(set))) }
}

/// The same for one that was saved in a file.
pub fn next_command_with_file(set: &ChangeSet, file: &str, style: &Style) -> String {
    let command = style.bold(&format!("xopero apply {}", shown(file)));
    if set.is_empty() { String::new() } else { format!("To apply:  {command}\n") }
}

/// The command that applies a change set.
pub(super) fn apply_command(set: &ChangeSet) -> String {
    if set.needs_approval() { format!("xopero apply --approve {}", set.plan_id) } else { "xopero apply".to_owned() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::sample::{after, many_changes, now};
    use super::*;
    use crate::change::{change_set, sample};
    use crate::model::Sealed;

    const PLAIN: Style = Style { color: false };

    #[test]
    fn a_change_set_reads_like_this() {
        let set = many_changes();
        let text = render(&set, &|address| (address.as_str() == "plan/hot").then(|| "line 84".to_owned()), &PLAIN);
        let expected = r#"Actions:  + create  ~ change  - retire (backups are kept)

  ~ credential/PAY/main
      ~ token = (sensitive, sealed OLD) -> (sensitive, sealed NEW)
      # (2 unchanged attributes hidden)
  ~ destination/nas
      ~ local = "backups" -> "/a\u{1b}[2J"
      # (1 unchanged attribute hidden)
      # new backups only: those at the old place stay there; the next run is
        full
  + plan/hot  # line 84
      + destinations                   = "nas"
      + parts                          = "git"
      + project.PAY.enable-credentials = "extra-1"
      + project.PAY.exclude            = "sandbox-*"
      + project.PAY.include            = "component-00-*" "component-01-*"
          "component-02-*" "component-03-*" "component-04-*" "component-05-*"
          "component-06-*" "component-07-*" "component-08-*" "component-09-*"
          "component-10-*" "component-11-*"
      + projects                       = "PAY"
      + retention                      = "gfs"
  - plan/nightly
      ! no more runs; its backups are kept and nothing prunes them
  ~ retention/gfs
      ~ keep.daily = 14 -> 7
      # (3 unchanged attributes hidden)
      ! keeps fewer backups: daily from 14 to 7

Notes
  ! credential/PAY/extra-2: declared, but no plan enables it: it is not used

Guards
  ! plan-leaves needs approval: plan/nightly: no more runs; its backups are kept
      and nothing prunes them
  ! tightened-retention needs approval: retention/gfs: keeps fewer backups:
      daily from 14 to 7

Plan ID: 1 to add, 3 to change, 1 to retire. Backups deleted: 0.
"#;
        let digest = |text: &str| Sealed::new(text).digest();
        let expected = expected
            .replace("OLD", &digest("ciphertext of svc-backup"))
            .replace("NEW", &digest("another"))
            .replace("ID", set.plan_id.as_str());
        assert_eq!(next_command(&set, &PLAIN), format!("To apply:  xopero apply --approve {}\n", set.plan_id));
        assert_eq!(text, expected);
    }

    #[test]
    fn nothing_to_do_is_said_and_notes_are_still_shown() {
        let text = render(&after(|_| ()), &|_| None, &PLAIN);
        assert!(text.starts_with("No changes: generation 41 is what the file declares.\n\nNotes\n"), "{text}");
        assert!(text.contains("start it with") && !text.contains("To apply"), "{text}");
    }

    #[test]
    fn colour_adds_nothing_but_colour() {
        let set = many_changes();
        let coloured = render(&set, &|_| Some("line 7".to_owned()), &Style { color: true });
        assert!(coloured.contains("\u{1b}[32m+\u{1b}[0m"));
        let codes = ["\u{1b}[0m", "\u{1b}[1m", "\u{1b}[2m", "\u{1b}[31m", "\u{1b}[32m", "\u{1b}[33m"];
        let stripped = codes.iter().fold(coloured, |text, code| text.replace(code, ""));
        assert_eq!(stripped, render(&set, &|_| Some("line 7".to_owned()), &PLAIN));
    }

    proptest! {
        #[test]
        fn lines_fit_and_end_in_text(before in sample::declarations(), after in sample::declarations()) {
            let set = change_set(Some(&sample::applied(before)), &after, now());
            for line in render(&set, &|_| Some("teams/a-rather-long-name.kdl:1234".to_owned()), &PLAIN).lines() {
                prop_assert!(line.width() <= 80, "{line:?}");
                prop_assert_eq!(line.trim_end(), line);
            }
        }
    }
}
