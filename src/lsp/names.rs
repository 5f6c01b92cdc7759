//! Who is declared where, over all files of a declaration.

use std::collections::BTreeMap;

use super::target::{self, Target, of_argument, project_around};
use crate::config::{FileId, Outline, Sources, Span};

/// Something that is declared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Declared {
    pub(super) target: Target,
    pub(super) file: FileId,
    /// The node that declares it.
    pub(super) node: usize,
    /// Its name, or the node's if it has no name of its own.
    pub(super) span: Span,
}

/// A project in a plan.
#[derive(Debug, Clone, Copy)]
pub(super) struct Planned<'a> {
    pub(super) plan: &'a str,
    pub(super) project: &'a str,
    pub(super) outline: &'a Outline,
    /// The node of the project.
    pub(super) node: usize,
}

/// The files of a declaration as an editor knows them.
#[derive(Debug, Clone)]
pub(super) struct Names {
    outlines: BTreeMap<FileId, Outline>,
    declared: Vec<Declared>,
}

impl Names {
    /// Reads the files.
    pub(super) fn of(sources: &Sources) -> Self {
        let outlines: BTreeMap<FileId, Outline> =
            sources.files().map(|(id, file)| (id, Outline::of(&file.text, id))).collect();
        let declared = outlines.iter().flat_map(|(id, outline)| declared(*id, outline)).collect();
        Self { outlines, declared }
    }

    /// A file.
    pub(super) fn outline(&self, file: FileId) -> &Outline {
        &self.outlines[&file]
    }

    /// What the word at a place stands for, and where the word is.
    pub(super) fn target_at(&self, file: FileId, offset: usize) -> Option<(Target, Span)> {
        let outline = self.outline(file);
        target::at(outline, &outline.at(offset))
    }

    /// Everything that is declared, in the order of the files.
    pub(super) fn declared(&self) -> &[Declared] {
        &self.declared
    }

    /// Where something is declared: usually once.
    pub(super) fn find<'a>(&'a self, target: &'a Target) -> impl Iterator<Item = &'a Declared> {
        self.declared.iter().filter(move |declared| declared.target == *target)
    }

    /// The projects of all plans.
    pub(super) fn planned(&self) -> impl Iterator<Item = Planned<'_>> {
        self.outlines.values().flat_map(|outline| {
            let plans = outline.children(None).filter(|(_, node)| outline.name(node) == "plan");
            plans.flat_map(move |(index, plan)| {
                let children = outline.children(Some(index)).filter(|(_, node)| outline.name(node) == "project");
                children.filter_map(move |(node, project)| {
                    let (plan, project) = (outline.first(plan)?, outline.first(project)?);
                    Some(Planned { plan, project, outline, node })
                })
            })
        })
    }

    /// The plans that name a destination, a retention or whatever else stands in a node `kind` of theirs.
    pub(super) fn plans_with<'a>(&'a self, kind: &'a str, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.outlines.values().flat_map(move |outline| {
            let plans = outline.children(None).filter(|(_, node)| outline.name(node) == "plan");
            let with = plans.filter(move |(index, _)| {
                let mut children = outline.children(Some(*index));
                children.any(|(_, node)| outline.name(node) == kind && outline.first(node) == Some(name))
            });
            with.filter_map(|(_, plan)| outline.first(plan))
        })
    }
}

impl Planned<'_> {
    /// Whether it enables an additional credential.
    pub(super) fn enables(&self, credential: &str) -> bool {
        let (outline, mut children) = (self.outline, self.outline.children(Some(self.node)));
        children.any(|(_, node)| {
            let named = || node.arguments.iter().any(|word| outline.say(*word) == credential);
            outline.name(node) == "enable-credentials" && named()
        })
    }
}

fn declared(file: FileId, outline: &Outline) -> Vec<Declared> {
    let mut found = Vec::new();
    for (index, node) in outline.children(None) {
        let path = outline.path(Some(index));
        if !matches!(path.as_str(), "server" | "destination" | "retention" | "project" | "plan" | "alerts") {
            continue;
        }
        let Some(name) = node.arguments.first() else { continue };
        let target = of_argument(&path, 0).and_then(|meaning| Target::of(meaning, outline.say(*name), None));
        found.extend(target.map(|target| Declared { target, file, node: index, span: name.span }));
        if path != "project" {
            continue;
        }
        for (index, child) in outline.children(Some(index)) {
            let Some(project) = project_around(outline, index) else { continue };
            let (role, span) = match (outline.name(child), child.arguments.first()) {
                ("credential", _) => (None, child.name.span),
                ("additional-credential", Some(name)) => (Some(outline.say(*name).to_owned()), name.span),
                _ => continue,
            };
            let target = Target::Credential(project.to_owned(), role);
            found.push(Declared { target, file, node: index, span });
        }
    }
    found
}
