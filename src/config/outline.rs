//! What a text seems to say, node by node, whatever is wrong with it: what an editor goes by.
//!
//! It is made from tokens alone, so that half a line, an open block or an unclosed string leave the rest as it is. It
//! knows no rules: what is misspelt or out of place stands in it as it was written.

use super::error::{FileId, Span};
use super::lexer::{Token, TokenKind, lex};
use super::redact::redacted;
use super::roles::{Role, Roles};

/// A word of the text: the name of a node or a property, or a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Word {
    /// Where it is, with its quotes.
    pub span: Span,
    /// What is between the quotes.
    inner: (usize, usize),
}

impl Word {
    /// Whether its quotes are closed, if it has any.
    pub const fn is_closed(&self) -> bool {
        self.inner.0 == self.span.start || self.inner.1 < self.span.end
    }
}

/// A node, as far as it is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutlineNode {
    /// Its name.
    pub name: Word,
    /// Its arguments.
    pub arguments: Vec<Word>,
    /// Its properties, those that have a value.
    pub properties: Vec<(Word, Word)>,
    /// The node in whose block it stands.
    pub parent: Option<usize>,
    /// Whether it, or a node around it, is commented out with `/-`.
    pub commented_out: bool,
    /// From the name to the end of the last value or of the block.
    pub span: Span,
    /// Behind the last value.
    pub head_end: usize,
}

/// What stands, or could stand, at a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OutlinePlace {
    /// The name of a node.
    Name,
    /// An argument of a node, counted from 0, or the name of a property.
    Argument(usize, usize),
    /// The name of a property of a node.
    PropertyName(usize),
    /// The value of a property of a node: its name.
    PropertyValue(usize, Word),
    /// Nothing that has a meaning: a comment, an annotation.
    Nothing,
}

/// A place in the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutlineCursor {
    /// The nodes in whose blocks it is, the outermost first.
    pub enclosing: Vec<usize>,
    /// What stands there.
    pub place: OutlinePlace,
    /// The word that it touches.
    pub word: Option<Word>,
}

/// The nodes of a text in their order, a block's behind the node that it belongs to. No word of it shows a secret.
#[derive(Debug, Clone)]
pub struct Outline {
    text: String,
    file: FileId,
    tokens: Vec<Token>,
    nodes: Vec<OutlineNode>,
    braces: Braces,
}

impl Outline {
    /// Reads a text.
    pub fn of(text: &str, file: FileId) -> Self {
        // Secrets are masked with as many bytes, so places are those of the text.
        let text = redacted(text);
        let tokens = lex(&text);
        let count = |kind| tokens.iter().filter(|token| token.kind == kind).count();
        let is_missing = count(TokenKind::OpenBrace) > count(TokenKind::CloseBrace);
        let braces = if is_missing { Braces::Missing } else { Braces::Balanced };
        let nodes = Reader::read(&text, &tokens, tokens.len(), file, braces).nodes;
        Self { text, file, tokens, nodes, braces }
    }

    /// The nodes.
    pub fn nodes(&self) -> &[OutlineNode] {
        &self.nodes
    }

    /// A node.
    pub fn node(&self, index: usize) -> &OutlineNode {
        &self.nodes[index]
    }

    /// What a word says, without its quotes.
    pub fn say(&self, word: Word) -> &str {
        self.text.get(word.inner.0..word.inner.1).unwrap_or_default()
    }

    /// The name of a node.
    pub fn name(&self, node: &OutlineNode) -> &str {
        self.say(node.name)
    }

    /// The first argument of a node.
    pub fn first(&self, node: &OutlineNode) -> Option<&str> {
        node.arguments.first().map(|word| self.say(*word))
    }

    /// A node as it is written, without its block.
    pub fn head(&self, node: &OutlineNode) -> &str {
        self.text.get(node.span.start..node.head_end).unwrap_or_default()
    }

    /// The value of a property of a node.
    pub fn property(&self, node: &OutlineNode, name: &str) -> Option<Word> {
        node.properties.iter().find(|(property, _)| self.say(*property) == name).map(|(_, value)| *value)
    }

    /// The nodes in the block of a node, or at the top level; not those that are commented out.
    pub fn children(&self, parent: Option<usize>) -> impl Iterator<Item = (usize, &OutlineNode)> {
        // A block follows its node, so what comes before need not be looked at.
        let from = parent.map_or(0, |parent| parent + 1);
        let rest = self.nodes.iter().enumerate().skip(from);
        let inside =
            move |node: &OutlineNode| parent.is_none() || node.parent.is_some_and(|other| Some(other) >= parent);
        rest.take_while(move |(_, node)| inside(node))
            .filter(move |(_, node)| node.parent == parent && !node.commented_out)
    }

