//! `xopero credential check`.

use std::collections::BTreeSet;

use clap::Args;
use jiff::tz::TimeZone;

use super::super::{CliError, Context, exit_code, look};
use crate::clock::Clock;
use crate::model::{Address, CredentialName, CredentialRole, Declaration, ProjectSelector};
use crate::reconcile::observe::{Checked, Part, checked, notes, shared_accounts};
use crate::ui::credential_check::{render, to_json_lines};

/// Show each credential to its server and see what it can do
///
/// Tells whom the server takes it for, what it may do in its project by what the server lists for it, whether a restore
/// to the server could use it, when it ends, and whether it shares its account, and so its budget, with another one.
/// The file is looked at, not what is applied; nothing is changed anywhere. A password that is set aside is shown only if
/// it is named: each failed login counts towards a CAPTCHA. An account that rests is not asked. Exits with 7 if a credential is not accepted or cannot be opened, with 1 if one lacks
/// a permission or could not be looked at.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("which").required(true).args(["all", "project"]))]
pub struct CheckArgs {
    /// All credentials of the project, by its key or its pattern, as the file names it
    project: Option<ProjectSelector>,
    /// This one alone: an additional credential, or `main`
    #[arg(requires = "project")]
    name: Option<CredentialName>,
    /// Every credential of the file
    #[arg(long)]
    all: bool,
}

/// Runs the command.
pub async fn run(context: &Context, arguments: &CheckArgs) -> Result<u8, CliError> {
    context.output.begin_json();
    let (_, decoded) = context.declaration()?;
    let declaration = &decoded.declaration;
    let part = part(declaration, arguments)?;
    // Without an identity there is nothing to show to a server.
    context.identities()?;
    let state = context.state().await?;
    let applied = match &state {
        Some(state) => state.applied().await?,
        None => None,
    };
    let looked = look::look(context, declaration, state.as_ref(), applied.as_ref(), part).await?;
    let found = checked(declaration, &looked, context.clock.now().to_zoned(TimeZone::UTC).date());
    let addresses: BTreeSet<&Address> = found.iter().map(|checked| &checked.address).collect();
    let mut shared = shared_accounts(declaration);
    shared.retain(|(one, _)| addresses.contains(one));
    if context.output.is_json() {
        for line in to_json_lines(&found, &looked, &shared) {
            context.output.json(&line);
        }
    } else {
        let (style, width) = (context.output.style(), context.output.width());
        context.output.data(&render(&found, &looked, &notes(&looked), &shared, width, style));
    }
    Ok(code(&found))
}

/// What was asked for, as roles of declared projects.
fn part(declaration: &Declaration, arguments: &CheckArgs) -> Result<Part, CliError> {
    let roles = |selector: &ProjectSelector| -> Vec<CredentialRole> {
        let additional = declaration.projects.get(selector).map(|project| project.additional.keys().cloned());
        let additional = additional.into_iter().flatten().map(CredentialRole::Additional);
        std::iter::once(CredentialRole::Main).chain(additional).collect()
    };
    let Some(selector) = &arguments.project else {
        let of =
            |selector: &ProjectSelector| roles(selector).into_iter().map(|role| (selector.clone(), role)).collect();
        let all: Vec<Vec<_>> = declaration.projects.keys().map(of).collect();
        return Ok(Part::Credentials(all.into_iter().flatten().collect()));
    };
    if !declaration.projects.contains_key(selector) {
        let known: Vec<&str> = declaration.projects.keys().map(ProjectSelector::as_str).collect();
        return Err(CliError::new(exit_code::INVALID_FILE, format!("no project \"{selector}\" is declared"))
            .with_hint(format!("declared projects: {}", known.join(", "))));
    }
    let known = roles(selector);
    let Some(name) = &arguments.name else {
        return Ok(Part::Credentials(known.into_iter().map(|role| (selector.clone(), role)).collect()));
    };
    if let Some(role) = known.iter().find(|role| role.to_string() == name.as_str()) {
        return Ok(Part::Named(selector.clone(), role.clone()));
    }
    let known: Vec<String> = known.iter().map(CredentialRole::to_string).collect();
    let message = format!("project \"{selector}\" declares no credential \"{name}\"");
    Err(CliError::new(exit_code::INVALID_FILE, message).with_hint(format!("its credentials: {}", known.join(", "))))
}

/// The gravest finding decides.
fn code(found: &[Checked]) -> u8 {
    if found.iter().any(Checked::is_useless) {
        exit_code::SECRETS
    } else if found.iter().all(Checked::is_good) {
        exit_code::DONE
    } else {
        exit_code::FAILED
    }
}
