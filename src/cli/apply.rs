//! `xopero apply`.

use std::path::PathBuf;

use clap::Args;

use super::agree::{self, AgreeArgs, Request};
use super::git::GitArgs;
use super::{CliError, Context, env, exit_code};
use crate::change::Glimpses;
use crate::model::{Generation, Source, command_with};
use crate::reconcile::{Outcome, Proposal};
use crate::source::{Provenance, short_commit};
use crate::ui::count;

/// Put the file in force
///
/// Applying changes the state beside the file and creates destinations. It never writes to a Bitbucket server and
/// never touches a backup.
#[derive(Debug, Args)]
pub struct ApplyArgs {
    /// A plan that `xopero plan --out` has written: approves exactly that
    #[arg(value_name = "PLAN-FILE", conflicts_with_all = ["approve", "auto_approve"])]
    pub plan: Option<PathBuf>,
    #[command(flatten)]
    pub agree: AgreeArgs,
    #[command(flatten)]
    pub git: GitArgs,
}

/// Runs the command.
pub async fn run(context: &Context, arguments: &ApplyArgs) -> Result<u8, CliError> {
    context.output.begin_json();
    let context = &context.reading(&arguments.git);
    let declared = context.declaration_to_apply().await?;
    let (tree, decoded) = &declared;
    let state = context.create_state().await?;
    let (who, base) = (env::who(), context.base());
    // They only tell what is inside of sealed values that are exchanged: it works without.
    let identities = context.identities().ok();
    let provenance = Provenance::of(tree);
    let proposal = Proposal {
        declaration: decoded.declaration.clone(),
        source: Source { commit: provenance.commit().map(str::to_owned), ..tree.source() },
        rollback_of: None,
        who: &who,
        base: &base,
        provenance: Some(&provenance),
        glimpses: Glimpses::default(),
        identities: identities.as_ref(),
    };
    let request = Request {
        command: ["apply", &context.words()].join(" ").trim_end().to_owned(),
        agree: &arguments.agree,
        saved: arguments.plan.as_ref(),
        declared: Some(&declared),
    };
    let outcome = agree::put_in_force(context, &state, proposal, &request).await?;
    if let (Some(generation), Some(commit)) = (outcome.generation(), tree.commit()) {
        state.says_what_is_in_force(generation, commit.commit()).await?;
    }
    if !context.output.is_json() {
        match outcome {
            Outcome::Applied { generation, .. } => {
                let ready = count(decoded.declaration.destinations.len() as u64, "destination");
                context.output.data(&format!("Applied as generation {generation}; {ready} ready."));
                if let Some(plan) = decoded.declaration.plans.keys().next().filter(|_| generation == Generation(1)) {
                    let run = command_with(&format!("run {plan}"), &context.place_words());
                    context.output.say(&format!("Take the first backup with: {run}"));
                }
            }
            Outcome::InSync { generation, .. } => {
                let number = generation.map_or_else(|| "none".into(), |generation| generation.to_string());
                context.output.data(&format!("Nothing to apply: generation {number} says the same."));
                if let Some(commit) = tree.commit() {
                    let commit = short_commit(commit.commit());
                    context.output.say(&format!("What the branch says next must come from commit {commit}"));
                }
            }
        }
    }
    Ok(exit_code::DONE)
}
