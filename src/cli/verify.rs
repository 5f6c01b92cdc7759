//! `xopero verify`.

use clap::Args;

use super::interrupt::Interrupt;
use super::locate::{SnapshotArgs, locate};
use super::{CliError, Context, env, exit_code};
use crate::archive::{Scratch, verify};
use crate::clock::Clock;
use crate::restore::record_verification;
use crate::ui::{bytes, shown};

/// Findings that are shown.
const FINDINGS: usize = 5;

/// Prove that a snapshot is whole: stored bytes, decryption, every object, every reference
#[derive(Debug, Args)]
pub struct VerifyArgs {
    #[command(flatten)]
    snapshot: SnapshotArgs,
}

/// Runs the command.
pub async fn run(context: &Context, arguments: &VerifyArgs) -> Result<u8, CliError> {
    let located = locate(context, &arguments.snapshot).await?;
    let interrupt = Interrupt::listen(context.confirm_stop());
    let scratch = Scratch::below(&env::temporary()).map_err(|error| {
        CliError::new(exit_code::FAILED, format!("cannot make a temporary directory: {error}"))
            .with_hint("the packs are unpacked there: set TMPDIR to a place with room for them")
    })?;
    let manifest = &located.manifest;
    let flag = interrupt.flag.clone();
    let verified = verify(&located.store, manifest, &located.identities, scratch.path(), flag).await;
    if interrupt.is_set() {
        return Err(CliError::new(exit_code::INTERRUPTED, "the verification was stopped"));
    }
    let result = verified?;
    let whole = result.findings.is_empty();
    let begins_anew = match &located.state {
        Some(state) => {
            let recorded = record_verification(state, &located.store, manifest, whole, context.clock.now()).await;
            if whole && let Err(error) = &recorded {
                tracing::warn!(%error, "the state does not say that the snapshot was verified");
            }
            if whole { false } else { recorded? }
        }
        None => false,
    };
    if context.output.is_json() {
        let findings: Vec<_> = result
            .findings
            .iter()
            .map(|finding| serde_json::json!({ "what": finding.what, "why": finding.why }))
            .collect();
        context.output.json(&serde_json::json!({
            "type": "verification", "snapshot": manifest.snapshot, "whole": whole, "packs": result.packs,
            "bytes": result.bytes, "objects": result.objects, "reached": result.reached,
            "references": result.references, "findings": findings,
        }));
    } else {
        let style = context.output.style();
        let name = format!("{}/{}", manifest.project.key, manifest.repository.slug);
        let verdict = if whole { style.green("whole") } else { style.red("damaged") };
        let mut lines = vec![
            format!("Snapshot {} of {name} is {verdict}", manifest.snapshot),
            format!("  packs       {} of {}, {}", result.packs, manifest.git.packs.len(), bytes(result.bytes)),
        ];
        if whole {
            lines.push(format!("  objects     {}, every one hashed", result.objects));
            lines.push(format!("  references  {}, {} objects reached from them", result.references, result.reached));
        }
        lines.extend(
            result
                .findings
                .iter()
                .take(FINDINGS)
                .map(|finding| format!("  {} {}: {}", style.red("damage:"), shown(&finding.what), shown(&finding.why))),
        );
        if result.findings.len() > FINDINGS {
            lines.push(format!("  … and {} more", result.findings.len() - FINDINGS));
        }
        context.output.data(&lines.join("\n"));
        if begins_anew {
            context.output.say("the next run builds on nothing of this: it takes everything of the repository anew");
        }
        if !whole {
            context.output.say("older snapshots, and those in other destinations, may be whole: xopero snapshots");
        }
    }
    Ok(if whole { exit_code::DONE } else { exit_code::DAMAGE })
}
