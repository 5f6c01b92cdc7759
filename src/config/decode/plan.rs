//! The `plan` node.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::super::document::{Node, Value};
use super::super::error::{Diagnostic, Report, Span};
use super::retention::rules;
use super::timetable;
use super::value::{Spanned, date, duration, name, pattern, percent};
use crate::model::{
    CredentialName, DestinationName, Guard, Interval, Part, Pattern, Pause, Percent, PlanName, ProjectSelector,
    Retention, RetentionName, Timetable, Verification, is_hidden,
};

/// A backup plan with names that are not resolved.
#[derive(Debug)]
pub(in crate::config) struct DraftPlan {
    pub(in crate::config) name: Spanned<PlanName>,
    pub(in crate::config) projects: Vec<DraftPlannedProject>,
    pub(in crate::config) parts: BTreeSet<Part>,
    pub(in crate::config) destinations: Vec<Spanned<DestinationName>>,
    pub(in crate::config) retention: Option<DraftRetention>,
    pub(in crate::config) schedule: Option<Timetable>,
    pub(in crate::config) verify: Option<Verification>,
    pub(in crate::config) guard: Option<Guard>,
    pub(in crate::config) max_duration: Option<Duration>,
    pub(in crate::config) overdue_after: Option<Duration>,
    pub(in crate::config) paused: Option<Pause>,
    pub(in crate::config) span: Span,
}

/// A project of a plan.
#[derive(Debug)]
pub(in crate::config) struct DraftPlannedProject {
    pub(in crate::config) key: Spanned<ProjectSelector>,
    pub(in crate::config) include: Vec<Pattern>,
    pub(in crate::config) exclude: Vec<Pattern>,
    pub(in crate::config) enabled: Vec<Spanned<CredentialName>>,
}

/// A plan's retention.
#[derive(Debug)]
pub(in crate::config) enum DraftRetention {
    Named(Spanned<RetentionName>),
    Own(Retention),
}

/// A plan.
pub(super) fn decode(node: &Node, report: &mut Report) -> Option<DraftPlan> {
    let projects = node.children_named("project").filter_map(|project| planned_project(project, report)).collect();
    let parts = node.child("parts").map(|parts| decode_parts(parts, report)).unwrap_or_default();
    let destinations = node
        .children_named("destination")
        .filter_map(|destination| name(destination.text(), DestinationName::new, report))
        .collect();
    let retention = node.child("retention").and_then(|retention| decode_retention(retention, report));
    let schedule = node.child("schedule").and_then(|schedule| timetable::decode(schedule, report));
    let verify = node.child("verify").and_then(|verify| verification(verify, report));
    let limit = node.child("guard").and_then(|guard| percent(guard.prop("max-repositories-removed"), 0, report));
    let guard = limit.map(|max_repositories_removed| Guard { max_repositories_removed });
    let max_duration = node.child("max-duration").and_then(|given| duration(given, Duration::from_mins(1), report));
    let overdue_after = node.child("overdue-after").and_then(|given| duration(given, Duration::from_mins(1), report));
    let paused = node.child("paused").and_then(|paused| pause(paused, report));
    let name = name(node.text(), PlanName::new, report)?;
    Some(DraftPlan {
        name,
        projects,
        parts,
        destinations,
        retention,
        schedule,
        verify,
        guard,
        max_duration,
        overdue_after,
        paused,
        span: node.span,
    })
}

fn planned_project(node: &Node, report: &mut Report) -> Option<DraftPlannedProject> {
    let mut patterns = |property: &str| -> Vec<Pattern> {
        let given = node.children_named("repositories").filter_map(|one| one.prop(property)).filter_map(Value::text);
        given.filter_map(|text| pattern(Some(text), Pattern::new, report)).map(|pattern| pattern.value).collect()
    };
    let (mut include, exclude) = (patterns("include"), patterns("exclude"));
    let said = node.children_named("repositories").any(|one| one.prop("include").is_some());
    if !said {
        include.push(Pattern::new("*").expect("a star is a pattern"));
    }
    let names = node.child("enable-credentials").map_or(&[][..], |enable| &enable.args);
    let enabled = names.iter().filter_map(|value| name(value.text(), CredentialName::new, report)).collect();
    let key = pattern(node.text(), ProjectSelector::new, report)?;
    Some(DraftPlannedProject { key, include, exclude, enabled })
}

fn decode_parts(node: &Node, report: &mut Report) -> BTreeSet<Part> {
    let mut words: BTreeMap<&str, Span> = BTreeMap::new();
    for (word, span) in node.args.iter().filter_map(Value::text) {
        if let Some(first) = words.get(word) {
            report.add(
                Diagnostic::error("xopero::duplicate-part", "the part is named twice")
                    .at(span, "again here")
                    .at(*first, "already here"),
            );
        }
        words.entry(word).or_insert(span);
    }
    words.contains_key(Part::Git.as_str()).then_some(Part::Git).into_iter().collect()
}

fn decode_retention(node: &Node, report: &mut Report) -> Option<DraftRetention> {
    match (node.args.first(), node.children.as_deref()) {
        (Some(value), None) => name(value.text(), RetentionName::new, report).map(DraftRetention::Named),
        (None, Some(_)) => {
            let misspelt = node.children().iter().any(|child| child.name != "grace");
            if node.child("keep").is_none() && !misspelt {
                report.add(
                    Diagnostic::error("xopero::missing-node", "the plan's own `retention` has no `keep`")
                        .at(node.name_span, "add `keep`"),
                );
            }
            rules(node, report).map(DraftRetention::Own)
        }
        (Some(value), Some(_)) => {
            report.add(
                Diagnostic::error("xopero::two-retentions", "a retention of a plan has a name or a block, not both")
                    .at(value.span, "the name")
                    .help("use the name alone, or rules of the plan's own in the block"),
            );
            None
        }
        (None, None) => {
            report.add(
                Diagnostic::error("xopero::missing-argument", "the plan's `retention` says nothing")
                    .at(node.name_span, "add the name of a retention, or a block with `keep`"),
            );
            None
        }
    }
}

fn verification(node: &Node, report: &mut Report) -> Option<Verification> {
    let (word, _) = node.text()?;
    let every = Interval::ALL.into_iter().find(|interval| interval.as_str() == word)?;
    let sample = match node.prop("sample") {
        None => Some(Percent::ALL),
        given => percent(given, 1, report),
    };
    sample.map(|sample| Verification { every, sample })
}

fn pause(node: &Node, report: &mut Report) -> Option<Pause> {
    let until = match node.prop("until") {
        None => Some(None),
        given => date(given, report).map(Some),
    };
    let (reason, span) = node.prop("reason").and_then(Value::text)?;
    if reason.trim().is_empty() || reason.chars().any(is_hidden) {
        report.add(
            Diagnostic::error("xopero::invalid-reason", "a pause needs a reason that people can read")
                .at(span, "not a reason")
                .help("write it for whoever finds that there are no new backups"),
        );
        return None;
    }
    until.map(|until| Pause { reason: reason.to_owned(), until })
}
