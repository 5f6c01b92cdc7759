//! `xopero credential rotate`.

use std::time::Duration;

use clap::Args;
use secrecy::SecretString;
use serde_json::{Value, json};

use super::super::edit::differences;
use super::{CliError, Context, EditArgs, read_secret};
use crate::bitbucket::TokenId;
use crate::cli::{env, exit_code};
use crate::model::{AccountName, CredentialName, CredentialRole, Declaration, ProjectSelector, RepoSlug};
use crate::rotate::{Asked, Ended, Finish, Journal, Patience, Rotation, Told, Waiting, Wish, advance, begin, pending};
use crate::state::Exclusive;
use crate::ui::count;

/// Replace an access token by a new one, and revoke the old one when the new one is in force
///
/// The server makes a token with the same permissions and the same life. It is sealed for all recipients of the file,
/// tried, and put in the place of the old one, wherever the file holds that. Nothing is revoked yet: runs use what is
/// applied. Review the change, commit it, apply it, and run the same command again: it revokes the old token.
///
/// Interrupted at any point, the same command goes on where it stopped. Bitbucket lets an account manage its tokens with
/// its password alone: --with-password. A token of a project or a repository is managed by whoever administers that:
/// --managed-by. Without PROJECT and NAME, lists the rotations that are not finished.
#[derive(Debug, Args)]
pub struct RotateArgs {
    /// The project, by its key or its pattern, as the file names it
    #[arg(requires = "name")]
    project: Option<ProjectSelector>,
    /// An additional credential, or `main`
    name: Option<String>,
    /// How long the new token lives [default: as long as the old one]
    #[arg(long, value_name = "DAYS", requires = "project", value_parser = clap::value_parser!(u32).range(1..=36_500))]
    expires_in: Option<u32>,
    /// The token in use, by its id in Bitbucket, if nothing else tells which one it is
    #[arg(long, value_name = "ID", requires = "project")]
    token_id: Option<TokenId>,
    /// Manage the tokens with the account's password: asked for, or read from standard input
    #[arg(long, requires = "project")]
    with_password: bool,
    /// Manage the tokens with the password of another account, such as an administrator of the project
    #[arg(long, value_name = "ACCOUNT", requires = "with_password")]
    managed_by: Option<AccountName>,
    /// The repository of PROJECT whose access token it is, if it is one of a repository
    #[arg(long, value_name = "SLUG", requires = "project")]
    repository: Option<RepoSlug>,
    /// Revoke the old token as soon as the file holds the new one; runs fail until it is applied everywhere
    #[arg(long, requires = "project")]
    revoke_now: bool,
    /// Leave the old token in Bitbucket, and forget about it
    #[arg(long, requires = "project", conflicts_with = "revoke_now")]
    keep_old: bool,
    #[command(flatten)]
    edit: EditArgs,
}

