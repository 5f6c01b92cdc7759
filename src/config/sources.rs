//! The files of one declaration: the main one and what it names, parsed once.
//!
//! `include` stands at the top level of the main file only, so that one file lists all of them and none can go round
//! in a circle. What an included file declares counts as if it stood in the main one; nothing overrides anything.
//! Paths are relative to the directory of the main file and stay inside it. Reading is left to the caller, who also
//! answers for symbolic links: nothing here touches a disk.

use std::collections::{BTreeMap, BTreeSet};

use super::document::{Node, Value};
use super::error::{Diagnostic, FileId, Report, SourceFile, Span, quoted};
use super::gaps::Gaps;
use super::redact::SECRET_NAMES;
use super::schema::children_of;
use super::syntax;

/// More files than this are not a declaration that a person keeps.
const MOST_FILES: usize = 256;

/// What a named file is read for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// It is a part of the declaration.
    Included,
    /// It holds one sealed value.
    Value,
}

/// Why a named file cannot be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// The reason, as a fragment.
    pub reason: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// Reads a file by its path relative to the directory of the main file. The path has only plain components.
pub type ReadNamed<'a> = dyn FnMut(&str, FileKind) -> Result<SourceFile, Unreadable> + 'a;

/// The files of a declaration.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    files: Vec<SourceFile>,
    nodes: Vec<Node>,
    /// The files with one sealed value, by the path that names them.
    values: BTreeMap<String, SourceFile>,
    found: Vec<Diagnostic>,
    gaps: Gaps,
}

impl Sources {
    /// The main file and everything that it names, as `read` gives it. What goes wrong on the way is reported by
    /// whatever looks at the result.
    pub fn gather(main: SourceFile, read: &mut ReadNamed<'_>) -> Self {
        let mut gathered = Self::default();
        let mut report = Report::default();
        gathered.add(main, &mut report);
        let includes: Vec<(String, Span)> = included(&gathered.nodes);
        let mut seen: BTreeMap<&str, Span> = BTreeMap::new();
        for (path, span) in &includes {
            if let Some(first) = seen.get(path.as_str()) {
                report.add(
                    Diagnostic::error("xopero::duplicate", format!("the file {} is included twice", quoted(path)))
                        .at(*span, "again here")
                        .at(*first, "already here"),
                );
                continue;
            }
            seen.insert(path, *span);
            if gathered.files.len() > MOST_FILES {
                report.add(
                    Diagnostic::error("xopero::too-many-files", format!("more than {MOST_FILES} files are included"))
                        .at(*span, "one too many"),
                );
                break;
            }
            if let Some(file) = named(path, *span, FileKind::Included, read, &mut report) {
                gathered.add(file, &mut report);
            } else {
                gathered.gaps.declarations_unknown();
            }
        }
        for nested in gathered.nodes.iter().filter(|node| node.name == "include" && node.span.file != FileId::MAIN) {
            report.add(
                Diagnostic::error("xopero::nested-include", "an included file cannot include others")
                    .at(nested.name_span, "only the main file can")
                    .help(format!("write it in {}, which then lists all files", gathered.files[0].name)),
            );
        }
        attach(&mut gathered.nodes, &mut gathered.values, read, &mut report);
        gathered.gaps.locate(&gathered.nodes);
        gathered.found = report.into_found();
        gathered
    }

    /// A file that names no others.
    pub fn alone(main: SourceFile) -> Self {
        Self::gather(main, &mut |_, _| Err(Unreadable { reason: "only one file was given".into(), hint: None }))
    }

    /// The file that includes the others.
    pub fn main(&self) -> &SourceFile {
        &self.files[0]
    }

    /// A file.
    pub fn file(&self, id: FileId) -> &SourceFile {
        &self.files[id.0]
    }

    /// All files, the main one first, then the included ones in their order.
    pub fn files(&self) -> impl Iterator<Item = (FileId, &SourceFile)> {
        self.files.iter().enumerate().map(|(index, file)| (FileId(index), file))
    }

    /// The files with one sealed value, by the path that names them.
    pub const fn values(&self) -> &BTreeMap<String, SourceFile> {
        &self.values
    }

