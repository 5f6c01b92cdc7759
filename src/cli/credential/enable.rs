//! `xopero credential enable` and `disable`.

use clap::Args;

use super::{Change, CliError, Context, EditArgs, refused};
use crate::config;
use crate::model::{Address, CredentialName, CredentialRole, PlanName, ProjectSelector};

/// Let a plan use an additional credential of a project
///
/// Declaring a credential does not enable it: only a plan that names it here uses it.
#[derive(Debug, Args)]
pub struct EnableArgs {
    #[command(flatten)]
    switch: SwitchArgs,
}

/// Keep a plan from using an additional credential of a project
#[derive(Debug, Args)]
pub struct DisableArgs {
    #[command(flatten)]
    switch: SwitchArgs,
}

#[derive(Debug, Args)]
struct SwitchArgs {
    /// The plan
    plan: PlanName,
    /// The project, by its key or its pattern, as the plan names it
    project: ProjectSelector,
    /// The additional credential
    name: CredentialName,
    #[command(flatten)]
    edit: EditArgs,
}

/// Runs `credential enable`.
pub fn enable(context: &Context, arguments: &EnableArgs) -> Result<u8, CliError> {
    switch(context, &arguments.switch, true)
}

/// Runs `credential disable`.
pub fn disable(context: &Context, arguments: &DisableArgs) -> Result<u8, CliError> {
    switch(context, &arguments.switch, false)
}

fn switch(context: &Context, arguments: &SwitchArgs, on: bool) -> Result<u8, CliError> {
    let tree = context.source()?;
    let SwitchArgs { plan, project, name, edit } = arguments;
    let edited = if on {
        config::enable_credential(tree.sources(), plan, project, name)
    } else {
        config::disable_credential(tree.sources(), plan, project, name)
    };
    let after = edited.map_err(|error| refused(context, tree.sources(), error))?;
    let change = Change::new(&tree, &after, edit);
    let address = Address::credential(project, &CredentialRole::Additional(name.clone()));
    let fields = serde_json::json!({
        "type": "credential_switched", "address": address, "plan": plan, "enabled": on, "changed": !change.is_empty(),
    });
    let state = if on { "enabled" } else { "disabled" };
    let done = if change.is_empty() {
        format!("{address} is {state} in plan {plan} already")
    } else {
        format!("{address} is {state} in plan {plan}; put it in force with: xopero apply")
    };
    change.finish(context, fields, &done)
}
