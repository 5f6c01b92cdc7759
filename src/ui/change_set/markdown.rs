//! A change set as a comment on a pull request.
//!
//! Foreign text stands only in code, where Markdown obeys nothing and nobody is mentioned.

use super::super::{Style, shown};
use super::BACKUPS_DELETED;
use super::text::{TRAILERS, apply_command, render, verdict};
use crate::change::{ChangeSet, Counts, Rail};
use crate::model::Address;

/// The most bytes of a comment: servers refuse longer ones.
const LARGEST: usize = 60_000;

/// The most guards that are told outside of the details.
const GUARDS: usize = 10;

/// What `xopero plan --markdown` prints. `places` is that of [`render`].
pub fn render_markdown(set: &ChangeSet, places: &dyn Fn(&Address) -> Option<String>) -> String {
    let mut head = heading(set);
    for rail in set.rails.iter().take(GUARDS) {
        head.push_str(&guard(rail));
    }
    if set.rails.len() > GUARDS {
        head.push_str("- and more, below\n");
    }
    if !set.rails.is_empty() {
        head.push('\n');
    }
    let tail = if set.is_empty() || set.is_refused() {
        String::new()
    } else {
        format!("To apply: {}\n{}", code(&apply_command(set)), trailers(set))
    };
    if set.is_empty() && set.notes.is_empty() {
        return head + &tail;
    }
    let text = render(set, places, &Style { color: false });
    let lines: Vec<String> = text.trim_end().lines().map(diff_line).collect();
    // The words around the fence are short; 500 bytes are more than they take.
    let budget = LARGEST.saturating_sub(head.len() + tail.len() + 500);
    let (fitting, left_out) = fit(&lines, budget);
    let fence = "`".repeat(longest_run(&fitting).max(2) + 1);
    let open = if left_out == 0 && lines.len() <= 40 { " open" } else { "" };
    let note = match left_out {
        0 => String::new(),
        _ => format!("\n{left_out} more lines do not fit here: run `xopero plan`.\n"),
    };
    format!(
        "{head}<details{open}>\n<summary>What changes</summary>\n\n{fence}diff\n{fitting}{fence}\n{note}\n</details>\n\n{tail}"
    )
}

fn heading(set: &ChangeSet) -> String {
    let based_on = set.based_on.map_or_else(|| "nothing applied".to_owned(), |number| format!("generation {number}"));
    if set.is_empty() {
        return format!("### xopero plan: no changes\n\nThe file declares what is in force: {based_on}.\n\n");
    }
    let Counts { add, change, moved, retire, remove } = set.counts();
    let all =
        [(add, "to add"), (change, "to change"), (moved, "to move"), (retire, "to retire"), (remove, "to remove")];
    let counts: Vec<String> = all.iter().filter(|(n, _)| *n > 0).map(|(n, words)| format!("{n} {words}")).collect();
    let approval = match (set.is_refused(), set.needs_approval()) {
        (true, _) => " **No approval lets it through:**",
        (false, true) => " **It needs an approval of its own:**",
        (false, false) => "",
    };
    format!(
        "### xopero plan `{}`: {}\n\nAgainst {based_on}. Backups deleted: {BACKUPS_DELETED}.{approval}\n\n",
        set.plan_id,
        counts.join(", ")
    )
}

fn guard(rail: &Rail) -> String {
    let addresses: Vec<&str> = rail.addresses.iter().map(Address::as_str).collect();
    let text =
        if addresses.is_empty() { rail.message.clone() } else { format!("{}: {}", addresses.join(", "), rail.message) };
    let by = if rail.is_open() { format!(" ({})", verdict(rail)) } else { String::new() };
    let ways = rail.ways.iter().flat_map(|way| &way.lines).map(|line| format!("  - {}\n", code(&shown(line))));
    [format!("- {}{by}: {}\n", rail.kind.as_str(), code(&shown(&text)))].into_iter().chain(ways).collect()
}

/// The lines that a commit would approve it with.
fn trailers(set: &ChangeSet) -> String {
    let all = set.trailers();
    if all.is_empty() {
        return String::new();
    }
    let lines: Vec<String> = all.iter().take(TRAILERS).map(|line| format!("- {}\n", code(&shown(line)))).collect();
    format!("\nOr end the message of its commit with:\n\n{}", lines.concat())
}

