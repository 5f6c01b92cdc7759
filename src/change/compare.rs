//! One resource before and after.

use std::collections::{BTreeMap, BTreeSet};

use super::{Content, Contents, Resource, Value};

/// One attribute that changes. Not both sides are absent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttributeChange {
    /// Its path inside the resource.
    pub path: String,
    /// What is in force.
    pub before: Option<Value>,
    /// What is declared.
    pub after: Option<Value>,
    /// Whether the inside of a sealed value is another one, if there is one on both sides.
    pub content: Option<Content>,
}

/// What comparing two sides finds.
#[derive(Debug)]
pub(super) struct Compared {
    /// Whether it is in force.
    pub(super) before: bool,
    /// Whether it is declared.
    pub(super) after: bool,
    /// Every attribute that is not the same on both sides, by path.
    pub(super) attributes: Vec<AttributeChange>,
    /// How many are the same.
    pub(super) unchanged: usize,
}

/// Compares the sides of a resource attribute by attribute.
pub(super) fn compare(before: Option<&Resource>, after: Option<&Resource>, contents: &Contents) -> Compared {
    let none = BTreeMap::new();
    let old = before.map_or(&none, |resource| &resource.attributes);
    let new = after.map_or(&none, |resource| &resource.attributes);
    let mut compared =
        Compared { before: before.is_some(), after: after.is_some(), attributes: Vec::new(), unchanged: 0 };
    if before == after {
        compared.unchanged = old.len();
        return compared;
    }
    for path in old.keys().chain(new.keys()).collect::<BTreeSet<_>>() {
        let (before, after) = (old.get(path), new.get(path));
        if before == after {
            compared.unchanged += 1;
            continue;
        }
        let content = match (before, after) {
            (Some(Value::Sealed { digest: before }), Some(Value::Sealed { digest: after })) => {
                Some(contents.of(before, after))
            }
            _ => None,
        };
        let (before, after) = (before.cloned(), after.cloned());
        compared.attributes.push(AttributeChange { path: path.clone(), before, after, content });
    }
    compared
}