/// Runs the command.
pub async fn run(context: &Context, arguments: &RotateArgs) -> Result<u8, CliError> {
    context.output.begin_json();
    let location = context.location()?;
    let directory = location.directory();
    let (Some(project), Some(name)) = (&arguments.project, &arguments.name) else {
        return Ok(list(context, &pending(directory)?));
    };
    let role = role(name)?;
    let identities = context.identities()?;
    // Nothing that is under way may lose its token, and nothing may come into force meanwhile.
    let _applying = context.lock(Exclusive::Applying, "credential rotate", Duration::ZERO).await?;
    // A run that began before the new token was applied still uses the old one.
    let _runs = context.lock(Exclusive::Runs, "credential rotate", Duration::ZERO).await?;
    let (_, decoded) = context.declaration()?;
    let applied = match context.state().await? {
        Some(state) => state.applied().await?,
        None => None,
    };
    let under_way = pending(directory)?.into_iter().find(|one| one.project == *project && one.role == role);
    let account = match &under_way {
        Some(journal) => Some(journal.account.clone()),
        None => account(&decoded.declaration, project, &role),
    };
    let tell_wait = |account: &AccountName, wait: Duration| {
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        context.output.say(&format!(
            "Account {account} has no budget left at the server: waiting for {}.",
            count(seconds, "second")
        ));
    };
    let rotation = Rotation {
        file: context.file(),
        base: &context.base(),
        proxies: &env::proxies(),
        directory,
        applied: applied.as_ref().map(|applied| &applied.declaration),
        identities: &identities,
        password: password(arguments, arguments.managed_by.as_ref().or(account.as_ref()))?,
        manager: arguments.managed_by.clone(),
        wish: wish(arguments),
        patience: Patience::new(&tell_wait),
        clock: &context.clock,
    };
    let journal = if let Some(journal) = under_way {
        let since = journal.begun.strftime("%Y-%m-%d");
        context.output.say(&format!("Going on with the rotation of {}, begun {since}.", journal.address()));
        journal
    } else {
        let (days, id) = (arguments.expires_in, arguments.token_id.clone());
        let asked = Asked { days, id, repository: arguments.repository.clone() };
        begin(&rotation, project, &role, &asked).await?
    };
    if arguments.edit.dry_run {
        return Ok(preview(context, &journal));
    }
    location.make_directory()?;
    let output = context.output;
    let mut told = Vec::new();
    let mut tell = |step: Told| {
        if !output.is_json() {
            say(context, &journal, &step);
        }
        told.push(step);
    };
    let ended = advance(&rotation, journal.clone(), &mut tell).await?;
    if output.is_json() {
        output.json(&as_json(&journal, &told, ended));
    } else {
        output.data(&conclusion(&journal, ended, arguments));
    }
    Ok(exit_code::DONE)
}

fn role(name: &str) -> Result<CredentialRole, CliError> {
    if name == "main" {
        return Ok(CredentialRole::Main);
    }
    CredentialName::new(name).map(CredentialRole::Additional).map_err(|error| CliError::usage(error.to_string()))
}

const fn wish(arguments: &RotateArgs) -> Wish {
    match (arguments.revoke_now, arguments.keep_old) {
        (true, _) => Wish::Now,
        (_, true) => Wish::Keep,
        (false, false) => Wish::WhenApplied,
    }
}

fn account(declaration: &Declaration, project: &ProjectSelector, role: &CredentialRole) -> Option<AccountName> {
    let credential = declaration.projects.get(project).and_then(|project| project.credential(role));
    credential.map(|credential| credential.account.clone())
}

fn password(arguments: &RotateArgs, account: Option<&AccountName>) -> Result<Option<SecretString>, CliError> {
    match account.filter(|_| arguments.with_password) {
        Some(account) => read_secret("password", account).map(Some),
        None => Ok(None),
    }
}

/// The rotations that are not finished.
fn list(context: &Context, journals: &[Journal]) -> u8 {
    for journal in journals {
        if context.output.is_json() {
            context.output.json(&json!({
                "type": "rotation", "address": journal.address(), "status": "under-way", "begun": journal.begun,
                "account": journal.account, "old": journal.old.id,
                "new": journal.made.as_ref().map(|made| &made.id), "name": journal.wanted.name,
            }));
        } else {
            let since = journal.begun.strftime("%Y-%m-%d");
            context.output.data(&format!("{}, begun {since}:\n  {}", journal.address(), journal.command()));
        }
    }
    if journals.is_empty() && !context.output.is_json() {
        context.output.data("No rotation is under way.");
    }
    exit_code::DONE
}

fn preview(context: &Context, journal: &Journal) -> u8 {
    let Journal { old, wanted, account, .. } = journal;
    let permissions: Vec<&str> = wanted.permissions.iter().map(String::as_str).collect();
    if context.output.is_json() {
        context.output.json(&json!({
            "type": "rotation", "address": journal.address(), "status": "dry-run", "account": account, "old": old.id,
            "new": journal.made.as_ref().map(|made| &made.id), "name": wanted.name,
            "permissions": wanted.permissions, "expiry_days": wanted.expiry_days,
        }));
    } else {
        let life = wanted.expiry_days.map_or_else(|| "it does not end".to_owned(), |days| format!("{days} days"));
        context.output.data(&format!(
            "In use: token {} \"{}\" of {account}\nNew:    \"{}\"\n        {}; {life}",
            old.id,
            old.name,
            wanted.name,
            permissions.join(" ")
        ));
        context.output.say("Nothing was made, and nothing was written: this was a dry run.");
    }
    exit_code::DONE
}

