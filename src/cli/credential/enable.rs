//! `xopero credential enable` and `disable`.

use clap::Args;

use super::{Change, CliError, Context, EditArgs, refused};
use crate::config;
use crate::model::{Address, CredentialName, CredentialRole, PlanName, ProjectSelector};

/// Let a plan use additional credentials of a project
///
/// Declaring a credential does not enable it: only a plan that names it here uses it.
#[derive(Debug, Args)]
pub struct EnableArgs {
    #[command(flatten)]
    switch: SwitchArgs,
}

/// Keep a plan from using additional credentials of a project
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
    /// The additional credentials
    #[arg(required = true, value_name = "NAME")]
    names: Vec<CredentialName>,
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
    let SwitchArgs { plan, project, names, edit } = arguments;
    let mut after = tree.sources().clone();
    for name in names {
        let edited = if on {
            config::enable_credential(&after, plan, project, name)
        } else {
            config::disable_credential(&after, plan, project, name)
        };
        after = edited.map_err(|error| refused(context, &after, error))?;
    }
    let change = Change::new(&tree, &after, edit);
    let addresses: Vec<_> =
        names.iter().map(|name| Address::credential(project, &CredentialRole::Additional(name.clone()))).collect();
    let fields = serde_json::json!({
        "type": "credentials_switched", "addresses": addresses, "plan": plan, "enabled": on,
        "changed": !change.is_empty(),
    });
    let state = if on { "enabled" } else { "disabled" };
    let (are, addresses) = (if addresses.len() == 1 { "is" } else { "are" }, comma_separated(&addresses));
    let done = if change.is_empty() {
        format!("{addresses} {are} {state} in plan {plan} already")
    } else {
        format!("{addresses} {are} {state} in plan {plan}; put it in force with: xopero apply")
    };
    change.finish(context, fields, &done)
}

fn comma_separated(addresses: &[Address]) -> String {
    addresses.iter().map(Address::to_string).collect::<Vec<_>>().join(", ")
}
