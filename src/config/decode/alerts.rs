//! The top-level `alerts` node.

use std::collections::{BTreeMap, BTreeSet};

use super::super::document::{Node, Value};
use super::super::error::{Diagnostic, Report, Span, quoted};
use super::value::{Spanned, name, sealed, url};
use crate::model::alerts::{ADDRESS, PASSWORD, SIGNING_KEY, TOKEN};
use crate::model::{
    AccountName, AlertAddress, AlertUrl, Alerts, AlertsName, Channel, Email, MailAddress, MailServer, Ntfy, Occasion,
    PlanName, Sealed, Webhook, is_hidden,
};

/// Alerts with names that are not resolved; `None` where their value is broken.
#[derive(Debug)]
pub(in crate::config) struct DraftAlerts {
    pub(in crate::config) name: Spanned<AlertsName>,
    pub(in crate::config) plans: Vec<Spanned<PlanName>>,
    pub(in crate::config) value: Option<Alerts>,
    pub(in crate::config) span: Span,
}

/// What is there: absent, or there and perhaps broken.
type Found<T> = Option<Option<T>>;

/// Alerts.
pub(super) fn decode(node: &Node, report: &mut Report) -> Option<DraftAlerts> {
    let occasions = node.child("on").map_or_else(|| Occasion::ALL.into_iter().collect(), |on| occasions(on, report));
    let plans: Vec<_> =
        node.children_named("plan").filter_map(|plan| name(plan.text(), PlanName::new, report)).collect();
    let called = node.text().map_or("NAME", |(name, _)| name);
    let channel = |channel: Channel| node.child(channel.as_str());
    let webhook = channel(Channel::Webhook).map(|found| webhook(found, called, report));
    let healthchecks = channel(Channel::Healthchecks).map(|found| address(found, called, report));
    let ntfy = channel(Channel::Ntfy).map(|found| ntfy(found, called, report));
    let slack = channel(Channel::Slack).map(|found| slack(found, called, report));
    let email = channel(Channel::Email).map(|found| email(found, called, report));
    let exec = channel(Channel::Exec).map(|found| exec(found, report));
    let ca_file = node.child("ca-file").and_then(Node::text).map(|(path, _)| path.to_owned());
    let none = Channel::ALL.into_iter().all(|channel| node.child(channel.as_str()).is_none());
    let misspelt = node.children().iter().any(|child| !matches!(child.name.as_str(), "on" | "plan" | "ca-file"));
    if none && !misspelt {
        let ways: Vec<&str> = Channel::ALL.into_iter().map(Channel::as_str).collect();
        report.add(
            Diagnostic::error("xopero::tells-nobody", "the alerts have no way of telling anybody")
                .at(node.name_span, "tells nobody")
                .help(format!("add at least one of {}", ways.join(", "))),
        );
    }
    let name = name(node.text(), AlertsName::new, report)?;
    let value = (|| {
        let found = Alerts {
            occasions,
            plans: plans.iter().map(|plan| plan.value.clone()).collect(),
            ca_file,
            webhook: whole(webhook).ok()?,
            healthchecks: whole(healthchecks).ok()?,
            ntfy: whole(ntfy).ok()?,
            slack: whole(slack).ok()?,
            email: whole(email).ok()?,
            exec: whole(exec).ok()?,
        };
        (!found.occasions.is_empty() && !none).then_some(found)
    })();
    Some(DraftAlerts { name, plans, value, span: node.span })
}

/// Something is there, and cannot be used.
struct Broken;

/// What is absent may be; what is broken may not.
fn whole<T>(found: Found<T>) -> Result<Option<T>, Broken> {
    found.map_or(Ok(None), |value| value.map(Some).ok_or(Broken))
}

fn occasions(node: &Node, report: &mut Report) -> BTreeSet<Occasion> {
    let mut words: BTreeMap<&str, Span> = BTreeMap::new();
    for (word, span) in node.args.iter().filter_map(Value::text) {
        if let Some(first) = words.get(word) {
            report.add(
                Diagnostic::error("xopero::duplicate", format!("{} is named twice", quoted(word)))
                    .at(span, "again here")
                    .at(*first, "already here"),
            );
        }
        words.entry(word).or_insert(span);
    }
    Occasion::ALL.into_iter().filter(|occasion| words.contains_key(occasion.as_str())).collect()
}

/// The address of a channel: in clear text, or sealed.
fn address(node: &Node, called: &str, report: &mut Report) -> Option<AlertAddress> {
    match (node.args.first(), node.child(ADDRESS)) {
        (Some(clear), None) => alert_url(Some(clear), report).map(AlertAddress::Clear),
        (None, Some(child)) => sealed(child).map(AlertAddress::Sealed),
        (Some(clear), Some(child)) => {
            report.add(
                Diagnostic::error("xopero::two-addresses", format!("`{}` has one address", node.name))
                    .at(child.name_span, "a sealed one")
                    .at(clear.span, "and one in clear text")
                    .help("if the address is a secret, keep the sealed one and make another at the service"),
            );
            None
        }
        (None, None) => {
            report.add(
                Diagnostic::error("xopero::missing-address", format!("`{}` has no address", node.name))
                    .at(node.name_span, "add the address")
                    .help(format!("write it behind the name, in quotes; or seal it: {}", set(called, node, ADDRESS))),
            );
            None
        }
    }
}

