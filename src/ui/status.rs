//! How things stand, for people and for programs.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::shown::shown_explanation;
use super::wrap::{whole_commands, wrap};
use super::{Side, Style, Table, shown};
use crate::model::PlanName;
use crate::reconcile::status::{
    AlertStatus, CredentialStatus, DestinationStatus, Health, PlanStatus, SourceStatus, Status, Sync,
};
use crate::source::short_commit;

/// How many plans of a credential are named before their number is.
const NAMED: usize = 2;

/// Renders within `width` columns; what explains is put on lines of at most 80.
pub fn render(status: &Status, style: Style, width: usize) -> String {
    let mut text = heading(status, style);
    if !status.plans.is_empty() {
        text.push('\n');
        text.push_str(&plans(&status.plans, style, width));
        for plan in &status.plans {
            for reason in &plan.reasons {
                let quiet = matches!(plan.health, Health::NeverRan | Health::Healthy);
                text.push_str(&remark(plan.plan.as_str(), reason, if quiet { "#" } else { "!" }, style));
            }
        }
    }
    if !status.credentials.is_empty() {
        text.push('\n');
        text.push_str(&credentials(&status.credentials, style, width));
        for credential in &status.credentials {
            for problem in &credential.problems {
                text.push_str(&remark(credential.address.as_str(), problem, "!", style));
            }
        }
    }
    if !status.destinations.is_empty() {
        text.push('\n');
        text.push_str(&destinations(&status.destinations, style, width));
        for destination in &status.destinations {
            if let Some(problem) = &destination.problem {
                text.push_str(&remark(destination.destination.as_str(), problem, "!", style));
            }
        }
    }
    if !status.alerts.is_empty() {
        text.push('\n');
        text.push_str(&alerts(&status.alerts, style, width));
        for alert in &status.alerts {
            if let Some(problem) = &alert.problem {
                text.push_str(&remark(&format!("{} {}", alert.alerts, alert.channel), problem, "!", style));
            }
        }
    }
    if !status.retired.is_empty() {
        text.push('\n');
        for retired in &status.retired {
            let kept = format!(
                "no longer in force; {} kept, the newest of {}",
                snapshots(retired.snapshots),
                minute(Some(retired.newest))
            );
            text.push_str(&remark(retired.plan.as_str(), &kept, "#", style));
        }
    }
    text
}

fn heading(status: &Status, style: Style) -> String {
    let in_force = match &status.in_force {
        Some(in_force) => format!(
            "Generation {}, in force since {} UTC, applied by {} from {}",
            in_force.generation,
            minute(Some(in_force.applied_at)),
            shown(&in_force.applied_by),
            match &in_force.commit {
                Some(commit) => format!("commit {}", shown(short_commit(commit))),
                None => format!("source {}", shown(&in_force.source)),
            }
        ),
        None => "Nothing is in force yet: xopero plan, then xopero apply".to_owned(),
    };
    let mut lines = wrap("", 0, in_force.split(' '));
    let file = format!("The file {}", shown_explanation(&status.file.message));
    lines.extend(wrap("", 0, file.split(' ')).iter().map(|line| paint_sync(status.file.sync, line, style)));
    let mut text = lines.join("\n") + "\n";
    if let Some(source) = &status.source {
        text.push_str(&followed(source, style));
    }
    text
}

/// The branch, the commit that counts, and what is wrong.
fn followed(source: &SourceStatus, style: Style) -> String {
    let branch = source.at.branch.strip_prefix("refs/heads/").unwrap_or(&source.at.branch);
    let place = format!("{} in {} of {}", shown(&source.at.path), shown(branch), shown(&source.at.repository));
    let read = match &source.tip {
        Some(tip) => {
            let signed = tip.signed_by.as_ref().map(|who| format!(", signed by {}", shown(who))).unwrap_or_default();
            format!(
                "commit {} by {}{signed}, read {} UTC",
                shown(short_commit(&tip.commit)),
                shown(&tip.author),
                minute(Some(tip.read_at))
            )
        }
        None => "nothing of it was taken yet".to_owned(),
    };
    let text = format!("Follows {place}: {read}");
    let mut text = wrap("", 0, text.split(' ')).join("\n") + "\n";
    for problem in &source.problems {
        text.push_str(&remark("source", problem, "!", style));
    }
    text
}

