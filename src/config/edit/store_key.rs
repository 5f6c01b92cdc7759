//! The keys to the bucket of a destination: what they are sealed for, and putting in the first ones.

use std::collections::BTreeMap;
use std::str::FromStr;

use super::EditError;
use super::layout::Layout;
use super::sealed::{Purpose, SecretAddress, replace_sealed, says, sealed_lines};
use super::splice::{Edit, is, not_declared, only, parsed};
use crate::config::decode;
use crate::config::document::Node;
use crate::config::error::Report;
use crate::config::sources::Sources;
use crate::model::{AccountName, Address, DestinationName, RecipientsMark, Sealed, SecretKind};

/// One of the two parts of the key to a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreKey {
    /// The id that requests name.
    AccessKey,
    /// The secret that they are signed with.
    SecretKey,
}

impl StoreKey {
    /// Both.
    pub const ALL: [Self; 2] = [Self::AccessKey, Self::SecretKey];

    /// The name of the node that holds it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AccessKey => "access-key",
            Self::SecretKey => "secret-key",
        }
    }

    /// Whether the node of a destination holds one.
    pub(super) fn is(node: &Node) -> bool {
        node.name.parse::<Self>().is_ok()
    }
}

impl FromStr for StoreKey {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|key| key.as_str() == text);
        found.ok_or_else(|| format!("`{text}` is none of the keys of a destination: write access-key or secret-key"))
    }
}

/// What the keys to the bucket of a destination are for: the address of the store, with the bucket as the account.
pub fn store_key_purpose(sources: &Sources, destination: &DestinationName) -> Result<Purpose, EditError> {
    let node = declared(parsed(sources)?, destination)?;
    store_purpose(node).ok_or_else(|| EditError::NoBucket { destination: destination.clone() })
}

/// What the keys in a `destination` node are for, if it names a bucket.
pub(super) fn store_purpose(destination: &Node) -> Option<Purpose> {
    let bucket = decode::bucket(destination.child("s3")?, &mut Report::default())?;
    let account = AccountName::new(bucket.name.as_str()).ok()?;
    Some(Purpose { kind: SecretKind::S3, origin: bucket.origin(), account })
}

/// The files with a key of a destination: put in behind what stands there, or put in the place of the old one.
pub fn set_store_key(
    sources: &Sources,
    destination: &DestinationName,
    key: StoreKey,
    sealed: &Sealed,
    recipients: &RecipientsMark,
) -> Result<Sources, EditError> {
    let nodes = parsed(sources)?;
    let node = declared(nodes, destination)?;
    let address = SecretAddress::store_key(destination, key);
    if node.child(key.as_str()).is_some() {
        return replace_sealed(sources, &BTreeMap::from([(address, sealed.clone())]), recipients);
    }
    let layout = Layout::of(&sources.file(node.span.file).text, nodes, node);
    let child = layout.lines(&sealed_lines(key.as_str(), sealed, recipients, layout.unit));
    let edit = Edit {
        address: address.to_string(),
        splices: vec![layout.append(node, &child)],
        values: BTreeMap::new(),
        without: &|nodes| {
            for node in nodes.iter_mut().filter(|node| is(node, "destination", destination.as_str())) {
                if let Some(children) = &mut node.children {
                    children.retain(|child| child.name != key.as_str());
                }
            }
        },
        meant: &|nodes| {
            let node = declared(nodes, destination).ok();
            let written = node.and_then(|node| node.child(key.as_str()));
            written.is_some_and(|written| says(written, sealed, recipients))
        },
    };
    edit.make(sources)
}

/// The one destination of that name.
fn declared<'a>(nodes: &'a [Node], destination: &DestinationName) -> Result<&'a Node, EditError> {
    let address = || Address::destination(destination);
    only(nodes, |node| is(node, "destination", destination.as_str()), address)?
        .ok_or_else(|| not_declared(nodes, address()))
}
