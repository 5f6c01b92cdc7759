//! `xopero credential remove`.

use clap::Args;

use super::{Change, CliError, Context, EditArgs, refused};
use crate::config;
use crate::model::{Address, CredentialName, CredentialRole, ProjectSelector};

/// Take an additional credential out of the file
///
/// Refused while a plan enables it. The token itself stays valid until somebody revokes it in Bitbucket.
#[derive(Debug, Args)]
pub struct RemoveArgs {
    /// The project, by its key or its pattern, as the file names it
    project: ProjectSelector,
    /// The additional credential
    name: CredentialName,
    /// Also disable it in every plan that enables it
    #[arg(long)]
    disable_everywhere: bool,
    #[command(flatten)]
    edit: EditArgs,
}

/// Runs the command.
pub fn run(context: &Context, arguments: &RemoveArgs) -> Result<u8, CliError> {
    let tree = context.source()?;
    let RemoveArgs { project, name, disable_everywhere, edit } = arguments;
    let plans = config::enabling_plans(tree.sources(), project, name);
    let after = config::remove_credential(tree.sources(), project, name, *disable_everywhere)
        .map_err(|error| refused(context, tree.sources(), error))?;
    let change = Change::new(&tree, &after, edit);
    let address = Address::credential(project, &CredentialRole::Additional(name.clone()));
    let fields = serde_json::json!({ "type": "credential_removed", "address": address, "disabled_in": plans });
    let disabled = if plans.is_empty() { String::new() } else { format!(", disabled in {}", plans.join(", ")) };
    let done = format!("Removed {address} from {}{disabled}", change.names());
    let code = change.finish(context, fields, &done)?;
    if !change.is_dry_run() {
        context.output.say("Its token still works: revoke it in Bitbucket if nobody else needs it.");
    }
    Ok(code)
}
