//! `xopero plan`.

use clap::Args;

use super::{CliError, Context, exit_code};
use crate::change::ChangeSet;
use crate::clock::Clock;
use crate::config::{Decoded, FileId, Sources};
use crate::reconcile;
use crate::ui::change_set;

/// Show what applying the file would change
#[derive(Debug, Args)]
pub struct PlanArgs {
    /// Exit with 2 if there is a change
    #[arg(long)]
    pub detailed_exitcode: bool,
}

/// Runs the command.
pub async fn run(context: &Context, arguments: &PlanArgs) -> Result<u8, CliError> {
    let (tree, decoded) = context.declaration()?;
    let applied = match context.state().await? {
        Some(state) => state.applied().await?,
        None => None,
    };
    let changes = reconcile::plan(applied.as_ref(), &decoded.declaration, context.clock.now());
    show(context, &changes, tree.sources(), &decoded);
    if !context.output.is_json() {
        context.output.data(&change_set::next_command(&changes, &context.output.style()));
    }
    Ok(if arguments.detailed_exitcode && !changes.is_empty() { exit_code::DIFFERENCE } else { exit_code::DONE })
}

/// Prints a change set as data.
pub(super) fn show(context: &Context, changes: &ChangeSet, sources: &Sources, decoded: &Decoded) {
    if context.output.is_json() {
        for line in change_set::to_json_lines(changes) {
            context.output.json(&line);
        }
    } else {
        let place = |address: &_| {
            let place = decoded.places.get(address)?;
            // Most files include no others: their name says nothing.
            Some(match place.span.file {
                FileId::MAIN => format!("line {}", place.line),
                included => format!("{}:{}", sources.file(included).name, place.line),
            })
        };
        context.output.data(&change_set::render(changes, &place, &context.output.style()));
    }
}
