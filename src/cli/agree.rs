//! How people and scripts agree to a plan: shared by the commands that put something in force.

use std::io::{self, BufRead, IsTerminal};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use jiff::SignedDuration;

use super::{CliError, Context, exit_code, look, plan};
use crate::change::{ChangeSet, Known, PlanId};
use crate::clock::Clock;
use crate::config::Decoded;
use crate::reconcile::observe::{self, Looked, Part};
use crate::reconcile::{self, Approval, Outcome, Proposal, ReconcileError, SavedPlan};
use crate::source::SourceTree;
use crate::state::{Exclusive, StateStore};
use crate::ui::change_set;

/// Options of the commands that put something in force.
#[derive(Debug, Args)]
pub struct AgreeArgs {
    /// Apply exactly the plan with this id, with everything guarded that is in it
    #[arg(long, value_name = "PLAN-ID", conflicts_with = "auto_approve")]
    pub approve: Option<PlanId>,
    /// Apply without asking; guarded changes still need --approve
    #[arg(long)]
    pub auto_approve: bool,
    /// Wait this long, such as 30s or 5m, for another xopero that holds the lock
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub wait: Option<Duration>,
    /// Ask no server and no destination
    #[arg(long)]
    pub offline: bool,
}

/// What is asked for, besides the proposal itself.
pub(super) struct Request<'a> {
    /// The command as it is typed again: `apply`, `rollback 3`.
    pub(super) command: String,
    /// Whether it is agreed to.
    pub(super) agree: &'a AgreeArgs,
    /// The saved plan that is applied.
    pub(super) saved: Option<&'a PathBuf>,
    /// Where things are declared, if the proposal is the file.
    pub(super) declared: Option<&'a (SourceTree, Decoded)>,
}

/// Looks, asks if nobody has agreed yet, and puts the proposal in force. The change set is shown in any case, once.
pub(super) async fn put_in_force(
    context: &Context,
    state: &StateStore,
    mut proposal: Proposal<'_>,
    request: &Request<'_>,
) -> Result<Outcome, CliError> {
    let Request { command, agree, saved, declared } = request;
    let applied = state.applied().await?;
    let looked = if agree.offline {
        Looked::default()
    } else {
        look::look(context, &proposal.declaration, Some(state), applied.as_ref(), Part::InUse).await?
    };
    proposal.glimpses = looked.glimpses.clone();
    let (approval, shown) = match (saved, &agree.approve) {
        (Some(file), _) => (Approval::Saved(Box::new(SavedPlan::read(file)?)), false),
        (None, Some(id)) => (Approval::Approved(id.clone()), false),
        (None, None) if agree.auto_approve => (Approval::Auto, false),
        (None, None) => {
            let (applied, declaration) = (applied.as_ref(), &proposal.declaration);
            let known = reconcile::known(state, applied, declaration, proposal.identities, proposal.provenance).await?;
            let known = Known { glimpses: looked.glimpses.clone(), ..known };
            let mut changes = reconcile::plan(applied, declaration, &known, context.clock.now());
            if changes.is_empty() {
                (Approval::Auto, false)
            } else {
                look::annotate(&mut changes, &looked);
                plan::show(context, &changes, *declared);
                ask(context, &changes, &known, command)?;
                (Approval::Confirmed(changes.plan_id), true)
            }
        }
    };
    let lock = context.lock(Exclusive::Applying, command, agree.wait.unwrap_or_default()).await?;
    let outcome = reconcile::apply(state, &lock, proposal, &approval, &context.clock).await;
    let stays = |error: CliError| match &applied {
        Some(applied) => context.stays(error, applied),
        None => error,
    };
    let mut outcome = outcome.map_err(|error| match error {
        ReconcileError::Refused { .. } => stays(refused(error, command)),
        error => refused(error, command),
    })?;
    match &mut outcome {
        Outcome::Applied { generation, change_set } => {
            observe::confirm(&looked, state, *generation, context.clock.now()).await?;
            if !shown {
                look::annotate(change_set, &looked);
                plan::show(context, change_set, *declared);
            }
            if context.output.is_json() {
                context.output.json(&serde_json::json!({
                    "type": "applied", "generation": generation, "plan_id": change_set.plan_id,
                }));
            }
        }
        Outcome::InSync { generation, change_set } => {
            look::annotate(change_set, &looked);
            if context.output.is_json() {
                plan::show(context, change_set, *declared);
                context.output.json(&serde_json::json!({ "type": "in_sync", "generation": generation }));
            } else {
                context.output.data(&change_set::render_notes(change_set, &context.output.style()));
            }
        }
    }
    Ok(outcome)
}

/// Asks on the terminal, with the plan on it. Anything but `yes` ends the command.
fn ask(context: &Context, changes: &ChangeSet, known: &Known, command: &str) -> Result<(), CliError> {
    if changes.needs_approval() {
        return Err(refused(ReconcileError::refused(changes, known), command));
    }
    let on_screen = io::stdin().is_terminal() && io::stderr().is_terminal() && context.output.is_terminal();
    if !on_screen || context.output.is_json() {
        return Err(CliError::usage("cannot ask for approval: that takes a terminal with the plan on it")
            .with_hint(format!("agree with `xopero {command} --approve {}`, or use --auto-approve", changes.plan_id)));
    }
    context.output.say("Apply this plan? Only `yes` is a yes:");
    let mut answer = String::new();
    let read = io::stdin().lock().read_line(&mut answer);
    if read.is_ok() && answer.trim() == "yes" {
        return Ok(());
    }
    Err(CliError::new(exit_code::REFUSED, "nothing was applied: the plan was not agreed to")
        .with_hint(format!("xopero {command} --approve {}", changes.plan_id)))
}

/// A refusal names the command that would have been let through.
fn refused(error: ReconcileError, command: &str) -> CliError {
    let hint = match &error {
        ReconcileError::RefusedByRail { plan_id, .. } => {
            Some(format!("nothing was applied; {}", error.way_through(&format!("{command} --approve {plan_id}"))))
        }
        _ => None,
    };
    let told = CliError::from(error);
    match hint {
        Some(hint) => told.with_hint(hint),
        None => told,
    }
}

/// Reads a duration as the language spells it, such as `30s`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let wrong = "write a number and a unit, such as 30s, 5m or 1h";
    let read = text.parse::<SignedDuration>().ok().and_then(|read| Duration::try_from(read).ok());
    read.ok_or_else(|| wrong.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_never_negative() {
        assert_eq!(duration("30s"), Ok(Duration::from_secs(30)));
        assert_eq!(duration("5m"), Ok(Duration::from_mins(5)));
        for wrong in ["", "5", "-5s", "soon", "99999999999999999999h"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }
}
