//! `xopero secrets keygen`.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use clap::Args;
use secrecy::ExposeSecret;

use super::{CliError, Context, env, exit_code};
use crate::clock::Clock;
use crate::model::PublicKey;
use crate::secret::keygen;

/// Make an age identity and print its public key
///
/// The identity goes into a new file that only you can read. The public key is what `recipient` and `encrypt-to` in
/// the file name. Whoever loses the identity of the backups loses the backups: keep a copy of it offline.
#[derive(Debug, Args)]
pub struct KeygenArgs {
    /// The file to make [default: ~/.config/xopero/identity.txt]
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Runs the command.
pub fn run(context: &Context, arguments: &KeygenArgs) -> Result<u8, CliError> {
    let path = arguments.output.clone().or_else(usual_place);
    let path = path.ok_or_else(|| CliError::usage("there is no home directory: name the file with --output"))?;
    let public = make(context, &path)?;
    if context.output.is_json() {
        context.output.json(&serde_json::json!({ "type": "identity", "file": path, "public_key": public }));
    } else {
        context.output.say(&format!("The identity is in {}; its public key is", path.display()));
        context.output.data(public.as_str());
    }
    Ok(exit_code::DONE)
}

/// Where the identity of this user is if nobody says otherwise.
pub fn usual_place() -> Option<PathBuf> {
    Some(env::config_home()?.join("xopero").join("identity.txt"))
}

/// Makes an identity in a new file.
pub fn make(context: &Context, path: &Path) -> Result<PublicKey, CliError> {
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::AlreadyExists => {
            CliError::new(exit_code::SECRETS, format!("there is a file {} already", path.display())).with_hint(
                "an identity is never overwritten, because nothing else opens what is sealed for it: name another file",
            )
        }
        _ => CliError::new(exit_code::SECRETS, format!("cannot make {}: {error}", path.display())),
    };
    if let Some(parent) = path.parent() {
        let failed = |error| format!("cannot make the directory {}: {error}", parent.display());
        fs::create_dir_all(parent).map_err(|error| CliError::new(exit_code::SECRETS, failed(error)))?;
    }
    let (identity, public) = keygen(context.clock.now());
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(failed)?;
    file.write_all(identity.expose_secret().as_bytes()).and_then(|()| file.sync_all()).map_err(failed)?;
    Ok(public)
}
