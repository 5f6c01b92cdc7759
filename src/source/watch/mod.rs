//! Following a file and everything that it names.
//!
//! The system's notifications are only *hints* that it is worth to look. A **look** follows every symbolic link on the
//! way to each file, watches the directory of every one of them, and reads all files. What was read is compared by its
//! digests, and is given out after two looks that found the same, some time apart: a file that is half-written, missing
//! or empty is never given out, and one that lacks something that was named before, as the beginning of a file does that
//! is being written, only after it has stood still for longer. A slow poll finds what no notification told: network file systems, an overflow of the
//! queue, a directory above the watched ones that was renamed.
//!
//! [`Settling`] decides when to look and what to tell, from what was seen and the time. [`FileWatch`] looks.

mod file_watch;
mod hops;
mod settling;
#[cfg(test)]
mod tests;
mod watches;

pub use file_watch::{FileWatch, Notice};
pub use settling::{Act, Look, Pace, Settling};
