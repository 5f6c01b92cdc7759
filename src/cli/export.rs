//! `xopero export`.

use std::path::PathBuf;

use clap::Args;

use super::interrupt::Interrupt;
use super::locate::{SnapshotArgs, locate};
use super::{CliError, Context, env, exit_code};
use crate::archive::sweep_scratch;
use crate::restore::export;
use crate::ui::{bytes, count, shown};

/// Write a snapshot as one file that `git clone` accepts
#[derive(Debug, Args)]
pub struct ExportArgs {
    #[command(flatten)]
    snapshot: SnapshotArgs,
    /// The bundle file to make; it must not exist
    #[arg(long, value_name = "FILE")]
    bundle: PathBuf,
}

/// Runs the command.
pub async fn run(context: &Context, arguments: &ExportArgs) -> Result<u8, CliError> {
    let located = locate(context, &arguments.snapshot).await?;
    let interrupt = Interrupt::listen(context.confirm_stop());
    let manifest = &located.manifest;
    sweep_scratch(&env::temporary());
    let exported = export(&located.store, manifest, &located.identities, &arguments.bundle, interrupt.flag).await?;
    if context.output.is_json() {
        context.output.json(&serde_json::json!({
            "type": "exported", "snapshot": manifest.snapshot, "bundle": arguments.bundle, "bytes": exported.bytes,
            "references": exported.references,
        }));
    } else {
        let name = format!("{}/{}", manifest.project.key, manifest.repository.slug);
        context.output.data(&format!(
            "Exported {name} to {} ({}, {})\n  try: git clone --mirror {0}",
            shown(&arguments.bundle.display().to_string()),
            bytes(exported.bytes),
            count(exported.references, "reference"),
        ));
    }
    Ok(exit_code::DONE)
}
