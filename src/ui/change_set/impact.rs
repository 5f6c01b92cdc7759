//! What a change means, in words.

use jiff::Zoned;

use super::super::{count, shown};
use super::lines::{Lines, Mark};
use crate::change::{Action, Bytes, Change, ChangeSet, Effect, Impact, Leaving, Names, Seen};
use crate::model::LimitSource;

/// Below a change: what it means for the runs to come.
pub(super) fn of_change(change: &Change, set: &ChangeSet, lines: &mut Lines) {
    let of_change = set.impacts.iter().filter(|impact| impact.address == change.address);
    for effect in of_change.map(|impact| &impact.effect).filter(|effect| !effect.is_about_backups()) {
        if let Effect::Runs { before, after } = effect {
            for words in &runs(before, after) {
                add(words, lines);
            }
        } else {
            add(&words(effect, change.action == Action::Create), lines);
        }
    }
}

fn add(words: &[String], lines: &mut Lines) {
    lines.wrapped((7, 10), Mark::None, "", words.iter().map(String::as_str));
}

/// In a section of its own: what the change set means for backups that exist.
pub(super) fn on_backups(set: &ChangeSet, lines: &mut Lines) {
    let about_backups = |impact: &&Impact| impact.effect.is_about_backups();
    let mut impacts = set.impacts.iter().filter(about_backups).peekable();
    if impacts.peek().is_none() {
        return;
    }
    lines.heading("Impact on existing backups");
    for impact in impacts {
        let address = format!("{}:", shown(impact.address.as_str()));
        let words = words(&impact.effect, false);
        lines.wrapped((1, 6), Mark::None, "", [address.as_str()].into_iter().chain(words.iter().map(String::as_str)));
    }
    lines.sentence((1, 6), Mark::None, "Nothing is deleted by this plan, and this version prunes nothing.");
}

/// A sentence, in pieces between which a line may end.
fn words(effect: &Effect, is_new: bool) -> Vec<String> {
    match effect {
        Effect::Runs { before, after } => runs(before, after).concat(),
        Effect::Scope { project, entering, leaving, seen } => match seen {
            Some(seen) if leaving.total == 0 => split(&first_look(project.as_str(), entering, *seen)),
            Some(_) | None => split(&scope(project.as_str(), entering, leaving, is_new)),
        },
        Effect::Rotation { project, before, accounts, credentials } => {
            let was = before.map(|before| format!(" (was {before})")).unwrap_or_default();
            let verb = if *accounts == 1 { "is used" } else { "take turns" };
            let of = count(*credentials as u64, "credential");
            let doubled = if credentials > accounts {
                format!("; it has {of}, but a second one of an account adds nothing")
            } else {
                String::new()
            };
            split(&format!("{project}: {} {verb}{was}{doubled}", accounts_of(*accounts)))
        }
        Effect::Work { server, requests, more_repositories, accounts, refill_per_second, seconds, more, source } => {
            let about = if *more_repositories { "at least" } else { "about" };
            let mut parts = vec![format!("{server}: needs {about} {} requests", thousands(*requests))];
            if let Some(refill) = refill_per_second {
                let verb = if *accounts == 1 { "refills" } else { "refill" };
                parts.push(format!("{} {verb} {refill} per second", accounts_of(*accounts)));
            }
            match (seconds, more) {
                (None, _) => {}
                (Some(0), _) if *more_repositories => {}
                (Some(0), _) => parts.push("no waiting".to_owned()),
                (Some(seconds), None) => parts.push(format!("{about} {}", minutes(*seconds))),
                (Some(seconds), Some((more, fewer))) => {
                    parts.push(format!("{about} {}", minutes(*seconds)));
                    parts.push(format!("with {more} accounts {}", minutes(*fewer)));
                }
            }
            if *source == LimitSource::Assumed {
                parts.push("if the server has the usual limits".to_owned());
            }
            split(&parts.join("; "))
        }
        Effect::Storage { destinations, bytes, repositories, unknown } => {
            let names: Vec<&str> = destinations.iter().map(|name| name.as_str()).collect();
            if *repositories == 0 {
                return split(&format!("storage in {}: unknown until the first run", names.join(" and ")));
            }
            let each = if names.len() > 1 { " each" } else { "" };
            let more = match unknown {
                0 => String::new(),
                unknown => format!(", and {unknown} more of unknown size"),
            };
            split(&format!(
                "takes about {} in {}{each}: {} by their last sizes{more}",
                Bytes(*bytes),
                names.join(" and "),
                count(*repositories as u64, "repository")
            ))
        }
        Effect::Full { bytes, repositories } => split(&format!(
            "the next run is full: about {} for {}, by their last sizes",
            Bytes(*bytes),
            count(*repositories as u64, "repository")
        )),
        Effect::Leaving(Leaving { volume, from }) => {
            let date = from.strftime("%Y-%m-%d");
            split(&format!("{volume} leave the rules; the first could be pruned from {date} on"))
        }
        Effect::Kept { destination, volume } => {
            split(&format!("{volume} stay in destination/{destination}; nothing prunes them"))
        }
    }
}

