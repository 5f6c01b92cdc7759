//! The language in the words of KDL Schema, made from its table: for editors and validators that read it.

use super::document::in_quotes;
use super::schema::{Availability, NodeSpec, ValueKind, ValueSpec, children_of};

/// The table as a KDL document. What this version refuses is not in it.
pub fn reference_kdl() -> String {
    let mut page = Page { text: String::from("/- kdl-version 2\n"), depth: 0 };
    page.line("// Made by `xopero schema --format kdl`; do not edit. The vocabulary is that of KDL Schema 1.0.0.");
    page.block("document", |page| {
        page.block("info", |page| page.line("title \"The language of xopero.kdl\" lang=\"en\""));
        page.nodes("");
    });
    page.text
}

struct Page {
    text: String,
    depth: usize,
}

impl Page {
    fn line(&mut self, text: &str) {
        self.text.push_str(&"    ".repeat(self.depth));
        self.text.push_str(text);
        self.text.push('\n');
    }

    fn block(&mut self, head: &str, content: impl FnOnce(&mut Self)) {
        self.line(&format!("{head} {{"));
        self.depth += 1;
        content(self);
        self.depth -= 1;
        self.line("}");
    }

    fn nodes(&mut self, context: &str) {
        for node in children_of(context).filter(|node| node.availability == Availability::Built) {
            self.node(node);
        }
    }

    fn node(&mut self, node: &NodeSpec) {
        let head = format!("node {} description={}", in_quotes(node.name), in_quotes(node.docs));
        self.block(&head, |page| {
            page.count(node.min, (node.max != usize::MAX).then_some(node.max));
            for argument in node.arguments.iter().filter(|value| value.availability == Availability::Built) {
                let head = format!("value description={}", in_quotes(argument.name));
                page.block(&head, |page| {
                    page.count(usize::from(argument.required), (!argument.repeated).then_some(1));
                    page.kind(argument);
                });
            }
            for property in node.properties.iter().filter(|value| value.availability == Availability::Built) {
                page.block(&format!("prop {}", in_quotes(property.name)), |page| {
                    if property.required {
                        page.line("required #true");
                    }
                    page.kind(property);
                });
            }
            let path = node.path();
            if children_of(&path).any(|child| child.availability == Availability::Built) {
                page.block("children", |page| page.nodes(&path));
            }
        });
    }

    fn count(&mut self, min: usize, max: Option<usize>) {
        self.line(&format!("min {min}"));
        if let Some(max) = max {
            self.line(&format!("max {max}"));
        }
    }

    fn kind(&mut self, value: &ValueSpec) {
        let integer = matches!(value.kind, ValueKind::Integer(..));
        self.line(if integer { "type \"number\"" } else { "type \"string\"" });
        match value.kind {
            ValueKind::Text => {}
            ValueKind::Integer(min, max) => {
                self.line(&format!("\">=\" {min}"));
                self.line(&format!("\"<=\" {max}"));
                self.line("\"%\" 1");
            }
            ValueKind::Duration => self.line("pattern \"^[0-9]+[smhdw]$\""),
            ValueKind::TimeOfDay => self.line("pattern \"^[0-2][0-9]:[0-5][0-9]$\""),
            ValueKind::Date => self.line("format \"date\""),
            ValueKind::Percent(..) => self.line("pattern \"^[0-9]{1,3}%$\""),
            ValueKind::Url => self.line("format \"url\""),
            ValueKind::Address => self.line("pattern \"^[a-z]+/.+$\""),
            ValueKind::Sealed => self.line("tag \"age\""),
            ValueKind::Word(words) => {
                let built = words.iter().filter(|word| word.availability == Availability::Built);
                let names: Vec<String> = built.map(|word| in_quotes(word.name)).collect();
                self.line(&format!("enum {}", names.join(" ")));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::document::Node;
    use super::super::error::{Report, SourceFile};
    use super::super::schema::SCHEMA;
    use super::super::{format, load};
    use super::*;

    /// Every `node` of the document with the names above it.
    fn described(nodes: &[Node], context: &str, found: &mut Vec<String>) {
        for node in nodes.iter().filter(|node| node.name == "node") {
            let name = node.text().unwrap().0;
            let path = if context.is_empty() { name.to_owned() } else { format!("{context}/{name}") };
            for children in node.children_named("children") {
                described(children.children(), &path, found);
            }
            found.push(path);
        }
    }

    #[test]
    fn every_row_is_described_once_in_a_document_that_is_laid_out() {
        let text = reference_kdl();
        let file = SourceFile { name: "language.kdl".into(), text: text.clone() };
        assert_eq!(format(&file).unwrap(), text);
        let nodes = load::tree(&text, &mut Report::default()).unwrap();
        let mut found = Vec::new();
        described(nodes[0].children(), "", &mut found);
        let built = SCHEMA.iter().filter(|row| row.availability == Availability::Built);
        let mut rows: Vec<String> = built.map(NodeSpec::path).collect();
        rows.sort_unstable();
        found.sort_unstable();
        assert_eq!(found, rows);
    }
}
