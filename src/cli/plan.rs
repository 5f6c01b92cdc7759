//! `xopero plan`.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use super::git::GitArgs;
use super::{CliError, Context, exit_code, look};
use crate::change::{ChangeSet, Known};
use crate::clock::Clock;
use crate::config::{Decoded, FileId};
use crate::model::{Address, Source};
use crate::reconcile::observe::{Looked, Part};
use crate::reconcile::{self, SavedPlan};
use crate::source::{Provenance, SourceTree};
use crate::ui::change_set;

/// Show what applying the file would change
#[derive(Debug, Args)]
pub struct PlanArgs {
    /// Exit with 2 if there is a change
    #[arg(long)]
    pub detailed_exitcode: bool,
    /// Write the plan to FILE, for `xopero apply FILE`
    #[arg(short, long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Print Markdown, for a comment on a pull request
    #[arg(long, conflicts_with = "json")]
    pub markdown: bool,
    /// Ask no server and no destination
    #[arg(long)]
    pub offline: bool,
    #[command(flatten)]
    pub git: GitArgs,
}

/// Runs the command.
pub async fn run(context: &Context, arguments: &PlanArgs) -> Result<u8, CliError> {
    context.output.begin_json();
    let context = &context.reading(&arguments.git);
    let declared = context.declaration_to_apply().await?;
    let (tree, decoded) = &declared;
    if let Some(file) = &arguments.out {
        spare_declaration(context, file)?;
    }
    let state = context.state().await?;
    let applied = match &state {
        Some(state) => state.applied().await?,
        None => None,
    };
    let looked = if arguments.offline {
        Looked::default()
    } else {
        let (declaration, state) = (&decoded.declaration, state.as_ref());
        look::look(context, declaration, state, applied.as_ref(), Part::InUse).await?
    };
    let provenance = Provenance::of(tree);
    let known = match &state {
        Some(state) => {
            let identities = context.identities().ok();
            let declared = &decoded.declaration;
            reconcile::known(state, applied.as_ref(), declared, identities.as_ref(), Some(&provenance)).await?
        }
        None => Known { observations: looked.known.clone(), ..Known::default() },
    };
    let known = Known { glimpses: looked.glimpses.clone(), ..known };
    let mut changes = reconcile::plan(applied.as_ref(), &decoded.declaration, &known, context.clock.now());
    look::annotate(&mut changes, &looked);
    if arguments.markdown {
        context.output.data(&change_set::render_markdown(&changes, &place_of(&declared)));
    } else {
        show(context, &changes, Some(&declared));
    }
    let options = context.words();
    let mut next = change_set::next_command(&changes, &options, &context.output.style());
    if let Some(file) = &arguments.out {
        let source = Source { commit: provenance.commit().map(str::to_owned), ..tree.source() };
        SavedPlan::new(&changes, applied.as_ref(), source).write(file)?;
        let name = file.display().to_string();
        next = change_set::next_command_with_file(&changes, &name, &options, &context.output.style());
        if context.output.is_json() {
            context.output.json(&json!({ "type": "saved", "plan_id": changes.plan_id, "file": name }));
        } else {
            context.output.say(&format!("Saved as {name}"));
        }
    }
    if !context.output.is_json() && !arguments.markdown {
        context.output.data(&next);
    }
    Ok(if arguments.detailed_exitcode && !changes.is_empty() { exit_code::DIFFERENCE } else { exit_code::DONE })
}

/// Refuses to write a plan over the file that it is about.
fn spare_declaration(context: &Context, out: &Path) -> Result<(), CliError> {
    if out.canonicalize().is_ok_and(|out| context.file().canonicalize().is_ok_and(|file| file == out)) {
        let message = format!("{} is the file that declares the backups", out.display());
        return Err(CliError::usage(message).with_hint("write the plan to another one, such as nightly.xplan"));
    }
    Ok(())
}

/// Prints a change set as data. `declared` is the file that it leads to, if it leads to a file.
pub(super) fn show(context: &Context, changes: &ChangeSet, declared: Option<&(SourceTree, Decoded)>) {
    if context.output.is_json() {
        let place = |address: &_| {
            let (tree, decoded) = declared?;
            let place = decoded.places.get(address)?;
            let file = &tree.sources().file(place.span.file).name;
            Some(json!({ "file": file, "line": place.line, "col": place.column }))
        };
        for line in change_set::to_json_lines(changes, &place) {
            context.output.json(&line);
        }
    } else {
        let place = |address: &_| declared.and_then(|declared| place_of(declared)(address));
        context.output.data(&change_set::render(changes, &place, &context.output.style()));
    }
}

/// Where an address is declared, for people.
fn place_of((tree, decoded): &(SourceTree, Decoded)) -> impl Fn(&Address) -> Option<String> {
    |address| {
        let place = decoded.places.get(address)?;
        let name = &tree.sources().file(place.span.file).name;
        // Of the file itself its own name is enough: the way to it was given on the command line.
        let name = match place.span.file {
            FileId::MAIN => name.rsplit('/').next().unwrap_or(name),
            _ => name,
        };
        Some(format!("{name}:{}", place.line))
    }
}
