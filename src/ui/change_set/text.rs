//! A change set as text for people.

use unicode_width::UnicodeWidthStr;

use super::super::shown::shown_explanation;
use super::super::wrap::{WIDTH, wrap};
use super::super::{Style, count, shown};
use super::lines::{Lines, Mark};
use super::{BACKUPS_DELETED, attribute, impact};
use crate::change::{Action, Change, ChangeSet, Note, NoteKind, Rail, Risk};
use crate::model::Address;
use crate::source::short_commit;

/// Column at which the place of a declaration stands, if its address leaves room.
const PLACE: usize = 40;

/// What `xopero plan` shows. `places` gives where an address is declared, such as `xopero.kdl:84`.
pub fn render(set: &ChangeSet, places: &dyn Fn(&Address) -> Option<String>, style: &Style) -> String {
    let mut lines = Lines::new(*style);
    let touched: Vec<&Change> = set.changes.iter().filter(|change| change.action != Action::Keep).collect();
    if touched.is_empty() {
        lines.line(match set.based_on {
            Some(generation) => format!("No changes: generation {generation} is what the file declares."),
            None => "No changes: nothing is declared and nothing is applied.".to_owned(),
        });
    } else {
        lines.line(legend(&touched, *style));
        lines.gap();
        for change in &touched {
            render_change(change, set, places(&change.address), &mut lines);
        }
    }
    impact::on_backups(set, &mut lines);
    if !set.notes.is_empty() {
        lines.heading("Notes");
        set.notes.iter().for_each(|note| render_note(note, &mut lines));
    }
    if !set.rails.is_empty() {
        lines.heading("Guards");
        set.rails.iter().for_each(|rail| render_rail(rail, &mut lines));
    }
    if !touched.is_empty() {
        lines.gap();
        for line in footer(set) {
            lines.line(line);
        }
    }
    lines.finish()
}

/// What people should know about what is in force: the notes of a change set alone. Empty, if there are none.
pub fn render_notes(set: &ChangeSet, style: &Style) -> String {
    if set.notes.is_empty() {
        return String::new();
    }
    let mut lines = Lines::new(*style);
    lines.line(style.bold("Notes"));
    set.notes.iter().for_each(|note| render_note(note, &mut lines));
    lines.gap();
    lines.finish()
}

fn legend(touched: &[&Change], style: Style) -> String {
    let mut line = style.bold("Actions:");
    for (action, meaning) in [
        (Action::Create, "create"),
        (Action::Update, "change"),
        (Action::Move, "move"),
        (Action::Retire, "retire (backups are kept)"),
        (Action::Remove, "remove"),
    ] {
        if touched.iter().any(|change| change.action == action) {
            line = format!("{line}  {} {meaning}", Mark::Action(action).paint(style));
        }
    }
    line
}

fn render_change(change: &Change, set: &ChangeSet, place: Option<String>, lines: &mut Lines) {
    let style = lines.style;
    let address = shown(change.address.as_str());
    let mut line = format!("  {} {}", Mark::Action(change.action).paint(style), style.bold(&address));
    let place = place.map(|place| format!("# {}", shown(&place)));
    let gap = PLACE.saturating_sub(address.width()).max(2);
    let mut below = None;
    if let Some(place) = place {
        if 4 + address.width() + gap + place.width() <= WIDTH {
            line = format!("{line}{:gap$}{}", "", style.dim(&place));
        } else {
            below = Some(place);
        }
    }
    lines.line(line);
    if let Some(place) = below {
        lines.line(format!("      {}", style.dim(&place)));
    }
    if let Some(from) = &change.moved_from {
        lines.line(style.dim(&format!("      # moved from {}", shown(from.as_str()))));
    }
    let column = attribute::column(&change.attributes);
    for attribute in &change.attributes {
        attribute::render(attribute, column, lines);
    }
    if matches!(change.action, Action::Update | Action::Move) && change.unchanged > 0 {
        let hidden = count(change.unchanged as u64, "unchanged attribute");
        lines.line(style.dim(&format!("      # ({hidden} hidden)")));
    }
    render_reasons(change, set, lines);
    impact::of_change(change, set, lines);
}

