//! `xopero init`.

use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use clap::Args;
use secrecy::{ExposeSecret, SecretString};

use super::input::{ask, ask_secret, can_ask, read_secret};
use super::secrets::keygen;
use super::{CliError, Context, env, exit_code};
use crate::config::{self, NewCredential, SourceFile, Sources, Starter};
use crate::model::{
    AccountName, BaseUrl, CredentialKind, CredentialRole, PlanName, ProjectKey, PublicKey, Recipient, RecipientsMark,
    add_command, shell_word,
};
use crate::secret::{Envelope, SecretError, locate_identities, seal};
use crate::source::{with_file_ignored, with_state_ignored};
use crate::ui::shown;

/// Write a first file
///
/// Asks for what is not given. Makes an identity for this machine if there is none, and one for the backups if you name
/// a file for it. Nothing that exists is overwritten.
#[derive(Debug, Args)]
pub struct InitArgs {
    /// The address of the Bitbucket server
    #[arg(long, value_name = "URL", value_parser = base_url)]
    server: Option<BaseUrl>,
    /// The project to protect, by its key
    #[arg(long, value_name = "KEY")]
    project: Option<ProjectKey>,
    /// The account that reads it
    #[arg(long, value_name = "NAME")]
    account: Option<AccountName>,
    /// The directory where backups go
    #[arg(long, value_name = "DIR")]
    destination: Option<String>,
    /// The public key whose identity opens the backups
    #[arg(long, value_name = "KEY", conflicts_with = "backup_identity")]
    encrypt_to: Option<PublicKey>,
    /// A file to make the identity in that opens the backups
    #[arg(long, value_name = "FILE")]
    backup_identity: Option<PathBuf>,
    /// The name of the plan
    #[arg(long, value_name = "NAME", default_value = "nightly")]
    plan: PlanName,
    /// Read the account's token from standard input
    #[arg(long)]
    token_stdin: bool,
}

fn base_url(text: &str) -> Result<BaseUrl, String> {
    BaseUrl::new(text).map_err(|error| error.to_string())
}

/// Whose identity opens the backups.
enum BackupKey {
    Known(PublicKey),
    /// It is made in this file.
    New(PathBuf),
}

struct Answers {
    server: BaseUrl,
    project: ProjectKey,
    account: AccountName,
    destination: String,
    backup: BackupKey,
    token: Option<SecretString>,
}

/// Runs the command.
pub fn run(context: &Context, arguments: &InitArgs) -> Result<u8, CliError> {
    let path = context.file();
    if fs::symlink_metadata(path).is_ok() {
        return Err(CliError::new(exit_code::REFUSED, format!("{} exists; it stays as it is", path.display()))
            .with_hint("name another file with `-f PATH`, or edit this one"));
    }
    let answers = answers(context, arguments)?;
    let (recipient, made) = own_key(context)?;
    let (encrypt_to, backup_file) = match &answers.backup {
        BackupKey::Known(key) => (key.clone(), None),
        BackupKey::New(file) => (keygen::make(context, file)?, Some(file.clone())),
    };
    let starter = Starter {
        recipient: Recipient { key: recipient.clone(), name: Some(env::who()) },
        url: answers.server,
        destination: answers.destination,
        encrypt_to: encrypt_to.clone(),
        project: answers.project,
        account: answers.account,
        plan: arguments.plan.clone(),
    };
    let sealed = answers.token.is_some();
    let text = file_text(context, &starter, answers.token)?;
    write_new(path, &text)?;
    let ignored = ignore(&context.base(), backup_file.as_deref())?;
    if encrypt_to == recipient {
        context
            .output
            .warn("the identity of this machine also opens the backups; whoever takes it over reads them all");
    }
    let next = next_steps(context, &starter, sealed);
    if context.output.is_json() {
        context.output.json(&serde_json::json!({
            "type": "initialized", "file": path, "recipient": recipient, "identity_made": made,
            "encrypt_to": encrypt_to, "backup_identity_made": backup_file, "sealed": sealed,
            "gitignore_changed": ignored, "next": next,
        }));
        return Ok(exit_code::DONE);
    }
    let output = context.output;
    if let Some(made) = made {
        output.say(&format!("Made {}: it opens the tokens in the file. It stays on this machine.", made.display()));
    }
    if let Some(file) = backup_file {
        output.say(&format!("Made {}: it opens the backups. Move it away from this machine.", file.display()));
    }
    output.data(&format!("Wrote {}", shown(&path.display().to_string())));
    output.say("Next:");
    for step in next {
        output.say(&format!("  {step}"));
    }
    Ok(exit_code::DONE)
}

