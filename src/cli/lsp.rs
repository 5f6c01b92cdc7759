//! `xopero lsp`.

use clap::Args;

use super::{CliError, Context, exit_code};
use crate::lsp;

/// Serve an editor over standard input and output, as a language server
#[derive(Debug, Args)]
pub struct LspArgs {
    /// Accepted because many editors add it; there is no other way
    #[arg(long, hide = true)]
    pub stdio: bool,
}

/// Runs the command.
pub fn run(context: &Context, _arguments: &LspArgs) -> Result<u8, CliError> {
    let name = context.file().file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let orderly = lsp::serve(std::io::stdin(), std::io::stdout(), &name, &context.clock)?;
    Ok(if orderly { exit_code::DONE } else { exit_code::FAILED })
}
