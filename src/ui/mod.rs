//! What people and programs see.
//!
//! Rendering is a function from a value to text; whoever calls it prints. Text is readable without colour and fits
//! 80 columns. Whatever came from a file or a server goes through [`shown()`] first: it cannot move the cursor, hide
//! characters or turn the direction of writing.

pub mod change_set;
pub mod credential_check;
mod diff;
mod event_lines;
mod failure;
pub mod history;
pub mod next;
mod output;
mod progress;
mod quantity;
pub mod runs;
mod shown;
mod stamp;
pub mod status;
mod style;
pub mod summary;
mod table;
mod telling;
mod waits;
mod watch;
mod watch_log;
mod worker;
mod wrap;

pub use diff::diff;
pub use event_lines::{EventLines, Stream, VERSION, version_line};
pub use output::{ColorChoice, Output};
pub use progress::{Progress, STOPPING};
pub use quantity::{bytes, count, millis};
pub use shown::{shown, shown_json, shown_lines};
pub use stamp::{Level, Stamp};
pub use style::Style;
pub use table::{Side, Table};
pub use telling::{Lines, Log, Talk};
pub use wrap::wrap;
