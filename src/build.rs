//! Tells the program which commit it is built from: `XOPERO_COMMIT` where there is no git, otherwise git's `HEAD`.

use std::path::Path;
use std::process::Command;

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}

fn main() {
    let commit = option_env!("XOPERO_COMMIT").map(str::to_owned).or_else(|| git(&["rev-parse", "--short=12", "HEAD"]));
    println!("cargo::rustc-env=XOPERO_COMMIT={}", commit.as_deref().unwrap_or("unknown commit"));
    println!("cargo::rerun-if-changed=src/build.rs");
    // The log of HEAD grows with every commit and checkout.
    if let Some(log) = git(&["rev-parse", "--git-path", "logs/HEAD"])
        && Path::new(&log).exists()
    {
        println!("cargo::rerun-if-changed={log}");
    }
}
