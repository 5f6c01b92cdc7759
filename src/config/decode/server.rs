//! The `server` node.

use std::time::Duration;

use super::super::document::{Node, Value};
use super::super::error::Report;
use super::Named;
use super::value::{base_url, duration, name};
use crate::model::{Concurrency, Server, ServerName, TokenBucket};

/// A busy Bitbucket lets a fetch wait in its queue for up to five minutes without sending a byte.
const TIMEOUT: Duration = Duration::from_mins(6);

/// A server.
pub(super) fn decode(node: &Node, report: &mut Report) -> Option<Named<ServerName, Server>> {
    let url = node.child("url").and_then(|url| base_url(url.args.first(), report));
    let ca_file = node.child("ca-file").and_then(Node::text).map(|(path, _)| path.to_owned());
    let timeout = node.child("timeout").and_then(|timeout| duration(timeout, Duration::from_secs(1), report));
    let concurrency = node.child("concurrency").map_or_else(Concurrency::default, concurrency);
    let rate_limit = node.child("rate-limit").and_then(rate_limit);
    let name = name(node.text(), ServerName::new, report)?;
    let value = url.map(|url| Server { url, ca_file, timeout: timeout.unwrap_or(TIMEOUT), concurrency, rate_limit });
    Some(Named { name, value, span: node.span })
}

fn concurrency(node: &Node) -> Concurrency {
    let default = Concurrency::default();
    let count = |name: &str| node.prop(name).and_then(Value::integer).and_then(|count| u16::try_from(count).ok());
    Concurrency { listing: count("listing").unwrap_or(default.listing), packs: count("packs").unwrap_or(default.packs) }
}

fn rate_limit(node: &Node) -> Option<TokenBucket> {
    let count = |name: &str| node.prop(name).and_then(Value::integer).and_then(|count| u32::try_from(count).ok());
    Some(TokenBucket { burst: count("burst")?, refill_per_second: count("refill-per-second")? })
}