/// The command that seals a value of a channel.
fn set(called: &str, node: &Node, key: &str) -> String {
    format!("xopero secrets set alerts/{called}/{}/{key}", node.name)
}

/// A value as an address that something is sent to.
pub(in crate::config) fn alert_url(given: Option<&Value>, report: &mut Report) -> Option<AlertUrl> {
    url(given, report, AlertUrl::new)
}

/// What is sealed for the address beside it: there must be one to compare with.
fn bound(node: &Node, key: &str, address: Option<&AlertAddress>, report: &mut Report) -> Found<Sealed> {
    let child = node.child(key)?;
    if let (Some(AlertAddress::Sealed(_)), Some(other)) = (address, node.child(ADDRESS)) {
        report.add(
            Diagnostic::error("xopero::sealed-for-a-secret", format!("`{key}` needs an address in clear text"))
                .at(child.name_span, "sealed for one address, which must be readable")
                .at(other.name_span, "this one is sealed")
                .help("an address that is a secret lets in whoever knows it: nothing else is needed"),
        );
        return Some(None);
    }
    Some(sealed(child))
}

fn webhook(node: &Node, called: &str, report: &mut Report) -> Option<Webhook> {
    let address = address(node, called, report);
    let signing_key = whole(bound(node, SIGNING_KEY, address.as_ref(), report)).ok();
    Some(Webhook { address: address?, signing_key: signing_key? })
}

fn ntfy(node: &Node, called: &str, report: &mut Report) -> Option<Ntfy> {
    let address = address(node, called, report);
    let token = whole(bound(node, TOKEN, address.as_ref(), report)).ok();
    Some(Ntfy { address: address?, token: token? })
}

fn slack(node: &Node, called: &str, report: &mut Report) -> Option<Sealed> {
    let Some(child) = node.child(ADDRESS) else {
        // What is misspelt is reported already, and is probably what was meant.
        if node.children().is_empty() {
            report.add(
                Diagnostic::error("xopero::missing-address", "`slack` has no sealed address")
                    .at(node.name_span, "add the address, sealed")
                    .help(format!(
                        "whoever knows it can write there, so it stands here sealed: {}",
                        set(called, node, ADDRESS)
                    )),
            );
        }
        return None;
    };
    sealed(child)
}

fn email(node: &Node, called: &str, report: &mut Report) -> Option<Email> {
    let mut to = BTreeSet::new();
    let mut complete = true;
    for given in node.args.iter().filter_map(Value::text) {
        match mailbox(given, report) {
            Some(address) => {
                to.insert(address);
            }
            None => complete = false,
        }
    }
    let from = node.prop("from").and_then(Value::text).and_then(|given| mailbox(given, report));
    let server = node.prop("server").and_then(Value::text).and_then(|given| mail_server(given, report));
    let login = match (node.prop("account"), node.child(PASSWORD)) {
        (None, None) => Some(None),
        (Some(account), Some(password)) => {
            let account = name(account.text(), AccountName::new, report);
            account.zip(sealed(password)).map(|(account, sealed)| Some((account.value, sealed)))
        }
        (Some(account), None) => {
            report.add(
                Diagnostic::error("xopero::missing-node", "the mail account has no `password`")
                    .at(account.span, "this account")
                    .help(format!("seal it: {}", set(called, node, PASSWORD))),
            );
            None
        }
        (None, Some(password)) => {
            report.add(
                Diagnostic::error("xopero::missing-property", "the password belongs to no account")
                    .at(password.name_span, "whose?")
                    .at(node.name_span, "add account=…"),
            );
            None
        }
    };
    (complete && !to.is_empty()).then_some(())?;
    Some(Email { to, from: from?, server: server?, login: login? })
}

fn mailbox((text, span): (&str, Span), report: &mut Report) -> Option<MailAddress> {
    MailAddress::new(text)
        .map_err(|error| {
            report.add(
                Diagnostic::error("xopero::invalid-mail-address", format!("{} is not a mail address", quoted(text)))
                    .at(span, "not a mail address")
                    .help(error.to_string()),
            );
        })
        .ok()
}

/// The server that takes mail.
pub(in crate::config) fn mail_server((text, span): (&str, Span), report: &mut Report) -> Option<MailServer> {
    MailServer::new(text)
        .map_err(|error| {
            report.add(
                Diagnostic::error("xopero::invalid-url", "the mail server cannot be used")
                    .at(span, "this address")
                    .help(format!("it {error}")),
            );
        })
        .ok()
}

fn exec(node: &Node, report: &mut Report) -> Option<String> {
    let (path, span) = node.text()?;
    if !path.starts_with('/') || path.ends_with('/') || path.chars().any(is_hidden) {
        report.add(
            Diagnostic::error("xopero::invalid-path", "a program is called by its absolute path")
                .at(span, "not an absolute path")
                .help("write the program alone, such as \"/usr/local/bin/page-someone\"; it gets no arguments"),
        );
        return None;
    }
    Some(path.to_owned())
}
