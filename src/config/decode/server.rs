//! The `server` node.

use std::time::Duration;

use super::super::document::{Node, Value};
use super::super::error::{Diagnostic, Report};
use super::Named;
use super::value::{duration, name};
use crate::model::{BaseUrl, Concurrency, Server, ServerName};

/// A busy Bitbucket lets a fetch wait in its queue for up to five minutes without sending a byte.
const TIMEOUT: Duration = Duration::from_mins(6);

/// A server.
pub(super) fn decode(node: &Node, report: &mut Report) -> Option<Named<ServerName, Server>> {
    let url = node.child("url").and_then(|url| base_url(url, report));
    let ca_file = node.child("ca-file").and_then(Node::text).map(|(path, _)| path.to_owned());
    let timeout = node.child("timeout").and_then(|timeout| duration(timeout, Duration::from_secs(1), report));
    let concurrency = node.child("concurrency").map_or_else(Concurrency::default, concurrency);
    let name = name(node.text(), ServerName::new, report)?;
    let value =
        url.map(|url| Server { url, ca_file, timeout: timeout.unwrap_or(TIMEOUT), concurrency, rate_limit: None });
    Some(Named { name, value, span: node.span })
}

fn base_url(node: &Node, report: &mut Report) -> Option<BaseUrl> {
    let (text, span) = node.text()?;
    // An address that was cut at its `//` is reported with the reason.
    if node.args[0].bare && text.ends_with(':') {
        return None;
    }
    BaseUrl::new(text)
        .map_err(|error| {
            report.add(
                Diagnostic::error("xopero::invalid-url", "the address cannot be used").at(span, error.to_string()),
            );
        })
        .ok()
}

fn concurrency(node: &Node) -> Concurrency {
    let default = Concurrency::default();
    let count = |name: &str| node.prop(name).and_then(Value::integer).and_then(|count| u16::try_from(count).ok());
    Concurrency { listing: count("listing").unwrap_or(default.listing), packs: count("packs").unwrap_or(default.packs) }
}
