//! `xopero secrets verify`.

use clap::Args;

use super::{CliError, Context, exit_code, refused};
use crate::config::{self, Purpose, SealedValue};
use crate::secret::{Expected, Identities, SecretError, open};
use crate::ui::{Side, Table, count};

/// Open every secret of the file with the identity of this machine
///
/// Checks that each opens, and that it is sealed for the server and account that the file would use it for. Nothing is
/// sent anywhere and no secret is shown. Ends with 7 if one is unusable.
#[derive(Debug, Args)]
pub struct VerifyArgs {}

/// Runs the command.
pub fn run(context: &Context, _arguments: &VerifyArgs) -> Result<u8, CliError> {
    let tree = context.source()?;
    let values = config::sealed_values(tree.sources()).map_err(|error| refused(context, tree.sources(), error))?;
    let identities = context.identities()?;
    let output = context.output;
    let mut table = Table::new(&[("SECRET", Side::Whole), ("RESULT", Side::Left)], output.width(), output.style());
    let mut unusable = 0;
    for value in &values {
        let result = check(value, &identities);
        unusable += u64::from(result.is_err());
        if output.is_json() {
            output.json(&serde_json::json!({
                "type": "secret", "address": value.address, "usable": result.is_ok(), "reason": result.err(),
            }));
        } else {
            table.row([value.address.to_string(), result.map_or_else(|reason| reason, |()| "opens".to_owned())]);
        }
    }
    if !output.is_json() && !values.is_empty() {
        output.data(&table.render());
    }
    if unusable > 0 {
        return Err(CliError::new(exit_code::SECRETS, format!("{} unusable", count(unusable, "secret")))
            .with_hint("`xopero secrets doctor` says what to do about each"));
    }
    let all = count(values.len() as u64, "secret");
    output.say(&format!("{all}: each opens, and is for the server and account that the file uses it for."));
    Ok(exit_code::DONE)
}

/// Whether a value can be used as the file would use it; otherwise why not.
pub fn check(value: &SealedValue, identities: &Identities) -> Result<(), String> {
    let Some(Purpose { kind, origin, account }) = value.purpose.clone() else {
        return Err("the file does not say which server and account it is for".to_owned());
    };
    match open(&value.sealed, identities, &Expected { kind, origin, account }) {
        Ok(_) => Ok(()),
        Err(error) => Err(reason(&error)),
    }
}

fn reason(error: &SecretError) -> String {
    error.to_string()
}
