//! `xopero next`.

use clap::Args;

use super::{CliError, Context, exit_code};
use crate::clock::Clock;
use crate::daemon::next_runs;
use crate::model::PlanName;
use crate::ui::next;

/// Show what runs next, as it is applied
#[derive(Debug, Args)]
pub struct NextArgs {
    /// Only this plan
    pub plan: Option<PlanName>,
    /// Number of runs of each plan
    #[arg(short, long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub count: u16,
}

/// Runs the command.
pub async fn run(context: &Context, arguments: &NextArgs) -> Result<u8, CliError> {
    context.output.begin_json();
    let state = context.existing_state().await?;
    let applied = state.applied().await?.ok_or_else(|| state.location().nothing_applied())?;
    let now = context.clock.now();
    let mut runs = next_runs(&applied, &state.agenda().await?, usize::from(arguments.count), now);
    if let Some(plan) = &arguments.plan {
        runs.retain(|next| next.plan == *plan);
        if runs.is_empty() {
            let known: Vec<&str> = applied.declaration.plans.keys().map(PlanName::as_str).collect();
            return Err(CliError::new(exit_code::FAILED, format!("no plan {plan} is in force"))
                .with_hint(format!("in force: {}", known.join(", "))));
        }
    }
    if context.output.is_json() {
        for line in next::to_json_lines(&runs) {
            context.output.json(&line);
        }
    } else {
        let width = if context.output.is_terminal() { context.output.width() } else { usize::MAX };
        context.output.data(&next::render(&runs, now, &context.place_words(), context.output.style(), width));
    }
    Ok(exit_code::DONE)
}