fn answers(context: &Context, arguments: &InitArgs) -> Result<Answers, CliError> {
    let asking = can_ask(context);
    let missing: Vec<&str> = [
        ("--server", arguments.server.is_none()),
        ("--project", arguments.project.is_none()),
        ("--account", arguments.account.is_none()),
        ("--destination", arguments.destination.is_none()),
        ("--encrypt-to or --backup-identity", arguments.encrypt_to.is_none() && arguments.backup_identity.is_none()),
    ]
    .iter()
    .filter_map(|(name, missing)| missing.then_some(*name))
    .collect();
    if !asking && !missing.is_empty() {
        return Err(CliError::usage("cannot ask without a terminal; these are missing:")
            .with_details(missing.into_iter().map(str::to_owned).collect())
            .with_hint("`xopero init --help` says what each is"));
    }
    let server = match &arguments.server {
        Some(server) => server.clone(),
        None => ask(context, "Address of the Bitbucket server", None, base_url)?,
    };
    let project = match &arguments.project {
        Some(project) => project.clone(),
        None => ask(context, "Key of the project to protect, such as PAY", None, |text| ProjectKey::new(text))?,
    };
    let account = match &arguments.account {
        Some(account) => account.clone(),
        None => ask(context, "Account that reads it, such as svc-backup", None, |text| AccountName::new(text))?,
    };
    let destination = match &arguments.destination {
        Some(destination) => destination.clone(),
        None => ask(context, "Directory where backups go", Some("/srv/backup/bitbucket"), directory)?,
    };
    let backup = match (&arguments.encrypt_to, &arguments.backup_identity) {
        (Some(key), _) => BackupKey::Known(key.clone()),
        (None, Some(file)) => BackupKey::New(file.clone()),
        (None, None) => {
            context.output.say("Who opens the backups: a public key (age1…), or a file for a new identity.");
            ask(context, "Key or file", Some("~/xopero-backup-identity.txt"), backup_key)?
        }
    };
    let token = if arguments.token_stdin {
        Some(read_secret(CredentialKind::Token.as_str(), &account)?)
    } else if asking {
        let token = ask_secret(&format!("HTTP access token of {account}; empty to seal it later"))?;
        Some(token).filter(|token| !token.expose_secret().is_empty())
    } else {
        None
    };
    Ok(Answers { server, project, account, destination, backup, token })
}

fn directory(text: &str) -> Result<String, &'static str> {
    if text.is_empty() || text.chars().any(char::is_control) { Err("not a directory") } else { Ok(text.to_owned()) }
}

fn backup_key(text: &str) -> Result<BackupKey, String> {
    if text.starts_with("age1") {
        return PublicKey::new(text).map(BackupKey::Known).map_err(|error| error.to_string());
    }
    let home = env::path("HOME");
    Ok(BackupKey::New(match (text.strip_prefix("~/"), home) {
        (Some(rest), Some(home)) => home.join(rest),
        _ => PathBuf::from(text),
    }))
}

/// The public key of this machine's identity, and the file if it had to be made.
fn own_key(context: &Context) -> Result<(PublicKey, Option<PathBuf>), CliError> {
    match locate_identities(&context.identity_sources()) {
        Ok(found) => {
            let key = found.identities.public_keys().into_iter().next();
            Ok((key.expect("an identity file without an identity is refused"), None))
        }
        Err(SecretError::NoIdentity { .. }) => {
            let path = keygen::usual_place();
            let path =
                path.ok_or_else(|| CliError::usage("there is no home directory: name a file with --identity"))?;
            Ok((keygen::make(context, &path)?, Some(path)))
        }
        Err(error) => Err(error.into()),
    }
}

