//! `xopero rollback`.

use clap::Args;

use super::agree::{self, AgreeArgs, Request};
use super::{CliError, Context, env, exit_code};
use crate::change::{ChangeSet, Glimpses, Known, Value};
use crate::clock::Clock;
use crate::config;
use crate::model::{Declaration, Generation};
use crate::reconcile::{self, Outcome, Proposal};

/// Put an earlier generation in force again, as a new one
///
/// The file stays as it is, and so do the backups. What `xopero plan` shows afterwards is what the file says else.
#[derive(Debug, Args)]
pub struct RollbackArgs {
    /// The generation, by its number in `xopero history`
    #[arg(value_name = "GENERATION")]
    pub generation: Generation,
    #[command(flatten)]
    pub agree: AgreeArgs,
}

/// Runs the command.
pub async fn run(context: &Context, arguments: &RollbackArgs) -> Result<u8, CliError> {
    context.output.begin_json();
    let state = context.existing_state().await?;
    let earlier = super::history::remembered(&state, arguments.generation).await?;
    let (who, base) = (env::who(), context.base());
    // They only tell what is inside of sealed values that are exchanged: it works without.
    let identities = context.identities().ok();
    let proposal = Proposal {
        declaration: reconcile::taken_back(&earlier, state.applied().await?.as_ref()),
        source: earlier.source.clone(),
        rollback_of: Some(&earlier),
        who: &who,
        base: &base,
        provenance: None,
        glimpses: Glimpses::default(),
        identities: identities.as_ref(),
    };
    let number = arguments.generation;
    let command = format!("rollback {number} {}", context.words()).trim_end().to_owned();
    let request = Request { command, agree: &arguments.agree, saved: None, declared: None };
    let outcome = agree::put_in_force(context, &state, proposal, &request).await?;
    match outcome {
        Outcome::Applied { generation, change_set } => {
            if !context.output.is_json() {
                let text = format!("Applied as generation {generation}: what generation {number} declares.");
                context.output.data(&text);
            }
            if replaces_secrets(&change_set) {
                context.output.warn(&format!(
                    "sealed values of generation {number} are in force again: tokens that were replaced since may no \
                     longer work"
                ));
            }
        }
        Outcome::InSync { generation: Some(generation), .. } if !context.output.is_json() => {
            context.output.data(&format!("Nothing to apply: generation {generation} says the same."));
        }
        Outcome::InSync { .. } => {}
    }
    if differs(context, &earlier.declaration) {
        context.output.warn(&format!(
            "{} says something else: `xopero plan` shows it, and the next `xopero apply` brings it back; change the \
             file too",
            context.file().display()
        ));
    }
    Ok(exit_code::DONE)
}

/// Whether a sealed value changes.
fn replaces_secrets(changes: &ChangeSet) -> bool {
    let sealed = |value: &Option<Value>| matches!(value, Some(Value::Sealed { .. }));
    let mut attributes = changes.changes.iter().flat_map(|change| &change.attributes);
    attributes.any(|attribute| sealed(&attribute.before) && sealed(&attribute.after))
}

/// Whether the file is known to say something else. One that cannot be read says nothing.
fn differs(context: &Context, declared: &Declaration) -> bool {
    let Ok(tree) = context.source() else { return false };
    let Ok(decoded) = config::decode(tree.sources()) else { return true };
    // Only the difference matters: what it is compared with needs no generation of its own.
    let to =
        |declaration: &Declaration| reconcile::plan(None, declaration, &Known::default(), context.clock.now()).plan_id;
    to(&decoded.declaration) != to(declared)
}
