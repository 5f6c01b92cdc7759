//! `xopero recipients`.

use clap::{Args, Subcommand};

use super::edit::{Change, EditArgs, refused};
use super::secrets::rekey::{rekeyed, warn_of};
use super::{CliError, Context};
use crate::config::{self, SecretAddress, Sources};
use crate::model::{PublicKey, Recipient};
use crate::ui::count;

/// Manage who can open the secrets of the file
#[derive(Debug, Args)]
pub struct RecipientsArgs {
    #[command(subcommand)]
    command: RecipientsCommand,
}

#[derive(Debug, Subcommand)]
enum RecipientsCommand {
    Add(AddArgs),
    Remove(RemoveArgs),
}

/// Let another identity open the secrets of the file
///
/// Recipients open the tokens in the file. Who opens the backups is another question: `encrypt-to` of a destination.
#[derive(Debug, Args)]
struct AddArgs {
    /// Its public key, `age1…`
    key: PublicKey,
    /// Whose it is, for people
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    #[command(flatten)]
    rekey: RekeyArg,
    #[command(flatten)]
    edit: EditArgs,
}

/// Take a recipient out of the file
///
/// What it could open before it can open for ever: the file has a history. Replace the tokens too.
#[derive(Debug, Args)]
struct RemoveArgs {
    /// Its public key, or the name that the file gives it
    #[arg(value_name = "KEY|NAME")]
    recipient: String,
    #[command(flatten)]
    rekey: RekeyArg,
    #[command(flatten)]
    edit: EditArgs,
}

#[derive(Debug, Args)]
struct RekeyArg {
    /// Seal the secrets for the new recipients at once
    #[arg(long)]
    rekey: bool,
}

/// Runs the command.
pub fn run(context: &Context, arguments: &RecipientsArgs) -> Result<u8, CliError> {
    match &arguments.command {
        RecipientsCommand::Add(arguments) => add(context, arguments),
        RecipientsCommand::Remove(arguments) => remove(context, arguments),
    }
}

fn add(context: &Context, arguments: &AddArgs) -> Result<u8, CliError> {
    if arguments.name.as_deref().is_some_and(|name| name.trim().is_empty() || name.chars().any(char::is_control)) {
        return Err(CliError::usage("the name is empty or has control characters"));
    }
    let tree = context.source()?;
    let recipient = Recipient { key: arguments.key.clone(), name: arguments.name.clone() };
    let added =
        config::add_recipient(tree.sources(), &recipient).map_err(|error| refused(context, tree.sources(), error))?;
    let (after, addresses) = sealed_again(context, added, &arguments.rekey)?;
    let change = Change::new(&tree, &after, &arguments.edit);
    let who = name(&recipient);
    let fields = serde_json::json!({ "type": "recipient_added", "key": recipient.key, "name": recipient.name,
        "changed": !change.is_empty(), "rekeyed": addresses });
    let done = if change.is_empty() {
        format!("{who} is a recipient already")
    } else {
        format!("Added {who} to the recipients{}", and_sealed(&addresses))
    };
    let code = change.finish(context, fields, &done)?;
    if !arguments.rekey.rekey && !change.is_empty() && has_secrets(&after) {
        context.output.say("It can open nothing yet. Seal the secrets for it too: xopero secrets rekey");
    }
    Ok(code)
}

fn remove(context: &Context, arguments: &RemoveArgs) -> Result<u8, CliError> {
    let tree = context.source()?;
    let (removed, gone) = config::remove_recipient(tree.sources(), &arguments.recipient)
        .map_err(|error| refused(context, tree.sources(), error))?;
    let left =
        config::declared_recipients(&removed).map_err(|invalid| context.invalid(&removed, &invalid.diagnostics))?;
    let (after, addresses) = sealed_again(context, removed, &arguments.rekey)?;
    let change = Change::new(&tree, &after, &arguments.edit);
    let who = name(&gone);
    let fields = serde_json::json!({ "type": "recipient_removed", "key": gone.key, "name": gone.name,
        "rekeyed": addresses });
    let code =
        change.finish(context, fields, &format!("Removed {who} from the recipients{}", and_sealed(&addresses)))?;
    if has_secrets(&after) {
        warn_of(context, std::slice::from_ref(&who));
        if !arguments.rekey.rekey {
            context.output.say("It still opens the secrets of the file. Seal them again: xopero secrets rekey");
        }
    }
    // Without an identity on this machine there is nothing to lose.
    if let Ok(identities) = context.identities()
        && identities.public_keys().contains(&gone.key)
        && !identities.public_keys().iter().any(|key| left.contains(key))
    {
        context
            .output
            .warn("the identity of this machine is no recipient any more: it cannot open what is sealed from here on");
    }
    Ok(code)
}

fn sealed_again(
    context: &Context,
    sources: Sources,
    arguments: &RekeyArg,
) -> Result<(Sources, Vec<SecretAddress>), CliError> {
    if arguments.rekey { rekeyed(context, &sources, None) } else { Ok((sources, Vec::new())) }
}

fn has_secrets(sources: &Sources) -> bool {
    config::sealed_values(sources).is_ok_and(|values| !values.is_empty())
}

fn name(recipient: &Recipient) -> String {
    recipient.name.clone().unwrap_or_else(|| recipient.key.to_string())
}

fn and_sealed(addresses: &[SecretAddress]) -> String {
    if addresses.is_empty() {
        String::new()
    } else {
        format!(", and sealed {} again", count(addresses.len() as u64, "secret"))
    }
}
