//! What all commands share that edit the files: they show what changes, and write it or not.

use std::fmt::Write as _;

use clap::Args;
use serde_json::Value;

use super::{CliError, Context, exit_code};
use crate::config::{EditError, Sources};
use crate::source::{SourceText, SourceTree, replace_all};
use crate::ui::{Style, diff};

/// Options of every command that edits the file.
#[derive(Debug, Args)]
pub struct EditArgs {
    /// Show what would change, and change nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// An edit that is ready to be written.
#[derive(Debug)]
pub struct Change<'a> {
    files: Vec<(&'a SourceText, String)>,
    dry_run: bool,
}

impl<'a> Change<'a> {
    /// What `after` makes of the files of `tree`.
    pub fn new(tree: &'a SourceTree, after: &Sources, arguments: &EditArgs) -> Self {
        let changed = tree.changes(after).into_iter();
        Self { files: changed.map(|(old, new)| (old, new.to_owned())).collect(), dry_run: arguments.dry_run }
    }

    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Whether it is only shown.
    pub const fn is_dry_run(&self) -> bool {
        self.dry_run
    }

    /// The names of the files that change.
    pub fn names(&self) -> String {
        self.files.iter().map(|(file, _)| file.name.as_str()).collect::<Vec<_>>().join(", ")
    }

    /// Shows what changes, writes it unless it is only to be shown, and tells `done`: for programs `fields` with the
    /// files, for people `text`. What is shown is data if nothing else happens.
    pub fn finish(&self, context: &Context, mut fields: Value, text: &str) -> Result<u8, CliError> {
        let output = context.output;
        if !self.dry_run {
            let changes: Vec<(&SourceText, &str)> =
                self.files.iter().map(|(file, new)| (*file, new.as_str())).collect();
            replace_all(&changes)?;
        }
        if output.is_json() {
            fields["dry_run"] = self.dry_run.into();
            fields["files"] = self.files.iter().map(|(file, _)| file.name.as_str()).collect();
            fields["diff"] = self.shown(Style::default()).into();
            output.json(&fields);
        } else if self.dry_run {
            output.data(&self.shown(output.style()));
            output.say("Nothing was written: this was a dry run.");
        } else {
            let shown = self.shown(output.talk_style());
            if !shown.is_empty() {
                output.talk(&shown);
            }
            output.sentence(text);
        }
        Ok(exit_code::DONE)
    }

    fn shown(&self, style: Style) -> String {
        let files = self.files.iter().map(|(file, new)| (file.name.as_str(), file.text.as_str(), new.as_str()));
        differences(files, style)
    }
}

/// What changes in files: their names, the texts before and after.
pub fn differences<'a>(files: impl IntoIterator<Item = (&'a str, &'a str, &'a str)>, style: Style) -> String {
    let mut shown = String::new();
    for (name, before, after) in files {
        write!(shown, "{}", diff(name, before, after, style)).expect("strings take everything");
    }
    shown
}

/// Tells why an edit was not made.
pub fn refused(context: &Context, before: &Sources, error: EditError) -> CliError {
    match error {
        EditError::Invalid { source } => context.invalid(before, &source.diagnostics),
        EditError::WouldNotValidate { ref sources, ref diagnostics } => {
            context.tell_diagnostics(sources, diagnostics);
            error.into()
        }
        EditError::NotDeclared { .. }
        | EditError::NotPlanned { .. }
        | EditError::Ambiguous { .. }
        | EditError::Enabled { .. }
        | EditError::NoSecret { .. }
        | EditError::NoBucket { .. }
        | EditError::NoChannel { .. }
        | EditError::NoAlertAddress { .. }
        | EditError::NoRecipient { .. }
        | EditError::SeveralRecipients { .. }
        | EditError::LastRecipient { .. }
        | EditError::NotAKey { .. }
        | EditError::DoesNotFit { .. } => error.into(),
    }
}
