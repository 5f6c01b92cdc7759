//! A change set, for people and for programs.
//!
//! Text hides what stays as it is, counts it, and says the next command. Programs get one line of JSON for each change,
//! note and rail, and a summary; `schema/plan-output.schema.json` describes the lines, and what is added to them is added
//! there.

mod attribute;
mod impact;
mod json;
mod lines;
mod markdown;
#[cfg(test)]
mod sample;
mod text;

pub use json::to_json_lines;
pub use markdown::render_markdown;
pub use text::{next_command, next_command_with_file, render, render_notes};

/// No change deletes backups: the language has no words for it. It is said all the same, because people ask.
const BACKUPS_DELETED: u64 = 0;
