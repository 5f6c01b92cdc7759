//! `xopero schema`.

use clap::Args;

use super::{Context, exit_code};
use crate::config;

/// Print the reference of the language
#[derive(Debug, Args)]
pub struct SchemaArgs {}

/// Runs the command.
pub fn run(context: &Context, _arguments: &SchemaArgs) -> u8 {
    if context.output.is_json() {
        context.output.json(&config::reference_json());
    } else {
        context.output.data(&config::reference());
    }
    exit_code::DONE
}