/// What there is to say about a change. What stands in its way is said in full further down.
fn render_reasons(change: &Change, set: &ChangeSet, lines: &mut Lines) {
    let rails = || set.rails.iter().filter(|rail| rail.addresses.contains(&change.address));
    for reason in change.reasons.iter().filter(|reason| !rails().any(|rail| rail.message.contains(reason.as_str()))) {
        lines.sentence((6, 8), Mark::Remark, &format!(" {}", shown(reason)));
    }
    for rail in rails() {
        lines.sentence((6, 8), Mark::Attention, &format!(" {}: {}", verdict(rail), rail.kind.as_str()));
    }
}

pub(super) fn verdict(rail: &Rail) -> String {
    match (rail.risk, rail.allowed_by.as_slice()) {
        (Risk::Refused, _) => "refused".to_owned(),
        (Risk::Safe | Risk::Notice | Risk::Guarded, []) => "needs approval".to_owned(),
        (Risk::Safe | Risk::Notice | Risk::Guarded, [first, ..]) => {
            format!("allowed by commit {}", shown(short_commit(&first.commit)))
        }
    }
}

fn render_note(note: &Note, lines: &mut Lines) {
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
        | NoteKind::Suspect
        | NoteKind::Gone => Mark::Attention,
        NoteKind::NotScheduled
        | NoteKind::NotObserved
        | NoteKind::Paused
        | NoteKind::NotActedOn
        | NoteKind::MatchesNothing => Mark::Remark,
    };
    lines.sentence((2, 6), mark, &format!("{}: {}", shown(note.address.as_str()), shown_explanation(&note.message)));
}

/// Addresses of a rail that are told.
const ADDRESSES: usize = 5;

fn render_rail(rail: &Rail, lines: &mut Lines) {
    let mut addresses: Vec<String> =
        rail.addresses.iter().take(ADDRESSES).map(|address| shown(address.as_str())).collect();
    if rail.addresses.len() > ADDRESSES {
        addresses.push(format!("{} more", rail.addresses.len() - ADDRESSES));
    }
    let about = if addresses.is_empty() { String::new() } else { format!(" {}:", addresses.join(", ")) };
    let text = format!("{} {}:{about} {}", rail.kind.as_str(), verdict(rail), shown_explanation(&rail.message));
    lines.sentence((2, 6), Mark::Attention, &text);
    for way in &rail.ways {
        let colon = if way.lines.is_empty() { "" } else { ":" };
        lines.sentence((5, 8), Mark::None, &format!("{}{colon}", shown(&way.when)));
        for line in &way.lines {
            // Whole, however long it is: it is there to be copied.
            lines.line(format!("        {}", shown(line)));
        }
    }
}

fn footer(set: &ChangeSet) -> Vec<String> {
    let counts = set.counts();
    let mut parts = vec![format!("{} to add", counts.add), format!("{} to change", counts.change)];
    let rare = [(counts.moved, "to move"), (counts.retire, "to retire"), (counts.remove, "to remove")];
    parts.extend(rare.into_iter().filter(|(number, _)| *number > 0).map(|(number, what)| format!("{number} {what}")));
    let summary = format!("Plan {}: {}. Backups deleted: {BACKUPS_DELETED}.", set.plan_id, parts.join(", "));
    wrap("", 0, summary.split(' '))
}

/// The command that applies a change set, as a line, with the `options` that lead to the same source; nothing for
/// one without changes.
pub fn next_command(set: &ChangeSet, options: &str, style: &Style) -> String {
    next(set, &with_options(apply_command(set), options), *style)
}

/// The same for one that was saved in a file.
pub fn next_command_with_file(set: &ChangeSet, file: &str, options: &str, style: &Style) -> String {
    next(set, &with_options(format!("xopero apply {}", shown(file)), options), *style)
}

fn with_options(command: String, options: &str) -> String {
    if options.is_empty() { command } else { format!("{command} {}", shown_explanation(options)) }
}

fn next(set: &ChangeSet, command: &str, style: Style) -> String {
    match (set.is_refused(), set.is_empty()) {
        (true, _) => {
            let stays = set.based_on.map(|generation| format!("; generation {generation} stays in force"));
            let line = format!("No approval lets this through{}.", stays.unwrap_or_default());
            format!("{line}\nChange the file as the guards say.\n")
        }
        (false, true) => String::new(),
        (false, false) => format!("To apply:  {}\n{}", style.bold(command), trailers(set)),
    }
}

/// Trailers that are told.
pub(super) const TRAILERS: usize = 20;

