//! The secrets of alerts: what they are sealed for, and putting in the first ones.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use super::EditError;
use super::layout::Layout;
use super::sealed::{Purpose, SecretAddress, places, replace_sealed, says, sealed_lines};
use super::splice::{Edit, is, not_declared, only, parsed};
use crate::config::decode;
use crate::config::document::{Node, Value};
use crate::config::error::Report;
use crate::config::sources::Sources;
use crate::model::alerts::{ADDRESS, BOUND_TO_ALERTS, PASSWORD, SIGNING_KEY, TOKEN};
use crate::model::{AccountName, Address, AlertsName, Channel, RecipientsMark, Sealed, SecretKind};

/// One of the secrets that alerts can have: `slack/address`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct AlertSecret {
    channel: Channel,
    key: &'static str,
}

impl AlertSecret {
    /// All of them.
    const ALL: [Self; 7] = [
        Self { channel: Channel::Webhook, key: ADDRESS },
        Self { channel: Channel::Webhook, key: SIGNING_KEY },
        Self { channel: Channel::Healthchecks, key: ADDRESS },
        Self { channel: Channel::Ntfy, key: ADDRESS },
        Self { channel: Channel::Ntfy, key: TOKEN },
        Self { channel: Channel::Slack, key: ADDRESS },
        Self { channel: Channel::Email, key: PASSWORD },
    ];

    /// The name of the node that holds it.
    pub const fn key(self) -> &'static str {
        self.key
    }

    /// The one in a node of this name, in the block of `channel`.
    pub(super) fn named(channel: &str, key: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|secret| secret.channel.as_str() == channel && secret.key == key)
    }

    /// The one that `node` holds, in the block of `parent`.
    pub(super) fn of(parent: &Node, node: &Node) -> Option<Self> {
        Self::named(&parent.name, &node.name)
    }
}

impl fmt::Display for AlertSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.channel, self.key)
    }
}

impl FromStr for AlertSecret {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|secret| secret.to_string() == text);
        found.ok_or_else(|| {
            let known: Vec<String> = Self::ALL.iter().map(ToString::to_string).collect();
            format!("`{text}` is none of the secrets of alerts: {}", known.join(", "))
        })
    }
}

/// What a secret of alerts is for: the address that stands beside it; a sealed address, for alerts of that kind.
pub fn alert_secret_purpose(sources: &Sources, alerts: &AlertsName, secret: AlertSecret) -> Result<Purpose, EditError> {
    let channel = channel(parsed(sources)?, alerts, secret)?;
    let unsaid = || EditError::NoAlertAddress { alerts: alerts.clone(), channel: secret.channel };
    alert_purpose(channel, secret).ok_or_else(unsaid)
}

/// What a secret in the node of a channel is for, if the node says it.
pub(super) fn alert_purpose(channel: &Node, secret: AlertSecret) -> Option<Purpose> {
    let silent = &mut Report::default();
    let account = secret.channel.account();
    if secret.key == ADDRESS {
        return Some(Purpose { kind: SecretKind::Address, origin: BOUND_TO_ALERTS.to_owned(), account });
    }
    if secret.channel == Channel::Email {
        let server = decode::mail_server(channel.prop("server").and_then(Value::text)?, silent)?;
        let account = AccountName::new(channel.prop("account").and_then(Value::text)?.0).ok()?;
        return Some(Purpose { kind: SecretKind::Password, origin: server.origin(), account });
    }
    let kind = if secret.key == SIGNING_KEY { SecretKind::SigningKey } else { SecretKind::Token };
    let address = decode::alert_url(channel.args.first(), silent)?;
    Some(Purpose { kind, origin: address.as_str().to_owned(), account })
}

/// The files with a secret of alerts: put in behind what stands there, or put in the place of the old one.
pub fn set_alert_secret(
    sources: &Sources,
    alerts: &AlertsName,
    secret: AlertSecret,
    sealed: &Sealed,
    recipients: &RecipientsMark,
) -> Result<Sources, EditError> {
    let nodes = parsed(sources)?;
    let node = channel(nodes, alerts, secret)?;
    let address = SecretAddress::alert(alerts, secret);
    if node.child(secret.key).is_some() {
        return replace_sealed(sources, &BTreeMap::from([(address, sealed.clone())]), recipients);
    }
    let layout = Layout::of(&sources.file(node.span.file).text, nodes, node);
    let child = layout.lines(&sealed_lines(secret.key, sealed, recipients, layout.unit));
    let edit = Edit {
        address: address.to_string(),
        splices: vec![layout.append(node, &child)],
        values: BTreeMap::new(),
        without: &|nodes| {
            for top in nodes.iter_mut().filter(|node| is(node, "alerts", alerts.as_str())) {
                let channels = top.children.iter_mut().flatten().filter(|node| node.name == secret.channel.as_str());
                for channel in channels {
                    if let Some(children) = &mut channel.children {
                        children.retain(|child| child.name != secret.key);
                    }
                }
            }
        },
        meant: &|nodes| {
            let mut there = places(nodes).into_iter().filter(|place| place.address == address);
            there.next().is_some_and(|place| says(place.node, sealed, recipients)) && there.next().is_none()
        },
    };
    edit.make(sources)
}

/// The node of the channel that a secret belongs to.
fn channel<'a>(nodes: &'a [Node], alerts: &AlertsName, secret: AlertSecret) -> Result<&'a Node, EditError> {
    let address = || Address::alerts(alerts);
    let top = only(nodes, |node| is(node, "alerts", alerts.as_str()), address)?
        .ok_or_else(|| not_declared(nodes, address()))?;
    only(top.children(), |node| node.name == secret.channel.as_str(), address)?
        .ok_or_else(|| EditError::NoChannel { alerts: alerts.clone(), channel: secret.channel })
}
