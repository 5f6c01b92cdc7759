//! `xopero secrets rekey`.

use std::collections::BTreeMap;

use clap::Args;

use super::{Change, CliError, Context, EditArgs, exit_code, refused};
use crate::config::{self, SecretAddress, Sources};
use crate::model::{PublicKey, Recipient, RecipientsMark};
use crate::secret::{Identities, reseal};
use crate::ui::count;

/// Seal the secrets of the file for its recipients
///
/// Only what is sealed for another set of recipients, or does not say for whom, is sealed again: all of it or, if one
/// value cannot be opened, nothing. The secrets themselves do not change. Whoever was a recipient could read them, and
/// can read the old file for ever: replace the tokens too when somebody leaves.
#[derive(Debug, Args)]
pub struct RekeyArgs {
    /// Only this value, whatever it is sealed for: `credential/PROJECT/NAME`
    #[arg(long, value_name = "ADDRESS")]
    only: Option<String>,
    #[command(flatten)]
    edit: EditArgs,
}

/// Runs the command.
pub async fn run(context: &Context, arguments: &RekeyArgs) -> Result<u8, CliError> {
    let tree = context.source()?;
    let (after, addresses) = rekeyed(context, tree.sources(), arguments.only.as_deref())?;
    let keys = recipients(context, tree.sources())?;
    let change = Change::new(&tree, &after, &arguments.edit);
    let whom = count(keys.len() as u64, "recipient");
    let gone = gone(context, &keys).await?;
    let fields = serde_json::json!({
        "type": "rekeyed", "addresses": addresses, "recipients": keys.len(), "readable_before_by": gone,
    });
    let done = if addresses.is_empty() {
        format!("Every secret is sealed for the {whom} of the file already")
    } else {
        let list: Vec<String> = addresses.iter().map(ToString::to_string).collect();
        format!("Sealed {} for {whom}: {}", count(addresses.len() as u64, "secret"), list.join(", "))
    };
    let code = change.finish(context, fields, &done)?;
    if !addresses.is_empty() && !gone.is_empty() {
        warn_of(context, &gone);
    }
    Ok(code)
}

/// Says what sealing again does not do.
pub fn warn_of(context: &Context, gone: &[String]) {
    context.output.warn(&format!("rotate the tokens too: they were readable by {}", gone.join(", ")));
}

/// The files with everything sealed again that is sealed for others than their recipients, and what that is.
pub fn rekeyed(
    context: &Context,
    sources: &Sources,
    only: Option<&str>,
) -> Result<(Sources, Vec<SecretAddress>), CliError> {
    let keys = recipients(context, sources)?;
    let mark = RecipientsMark::of(&keys);
    let values = config::sealed_values(sources).map_err(|error| refused(context, sources, error))?;
    if let Some(only) = only.filter(|only| !values.iter().any(|value| value.address.as_str() == *only)) {
        let known: Vec<String> = values.iter().map(|value| value.address.to_string()).collect();
        return Err(CliError::usage(format!("there is no sealed value at {only}"))
            .with_hint(format!("sealed values: {}", known.join(", "))));
    }
    let chosen: Vec<_> = values
        .into_iter()
        .filter(|value| only.map_or_else(|| !value.is_for(&mark), |only| value.address.as_str() == only))
        .collect();
    if chosen.is_empty() {
        return Ok((sources.clone(), Vec::new()));
    }
    let identities: Identities = context.identities()?;
    let (mut sealed, mut closed) = (BTreeMap::new(), Vec::new());
    for value in chosen {
        match reseal(&value.sealed, &identities, &keys) {
            Ok(again) => drop(sealed.insert(value.address, again)),
            Err(error) => closed.push(format!("{}: {error}", value.address)),
        }
    }
    if !closed.is_empty() {
        for line in &closed {
            context.output.warn(line);
        }
        let failed = count(closed.len() as u64, "secret");
        return Err(CliError::new(exit_code::SECRETS, format!("{failed} cannot be opened; nothing was changed"))
            .with_hint("use --identity with an identity that opens them, or seal them anew: xopero secrets set"));
    }
    let after = config::replace_sealed(sources, &sealed, &mark).map_err(|error| refused(context, sources, error))?;
    Ok((after, sealed.into_keys().collect()))
}

/// Whom to seal to.
fn recipients(context: &Context, sources: &Sources) -> Result<Vec<PublicKey>, CliError> {
    config::declared_recipients(sources).map_err(|invalid| context.invalid(sources, &invalid.diagnostics))
}

/// Who is a recipient in what is applied, and not in the file.
async fn gone(context: &Context, keys: &[PublicKey]) -> Result<Vec<String>, CliError> {
    let Some(state) = context.state().await? else { return Ok(Vec::new()) };
    let applied = state.applied().await?.map(|applied| applied.declaration.recipients).unwrap_or_default();
    let gone = applied.into_iter().filter(|recipient| !keys.contains(&recipient.key));
    Ok(gone.map(|Recipient { key, name }| name.unwrap_or_else(|| key.to_string())).collect())
}
