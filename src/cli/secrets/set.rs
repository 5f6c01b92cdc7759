//! `xopero secrets set`.

use std::collections::BTreeMap;

use clap::Args;

use super::{Change, CliError, Context, EditArgs, exit_code, read_secret, refused};
use crate::config::{self, EditError, Purpose, SecretAddress};
use crate::model::{CredentialName, CredentialRole, DestinationName, ProjectSelector, RecipientsMark, SecretKind};
use crate::secret::{Envelope, seal};
use crate::ui::count;

/// Replace the token or password of a credential, or a key of a destination
///
/// The new one is read from standard input, or asked for without echo. It is sealed for all recipients of the file, and
/// for the same server and account. Nothing else in the file changes.
#[derive(Debug, Args)]
pub struct SetArgs {
    /// PROJECT for the main credential, PROJECT/NAME for an additional one, or
    /// `destination/NAME/access-key` and `…/secret-key`
    #[arg(value_name = "SECRET", value_parser = address)]
    secret: SecretAddress,
    #[command(flatten)]
    edit: EditArgs,
}

/// A secret as it is named on the command line.
fn address(text: &str) -> Result<SecretAddress, String> {
    if let Some(rest) = text.strip_prefix("destination/") {
        let (name, key) = rest.split_once('/').ok_or("write destination/NAME/access-key or …/secret-key")?;
        return Ok(SecretAddress::store_key(&DestinationName::new(name).map_err(|error| error.to_string())?, key));
    }
    let (project, name) = text.split_once('/').unwrap_or((text, "main"));
    let project = ProjectSelector::new(project).map_err(|error| error.to_string())?;
    let role = match name {
        "main" => CredentialRole::Main,
        name => CredentialRole::Additional(CredentialName::new(name).map_err(|error| error.to_string())?),
    };
    Ok(SecretAddress::credential(&project, &role))
}

/// Runs the command.
pub fn run(context: &Context, arguments: &SetArgs) -> Result<u8, CliError> {
    let tree = context.source()?;
    let sources = tree.sources();
    let address = arguments.secret.clone();
    let keys =
        config::declared_recipients(sources).map_err(|invalid| context.invalid(sources, &invalid.diagnostics))?;
    let values = config::sealed_values(sources).map_err(|error| refused(context, sources, error))?;
    let value = values.into_iter().find(|value| value.address == address);
    let value = value.ok_or_else(|| CliError::from(EditError::NoSecret { address: address.clone() }))?;
    let Some(Purpose { kind, origin, account }) = value.purpose else {
        return Err(CliError::new(
            exit_code::INVALID_FILE,
            format!("{address} does not say which server and account it is for"),
        )
        .with_hint("correct what `xopero validate` reports"));
    };
    let what = match kind {
        SecretKind::Token => "token",
        SecretKind::Password => "password",
        SecretKind::S3 => "key",
    };
    let secret = read_secret(what, &account)?;
    let envelope = Envelope { kind, origin: origin.clone(), account: account.clone(), secret };
    let sealed = seal(&envelope, &keys)?;
    let replacements = BTreeMap::from([(address.clone(), sealed)]);
    let after = config::replace_sealed(sources, &replacements, &RecipientsMark::of(&keys))
        .map_err(|error| refused(context, sources, error))?;
    let change = Change::new(&tree, &after, &arguments.edit);
    let whom = count(keys.len() as u64, "recipient");
    let fields = serde_json::json!({
        "type": "secret_set", "address": address, "account": account, "recipients": keys.len(),
        "for": origin,
    });
    let done =
        format!("Replaced the {what} of {address} in {}, sealed for {whom} and bound to {origin}", change.names());
    change.finish(context, fields, &done)
}
