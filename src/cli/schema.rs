//! `xopero schema`.

use clap::Args;

use super::{Context, exit_code};
use crate::config;

/// Print the reference of the language
#[derive(Debug, Args)]
pub struct SchemaArgs {}

/// Runs the command.
pub fn run(context: &Context, _arguments: &SchemaArgs) -> u8 {
    context.output.data(&config::reference());
    exit_code::DONE
}
