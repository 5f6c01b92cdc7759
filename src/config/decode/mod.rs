//! From the tree to values, one file per kind of node.
//!
//! The shape of the tree is checked elsewhere, so what is missing or of another type is passed over in silence here;
//! what is reported here is text that breaks the rule of its value. Names keep their places: the next step resolves
//! them. A thing whose value is broken keeps its name, so that nobody who refers to it is blamed.

mod alerts;
mod destination;
mod plan;
mod project;
mod recipients;
mod retention;
mod server;
mod statement;
mod timetable;
mod value;

pub(super) use alerts::{DraftAlerts, alert_url, mail_server};
pub(super) use destination::bucket;
pub(super) use plan::{DraftPlan, DraftPlannedProject, DraftRetention};
pub(super) use project::{DraftCredential, DraftProject, DraftSecret, credential, role};
pub(super) use statement::DraftMove;
pub(super) use value::Spanned;

use super::document::Node;
use super::error::{Report, Span};
use crate::model::{
    Address, Destination, DestinationName, PublicKey, Recipient, Retention, RetentionName, Server, ServerName,
};

/// A declared thing with its name and place; `None` where its value is broken.
#[derive(Debug)]
pub(super) struct Named<N, T> {
    pub(super) name: Spanned<N>,
    pub(super) value: Option<T>,
    pub(super) span: Span,
}

/// A destination, with the places of its keys.
#[derive(Debug)]
pub(super) struct DraftDestination {
    pub(super) destination: Destination,
    pub(super) keys: Vec<Spanned<PublicKey>>,
}

/// The file with names that are not resolved.
#[derive(Debug, Default)]
pub(super) struct Draft {
    pub(super) recipients_span: Option<Span>,
    pub(super) recipients: Vec<Spanned<Recipient>>,
    pub(super) servers: Vec<Named<ServerName, Server>>,
    pub(super) destinations: Vec<Named<DestinationName, DraftDestination>>,
    pub(super) retentions: Vec<Named<RetentionName, Retention>>,
    pub(super) projects: Vec<DraftProject>,
    pub(super) plans: Vec<DraftPlan>,
    pub(super) alerts: Vec<DraftAlerts>,
    pub(super) moved: Vec<DraftMove>,
    pub(super) retired: Vec<Spanned<Address>>,
}

/// Reads all nodes of the top level.
pub(super) fn draft(nodes: &[Node], report: &mut Report) -> Draft {
    let mut draft = Draft::default();
    for node in nodes {
        match node.name.as_str() {
            "recipients" => {
                draft.recipients_span = draft.recipients_span.or(Some(node.name_span));
                draft.recipients.extend(recipients::decode(node, report));
            }
            "server" => draft.servers.extend(server::decode(node, report)),
            "destination" => draft.destinations.extend(destination::decode(node, report)),
            "retention" => draft.retentions.extend(retention::decode(node, report)),
            "project" => draft.projects.extend(project::decode(node, report)),
            "plan" => draft.plans.extend(plan::decode(node, report)),
            "alerts" => draft.alerts.extend(alerts::decode(node, report)),
            "moved" => draft.moved.extend(statement::moved(node, report)),
            "retired" => draft.retired.extend(statement::retired(node, report)),
            _ => {}
        }
    }
    draft
}
