//! A change set, for people and for programs.
//!
//! Text hides what stays as it is, counts it, and says the next command. Programs get one line of JSON for each change,
//! note and rail, and a summary.

mod json;
#[cfg(test)]
mod sample;
mod text;

pub use json::to_json_lines;
pub use text::{next_command, render};

/// No change deletes backups: the language has no words for it. It is said all the same, because people ask.
const BACKUPS_DELETED: u64 = 0;
