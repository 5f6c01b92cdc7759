//! Retention rules, shared or of one plan.

use std::time::Duration;

use super::super::document::{Node, Value};
use super::super::error::Report;
use super::Named;
use super::value::{duration, name};
use crate::model::{KeepRules, Retention, RetentionName};

const GRACE: Duration = Duration::from_hours(7 * 24);

/// A shared retention.
pub(super) fn decode(node: &Node, report: &mut Report) -> Option<Named<RetentionName, Retention>> {
    let value = rules(node, report);
    let name = name(node.text(), RetentionName::new, report)?;
    Some(Named { name, value, span: node.span })
}

/// The rules in the block of `node`.
pub(super) fn rules(node: &Node, report: &mut Report) -> Option<Retention> {
    let grace = match node.child("grace") {
        Some(grace) => duration(grace, Duration::ZERO, report),
        None => Some(GRACE),
    };
    let keep = node.child("keep").map(keep).filter(|keep| *keep != KeepRules::default());
    keep.zip(grace).map(|(keep, grace)| Retention { keep, grace })
}

fn keep(node: &Node) -> KeepRules {
    let count = |name: &str| {
        node.prop(name).and_then(Value::integer).and_then(|count| u32::try_from(count).ok()).unwrap_or_default()
    };
    KeepRules {
        last: count("last"),
        hourly: count("hourly"),
        daily: count("daily"),
        weekly: count("weekly"),
        monthly: count("monthly"),
        yearly: count("yearly"),
    }
}
