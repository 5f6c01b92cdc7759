//! `xopero credential add`.

use clap::Args;
use jiff::civil::Date;

use super::{Change, CliError, Context, EditArgs, read_secret, refused};
use crate::config::{self, NewCredential};
use crate::model::{
    AccountName, Address, CredentialKind, CredentialName, CredentialRole, ProjectSelector, RecipientsMark, shell_word,
};
use crate::secret::{Envelope, seal};
use crate::ui::count;

/// Seal a token and put it into the file
///
/// The token is read from standard input, or asked for without echo. It is sealed for all recipients of the file and
/// bound to the server of the project. Nothing else in the file changes. A credential of that name is replaced.
#[derive(Debug, Args)]
pub struct AddArgs {
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
    #[command(flatten)]
    edit: EditArgs,
}

/// Runs the command.
pub fn run(context: &Context, arguments: &AddArgs) -> Result<u8, CliError> {
    let tree = context.source()?;
    let sources = tree.sources();
    let project = &arguments.project;
    let known =
        config::edit_context(sources, project).map_err(|invalid| context.invalid(sources, &invalid.diagnostics))?;
    let role = arguments.name.clone().map_or(CredentialRole::Main, CredentialRole::Additional);
    let kind = if arguments.password { CredentialKind::Password } else { CredentialKind::Token };
    let secret = read_secret(kind.as_str(), &arguments.account)?;
    let (origin, account) = (known.origin.origin(), arguments.account.clone());
    let sealed = seal(
        &Envelope { kind: kind.into(), origin: origin.clone(), account: account.clone(), secret },
        &known.recipients,
    )?;
    let recipients = RecipientsMark::of(&known.recipients);
    let credential = NewCredential { account, kind, sealed, recipients, expires: arguments.expires };
    let after = config::set_credential(sources, project, &role, &credential)
        .map_err(|error| refused(context, sources, error))?;
    let change = Change::new(&tree, &after, &arguments.edit);
    let address = Address::credential(project, &role);
    let replaced = known.declared.contains_key(&role);
    let verb = if replaced { "Replaced" } else { "Added" };
    let whom = count(known.recipients.len() as u64, "recipient");
    let fields = serde_json::json!({
        "type": "credential", "address": address, "account": arguments.account, "replaced": replaced,
        "recipients": known.recipients.len(), "for": origin,
    });
    let done = format!("{verb} {address} in {}, sealed for {whom} and bound to {origin}", change.names());
    let code = change.finish(context, fields, &done)?;
    if let CredentialRole::Additional(name) = &role
        && config::enabling_plans(sources, project, name).is_empty()
    {
        context.output.say(&format!(
            "Declaring a credential does not enable it. A plan must: xopero credential enable PLAN {} {name}",
            shell_word(project.as_str())
        ));
    }
    Ok(code)
}
