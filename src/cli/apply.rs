//! `xopero apply`.

use std::io::{self, BufRead, IsTerminal};

use clap::Args;

use super::{CliError, Context, env, exit_code, plan};
use crate::change::PlanId;
use crate::clock::Clock;
use crate::reconcile::{self, Approval, Outcome};
use crate::ui::count;

/// Put the file in force
///
/// Applying changes the state beside the file and creates destinations. It never writes to a Bitbucket server and
/// never touches a backup.
#[derive(Debug, Args)]
pub struct ApplyArgs {
    /// Apply exactly the plan with this id, with everything guarded that is in it
    #[arg(long, value_name = "PLAN-ID", conflicts_with = "auto_approve")]
    pub approve: Option<PlanId>,
    /// Apply without asking; guarded changes still need --approve
    #[arg(long)]
    pub auto_approve: bool,
}

/// Runs the command.
pub async fn run(context: &Context, arguments: &ApplyArgs) -> Result<u8, CliError> {
    let (tree, decoded) = context.declaration()?;
    let state = context.create_state().await?;
    let approval = match &arguments.approve {
        Some(id) => Approval::Approved(id.clone()),
        None if arguments.auto_approve => Approval::Auto,
        None => {
            let applied = state.applied().await?;
            let changes = reconcile::plan(applied.as_ref(), &decoded.declaration, context.clock.now());
            if changes.is_empty() {
                Approval::Auto
            } else {
                plan::show(context, &changes, tree.sources(), &decoded);
                let refused = if changes.needs_approval() {
                    Some("nothing was applied: guarded changes need an approval of their own")
                } else if ask(context)? {
                    None
                } else {
                    Some("nothing was applied: the plan was not agreed to")
                };
                if let Some(refused) = refused {
                    let hint = format!("xopero apply --approve {}", changes.plan_id);
                    return Err(CliError::new(exit_code::REFUSED, refused).with_hint(hint));
                }
                Approval::Confirmed(changes.plan_id)
            }
        }
    };
    let (base, who) = (context.base(), env::who());
    let destinations = decoded.declaration.destinations.len() as u64;
    let applied =
        reconcile::apply(&state, decoded.declaration.clone(), tree.source(), approval, &who, &base, &context.clock);
    match applied.await? {
        Outcome::Applied { generation, change_set } => {
            if context.output.is_json() {
                context.output.json(&serde_json::json!({
                    "type": "applied", "generation": generation, "plan_id": change_set.plan_id,
                }));
            } else {
                if arguments.auto_approve || arguments.approve.is_some() {
                    plan::show(context, &change_set, tree.sources(), &decoded);
                }
                let ready = count(destinations, "destination");
                context.output.data(&format!("Applied as generation {generation}; {ready} ready."));
                if let Some(plan) = decoded.declaration.plans.keys().next() {
                    context.output.say(&format!("Take the first backup with: xopero run {plan}"));
                }
            }
        }
        Outcome::InSync { generation, .. } => {
            if context.output.is_json() {
                context.output.json(&serde_json::json!({ "type": "in_sync", "generation": generation }));
            } else {
                let number = generation.map_or_else(|| "none".into(), |generation| generation.to_string());
                context.output.data(&format!("Nothing to apply: generation {number} says the same."));
            }
        }
    }
    Ok(exit_code::DONE)
}

/// Asks on the terminal. Without one nobody can answer, which is a mistake in the command line.
fn ask(context: &Context) -> Result<bool, CliError> {
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() || context.output.is_json() {
        return Err(CliError::usage("cannot ask for approval without a terminal")
            .with_hint("use --auto-approve, or --approve PLAN-ID with the id that `xopero plan` prints"));
    }
    context.output.say("Apply this plan? Only `yes` is a yes:");
    let mut answer = String::new();
    let read = io::stdin().lock().read_line(&mut answer);
    Ok(read.is_ok() && answer.trim() == "yes")
}
