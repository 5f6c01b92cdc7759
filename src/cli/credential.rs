//! `xopero credential`.

mod check;

use std::io::{self, IsTerminal, Read};

use clap::{Args, Subcommand};
use jiff::civil::Date;
use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use super::{CliError, Context, exit_code};
use crate::config;
use crate::model::{AccountName, Address, CredentialKind, CredentialName, CredentialRole, ProjectSelector};
use crate::secret::{Envelope, seal};
use crate::ui::count;

/// The longest token or password, in bytes.
const LONGEST: u64 = 8 * 1024;

/// Manage the credentials in the file
#[derive(Debug, Args)]
pub struct CredentialArgs {
    #[command(subcommand)]
    command: CredentialCommand,
}

#[derive(Debug, Subcommand)]
enum CredentialCommand {
    Add(AddArgs),
    Check(check::CheckArgs),
}

/// Seal a token and put it into the file
///
/// The token is read from standard input, or asked for without echo. It is sealed for all recipients of the file and
/// bound to the server of the project. Nothing else in the file changes. A credential of that name is replaced.
#[derive(Debug, Args)]
struct AddArgs {
    /// The project, by its key or its pattern, as the file names it
    project: ProjectSelector,
    /// The additional credential; without a name, the main one
    name: Option<CredentialName>,
    /// The account that the token belongs to
    #[arg(long, value_name = "NAME")]
    account: AccountName,
    /// The secret is the account's password, not a token
    #[arg(long)]
    password: bool,
    /// The last day on which it works
    #[arg(long, value_name = "YYYY-MM-DD")]
    expires: Option<Date>,
}

/// Runs the command.
pub async fn run(context: &Context, arguments: &CredentialArgs) -> Result<u8, CliError> {
    match &arguments.command {
        CredentialCommand::Add(arguments) => add(context, arguments),
        CredentialCommand::Check(arguments) => check::run(context, arguments).await,
    }
}

fn add(context: &Context, arguments: &AddArgs) -> Result<u8, CliError> {
    let tree = context.source()?;
    let sources = tree.sources();
    let project = &arguments.project;
    let edit =
        config::edit_context(sources, project).map_err(|invalid| context.invalid(sources, &invalid.diagnostics))?;
    let (file, source) = (sources.file(edit.file), tree.text(edit.file));
    let role = arguments.name.clone().map_or(CredentialRole::Main, CredentialRole::Additional);
    let kind = if arguments.password { CredentialKind::Password } else { CredentialKind::Token };
    let secret = read_secret(kind, &arguments.account)?;
    let envelope =
        Envelope { kind: kind.into(), origin: edit.origin.origin(), account: arguments.account.clone(), secret };
    let sealed = seal(&envelope, &edit.recipients)?;
    let text = config::set_credential(file, project, &role, &arguments.account, kind, &sealed, arguments.expires)?;
    // The person who was asked for the secret may have edited the file before answering.
    source.replace(&text)?;
    let address = Address::credential(project, &role);
    let replaced = edit.declared.contains_key(&role);
    if context.output.is_json() {
        context.output.json(&serde_json::json!({
            "type": "credential", "address": address, "account": arguments.account, "replaced": replaced,
            "recipients": edit.recipients.len(), "for": edit.origin.origin(),
        }));
        return Ok(exit_code::DONE);
    }
    let verb = if replaced { "Replaced" } else { "Added" };
    let (whom, origin) = (count(edit.recipients.len() as u64, "recipient"), edit.origin.origin());
    context.output.data(&format!("{verb} {address} in {}, sealed for {whom} and bound to {origin}", source.name));
    if let CredentialRole::Additional(name) = &role
        && !config::enables(sources, project, name)
    {
        context.output.say(&format!(
            "Declaring a credential does not enable it: a plan must say `enable-credentials \"{name}\"` on project {project}."
        ));
    }
    Ok(exit_code::DONE)
}

/// Reads a secret from standard input, or asks for it where nobody can read along. Never from the command line.
fn read_secret(kind: CredentialKind, account: &AccountName) -> Result<SecretString, CliError> {
    let secret = if io::stdin().is_terminal() {
        let prompt =
            format!("{} of {account} (not shown): ", if kind == CredentialKind::Token { "Token" } else { "Password" });
        let typed = rpassword::prompt_password(prompt);
        SecretString::from(typed.map_err(|error| CliError::usage(format!("cannot ask for the secret: {error}")))?)
    } else {
        let mut text = Zeroizing::new(String::new());
        let read = io::stdin().take(LONGEST + 1).read_to_string(&mut text);
        read.map_err(|error| CliError::usage(format!("cannot read the secret from standard input: {error}")))?;
        SecretString::from(text.trim_end_matches(['\n', '\r']))
    };
    let text = secret.expose_secret();
    if text.is_empty() {
        return Err(CliError::usage("the secret is empty")
            .with_hint("type it at the prompt, or give it on standard input: … < token.txt"));
    }
    if text.len() as u64 > LONGEST || text.chars().any(char::is_control) {
        return Err(CliError::usage("the secret is longer than 8 KiB or more than one line"));
    }
    Ok(secret)
}
