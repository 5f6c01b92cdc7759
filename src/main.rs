//! The `xopero` executable.

use std::process::ExitCode;

fn main() -> ExitCode {
    xopero::cli::main()
}