    /// The path of a node in the table of the language, such as `plan/project`; empty for the top level.
    pub fn path(&self, node: Option<usize>) -> String {
        let mut names: Vec<&str> = Vec::new();
        let mut next = node;
        while let Some(index) = next {
            names.push(self.name(&self.nodes[index]));
            next = self.nodes[index].parent;
        }
        names.reverse();
        names.join("/")
    }

    /// The place at a byte.
    pub fn at(&self, offset: usize) -> OutlineCursor {
        let offset = self.text.floor_char_boundary(offset);
        let index = self.tokens.partition_point(|token| token.span.end < offset);
        let touching = self.tokens[index..].iter().take_while(|token| token.span.start <= offset).take(2);
        let mut word = None;
        let mut in_comment = false;
        for token in touching {
            match token.kind {
                TokenKind::Word | TokenKind::Text if word.is_none() => word = Some(*token),
                TokenKind::LineComment => in_comment = token.span.start < offset,
                TokenKind::BlockComment => in_comment = token.span.start < offset && offset < token.span.end,
                _ => {}
            }
        }
        let start = word.map_or(offset, |word| word.span.start);
        let before = self.tokens.partition_point(|token| token.span.end <= start);
        let reader = Reader::read(&self.text, &self.tokens, before, self.file, self.braces);
        let is_property = word.is_some_and(|word| {
            let after = self.tokens.partition_point(|token| token.span.end <= word.span.end);
            let next = self.tokens[after..].iter().find(|token| token.kind != TokenKind::Space);
            next.is_some_and(|next| next.kind == TokenKind::Equals)
        });
        let place = match reader.current {
            _ if in_comment || reader.roles.in_annotation => OutlinePlace::Nothing,
            None => OutlinePlace::Name,
            Some(node) => match reader.property {
                Some(property) => OutlinePlace::PropertyValue(node, property),
                None if is_property => OutlinePlace::PropertyName(node),
                None => OutlinePlace::Argument(node, reader.nodes[node].arguments.len()),
            },
        };
        let left = word.filter(|_| place == OutlinePlace::Name).map_or(0, |_| reader.left_blocks());
        let blocks = &reader.blocks[..reader.blocks.len() - left];
        let word = word.filter(|_| place != OutlinePlace::Nothing).map(|token| self.word(token));
        OutlineCursor { enclosing: blocks.iter().filter_map(|block| block.node).collect(), place, word }
    }

    fn word(&self, token: Token) -> Word {
        word(&self.text, token, self.file)
    }
}

fn word(text: &str, token: Token, file: FileId) -> Word {
    let (mut start, mut end) = (token.span.start, token.span.end);
    if token.kind == TokenKind::Text {
        let written = &text[start..end];
        let hashes = written.len() - written.trim_start_matches('#').len();
        let body = &written[hashes..];
        let quotes = if body.len() > 2 && body.starts_with("\"\"\"") { 3 } else { 1 };
        start += hashes + quotes;
        let tail = format!("{}{}", "\"".repeat(quotes), "#".repeat(hashes));
        let closed = start <= end && text[start..end].ends_with(&tail);
        end -= if closed { tail.len() } else { 0 };
    }
    Word { span: token.span.of(file), inner: (start.min(end), end) }
}

/// An open block.
#[derive(Debug)]
struct Block {
    /// The node whose block it is, unless the brace stands alone.
    node: Option<usize>,
    commented_out: bool,
    /// How far right the line of that node begins.
    indent: usize,
    /// Whether a node in it stands further right than the node whose block it is, on a line of its own.
    indented: bool,
}

/// Whether every block is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Braces {
    Balanced,
    Missing,
}

/// Reads tokens; what it is in the middle of when they end is the place where they end.
#[derive(Debug)]
struct Reader {
    braces: Braces,
    roles: Roles,
    nodes: Vec<OutlineNode>,
    blocks: Vec<Block>,
    /// The node whose values are being read.
    current: Option<usize>,
    /// The property whose value comes next.
    property: Option<Word>,
    slashdash: bool,
    continued: bool,
    /// How far right the line begins, and whether nothing has been seen on it.
    indent: usize,
    at_line_start: bool,
    /// How far right the line of the current node begins.
    node_indent: usize,
}