/// The lines that a commit would approve it with, to be copied; nothing where no commit can.
fn trailers(set: &ChangeSet) -> String {
    let all = set.trailers();
    let (noun, more) = match all.len() {
        0 => return String::new(),
        1 => ("this line", String::new()),
        number if number > TRAILERS => ("these lines", format!(" ({TRAILERS} of {number} are shown)")),
        _ => ("these lines", String::new()),
    };
    let lines: Vec<String> = all.iter().take(TRAILERS).map(|line| format!("  {}\n", shown(line))).collect();
    format!("or end the message of its commit with {noun}{more}:\n{}", lines.concat())
}

/// The command that applies a change set.
pub(super) fn apply_command(set: &ChangeSet) -> String {
    if set.needs_approval() { format!("xopero apply --approve {}", set.plan_id) } else { "xopero apply".to_owned() }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use proptest::prelude::*;

    use super::super::sample::{SCENES, after, many_changes, now, scene};
    use super::*;
    use crate::change::{Known, change_set, sample};

    const PLAIN: Style = Style { color: false };

    /// A plan as `xopero plan` prints it, with a place for what is declared.
    fn printed(set: &ChangeSet, style: Style) -> String {
        let declared = |change: &Change| change.address.kind() == "plan" && change.action != Action::Retire;
        let place = |address: &Address| {
            let found = set.changes.iter().any(|change| change.address == *address && declared(change));
            found.then(|| "xopero.kdl:84".to_owned())
        };
        render(set, &place, &style) + &next_command(set, "", &style)
    }

    /// The texts are in `tests/fixtures/plan`, to be read as they are printed. What differs is left in `target`.
    #[test]
    fn plans_read_like_this() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let (fixtures, found) = (root.join("tests/fixtures/plan"), root.join("target/plan"));
        let mut wrong = Vec::new();
        for name in SCENES {
            let text = printed(&scene(name), PLAIN);
            let file = format!("{name}.txt");
            if fs::read_to_string(fixtures.join(&file)).unwrap_or_default() != text {
                fs::create_dir_all(&found).unwrap();
                fs::write(found.join(&file), text).unwrap();
                wrong.push(file);
            }
        }
        let number = fs::read_dir(&fixtures).map(Iterator::count).unwrap_or_default();
        assert!(wrong.is_empty(), "compare tests/fixtures/plan with target/plan: {}", wrong.join(", "));
        assert_eq!(number, SCENES.len(), "a fixture without a scene");
    }

    #[test]
    fn plans_fit_80_columns() {
        for name in SCENES {
            for line in printed(&scene(name), PLAIN).lines() {
                assert!(line.width() <= 80 && line.trim_end() == line, "{name}: {line:?}");
            }
        }
    }

    #[test]
    fn nothing_to_do_is_said_and_notes_are_still_shown() {
        let text = printed(&after(|_| ()), PLAIN);
        assert!(text.starts_with("No changes: generation 41 is what the file declares.\n\nNotes\n"), "{text}");
        assert!(text.contains("while `xopero watch` runs") && !text.contains("To apply"), "{text}");
    }

    #[test]
    fn what_a_terminal_would_obey_is_spelled_out() {
        let text = printed(&many_changes(), PLAIN);
        assert!(text.contains(r"/a\u{1b}[2J") && !text.contains('\u{1b}'), "{text}");
    }

    #[test]
    fn colour_adds_nothing_but_colour() {
        for name in SCENES {
            let coloured = printed(&scene(name), Style { color: true });
            let codes = ["\u{1b}[0m", "\u{1b}[1m", "\u{1b}[2m", "\u{1b}[31m", "\u{1b}[32m", "\u{1b}[33m"];
            assert!(coloured.contains(codes[0]), "{name}");
            let stripped = codes.iter().fold(coloured, |text, code| text.replace(code, ""));
            assert_eq!(stripped, printed(&scene(name), PLAIN));
        }
    }

    proptest! {
        #[test]
        fn lines_fit_and_end_in_text(before in sample::declarations(), after in sample::declarations()) {
            let set = change_set(Some(&sample::applied(before)), &after, &Known::default(), now());
            let place = |_: &Address| Some("teams/a-rather-long-name.kdl:1234".to_owned());
            for line in render(&set, &place, &PLAIN).lines() {
                prop_assert!(line.width() <= 80, "{line:?}");
                prop_assert_eq!(line.trim_end(), line);
            }
        }
    }
}
