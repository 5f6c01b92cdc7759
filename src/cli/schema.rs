//! `xopero schema`.

use clap::{Args, ValueEnum};

use super::{Context, exit_code};
use crate::config;

/// Print the reference of the language
#[derive(Debug, Args)]
pub struct SchemaArgs {
    /// How to write it; `--json` alone means json
    #[arg(long, value_enum)]
    format: Option<SchemaFormat>,
}

/// How the reference is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum SchemaFormat {
    /// For people
    Markdown,
    /// The whole table, also what this version refuses
    Json,
    /// In the words of KDL Schema
    Kdl,
}

/// Runs the command.
pub fn run(context: &Context, arguments: &SchemaArgs) -> u8 {
    let usual = if context.output.is_json() { SchemaFormat::Json } else { SchemaFormat::Markdown };
    match arguments.format.unwrap_or(usual) {
        SchemaFormat::Markdown => context.output.data(&config::reference()),
        SchemaFormat::Json => context.output.json(&config::reference_json()),
        SchemaFormat::Kdl => context.output.data(&config::reference_kdl()),
    }
    exit_code::DONE
}
