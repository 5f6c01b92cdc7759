//! Who can open the sealed values: added and taken out.

use std::collections::BTreeMap;

use super::EditError;
use super::layout::{Layout, lines_of, quote};
use super::splice::{Edit, Splice, is, only, parsed};
use crate::config::document::{Node, Value};
use crate::config::public_key;
use crate::config::sources::Sources;
use crate::model::{Address, PublicKey, Recipient};

/// The files with a further recipient; unchanged if the key is one already.
pub fn add_recipient(sources: &Sources, recipient: &Recipient) -> Result<Sources, EditError> {
    let nodes = parsed(sources)?;
    let Recipient { key, name } = recipient;
    public_key::check(key.as_str()).map_err(|reason| EditError::NotAKey { key: key.clone(), reason })?;
    if declared(nodes).any(|node| is(node, "recipient", key.as_str())) {
        return Ok(sources.clone());
    }
    let block = block(nodes)?;
    let text = &sources.file(block.span.file).text;
    let name = name.as_ref().map(|name| format!(" name={}", quote(name))).unwrap_or_default();
    let line = format!("recipient {}{name}", quote(key.as_str()));
    let splice = Layout::of(text, nodes, block).append(block, &line);
    change(sources, key, vec![splice], |nodes| {
        let mut found = declared(nodes).filter(|node| is(node, "recipient", key.as_str()));
        let written = found.next().map(|node| node.prop("name").and_then(Value::text).map(|(name, _)| name.to_owned()));
        written == Some(recipient.name.clone()) && found.next().is_none()
    })
}

/// The files without the recipient that has this key or name, and who it is. Nobody can be the last one to go.
pub fn remove_recipient(sources: &Sources, wanted: &str) -> Result<(Sources, Recipient), EditError> {
    let nodes = parsed(sources)?;
    let has_name = |node: &Node| node.prop("name").and_then(Value::text).is_some_and(|(name, _)| name == wanted);
    let found: Vec<&Node> = declared(nodes).filter(|node| is(node, "recipient", wanted) || has_name(node)).collect();
    let all: Vec<Recipient> = declared(nodes).filter_map(recipient).collect();
    let [node] = found[..] else {
        let keys: Vec<PublicKey> = found.into_iter().filter_map(recipient).map(|found| found.key).collect();
        let wanted = wanted.to_owned();
        return Err(if keys.is_empty() {
            let known = all.into_iter().map(|one| one.name.unwrap_or_else(|| one.key.to_string())).collect();
            EditError::NoRecipient { wanted, known }
        } else {
            EditError::SeveralRecipients { wanted, keys }
        });
    };
    let address = || EditError::DoesNotFit { address: Address::recipients().to_string() };
    let gone = recipient(node).ok_or_else(address)?;
    if declared(nodes).count() == 1 {
        return Err(EditError::LastRecipient { wanted: wanted.to_owned() });
    }
    let text = &sources.file(node.span.file).text;
    let splice = Splice { span: lines_of(text, node.span), text: String::new() };
    let key = gone.key.clone();
    let after =
        change(sources, &key, vec![splice], |nodes| !declared(nodes).any(|node| is(node, "recipient", key.as_str())))?;
    Ok((after, gone))
}

fn change(
    sources: &Sources,
    key: &PublicKey,
    splices: Vec<Splice>,
    meant: impl Fn(&[Node]) -> bool,
) -> Result<Sources, EditError> {
    let edit = Edit {
        address: Address::recipients().to_string(),
        splices,
        values: BTreeMap::new(),
        without: &|nodes| {
            for block in nodes.iter_mut().filter(|node| node.name == "recipients") {
                if let Some(children) = &mut block.children {
                    children.retain(|child| !is(child, "recipient", key.as_str()));
                }
            }
        },
        meant: &meant,
    };
    edit.make(sources)
}

fn block(nodes: &[Node]) -> Result<&Node, EditError> {
    let found = only(nodes, |node| node.name == "recipients", Address::recipients)?;
    found.ok_or_else(|| EditError::NotDeclared { address: Address::recipients(), meant: None })
}

fn declared(nodes: &[Node]) -> impl Iterator<Item = &Node> {
    nodes.iter().filter(|node| node.name == "recipients").flat_map(|block| block.children_named("recipient"))
}

fn recipient(node: &Node) -> Option<Recipient> {
    let key = node.text().and_then(|(key, _)| PublicKey::new(key).ok())?;
    Some(Recipient { key, name: node.prop("name").and_then(Value::text).map(|(name, _)| name.to_owned()) })
}
