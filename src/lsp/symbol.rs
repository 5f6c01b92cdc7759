//! The declared things of a file, as a tree.

use super::facts::title;
use super::names::Names;
use super::target::Target;
use crate::config::{FileId, Span};

/// A declared thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Symbol {
    pub(super) name: String,
    pub(super) kind: Target,
    /// All of it.
    pub(super) span: Span,
    /// Its name.
    pub(super) name_span: Span,
    pub(super) children: Vec<Self>,
}

/// What a file declares, credentials below their projects.
pub(super) fn symbols(names: &Names, file: FileId) -> Vec<Symbol> {
    let mut found: Vec<Symbol> = Vec::new();
    for declared in names.declared().iter().filter(|declared| declared.file == file) {
        let symbol = Symbol {
            name: title(&declared.target).replace('`', "\""),
            kind: declared.target.clone(),
            span: names.outline(file).node(declared.node).span,
            name_span: declared.span,
            children: Vec::new(),
        };
        match (&declared.target, found.last_mut()) {
            (Target::Credential(_, role), Some(project)) => {
                let name =
                    role.as_ref().map_or_else(|| "credential".to_owned(), |role| format!("credential \"{role}\""));
                project.children.push(Symbol { name, ..symbol });
            }
            _ => found.push(symbol),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::sample::{DECLARATION, names};
    use super::*;

    #[test]
    fn a_file_has_a_tree() {
        let found = symbols(&names(DECLARATION), FileId::MAIN);
        let top: Vec<&str> = found.iter().map(|symbol| symbol.name.as_str()).collect();
        let expected = [
            "server \"bb\"",
            "destination \"nas\"",
            "retention \"gfs\"",
            "project \"PAY\"",
            "project \"OPS\"",
            "plan \"nightly\"",
        ];
        assert_eq!(top, expected);
        let below: Vec<&str> = found[3].children.iter().map(|symbol| symbol.name.as_str()).collect();
        assert_eq!(below, ["credential", "credential \"extra-1\"", "credential \"spare\""]);
        assert!(found.iter().all(|symbol| symbol.span.contains(symbol.name_span)));
    }
}