/// A line of text with its mark in the first column, where viewers of differences look for it.
fn diff_line(line: &str) -> String {
    let rest = line.trim_start();
    let indent = line.len() - rest.len();
    match rest.split_at_checked(1) {
        Some((mark @ ("+" | "-" | "~" | ">" | "!"), rest)) if rest.starts_with(' ') => {
            format!("{mark}{:indent$}{rest}", "")
        }
        _ => line.to_owned(),
    }
}

/// As many whole lines as fit, and the number of those that do not.
fn fit(lines: &[String], budget: usize) -> (String, usize) {
    let mut text = String::new();
    for (number, line) in lines.iter().enumerate() {
        if text.len() + line.len() + 1 > budget {
            return (text, lines.len() - number);
        }
        text.push_str(line);
        text.push('\n');
    }
    (text, 0)
}

/// Text as code inside of a line: it ends only where it is meant to.
fn code(text: &str) -> String {
    let marks = "`".repeat(longest_run(text) + 1);
    if text.starts_with('`') || text.ends_with('`') {
        format!("{marks} {text} {marks}")
    } else {
        format!("{marks}{text}{marks}")
    }
}

/// The most backquotes in a row.
fn longest_run(text: &str) -> usize {
    text.split(|character| character != '`').map(str::len).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::super::sample::{after, many_changes};
    use super::*;
    use crate::model::Place;

    #[test]
    fn a_comment_reads_like_this() {
        let set = many_changes();
        let text = render_markdown(&set, &|_| Some("line 84".to_owned()));
        // The text has a test of its own.
        let details: Vec<String> =
            render(&set, &|_| Some("line 84".to_owned()), &Style::default()).lines().map(diff_line).collect();
        let expected = include_str!("../../../tests/fixtures/ui/plan.md")
            .replace("DETAILS", details.join("\n").trim_end())
            .replace("PLAN-ID", set.plan_id.as_str());
        assert_eq!(text, expected, "{text}");
    }

    #[test]
    fn nothing_to_do_is_one_paragraph() {
        let mut set = after(|_| ());
        assert!(render_markdown(&set, &|_| None).contains("no plan enables it"));
        set.notes.clear();
        let text = render_markdown(&set, &|_| None);
        assert_eq!(text, "### xopero plan: no changes\n\nThe file declares what is in force: generation 41.\n\n");
    }

    #[test]
    fn names_cannot_leave_the_code() {
        let set = after(|declared| {
            let path = "x\n```\n</details> @everyone <img src=x> [a](b) ````".to_owned();
            declared.destinations.values_mut().next().unwrap().place = Place::Local { path };
        });
        let text = render_markdown(&set, &|_| None);
        let fences: Vec<&str> = text.lines().filter(|line| line.starts_with("```")).collect();
        assert_eq!(fences, ["`````diff", "`````"], "{text}");
        let (before, after) = (text.find("@everyone").unwrap(), text.rfind("`````").unwrap());
        assert!(before < after && !text[after..].contains('@'), "{text}");
        assert_eq!((code("a"), code("a`b"), code("``")), ("`a`".into(), "``a`b``".into(), "``` `` ```".into()));
    }

    #[test]
    fn a_comment_is_never_longer_than_a_server_takes() {
        let set = after(|declared| {
            let plan = declared.plans.values().next().unwrap().clone();
            for number in 0..3000 {
                declared.plans.insert(format!("plan-{number:04}").parse().unwrap(), plan.clone());
            }
        });
        let text = render_markdown(&set, &|_| None);
        assert!(text.len() <= LARGEST && text.len() > LARGEST * 9 / 10, "{}", text.len());
        assert!(text.contains("more lines do not fit here: run `xopero plan`."), "{}", &text[text.len() - 300..]);
        assert!(text.ends_with("</details>\n\nTo apply: `xopero apply`\n"));
    }

    #[test]
    fn marks_are_where_viewers_look_for_them() {
        assert_eq!(diff_line("  + plan/hot"), "+   plan/hot");
        assert_eq!(diff_line("      ~ token = x"), "~       token = x");
        assert_eq!(diff_line("      # (2 hidden)"), "      # (2 hidden)");
        assert_eq!(diff_line("Plan x: 1 to add"), "Plan x: 1 to add");
    }
}
