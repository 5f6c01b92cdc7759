//! What there is to know of something that is declared, as Markdown lines.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::markdown::{code, codes};
use super::names::{Declared, Names};
use super::target::Target;
use crate::config::{Outline, OutlineNode};
use crate::model::Cron;
use crate::schedule::Schedule;

/// A longer text is no cron expression.
const LONGEST_CRON: usize = 200;

/// What `target` is.
pub(super) fn of(names: &Names, target: &Target, now: Timestamp) -> Vec<String> {
    let Some(declared) = names.find(target).next() else {
        return vec![format!("{} is not declared", title(target))];
    };
    let outline = names.outline(declared.file);
    let node = outline.node(declared.node);
    let mut lines = vec![title(target)];
    match target {
        Target::Server(name) => {
            lines.extend(child_line(outline, declared, "url"));
            let projects = names.declared().iter().filter(|other| {
                let outline = names.outline(other.file);
                let server = outline.property(outline.node(other.node), "server");
                matches!(other.target, Target::Project(_)) && server.is_some_and(|word| outline.say(word) == name)
            });
            let keys: Vec<&str> = projects.filter_map(|project| key(&project.target)).collect();
            lines.push(list("projects", &keys));
        }
        Target::Destination(name) => {
            lines.extend(child_line(outline, declared, "local"));
            lines.extend(child_line(outline, declared, "s3"));
            lines.push(list("used by the plans", &names.plans_with("destination", name).collect::<Vec<_>>()));
        }
        Target::Retention(name) => {
            lines.extend(child_line(outline, declared, "keep"));
            lines.extend(child_line(outline, declared, "grace"));
            lines.push(list("used by the plans", &names.plans_with("retention", name).collect::<Vec<_>>()));
        }
        Target::Project(name) => {
            lines.extend(
                outline.property(node, "server").map(|word| format!("on the server {}", code(outline.say(word)))),
            );
            let additional = names.declared().iter().filter_map(|other| match &other.target {
                Target::Credential(project, Some(credential)) if project == name => Some(credential.as_str()),
                _ => None,
            });
            lines.push(list("additional credentials", &additional.collect::<Vec<_>>()));
            let plans = names.planned().filter(|planned| planned.project == name).map(|planned| planned.plan);
            lines.push(list("covered by the plans", &plans.collect::<Vec<_>>()));
        }
        Target::Plan(_) => {
            let children = |kind: &str| -> Vec<&str> {
                let children = outline.children(Some(declared.node));
                children
                    .filter(|(_, child)| outline.name(child) == kind)
                    .filter_map(|(_, child)| outline.first(child))
                    .collect()
            };
            lines.push(list("projects", &children("project")));
            lines.push(list("destinations", &children("destination")));
            if let Some(schedule) = child(outline, declared, "schedule") {
                lines.extend(cron(outline, schedule, now));
            } else {
                lines.push("no schedule: it runs when asked to".to_owned());
            }
        }
        Target::Alerts(_) => {
            let children = || outline.children(Some(declared.node)).map(|(_, child)| child);
            let plans: Vec<&str> = children()
                .filter(|child| outline.name(child) == "plan")
                .filter_map(|child| outline.first(child))
                .collect();
            let other = |child: &&OutlineNode| !matches!(outline.name(child), "plan" | "on" | "ca-file");
            let ways: Vec<&str> = children().filter(other).map(|child| outline.name(child)).collect();
            lines.push(list("tells by", &ways));
            lines.push(if plans.is_empty() { "about every plan".to_owned() } else { list("about the plans", &plans) });
        }
        Target::Credential(project, role) => {
            lines.extend(outline.property(node, "account").map(|word| format!("account {}", code(outline.say(word)))));
            lines.extend(
                outline.property(node, "same-as").map(|word| format!("the same as {}", code(outline.say(word)))),
            );
            let date = child(outline, declared, "expires").and_then(|node| outline.first(node));
            lines.extend(date.and_then(|date| expiry(date, now)));
            lines.push(match role {
                None => "the main credential: every plan on this project uses it".to_owned(),
                Some(name) => enabled(names, project, name),
            });
        }
        Target::File(_) => {}
    }
    lines
}

/// What something is, on one line of plain text.
pub(super) fn plain(names: &Names, declared: &Declared) -> String {
    let outline = names.outline(declared.file);
    match &declared.target {
        Target::Credential(..) => {
            let account = outline.property(outline.node(declared.node), "account");
            account.map_or_else(|| "credential".to_owned(), |word| format!("account {}", outline.say(word)))
        }
        Target::Server(_)
        | Target::Destination(_)
        | Target::Retention(_)
        | Target::Project(_)
        | Target::Plan(_)
        | Target::Alerts(_)
        | Target::File(_) => outline.name(outline.node(declared.node)).to_owned(),
    }
}

