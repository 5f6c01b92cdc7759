//! `xopero fmt`.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::{CliError, Context, exit_code};
use crate::config::{self, FormatError, Sources};
use crate::source::{SOURCE_LIMIT, SourceText, read_file};
use crate::ui::{count, diff};

/// Lay the file out anew: indentation and spaces, nothing else
///
/// Comments, the form of values, what is commented out and sealed values stay as they are; what the file says is
/// compared before it is replaced. Files that it includes are laid out too. Nothing is written if one of them is not
/// KDL; it may be wrong otherwise.
#[derive(Debug, Args)]
pub struct FmtArgs {
    /// Write nothing: show what would change, and exit with 2 if something would
    #[arg(long)]
    pub check: bool,
    /// These files, in place of the declaration and what it includes
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,
}

/// Runs the command.
pub fn run(context: &Context, arguments: &FmtArgs) -> Result<u8, CliError> {
    context.output.begin_json();
    let mut wrong = None;
    let mut formatted = Vec::new();
    for source in files(context, &arguments.files)? {
        match config::format(&source.file()) {
            Ok(text) => formatted.push((source, text)),
            Err(FormatError::Syntax { source: invalid, .. }) => {
                wrong = Some(context.invalid(&Sources::alone(source.file()), &invalid.diagnostics));
            }
            Err(error @ FormatError::Changes { .. }) => return Err(error.into()),
        }
    }
    if let Some(wrong) = wrong {
        return Err(wrong);
    }
    let changed = formatted.iter().filter(|(source, text)| source.text != *text).count();
    for (source, text) in &formatted {
        let changes = source.text != *text;
        if changes && !arguments.check {
            source.replace(text)?;
        }
        tell(context, source, text, arguments.check);
    }
    if changed == 0 {
        context.output.say(&format!("Nothing to lay out in {}", count(formatted.len() as u64, "file")));
    }
    Ok(if arguments.check && changed > 0 { exit_code::DIFFERENCE } else { exit_code::DONE })
}

/// The named files, or those of the declaration. What an invalid declaration includes is found all the same.
fn files(context: &Context, named: &[PathBuf]) -> Result<Vec<SourceText>, CliError> {
    if named.is_empty() {
        let tree = context.source()?;
        return Ok(tree.sources().files().map(|(id, _)| tree.text(id).clone()).collect());
    }
    Ok(named.iter().map(|path| read_file(path, SOURCE_LIMIT)).collect::<Result<_, _>>()?)
}

fn tell(context: &Context, source: &SourceText, text: &str, check: bool) {
    let changed = source.text != text;
    if context.output.is_json() {
        let line = json!({ "type": "format", "file": source.name, "changed": changed, "written": changed && !check });
        context.output.json(&line);
    } else if changed && check {
        context.output.data(&diff(&source.name, &source.text, text, context.output.style()));
    } else if changed {
        context.output.say(&format!("Laid out {}", source.name));
    }
}