fn split(text: &str) -> Vec<String> {
    shown(text).split_whitespace().map(str::to_owned).collect()
}

/// The runs on both sides, each in pieces between which a line may end.
fn runs(before: &[Zoned], after: &[Zoned]) -> Vec<Vec<String>> {
    let list = |heading: &str, runs: &[Zoned]| -> Vec<String> {
        let zone = runs.first().and_then(|run| run.time_zone().iana_name()).unwrap_or("UTC");
        let last = runs.len().saturating_sub(1);
        let end = |index: usize| if index == last { format!(" ({zone})") } else { ",".to_owned() };
        let one = |(index, run): (usize, &Zoned)| format!("{}{}", run.strftime("%a %Y-%m-%d %H:%M"), end(index));
        [heading.to_owned()].into_iter().chain(runs.iter().enumerate().map(one)).collect()
    };
    match (before, after) {
        (before, []) => vec![vec!["no more runs by itself".to_owned()], list("instead of:", before)],
        ([], after) => vec![list("first runs:", after)],
        (before, after) => vec![list("next runs:", after), list("instead of:", before)],
    }
}

fn scope(project: &str, entering: &Names, leaving: &Names, is_new: bool) -> String {
    if is_new {
        return format!("{project}: takes {} ({entering})", count(entering.total as u64, "repository"));
    }
    let side = |names: &Names, verb: &str| {
        let verb = if names.total == 1 { format!("{verb}s") } else { verb.to_owned() };
        format!("{} {verb} ({names})", count(names.total as u64, "repository"))
    };
    let mut parts = Vec::new();
    if entering.total > 0 {
        parts.push(side(entering, "enter"));
    }
    if leaving.total > 0 {
        let kept = if leaving.total == 1 { "its snapshots are kept" } else { "their snapshots are kept" };
        parts.push(format!("{}, {kept}", side(leaving, "leave")));
    }
    format!("{project}: {}", parts.join("; "))
}

/// What a plan takes of a project that no run has listed.
fn first_look(project: &str, entering: &Names, seen: Seen) -> String {
    let Seen { repositories, complete } = seen;
    let all = count(repositories as u64, "repository");
    match (complete, entering.total) {
        (true, _) if repositories == 0 => format!("{project}: has no repository that its main credential sees"),
        (true, 0) => format!("{project}: takes none of {all}"),
        (true, 1) if repositories == 1 => format!("{project}: takes its one repository ({entering})"),
        (true, total) if total == repositories => format!("{project}: takes all {all} ({entering})"),
        (true, total) => format!("{project}: takes {} of {all} ({entering})", thousands(total as u64)),
        (false, 0) => format!("{project}: takes none of the first {all}; there are more"),
        (false, total) => {
            let (total, first) = (thousands(total as u64), thousands(repositories as u64));
            format!("{project}: takes at least {total} repositories ({entering}), by the first {first}")
        }
    }
}

fn accounts_of(number: usize) -> String {
    count(number as u64, "account")
}

/// Whole minutes, or seconds below two of them.
fn minutes(seconds: u64) -> String {
    match seconds {
        0..120 => count(seconds, "second"),
        120..7200 => count(seconds.div_ceil(60), "minute"),
        _ => count(seconds.div_ceil(3600), "hour"),
    }
}

fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_read_well() {
        assert_eq!([thousands(7), thousands(4130), thousands(1_000_000)], ["7", "4,130", "1,000,000"]);
        assert_eq!(
            [minutes(1), minutes(119), minutes(264), minutes(7200)],
            ["1 second", "119 seconds", "5 minutes", "2 hours"]
        );
    }

    #[test]
    fn work_is_told_in_one_sentence() {
        let effect = Effect::Work {
            server: "bb".parse().unwrap(),
            requests: 4130,
            more_repositories: false,
            accounts: 3,
            refill_per_second: Some(15),
            seconds: Some(264),
            more: Some((5, 154)),
            source: LimitSource::Server,
        };
        assert_eq!(
            words(&effect, false).join(" "),
            "bb: needs about 4,130 requests; 3 accounts refill 15 per second; about 5 minutes; with 5 accounts 3 minutes"
        );
    }
}
