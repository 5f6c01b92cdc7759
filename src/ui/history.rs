//! What was applied, as text.

use super::wrap::wrap;
use super::{Side, Style, Table, shown};
use crate::change::Counts;
use crate::model::AllowedBy;
use crate::reconcile::history::Entry;
use crate::source::short_commit;

/// Columns from which on a table shows everything.
const ROOMY: usize = 100;

/// The generations, one a row. Where there is not much room, the names of their plans make place for people's.
pub fn table(entries: &[Entry], width: usize, style: Style) -> String {
    let columns = [
        ("GEN", Side::Right),
        ("APPLIED (UTC)", Side::Whole),
        ("BY", Side::Left),
        ("SOURCE", Side::Whole),
        ("CHANGES", Side::Left),
        ("PLAN", Side::Whole),
    ];
    let columns = if width < ROOMY { &columns[..5] } else { &columns[..] };
    let mut table = Table::new(columns, width, style);
    for entry in entries {
        table.row([
            entry.generation.to_string(),
            entry.applied_at.strftime("%Y-%m-%d %H:%M").to_string(),
            entry.applied_by.clone(),
            entry.source.short().to_owned(),
            changes(entry),
            entry.plan_id.clone(),
        ]);
    }
    table.render()
}

fn changes(entry: &Entry) -> String {
    let counts = entry.counts.map_or_else(|| "not known".to_owned(), words);
    match (entry.rollback_of, entry.allowed.as_slice()) {
        (Some(earlier), _) => format!("back to {earlier}: {counts}"),
        (None, []) => counts,
        (None, [first, ..]) => format!("{counts}, allowed by {}", shown(short_commit(&first.commit))),
    }
}

/// Counts in words: `1 added, 2 changed`.
pub(super) fn words(counts: Counts) -> String {
    let Counts { add, change, moved, retire, remove } = counts;
    let all = [(add, "added"), (change, "changed"), (moved, "moved"), (retire, "retired"), (remove, "removed")];
    let some: Vec<String> = all.iter().filter(|(count, _)| *count > 0).map(|(n, word)| format!("{n} {word}")).collect();
    if some.is_empty() { "none".to_owned() } else { some.join(", ") }
}

/// What stands above the changes of one generation.
pub fn heading(entry: &Entry) -> String {
    let Entry { generation, applied_at, applied_by, source, rollback_of, allowed, plan_id, counts: _ } = entry;
    let back = rollback_of.map(|earlier| format!(", back to generation {earlier}")).unwrap_or_default();
    let by = shown(applied_by);
    let text = format!("Generation {generation}{back}: applied {applied_at:.0} by {by}, plan {plan_id}.");
    let commit = source.commit.as_deref().map(|commit| format!(", commit {}", shown(short_commit(commit))));
    let from =
        format!("From {}, SHA-256 {}{}.", shown(&source.file), shown(source.short()), commit.unwrap_or_default());
    let mut lines = wrap("", 0, text.split(' '));
    lines.extend(wrap("", 0, from.split(' ')));
    for AllowedBy { commit, allows } in allowed {
        let line = format!("Commit {} allowed to {}.", shown(short_commit(commit)), shown(allows));
        lines.extend(wrap("", 0, line.split(' ')));
    }
    lines.push(String::new());
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Generation, Source};

    fn entry(number: u64, counts: Option<Counts>) -> Entry {
        Entry {
            generation: Generation(number),
            applied_at: "2026-11-20T08:13:59Z".parse().unwrap(),
            applied_by: "ada@backup-01.example.com".into(),
            source: Source {
                file: "xopero.kdl".into(),
                sha256: "4c1d9e2290ab3f77".into(),
                files: Vec::new(),
                commit: None,
            },
            rollback_of: None,
            allowed: Vec::new(),
            plan_id: "7f31c09ad2e4".into(),
            counts,
        }
    }

    #[test]
    fn a_history_reads_like_this() {
        let mut back = entry(42, Some(Counts { change: 1, retire: 1, ..Counts::default() }));
        back.rollback_of = Some(Generation(40));
        let all = [back, entry(41, Some(Counts { add: 2, change: 3, ..Counts::default() })), entry(40, None)];
        let text = table(&all, 80, Style { color: false });
        let expected = include_str!("../../tests/fixtures/ui/history.txt");
        assert_eq!(text, expected, "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        let roomy = table(&all, usize::MAX, Style { color: false });
        assert!(roomy.contains("7f31c09ad2e4") && roomy.lines().count() == 4, "{roomy}");
    }

    #[test]
    fn a_heading_says_who_and_when() {
        let mut hostile = entry(7, None);
        hostile.applied_by = "eve\u{1b}[2J@host".into();
        assert_eq!(
            heading(&hostile),
            "Generation 7: applied 2026-11-20T08:13:59Z by eve\\u{1b}[2J@host, plan\n7f31c09ad2e4.\n\
             From xopero.kdl, SHA-256 4c1d9e22.\n\n"
        );
    }
}