/// A kind and a name.
pub(super) fn title(target: &Target) -> String {
    match target {
        Target::Server(name) => format!("server {}", code(name)),
        Target::Destination(name) => format!("destination {}", code(name)),
        Target::Retention(name) => format!("retention {}", code(name)),
        Target::Project(name) => format!("project {}", code(name)),
        Target::Plan(name) => format!("plan {}", code(name)),
        Target::Alerts(name) => format!("alerts {}", code(name)),
        Target::Credential(project, None) => format!("the main credential of project {}", code(project)),
        Target::Credential(project, Some(name)) => {
            format!("additional credential {} of project {}", code(name), code(project))
        }
        Target::File(path) => format!("file {}", code(path)),
    }
}

fn enabled(names: &Names, project: &str, credential: &str) -> String {
    let planned = names.planned().filter(|planned| planned.project == project && planned.enables(credential));
    let plans: Vec<&str> = planned.map(|planned| planned.plan).collect();
    if plans.is_empty() {
        "declared, but enabled in no plan: nothing uses it".to_owned()
    } else {
        format!("enabled in the plans {}", codes(plans))
    }
}

/// A schedule in words, with its next three runs.
pub(super) fn cron(outline: &Outline, schedule: &OutlineNode, now: Timestamp) -> Vec<String> {
    let Some(expression) = outline.first(schedule).filter(|text| text.len() <= LONGEST_CRON) else { return Vec::new() };
    let time_zone = outline.property(schedule, "tz").map_or("UTC", |word| outline.say(word));
    if time_zone.len() > LONGEST_CRON {
        return Vec::new();
    }
    let expression = expression.split_whitespace().collect::<Vec<_>>().join(" ");
    match Schedule::parse(&Cron { expression, time_zone: time_zone.to_owned() }) {
        Ok(schedule) => {
            let following = |run: &jiff::Zoned| schedule.next(run.timestamp());
            let runs = std::iter::successors(schedule.next(now), following).take(3);
            let mut lines = vec![code(&schedule.describe())];
            lines.extend(runs.map(|run| format!("next {}", run.strftime("%a %Y-%m-%d %H:%M %Z"))));
            lines
        }
        Err(error) => vec![code(&error.to_string())],
    }
}

/// What a day means for a credential.
pub(super) fn expiry(date: &str, now: Timestamp) -> Option<String> {
    let last: Date = (date.len() == 10).then(|| date.parse().ok()).flatten()?;
    let today = now.to_zoned(TimeZone::UTC).date();
    let days = today.until(last).ok()?.get_days();
    Some(match days {
        ..0 => format!("expired on {last}"),
        0 => format!("expires {last}: today is the last day"),
        1 => format!("expires {last}, tomorrow"),
        _ => format!("expires {last}, in {days} days"),
    })
}

fn key(target: &Target) -> Option<&str> {
    match target {
        Target::Project(key) => Some(key),
        Target::Server(_)
        | Target::Destination(_)
        | Target::Retention(_)
        | Target::Plan(_)
        | Target::Alerts(_)
        | Target::Credential(..)
        | Target::File(_) => None,
    }
}

fn list(what: &str, names: &[&str]) -> String {
    if names.is_empty() { format!("{what}: none") } else { format!("{what}: {}", codes(names.iter().copied())) }
}

fn child<'a>(outline: &'a Outline, declared: &Declared, name: &str) -> Option<&'a OutlineNode> {
    outline.children(Some(declared.node)).find(|(_, child)| outline.name(child) == name).map(|(_, child)| child)
}

/// A child as it is written, without its block.
fn child_line(outline: &Outline, declared: &Declared, name: &str) -> Option<String> {
    let child = child(outline, declared, name)?;
    Some(code(outline.head(child)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_counted() {
        let now: Timestamp = "2026-11-22T12:00:00Z".parse().unwrap();
        assert_eq!(expiry("2027-03-01", now).unwrap(), "expires 2027-03-01, in 99 days");
        assert_eq!(expiry("2026-11-23", now).unwrap(), "expires 2026-11-23, tomorrow");
        assert_eq!(expiry("2026-11-22", now).unwrap(), "expires 2026-11-22: today is the last day");
        assert_eq!(expiry("2026-11-21", now).unwrap(), "expired on 2026-11-21");
        assert_eq!((expiry("soon", now), expiry("2026-13-01", now)), (None, None));
    }
}
