//! The arguments.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};

/// Compare xopero with stock git on a fake server and print the ratios
#[derive(Clone, Debug, Parser)]
pub struct Arguments {
    /// Bare repository to be the large one instead of a generated one; it is only read
    #[arg(long, value_name = "PATH")]
    pub mirror: Option<PathBuf>,
    /// Rough size of the generated pack
    #[arg(long, value_name = "MB", default_value_t = 10)]
    pub large_mb: usize,
    /// Number of small repositories
    #[arg(long, value_name = "N", default_value_t = 200)]
    pub small: usize,
    /// How often each measurement is taken; its median counts
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    pub runs: u32,
    /// Only one part
    #[arg(long)]
    pub only: Option<Part>,
    /// Given by cargo
    #[arg(long, hide = true)]
    bench: bool,
    /// Be the server process
    #[arg(long, hide = true)]
    pub serve: bool,
    /// Be the process that runs clients and measures them
    #[arg(long, hide = true)]
    pub measure: bool,
}

/// A part of the comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// The full backup of one large repository.
    Full,
    /// The full backup of many small ones.
    Small,
    /// A second look at the small ones.
    Unchanged,
}

impl Arguments {
    /// Whether a part is asked for.
    pub fn wants(&self, part: Part) -> bool {
        self.only.is_none_or(|only| only == part)
    }
}
