//! `xopero hook`.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use super::{CliError, Context, env, exit_code};
use crate::model::is_hidden;
use crate::source::{Foreign, Hooks, Installation, SourceError, WorkTree, installation, read_file, write_hook};
use crate::ui::shown;

/// Larger than any hook that a person keeps.
const LARGEST: u64 = 1 << 20;

/// Check the file before every commit
#[derive(Debug, Args)]
pub struct HookArgs {
    #[command(subcommand)]
    command: HookCommand,
}

#[derive(Debug, Subcommand)]
enum HookCommand {
    Install(InstallArgs),
}

/// Make git run the checks of the file before every commit
///
/// The pre-commit hook checks how the file is laid out (fmt --check), looks for secrets in clear text (secrets scan)
/// and plans without asking any server (plan --offline). A hook that is there already stays, unless you say what to do
/// with it. Installing
/// again brings the part of xopero up to date.
#[derive(Debug, Args)]
struct InstallArgs {
    /// Put the checks into the shell script that is there, before everything else in it
    #[arg(long)]
    append: bool,
    /// Replace the hook that is there
    #[arg(long, conflicts_with = "append")]
    force: bool,
}

/// Runs the command.
pub fn run(context: &Context, arguments: &HookArgs) -> Result<u8, CliError> {
    match &arguments.command {
        HookCommand::Install(arguments) => install(context, arguments),
    }
}

fn install(context: &Context, arguments: &InstallArgs) -> Result<u8, CliError> {
    let base = context.base();
    let work_tree = WorkTree::around(&base)?.ok_or_else(|| {
        CliError::new(exit_code::FAILED, format!("{} is not in a git repository", base.display()))
            .with_hint("make one with `git init`, or name a file in one with `-f PATH`")
    })?;
    let file = file_in(&work_tree, context.file())?;
    let directory = match work_tree.hooks(&env::git_configs(), env::path("HOME").as_deref())? {
        Hooks::Here(directory) => directory,
        Hooks::Elsewhere { directory, named_by } => {
            let message = format!(
                "git looks for hooks in {}, which is outside of this repository: core.hooksPath in {}",
                directory.display(),
                named_by.display()
            );
            return Err(CliError::new(exit_code::REFUSED, message)
                .with_hint("give this repository hooks of its own with `git config core.hooksPath .git/hooks`"));
        }
    };
    let hook = directory.join("pre-commit");
    let existing = existing(&hook)?;
    let foreign = match (arguments.append, arguments.force) {
        (true, _) => Foreign::Join,
        (false, true) => Foreign::Replace,
        (false, false) => Foreign::Refuse,
    };
    let text = match installation(existing.as_deref(), &file, foreign) {
        Installation::Unchanged => None,
        Installation::Write(text) => Some(text),
        Installation::Foreign => {
            let message = format!("{} was written by somebody else; it stays as it is", hook.display());
            return Err(CliError::new(exit_code::REFUSED, message)
                .with_hint("add the checks to it with --append, or replace it with --force"));
        }
        Installation::NotAShellScript => {
            let message = format!("{} is not a shell script: nothing can be added to it", hook.display());
            return Err(CliError::new(exit_code::REFUSED, message)
                .with_hint("call `xopero fmt --check`, `xopero secrets scan` and `xopero plan --offline` from it"));
        }
    };
    if let Some(text) = &text {
        write_hook(&hook, text)
            .map_err(|error| CliError::new(exit_code::FAILED, format!("cannot write {}: {error}", hook.display())))?;
    }
    if context.output.is_json() {
        context.output.json(&serde_json::json!({ "type": "hook", "file": hook, "changed": text.is_some() }));
    } else if text.is_some() {
        context.output.data(&format!("Installed {}", shown(&hook.display().to_string())));
    } else {
        context.output.data(&format!("{} is up to date", shown(&hook.display().to_string())));
    }
    Ok(exit_code::DONE)
}

/// The path of the file relative to the work tree, where git runs hooks.
fn file_in(work_tree: &WorkTree, file: &Path) -> Result<String, CliError> {
    let cannot =
        |reason: String| CliError::new(exit_code::FAILED, format!("cannot check {}: {reason}", file.display()));
    let name = file.file_name().ok_or_else(|| cannot("it is not a file".into()))?;
    let parent = file.parent().filter(|parent| *parent != Path::new("")).unwrap_or(Path::new("."));
    // The file itself may be a link, or not exist yet.
    let path: PathBuf = parent.canonicalize().map_err(|error| cannot(error.to_string()))?.join(name);
    let inside = path.strip_prefix(&work_tree.root).map_err(|_| cannot("it is outside of the repository".into()))?;
    let text = inside.to_str().filter(|text| !text.chars().any(is_hidden));
    text.map(str::to_owned).ok_or_else(|| cannot("its path cannot be written into a script".into()))
}

/// The text of the hook that is there.
fn existing(hook: &Path) -> Result<Option<String>, CliError> {
    match read_file(hook, LARGEST) {
        Ok(found) => Ok(Some(found.text)),
        Err(SourceError::Missing { .. }) => Ok(None),
        Err(error) => Err(CliError::from(error).with_code(exit_code::FAILED)),
    }
}
