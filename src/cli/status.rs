//! `xopero status`.

use std::time::Duration;

use clap::Args;

use super::interrupt::Interrupt;
use super::{CliError, Context, exit_code};
use crate::clock::Clock;
use crate::config::first_error;
use crate::reconcile;
use crate::reconcile::status::{File, Known, Status, gather, status};
use crate::source::Provenance;
use crate::state::StateStore;
use crate::ui;

/// Show whether the file is in force and whether the backups come
///
/// Asks no server: what is shown is what runs and plans have learnt.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// Look again every few seconds, until Ctrl-C
    #[arg(long)]
    pub watch: bool,
}

/// Between two looks.
const EVERY: Duration = Duration::from_secs(5);

/// Runs the command.
pub async fn run(context: &Context, arguments: &StatusArgs) -> Result<u8, CliError> {
    context.output.begin_json();
    if !arguments.watch {
        let current = look(context).await?;
        if context.output.is_json() {
            lines(context, &current);
        } else {
            let width = if context.output.is_terminal() { context.output.width() } else { usize::MAX };
            context.output.data(&ui::status::render(&current, context.output.style(), width));
        }
        return Ok(exit_code::DONE);
    }
    let interrupt = Interrupt::listen(|| {});
    let draws = context.output.is_terminal() && !context.output.is_json();
    if !draws && !context.output.is_json() {
        context.output.json(&ui::version_line());
    }
    let mut last = None;
    while !interrupt.is_set() {
        let current = look(context).await?;
        // That time has passed is no news.
        let news = Status { at: jiff::Timestamp::UNIX_EPOCH, ..current.clone() };
        if draws {
            let text = ui::status::render(&current, context.output.style(), context.output.width());
            context.output.redraw(&format!("{text}\nLooked at {:.0}. Ctrl-C ends this.", current.at));
        } else if last.as_ref() != Some(&news) {
            lines(context, &current);
        }
        last = Some(news);
        tokio::select! {
            () = interrupt.token.cancelled() => {}
            () = tokio::time::sleep(EVERY) => {}
        }
    }
    Ok(exit_code::DONE)
}

fn lines(context: &Context, current: &Status) {
    for line in ui::status::to_json_lines(current) {
        context.output.json(&line);
    }
}

/// Reads the file and the state, each time anew.
async fn look(context: &Context) -> Result<Status, CliError> {
    let state = context.state().await?;
    let applied = match &state {
        Some(state) => state.applied().await?,
        None => None,
    };
    let file = match context.proposed().await {
        Err(error) => File::Unreadable(error.text()),
        Ok(tree) => match tree.decode() {
            Ok(decoded) => {
                let (applied, declared) = (applied.as_ref(), &decoded.declaration);
                let known = match &state {
                    Some(state) => {
                        let provenance = Provenance::of(&tree);
                        reconcile::known(state, applied, declared, None, Some(&provenance)).await?
                    }
                    None => crate::change::Known::default(),
                };
                let changes = reconcile::plan(applied, declared, &known, context.clock.now());
                File::Valid(Box::new((decoded.declaration, changes)))
            }
            Err(invalid) => match first_error(tree.sources(), &invalid.diagnostics) {
                Some(first) => File::Invalid(first),
                None => File::Unreadable("it says nothing that can be applied".to_owned()),
            },
        },
    };
    let known = known(context, state.as_ref(), file).await?;
    if let Some(state) = state {
        state.close().await;
    }
    Ok(status(&known, context.clock.now()))
}

async fn known(context: &Context, state: Option<&StateStore>, file: File) -> Result<Known, CliError> {
    let known = match state {
        Some(state) => gather(state, file, &context.base()).await?,
        None => Known::nothing(file),
    };
    Ok(Known { options: context.place_words(), ..known })
}