impl Reader {
    /// Reads the first `count` of the tokens.
    fn read(text: &str, tokens: &[Token], count: usize, file: FileId, braces: Braces) -> Self {
        let mut reader = Self {
            braces,
            roles: Roles::new(),
            nodes: Vec::new(),
            blocks: Vec::new(),
            current: None,
            property: None,
            slashdash: false,
            continued: false,
            indent: 0,
            at_line_start: true,
            node_indent: 0,
        };
        for (index, token) in tokens[..count].iter().enumerate() {
            match reader.roles.step(tokens, index) {
                Some(role) => reader.word(role, word(text, *token, file)),
                None => reader.mark(*token),
            }
            match token.kind {
                TokenKind::Newline => (reader.indent, reader.at_line_start) = (0, true),
                TokenKind::Space if reader.at_line_start => reader.indent = token.span.end - token.span.start,
                _ => reader.at_line_start = false,
            }
        }
        reader
    }

    fn word(&mut self, role: Role, found: Word) {
        if role == Role::Name || self.current.is_none() && role != Role::Annotation {
            return self.begin_node(found);
        }
        let Some(node) = self.current.map(|node| &mut self.nodes[node]) else { return };
        (node.span.end, node.head_end) = (found.span.end, found.span.end);
        let counts = !self.slashdash;
        match role {
            Role::Name | Role::Annotation => return,
            Role::PropertyName => {
                self.property = Some(found);
                return;
            }
            Role::PropertyValue => {
                let property = self.property.take();
                node.properties.extend(property.filter(|_| counts).map(|property| (property, found)));
            }
            Role::Argument => node.arguments.extend(counts.then_some(found)),
        }
        self.slashdash = false;
    }

    /// What is no word.
    fn mark(&mut self, token: Token) {
        match token.kind {
            TokenKind::LineContinuation => self.continued = true,
            TokenKind::Newline if self.continued => self.continued = false,
            TokenKind::Newline | TokenKind::Semicolon => self.end_node(),
            TokenKind::Slashdash => self.slashdash = true,
            TokenKind::OpenBrace => {
                let commented_out = self.slashdash || self.inherited();
                let node = self.current.or_else(|| self.blocks.last().and_then(|block| block.node));
                self.blocks.push(Block { node, commented_out, indent: self.node_indent, indented: false });
                self.slashdash = false;
                self.end_node();
            }
            TokenKind::CloseBrace => {
                self.slashdash = false;
                self.end_node();
                if let Some(Block { node: Some(node), commented_out, .. }) = self.blocks.pop() {
                    self.nodes[node].span.end = token.span.end;
                    // Behind a block that is commented out, the node goes on.
                    self.current = commented_out.then_some(node);
                }
            }
            TokenKind::Bom
            | TokenKind::Space
            | TokenKind::LineComment
            | TokenKind::BlockComment
            | TokenKind::Word
            | TokenKind::Text
            | TokenKind::OpenParen
            | TokenKind::CloseParen
            | TokenKind::Equals => {}
        }
    }

    /// Whether everything in the innermost block is commented out.
    fn inherited(&self) -> bool {
        let around = self.current.or_else(|| self.blocks.last().and_then(|block| block.node));
        self.blocks.last().is_some_and(|block| block.commented_out)
            || around.is_some_and(|node| self.nodes[node].commented_out)
    }

    fn end_node(&mut self) {
        self.current = None;
        self.property = None;
    }

    fn begin_node(&mut self, name: Word) {
        self.blocks.truncate(self.blocks.len() - self.left_blocks());
        let parent = self.blocks.last().and_then(|block| block.node);
        let commented_out = self.slashdash || self.inherited();
        if let Some(block) = self.blocks.last_mut() {
            block.indented |= self.at_line_start && self.indent > block.indent;
        }
        self.slashdash = false;
        self.node_indent = self.indent;
        self.current = Some(self.nodes.len());
        self.nodes.push(OutlineNode {
            name,
            arguments: Vec::new(),
            properties: Vec::new(),
            parent,
            commented_out,
            span: name.span,
            head_end: name.span.end,
        });
    }