    /// The same files with other texts: of the declaration's own by their ids, of those with a sealed value by their
    /// paths. An edit does not change which files there are.
    pub(super) fn replaced(&self, texts: &BTreeMap<FileId, String>, values: &BTreeMap<String, String>) -> Self {
        let file = |id: FileId| {
            let old = self.file(id);
            SourceFile { name: old.name.clone(), text: texts.get(&id).unwrap_or(&old.text).clone() }
        };
        let mut next = 0;
        Self::gather(file(FileId::MAIN), &mut |path, kind| {
            let known = match kind {
                FileKind::Included => {
                    next += 1;
                    (next < self.files.len()).then(|| file(FileId(next)))
                }
                FileKind::Value => self.values.get(path).map(|old| SourceFile {
                    name: old.name.clone(),
                    text: values.get(path).unwrap_or(&old.text).clone(),
                }),
            };
            known.ok_or_else(|| Unreadable { reason: "the edit would need another file".into(), hint: None })
        })
    }

    /// Whether every text can be parsed and every file that is named could be had. What the texts mean is not looked at.
    pub fn is_well_formed(&self) -> bool {
        !self.report().has_errors()
    }

    /// What of the language is named at the top level, as kind and name. Where some of it is gone, the rest of a file may
    /// not be written yet: a file that ends between two nodes can be parsed as well.
    pub fn named(&self) -> BTreeSet<(String, String)> {
        let is_known = |node: &&Node| children_of("").any(|known| known.name == node.name);
        let name = |node: &Node| node.text().map(|(text, _)| (node.name.clone(), text.to_owned()));
        self.nodes.iter().filter(is_known).filter_map(name).collect()
    }

    /// The nodes of all files, in their order.
    pub(super) fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// What the nodes do not tell.
    pub(super) const fn gaps(&self) -> &Gaps {
        &self.gaps
    }

    /// A report that begins with what is wrong with the texts and with the files they name.
    pub(super) fn report(&self) -> Report {
        let mut report = Report::default();
        report.extend(self.found.iter().cloned());
        report
    }

    fn add(&mut self, file: SourceFile, report: &mut Report) {
        let id = FileId(self.files.len());
        let nodes = syntax::read(&file.text, id, report, &mut self.gaps);
        self.nodes.extend(nodes);
        self.files.push(file);
    }
}

fn included(nodes: &[Node]) -> Vec<(String, Span)> {
    let includes = nodes.iter().filter(|node| node.name == "include");
    includes.filter_map(Node::text).map(|(path, span)| (path.to_owned(), span)).collect()
}

/// Gives every node that takes its value from a file what that file says.
fn attach(
    nodes: &mut [Node],
    values: &mut BTreeMap<String, SourceFile>,
    read: &mut ReadNamed<'_>,
    report: &mut Report,
) {
    for node in nodes {
        if SECRET_NAMES.contains(&node.name.as_str())
            && let Some((path, span)) = node.prop("file").and_then(Value::text)
        {
            let path = path.to_owned();
            let file = named(&path, span, FileKind::Value, read, report);
            node.attached = file.as_ref().map(|file| file.text.clone());
            values.extend(file.map(|file| (path, file)));
        }
        attach(node.children.as_deref_mut().unwrap_or_default(), values, read, report);
    }
}

fn named(path: &str, span: Span, kind: FileKind, read: &mut ReadNamed<'_>, report: &mut Report) -> Option<SourceFile> {
    if let Err(reason) = inside(path) {
        report.add(
            Diagnostic::error("xopero::path-outside", format!("{} is not a path inside this directory", quoted(path)))
                .at(span, reason)
                .help("write it relative to the directory of the main file, such as \"teams/web.kdl\""),
        );
        return None;
    }
    match read(path, kind) {
        Ok(file) => Some(file),
        Err(Unreadable { reason, hint }) => {
            report.add(
                Diagnostic::error("xopero::unreadable-file", format!("{} cannot be read", quoted(path)))
                    .at(span, reason)
                    .maybe_help(hint),
            );
            None
        }
    }
}