/// The file, with the token in it if it is known. Whatever is wrong with it is what the answers made wrong.
fn file_text(context: &Context, starter: &Starter, token: Option<SecretString>) -> Result<String, CliError> {
    let file = SourceFile { name: context.file().display().to_string(), text: config::starter(starter) };
    let sources = Sources::alone(file);
    let project = starter.project.clone().into();
    let known =
        config::edit_context(&sources, &project).map_err(|invalid| context.invalid(&sources, &invalid.diagnostics))?;
    let Some(secret) = token else { return Ok(sources.main().text.clone()) };
    let (kind, account, origin) = (CredentialKind::Token, starter.account.clone(), known.origin.origin());
    let sealed = seal(&Envelope { kind: kind.into(), origin, account: account.clone(), secret }, &known.recipients)?;
    let recipients = RecipientsMark::of(&known.recipients);
    let credential = NewCredential { account, kind, sealed, recipients, expires: None };
    let after = config::set_credential(&sources, &project, &CredentialRole::Main, &credential)?;
    config::decode(&after).map_err(|invalid| context.invalid(&after, &invalid.diagnostics))?;
    Ok(after.main().text.clone())
}

/// Makes a file that others may read: there is nothing secret in it.
fn write_new(path: &Path, text: &str) -> Result<(), CliError> {
    let write = || -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o644).open(path)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()
    };
    write().map_err(|error| CliError::new(exit_code::FAILED, format!("cannot make {}: {error}", path.display())))
}

/// Keeps git's hands off the state, and off the identity that opens the backups if it was made beside the file; whether
/// `.gitignore` had to be changed.
fn ignore(base: &Path, identity: Option<&Path>) -> Result<bool, CliError> {
    let path = base.join(".gitignore");
    let failed =
        |error: io::Error| CliError::new(exit_code::FAILED, format!("cannot change {}: {error}", path.display()));
    let mut text = String::new();
    match OpenOptions::new().read(true).open(&path) {
        Ok(mut file) => drop(file.read_to_string(&mut text).map_err(failed)?),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed(error)),
    }
    let mut after = with_state_ignored(&text).unwrap_or_else(|| text.clone());
    if let Some(inside) = identity.and_then(|identity| below(base, identity)) {
        after = with_file_ignored(&after, &inside).unwrap_or(after);
    }
    let added = after.strip_prefix(text.as_str()).unwrap_or(&after);
    if added.is_empty() {
        return Ok(false);
    }
    let mut file = OpenOptions::new().append(true).create(true).mode(0o644).open(&path).map_err(failed)?;
    file.write_all(added.as_bytes()).map_err(failed)?;
    Ok(true)
}

/// The path of a file below a directory, unless it is elsewhere.
fn below(base: &Path, file: &Path) -> Option<String> {
    let (base, file) = (fs::canonicalize(base).ok()?, fs::canonicalize(file).ok()?);
    file.strip_prefix(base).ok()?.to_str().map(str::to_owned)
}

fn next_steps(context: &Context, starter: &Starter, sealed: bool) -> Vec<String> {
    let xopero = match context.file() {
        path if path == Path::new("xopero.kdl") => "xopero".to_owned(),
        path => format!("xopero -f {}", shell_word(&path.display().to_string())),
    };
    let Starter { project, account, plan, .. } = starter;
    let seal = (!sealed).then(|| {
        add_command(&project.clone().into(), &CredentialRole::Main, account, CredentialKind::Token)
            .replacen("xopero", &xopero, 1)
    });
    let rest = ["plan".to_owned(), "apply".to_owned(), format!("run {plan}")];
    seal.into_iter().chain(rest.into_iter().map(|verb| format!("{xopero} {verb}"))).collect()
}
