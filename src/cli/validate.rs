//! `xopero validate`.

use clap::Args;

use super::git::GitArgs;
use super::{CliError, Context, exit_code};
use crate::ui::count;

/// Check the file, and nothing outside it
#[derive(Debug, Args)]
pub struct ValidateArgs {
    /// Exit with 3 also if there are only warnings
    #[arg(long)]
    pub strict: bool,
    #[command(flatten)]
    pub git: GitArgs,
}

/// Runs the command.
pub async fn run(context: &Context, arguments: &ValidateArgs) -> Result<u8, CliError> {
    context.output.begin_json();
    let context = &context.reading(&arguments.git);
    let (tree, decoded) = context.proposal().await?;
    let (name, declaration) = (&tree.main().name, &decoded.declaration);
    if arguments.strict && !decoded.warnings.is_empty() {
        let warnings = count(decoded.warnings.len() as u64, "warning");
        return Err(CliError::new(exit_code::INVALID_FILE, format!("{name} has {warnings}"))
            .with_hint("without --strict, warnings do not matter"));
    }
    for address in declaration.never_enabled() {
        let line = decoded.places.get(&address).map(|place| {
            let file = tree.sources().file(place.span.file);
            format!("{}:{}: ", file.name, place.line)
        });
        let place = line.unwrap_or_default();
        context.output.say(&format!("notice: {place}{address} is declared, but no plan enables it: it is not used"));
    }
    let files = tree.sources().files().count();
    if context.output.is_json() {
        context.output.json(&serde_json::json!({
            "type": "valid", "file": name, "files": files, "projects": declaration.projects.len(),
            "plans": declaration.plans.len(), "warnings": decoded.warnings.len(),
            "never_enabled": declaration.never_enabled(),
        }));
    } else {
        let projects = count(declaration.projects.len() as u64, "project");
        let plans = count(declaration.plans.len() as u64, "plan");
        context.output.data(&format!("{name} is valid: {projects}, {plans}"));
    }
    Ok(exit_code::DONE)
}
