//! `xopero credential list`.

use clap::Args;

use super::{CliError, Context, exit_code};
use crate::model::{Credential, CredentialRole, Declaration, ProjectSelector};
use crate::ui::{Side, Table};

/// List the credentials of the file, and the plans that use each
#[derive(Debug, Args)]
pub struct ListArgs {
    /// Only this project
    project: Option<ProjectSelector>,
}

/// Runs the command.
pub fn run(context: &Context, arguments: &ListArgs) -> Result<u8, CliError> {
    let (_, decoded) = context.declaration()?;
    let declaration = &decoded.declaration;
    let columns = [
        ("PROJECT", Side::Whole),
        ("NAME", Side::Left),
        ("ACCOUNT", Side::Left),
        ("KIND", Side::Whole),
        ("EXPIRES", Side::Whole),
        ("USED BY", Side::Left),
    ];
    let output = context.output;
    let mut table = Table::new(&columns, output.width(), output.style());
    for (key, project) in &declaration.projects {
        if arguments.project.as_ref().is_some_and(|only| only != key) {
            continue;
        }
        let additional = project.additional.iter().map(|(name, one)| (CredentialRole::Additional(name.clone()), one));
        for (role, credential) in std::iter::once((CredentialRole::Main, &project.main)).chain(additional) {
            let plans = used_by(declaration, key, &role);
            let Credential { account, kind, expires, .. } = credential;
            if output.is_json() {
                output.json(&serde_json::json!({
                    "type": "credential", "project": key, "name": role.to_string(), "account": account, "kind": kind,
                    "expires": expires, "used_by": plans,
                }));
            } else {
                let used = if plans.is_empty() { "no plan".to_owned() } else { plans.join(", ") };
                let expires = expires.map_or_else(|| "-".to_owned(), |date| date.to_string());
                table.row([key.to_string(), role.to_string(), account.to_string(), kind.to_string(), expires, used]);
            }
        }
    }
    if !output.is_json() {
        output.data(&table.render());
    }
    Ok(exit_code::DONE)
}

/// The plans that use a credential: all on the project use its main one, the others must enable it.
fn used_by(declaration: &Declaration, key: &ProjectSelector, role: &CredentialRole) -> Vec<String> {
    let uses = |plan: &crate::model::BackupPlan| {
        plan.projects.get(key).is_some_and(|planned| match role {
            CredentialRole::Main => true,
            CredentialRole::Additional(name) => planned.enabled_credentials.contains(name),
        })
    };
    declaration.plans.iter().filter(|(_, plan)| uses(plan)).map(|(name, _)| name.to_string()).collect()
}