/// Whether a path stays inside, read as it is written.
fn inside(path: &str) -> Result<(), &'static str> {
    if path.is_empty() {
        return Err("it is empty");
    }
    if path.len() > 1024 || path.chars().any(char::is_control) {
        return Err("no file is called that");
    }
    if path.starts_with('/') || path.contains('\\') || path.contains(':') {
        return Err("it must be relative, with `/` between its parts");
    }
    if path.split('/').any(|part| part == "..") {
        return Err("`..` leads out of the directory");
    }
    if path.split('/').any(|part| part.is_empty() || part == ".") {
        return Err("write it without empty parts and without `.`");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str, text: &str) -> SourceFile {
        SourceFile { name: name.into(), text: text.into() }
    }

    /// The main file, with `a.kdl` and `b.kdl` beside it and nothing else.
    fn gathered(main: &str, a: &str) -> Sources {
        Sources::gather(file("xopero.kdl", main), &mut |path, kind| match (path, kind) {
            ("a.kdl", FileKind::Included) => Ok(file("a.kdl", a)),
            ("t/b.kdl", FileKind::Included) => Ok(file("t/b.kdl", "y")),
            ("c.age", FileKind::Value) => Ok(file("c.age", "sealed")),
            _ => Err(Unreadable { reason: "there is none".into(), hint: None }),
        })
    }

    fn codes(sources: &Sources) -> Vec<&'static str> {
        sources.report().into_invalid().diagnostics.iter().map(|found| found.code).collect()
    }

    #[test]
    fn nodes_know_their_file() {
        let sources = gathered("x\ninclude \"a.kdl\"\ninclude \"t/b.kdl\"\n", "// first\nz");
        assert!(codes(&sources).is_empty() && sources.gaps().is_empty());
        let written = |node: &Node| {
            let file = sources.file(node.span.file);
            (file.name.clone(), file.text[node.span.start..node.span.end].to_owned())
        };
        let nodes: Vec<_> = sources.nodes().iter().map(written).collect();
        assert_eq!(nodes[0], ("xopero.kdl".into(), "x".into()));
        assert_eq!(nodes[3..], [("a.kdl".into(), "z".into()), ("t/b.kdl".into(), "y".into())]);
    }

    #[test]
    fn what_is_named_is_known_by_kind_and_name() {
        let sources = gathered("x \"y\"\ninclude \"a.kdl\"\nplan \"a\" { project \"P\"; }", "plan \"b\"\nserver \"a\"");
        let named = sources.named();
        let named: Vec<_> = named.iter().map(|(kind, name)| format!("{kind} {name}")).collect();
        assert_eq!(named, ["include a.kdl", "plan a", "plan b", "server a"]);
    }

    #[test]
    fn values_come_from_files_in_every_depth() {
        let sources = gathered("include \"a.kdl\"", "p { c { token file=\"c.age\"; token file=\"d.age\"; }; }");
        let credential = &sources.nodes()[1].children()[0];
        assert_eq!(credential.children()[0].attached.as_deref(), Some("sealed"));
        assert_eq!(credential.children()[1].attached, None);
        assert_eq!(codes(&sources), ["xopero::unreadable-file"]);
    }

    #[test]
    fn what_cannot_be_included_is_told_at_its_place() {
        for path in ["", "/etc/passwd", "../a.kdl", "t/../a.kdl", "./a.kdl", "t//b.kdl", "C:a.kdl", "t\\\\b.kdl"] {
            let sources = gathered(&format!("include \"{path}\""), "");
            assert_eq!(codes(&sources), ["xopero::path-outside"], "{path}");
            assert!(!sources.gaps().is_empty());
        }
        assert_eq!(codes(&gathered("include \"no.kdl\"", "")), ["xopero::unreadable-file"]);
        assert_eq!(codes(&gathered("include \"a.kdl\"\ninclude \"a.kdl\"", "")), ["xopero::duplicate"]);
        let nested = gathered("include \"a.kdl\"", "include \"t/b.kdl\"");
        assert_eq!(codes(&nested), ["xopero::nested-include"]);
        assert_eq!(nested.files().count(), 2);
        assert_eq!(codes(&gathered("include \"a.kdl\"", "z {")), ["xopero::syntax"]);
    }

    #[test]
    fn the_number_of_files_is_bounded() {
        let main: Vec<String> = (0..300).map(|number| format!("include \"{number}.kdl\"")).collect();
        let mut reads = 0;
        let sources = Sources::gather(file("xopero.kdl", &main.join("\n")), &mut |path, _| {
            reads += 1;
            Ok(file(path, "x"))
        });
        assert_eq!((reads, codes(&sources)), (MOST_FILES, vec!["xopero::too-many-files"]));
    }
}
