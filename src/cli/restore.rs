//! `xopero restore`.

use std::path::PathBuf;

use clap::Args;

use super::interrupt::Interrupt;
use super::locate::{SnapshotArgs, locate};
use super::{CliError, Context, env, exit_code};
use crate::archive::sweep_scratch;
use crate::restore::restore;
use crate::ui::{count, shown};

/// Restore a snapshot to a bare git repository
#[derive(Debug, Args)]
pub struct RestoreArgs {
    #[command(flatten)]
    snapshot: SnapshotArgs,
    /// The directory to make; it must not exist or be empty
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
}

/// Runs the command.
pub async fn run(context: &Context, arguments: &RestoreArgs) -> Result<u8, CliError> {
    let located = locate(context, &arguments.snapshot).await?;
    let interrupt = Interrupt::listen(context.confirm_stop());
    let manifest = &located.manifest;
    sweep_scratch(&env::temporary());
    let restored = restore(&located.store, manifest, &located.identities, &arguments.to, interrupt.flag).await?;
    let proof = restored.verification;
    if context.output.is_json() {
        context.output.json(&serde_json::json!({
            "type": "restored", "snapshot": manifest.snapshot, "to": arguments.to, "references": proof.references,
            "objects": proof.reached, "notes": restored.notes,
        }));
    } else {
        let name = format!("{}/{}", manifest.project.key, manifest.repository.slug);
        context.output.data(&format!(
            "Restored {name} as of {} to {}\n  {}, {}, every one verified",
            manifest.created.strftime("%Y-%m-%d %H:%M:%S UTC"),
            shown(&arguments.to.display().to_string()),
            count(proof.references, "reference"),
            count(proof.reached, "object"),
        ));
        for note in restored.notes {
            context.output.warn(&note);
        }
    }
    Ok(exit_code::DONE)
}