fn plans(all: &[PlanStatus], style: Style, width: usize) -> String {
    let columns = [
        ("PLAN", Side::Left),
        ("SYNC", Side::Whole),
        ("HEALTH", Side::Whole),
        ("LAST SUCCESS", Side::Whole),
        ("NEXT (UTC)", Side::Whole),
    ];
    let mut table = Table::new(&columns, width, style);
    for plan in all {
        let next = match (plan.running_since, plan.next_due) {
            (Some(_), _) => "running".to_owned(),
            (None, Some(due)) => minute(Some(due)),
            (None, None) if plan.health == Health::Paused => "paused".to_owned(),
            (None, None) if !plan.in_force => "-".to_owned(),
            (None, None) => "by hand".to_owned(),
        };
        table.row([
            plan.plan.to_string(),
            plan.sync.as_str().to_owned(),
            plan.health.as_str().to_owned(),
            minute(plan.last_success),
            next,
        ]);
    }
    table.render()
}

fn credentials(all: &[CredentialStatus], style: Style, width: usize) -> String {
    let columns = [
        ("CREDENTIAL", Side::Left),
        ("ACCOUNT", Side::Left),
        ("USED BY", Side::Left),
        ("EXPIRES", Side::Whole),
        ("LIMITED", Side::Whole),
    ];
    let mut table = Table::new(&columns, width, style);
    for credential in all {
        let address = credential.address.as_str();
        table.row([
            address.strip_prefix("credential/").unwrap_or(address).to_owned(),
            credential.account.to_string(),
            used_by(&credential.used_by),
            credential.expires.map_or_else(|| "-".to_owned(), |date| date.to_string()),
            minute(credential.last_limited),
        ]);
    }
    table.render()
}

fn used_by(plans: &[PlanName]) -> String {
    match plans {
        [] => "nobody".to_owned(),
        some if some.len() <= NAMED => some.iter().map(PlanName::as_str).collect::<Vec<_>>().join(", "),
        many => format!("{} plans", many.len()),
    }
}

fn destinations(all: &[DestinationStatus], style: Style, width: usize) -> String {
    let columns = [
        ("DESTINATION", Side::Left),
        ("LAST SNAPSHOT", Side::Whole),
        ("SNAPSHOTS", Side::Right),
        ("MARKER", Side::Whole),
    ];
    let mut table = Table::new(&columns, width, style);
    for destination in all {
        table.row([
            destination.destination.to_string(),
            minute(destination.last_written),
            destination.snapshots.to_string(),
            destination.marker.as_str().to_owned(),
        ]);
    }
    table.render()
}

fn alerts(all: &[AlertStatus], style: Style, width: usize) -> String {
    let columns = [("ALERTS", Side::Left), ("WAY", Side::Whole), ("LAST SENT", Side::Whole), ("WAITING", Side::Right)];
    let mut table = Table::new(&columns, width, style);
    for alert in all {
        table.row([
            alert.alerts.to_string(),
            alert.channel.to_string(),
            minute(alert.last_sent),
            alert.waiting.to_string(),
        ]);
    }
    table.render()
}

/// An explanation under a table.
pub(super) fn remark(about: &str, text: &str, mark: &str, style: Style) -> String {
    let text = format!("{}: {}", shown(about), shown_explanation(text));
    let words = whole_commands(&text);
    let mut lines = wrap(&format!("  {mark}"), 6, words.iter().map(String::as_str));
    let painted = if mark == "!" { style.yellow(mark) } else { style.dim(mark) };
    lines[0].replace_range(2..=2, &painted);
    lines.join("\n") + "\n"
}