    /// How many of the open blocks a node that begins here is certainly not in. A closing brace is missing somewhere,
    /// and whoever indents the nodes of a block does not put the next one left of them.
    fn left_blocks(&self) -> usize {
        if self.braces == Braces::Balanced || !self.at_line_start {
            return 0;
        }
        let outermost = self.blocks.iter().position(|block| block.indented && self.indent <= block.indent);
        outermost.map_or(0, |outermost| self.blocks.len() - outermost)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The place of the `|` in a text, in words.
    fn place(marked: &str) -> String {
        let offset = marked.find('|').unwrap();
        let text = marked.replacen('|', "", 1);
        let outline = Outline::of(&text, FileId::MAIN);
        let cursor = outline.at(offset);
        let path: Vec<&str> = cursor.enclosing.iter().map(|node| outline.name(outline.node(*node))).collect();
        let name = |node: usize| outline.name(outline.node(node)).to_owned();
        let place = match cursor.place {
            OutlinePlace::Name => "name".to_owned(),
            OutlinePlace::Argument(node, index) => format!("{} argument {index}", name(node)),
            OutlinePlace::PropertyName(node) => format!("{} property", name(node)),
            OutlinePlace::PropertyValue(node, property) => format!("{} {}=", name(node), outline.say(property)),
            OutlinePlace::Nothing => "nothing".to_owned(),
        };
        let word = cursor.word.map(|word| format!(": {}", outline.say(word))).unwrap_or_default();
        format!("{}: {place}{word}", path.join("/"))
    }

    #[test]
    fn places_are_found_in_whole_texts() {
        assert_eq!(place("|"), ": name");
        assert_eq!(place("pl|an"), ": name: plan");
        assert_eq!(place("plan \"x\" {\n  |\n}"), "plan: name");
        assert_eq!(
            place("plan \"x\" {\n  project \"PA|Y\" { enable-credentials \"a\" }\n}"),
            "plan: project argument 0: PAY"
        );
        assert_eq!(
            place("plan \"x\" {\n  project \"PAY\" { enable-credentials \"a\" | }\n}"),
            "plan/project: enable-credentials argument 1"
        );
        assert_eq!(place("project \"PAY\" server=\"b|b\""), ": project server=: bb");
        assert_eq!(place("project \"PAY\" ser|ver=\"bb\""), ": project property: server");
        assert_eq!(place("a { b }\nc |"), ": c argument 0");
        assert_eq!(place("// pl|an"), ": nothing");
        assert_eq!(place("/* | */ plan"), ": nothing");
        assert_eq!(place("token (ag|e)\"\""), ": nothing");
        assert_eq!(place("plan \\\n  \"x|\""), ": plan argument 0: x");
        assert_eq!(place("a #\"x|y\"#"), ": a argument 0: xy");
    }

    #[test]
    fn places_are_found_in_broken_texts() {
        assert_eq!(place("project \"PAY\" server=|"), ": project server=");
        assert_eq!(place("project \"PAY\" server=\"|\nplan"), ": project server=: ");
        assert_eq!(place("plan \"x\" {\n  destination \"n|\n  parts \"git\"\n"), "plan: destination argument 0: n");
        assert_eq!(place("plan \"x\" {\n  project \"PAY\" {\n    |"), "plan/project: name");
        let open = "plan \"a\" {\n  parts \"git\"\n  project \"PAY\" {\n\nplan \"b\" {\n  des|\n}\n";
        assert_eq!(place(open), "plan: name: des");
        assert_eq!(place("} } plan \"x\" { |"), "plan: name");
    }

    #[test]
    fn a_missing_brace_does_not_swallow_what_follows() {
        let text = "plan \"a\" {\n  parts \"git\"\n\nserver \"bb\" {\n  url \"x\"\n}\n";
        let outline = Outline::of(text, FileId::MAIN);
        let top: Vec<&str> = outline.children(None).map(|(_, node)| outline.name(node)).collect();
        assert_eq!(top, ["plan", "server"]);
    }

    #[test]
    fn what_is_commented_out_is_no_child() {
        let outline = Outline::of("/- a { b; }\nc /-\"x\" \"y\" /-p=1 /-{ d; } { e; }", FileId::MAIN);
        let top: Vec<usize> = outline.children(None).map(|(index, _)| index).collect();
        let c = outline.node(top[0]);
        assert_eq!((top.len(), outline.name(c), outline.first(c), c.properties.len()), (1, "c", Some("y"), 0));
        let inside: Vec<&str> = outline.children(Some(top[0])).map(|(_, node)| outline.name(node)).collect();
        assert_eq!(inside, ["e"]);
    }

    #[test]
    fn secrets_are_masked() {
        let outline =
            Outline::of("project \"PAY\" {\n credential account=\"BBDC-x\" { token \"hunter2\" }\n}", FileId::MAIN);
        let said: Vec<&str> = outline
            .nodes()
            .iter()
            .flat_map(|node| node.arguments.iter().chain(node.properties.iter().map(|(_, value)| value)))
            .map(|word| outline.say(*word))
            .collect();
        assert!(said.iter().all(|word| !word.contains("hunter2") && !word.contains("BBDC-x")), "{said:?}");
    }

    proptest! {
        #[test]
        fn every_text_has_an_outline(text in r##"([a-c"#={}();/*\\ \-\n]|""")*"##, offset in 0..80usize) {
            let outline = Outline::of(&text, FileId::MAIN);
            for node in outline.nodes() {
                prop_assert!(node.span.start <= node.span.end && node.span.end <= text.len());
                outline.say(node.name);
            }
            let _any = outline.at(offset);
            outline.children(None).count();
        }
    }
}
