//! `xopero validate`.

use clap::Args;

use super::{CliError, Context, exit_code};

/// Check the file, and nothing outside it
#[derive(Debug, Args)]
pub struct ValidateArgs {}

/// Runs the command.
pub fn run(context: &Context, _arguments: &ValidateArgs) -> Result<u8, CliError> {
    let (source, decoded) = context.declaration()?;
    let declaration = &decoded.declaration;
    if context.output.is_json() {
        context.output.json(&serde_json::json!({
            "type": "valid", "file": source.name, "projects": declaration.projects.len(),
            "plans": declaration.plans.len(), "warnings": decoded.warnings.len(),
        }));
    } else {
        let (projects, plans) = (declaration.projects.len(), declaration.plans.len());
        context.output.data(&format!("{} is valid: {projects} projects, {plans} plans", source.name));
    }
    Ok(exit_code::DONE)
}
