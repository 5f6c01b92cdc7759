//! Every exit code. Scripts rely on them: a code never changes its meaning.

/// Done; for `plan`, also when there are changes and nobody asked for [`DIFFERENCE`].
pub const DONE: u8 = 0;
/// It failed.
pub const FAILED: u8 = 1;
/// There is a difference: `plan --detailed-exitcode`, `fmt --check`.
pub const DIFFERENCE: u8 = 2;
/// The file is invalid.
pub const INVALID_FILE: u8 = 3;
/// A safety rail refused.
pub const REFUSED: u8 = 4;
/// What was approved is not what would happen.
pub const STALE_PLAN: u8 = 5;
/// Somebody else holds the state's lock.
pub const LOCKED: u8 = 6;
/// An identity is missing or unsafe, a secret cannot be opened, or `credential check` found one that is not accepted.
pub const SECRETS: u8 = 7;
/// Some repositories are not backed up.
pub const PARTIAL: u8 = 8;
/// Stored bytes are damaged.
pub const DAMAGE: u8 = 9;
/// The run had to end while repositories waited for budget: `run --resume` goes on with them.
pub const THROTTLED: u8 = 10;
/// A commit is not signed as it must be.
pub const SIGNATURE: u8 = 11;
/// The command line cannot be understood.
pub const USAGE: u8 = 64;
/// Interrupted by Ctrl-C or SIGTERM.
pub const INTERRUPTED: u8 = 130;
