//! `xopero validate`.

use clap::Args;

use super::{CliError, Context, exit_code};
use crate::ui::count;

/// Check the file, and nothing outside it
#[derive(Debug, Args)]
pub struct ValidateArgs {}

/// Runs the command.
pub fn run(context: &Context, _arguments: &ValidateArgs) -> Result<u8, CliError> {
    let (tree, decoded) = context.declaration()?;
    let (name, declaration) = (&tree.main().name, &decoded.declaration);
    if context.output.is_json() {
        context.output.json(&serde_json::json!({
            "type": "valid", "file": name, "projects": declaration.projects.len(),
            "plans": declaration.plans.len(), "warnings": decoded.warnings.len(),
        }));
    } else {
        let projects = count(declaration.projects.len() as u64, "project");
        let plans = count(declaration.plans.len() as u64, "plan");
        context.output.data(&format!("{name} is valid: {projects}, {plans}"));
    }
    Ok(exit_code::DONE)
}