fn paint_sync(sync: Sync, text: &str, style: Style) -> String {
    match sync {
        Sync::InSync => style.green(text),
        Sync::Pending | Sync::PendingApproval => style.yellow(text),
        Sync::Refused | Sync::Invalid | Sync::SourceStale => style.red(text),
    }
}

fn snapshots(count: u64) -> String {
    super::count(count, "snapshot")
}

fn minute(at: Option<Timestamp>) -> String {
    at.map_or_else(|| "-".to_owned(), |at| at.strftime("%Y-%m-%d %H:%M").to_string())
}

/// What `xopero status --json` prints after its first line: `status`, then one line each for what it is about.
pub fn to_json_lines(status: &Status) -> Vec<Value> {
    let Status { at, in_force, file, source, plans, credentials, destinations, alerts, retired } = status;
    let first = json!({ "type": "status", "at": at, "in_force": in_force, "file": file, "source": source });
    let plans = plans.iter().map(|plan| typed("plan", plan));
    let credentials = credentials.iter().map(|credential| typed("credential", credential));
    let destinations = destinations.iter().map(|destination| typed("destination", destination));
    let alerts = alerts.iter().map(|alert| typed("alert", alert));
    let retired = retired.iter().map(|retired| typed("retired", retired));
    let about = plans.chain(credentials).chain(destinations).chain(alerts).chain(retired);
    std::iter::once(first).chain(about).collect()
}

fn typed(kind: &str, value: &impl serde::Serialize) -> Value {
    let mut value = serde_json::to_value(value).expect("a status is plain data");
    value["type"] = kind.into();
    value
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::FirstError;
    use crate::model::FilePlace;
    use crate::reconcile::status::sample::{at, known};
    use crate::reconcile::status::{File, status};

    const PLAIN: Style = Style { color: false };

    #[test]
    fn a_status_reads_like_this() {
        let now = at("2026-11-22T06:00:00Z");
        let text = render(&status(&known(), now), PLAIN, 80);
        assert_eq!(text, include_str!("../../tests/fixtures/ui/status.txt"), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        let coloured = render(&status(&known(), now), Style { color: true }, 80);
        assert!(coloured.contains("\u{1b}[33m!\u{1b}[0m"), "{coloured:?}");
    }

    #[test]
    fn an_explanation_is_not_cut_before_what_to_do() {
        let problem =
            format!("{} by `xopero credential check PAY extra-1`", "it was refused for a reason; ".repeat(20));
        let text = remark("credential/PAY/extra-1", &problem, "!", PLAIN);
        assert!(text.ends_with(" `xopero credential check PAY extra-1`\n"), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    }

    #[test]
    fn programs_get_a_line_for_each_thing() {
        let lines = to_json_lines(&status(&known(), at("2026-11-22T06:00:00Z")));
        let kinds: Vec<&str> = lines.iter().map(|line| line["type"].as_str().unwrap()).collect();
        let expected =
            ["status", "plan", "plan", "plan", "credential", "credential", "credential", "destination", "retired"];
        assert_eq!(kinds, expected);
        assert_eq!((&lines[2]["sync"], &lines[2]["health"]), (&json!("InSync"), &json!("Degraded")));
    }

    #[test]
    fn before_anything_is_applied_the_next_step_is_said() {
        let mut known = known();
        known.applied = None;
        let place = Some(FilePlace { file: "xopero.kdl".into(), line: 3, column: 1 });
        known.file = File::Invalid(FirstError { errors: 1, place, message: "there is no node `servr`".into() });
        let text = render(&status(&known, at("2026-11-22T06:00:00Z")), PLAIN, 80);
        let expected = "Nothing is in force yet: xopero plan, then xopero apply\nThe file is broken: xopero.kdl:3:1: there is no node `servr`; ";
        assert!(text.starts_with(expected), "{text}");
    }
}
