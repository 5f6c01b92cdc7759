//! `xopero secrets set`.

use std::collections::BTreeMap;

use clap::Args;
use secrecy::{ExposeSecret, SecretString};

use super::{Change, CliError, Context, EditArgs, exit_code, read_secret, refused};
use crate::config::{self, AlertSecret, EditError, Purpose, SecretAddress, Sources, StoreKey};
use crate::model::{
    AlertUrl, AlertsName, CredentialName, CredentialRole, DestinationName, ProjectSelector, RecipientsMark, SecretKind,
};
use crate::secret::{Envelope, seal};
use crate::ui::count;

/// Replace the token or password of a credential, or set a secret of a destination or of alerts
///
/// The new one is read from standard input, or asked for without echo. It is sealed for all recipients of the file, and
/// for the same server and account; a key of a destination, for the store and the bucket; a secret of alerts, for the
/// address beside it. The first one of a destination or of alerts is put in. Nothing else in the file changes.
#[derive(Debug, Args)]
pub struct SetArgs {
    /// PROJECT for the main credential, PROJECT/NAME for an additional one,
    /// `destination/NAME/access-key` and `…/secret-key`, or
    /// `alerts/NAME/slack/address`, `…/webhook/signing-key`, `…/email/password` and so on
    #[arg(value_name = "SECRET", value_parser = secret)]
    secret: Secret,
    #[command(flatten)]
    edit: EditArgs,
}

/// What is set.
#[derive(Debug, Clone)]
enum Secret {
    Credential(ProjectSelector, CredentialRole),
    StoreKey(DestinationName, StoreKey),
    Alert(AlertsName, AlertSecret),
}

/// A secret as it is named on the command line.
fn secret(text: &str) -> Result<Secret, String> {
    if let Some(rest) = text.strip_prefix("destination/") {
        let (name, key) = rest.split_once('/').ok_or("write destination/NAME/access-key or …/secret-key")?;
        return Ok(Secret::StoreKey(DestinationName::new(name).map_err(|error| error.to_string())?, key.parse()?));
    }
    if let Some(rest) = text.strip_prefix("alerts/") {
        let (name, secret) = rest.split_once('/').ok_or("write alerts/NAME/slack/address, for example")?;
        return Ok(Secret::Alert(AlertsName::new(name).map_err(|error| error.to_string())?, secret.parse()?));
    }
    let (project, name) = text.split_once('/').unwrap_or((text, "main"));
    let project = ProjectSelector::new(project).map_err(|error| error.to_string())?;
    let role = match name {
        "main" => CredentialRole::Main,
        name => CredentialRole::Additional(CredentialName::new(name).map_err(|error| error.to_string())?),
    };
    Ok(Secret::Credential(project, role))
}

/// Runs the command.
pub fn run(context: &Context, arguments: &SetArgs) -> Result<u8, CliError> {
    let tree = context.source()?;
    let sources = tree.sources();
    let address = match &arguments.secret {
        Secret::Credential(project, role) => SecretAddress::credential(project, role),
        Secret::StoreKey(destination, key) => SecretAddress::store_key(destination, *key),
        Secret::Alert(alerts, secret) => SecretAddress::alert(alerts, *secret),
    };
    let keys =
        config::declared_recipients(sources).map_err(|invalid| context.invalid(sources, &invalid.diagnostics))?;
    let Purpose { kind, origin, account } = match &arguments.secret {
        Secret::Credential(..) => credential_purpose(context, sources, &address)?,
        Secret::StoreKey(destination, _) => {
            config::store_key_purpose(sources, destination).map_err(|error| refused(context, sources, error))?
        }
        Secret::Alert(alerts, secret) => {
            config::alert_secret_purpose(sources, alerts, *secret).map_err(|error| refused(context, sources, error))?
        }
    };
    let what = match (&arguments.secret, kind) {
        (Secret::StoreKey(_, key), _) => key.as_str(),
        (Secret::Alert(_, secret), _) => secret.key(),
        (Secret::Credential(..), SecretKind::Password) => "password",
        (Secret::Credential(..), SecretKind::Token | SecretKind::S3 | SecretKind::SigningKey | SecretKind::Address) => {
            "token"
        }
    };
    let secret = read_secret(what, &account)?;
    if kind == SecretKind::Address {
        demand_address(&secret)?;
    }
    let sealed = seal(&Envelope { kind, origin: origin.clone(), account: account.clone(), secret }, &keys)?;
    let mark = RecipientsMark::of(&keys);
    let after = match &arguments.secret {
        Secret::Credential(..) => config::replace_sealed(sources, &BTreeMap::from([(address.clone(), sealed)]), &mark),
        Secret::StoreKey(destination, key) => config::set_store_key(sources, destination, *key, &sealed, &mark),
        Secret::Alert(alerts, secret) => config::set_alert_secret(sources, alerts, *secret, &sealed, &mark),
    };
    let after = after.map_err(|error| refused(context, sources, error))?;
    let change = Change::new(&tree, &after, &arguments.edit);
    let whom = count(keys.len() as u64, "recipient");
    let fields = serde_json::json!({
        "type": "secret_set", "address": address, "account": account, "recipients": keys.len(),
        "for": origin,
    });
    let set = match &arguments.secret {
        Secret::Credential(..) => format!("Replaced the {what} of {address}"),
        Secret::StoreKey(..) | Secret::Alert(..) => format!("Set {address}"),
    };
    let done = format!("{set} in {}\nSealed for {whom}, bound to {origin}", change.names());
    change.finish(context, fields, &done)
}

/// Refuses what nothing could be sent to. It is not repeated: it is a secret.
fn demand_address(secret: &SecretString) -> Result<(), CliError> {
    AlertUrl::secret(secret.expose_secret()).map(|_| ()).map_err(|error| {
        CliError::new(exit_code::SECRETS, "the address cannot be used").with_hint(format!("it {error}"))
    })
}

/// What the credential at `address` is for. Only one that has a value of its own can be given another.
fn credential_purpose(context: &Context, sources: &Sources, address: &SecretAddress) -> Result<Purpose, CliError> {
    let values = config::sealed_values(sources).map_err(|error| refused(context, sources, error))?;
    let value = values.into_iter().find(|value| value.address == *address);
    let value = value.ok_or_else(|| CliError::from(EditError::NoSecret { address: address.clone() }))?;
    value.purpose.ok_or_else(|| {
        CliError::new(exit_code::INVALID_FILE, format!("{address} does not say which server and account it is for"))
            .with_hint("correct what `xopero validate` reports")
    })
}