fn say(context: &Context, journal: &Journal, step: &Told) {
    let output = context.output;
    match step {
        Told::Discarded(id) => {
            output.say(&format!("Revoked token {id}: its secret was lost when an attempt was interrupted."));
        }
        Told::Made(id) => output.say(&format!("Made token {id} \"{}\" of {}.", journal.wanted.name, journal.account)),
        Told::Installed { places, expires, files } => {
            let files = files.iter().map(|(name, before, after)| (name.as_str(), before.as_str(), after.as_str()));
            output.talk(&differences(files, output.talk_style()));
            let places: Vec<&str> = places.iter().map(|place| place.as_str()).collect();
            let until = expires.map(|day| format!("; it works until {day}")).unwrap_or_default();
            output.say(&format!("It logs in, and the file has it at {}{until}.", places.join(", ")));
        }
        Told::Revoked(id) => output.say(&format!("Revoked token {id}.")),
    }
}

fn conclusion(journal: &Journal, ended: Ended, arguments: &RotateArgs) -> String {
    let (address, old) = (journal.address(), &journal.old);
    // What this call was given counts, not what an earlier one was.
    let password = arguments.managed_by.as_ref().unwrap_or(&journal.account);
    let manager = arguments.with_password.then(|| password.clone());
    let again = journal.command_by(manager.as_ref());
    match ended {
        Ended::Finished(Finish::Revoked) => format!("Rotated {address}: the old token is revoked."),
        Ended::Finished(Finish::Kept) => {
            format!("Rotated {address}.\nThe old token {} \"{}\" still works.", old.id, old.name)
        }
        Ended::Finished(Finish::Superseded) => {
            format!("The file has another value for {address}: nothing was made or revoked.")
        }
        Ended::Finished(Finish::Vanished) => {
            format!("Somebody has revoked the new token before it was used; the old one is in use.\nAgain: {again}")
        }
        Ended::Waiting(why) => {
            let because = match why {
                Waiting::NothingApplied => "nothing is applied here, so nobody knows who uses it",
                Waiting::OldInForce => "what is applied uses it",
                Waiting::Unreadable => "a credential of the account in what is applied cannot be opened",
                Waiting::NewNotInForce => "what is applied does not use the new one",
            };
            format!(
                "The old token {} is not revoked yet:\n{because}.\nNext, commit the file and apply it wherever it is \
                 used. Then revoke with:\n  {again}",
                old.id
            )
        }
    }
}

fn as_json(journal: &Journal, told: &[Told], ended: Ended) -> Value {
    let (status, waiting) = match ended {
        Ended::Finished(Finish::Revoked) => ("revoked", None),
        Ended::Finished(Finish::Kept) => ("kept", None),
        Ended::Finished(Finish::Superseded) => ("superseded", None),
        Ended::Finished(Finish::Vanished) => ("vanished", None),
        Ended::Waiting(why) => {
            let why = match why {
                Waiting::NothingApplied => "nothing-applied",
                Waiting::OldInForce => "old-in-force",
                Waiting::Unreadable => "unreadable",
                Waiting::NewNotInForce => "new-not-in-force",
            };
            ("waiting", Some(why))
        }
    };
    let mut new = journal.made.as_ref().map(|made| made.id.clone());
    let (mut revoked, mut places, mut files, mut expires) = (Vec::new(), Vec::new(), Vec::new(), None);
    for step in told {
        match step {
            Told::Discarded(id) | Told::Revoked(id) => revoked.push(id),
            Told::Made(id) => new = Some(id.clone()),
            Told::Installed { places: at, expires: day, files: changed } => {
                places.extend(at);
                files.extend(changed.iter().map(|(name, ..)| name));
                expires = *day;
            }
        }
    }
    json!({
        "type": "rotation", "address": journal.address(), "status": status, "waiting": waiting,
        "account": journal.account, "old": journal.old.id, "new": new, "name": journal.wanted.name,
        "revoked": revoked, "places": places, "files": files, "expires": expires,
    })
}
