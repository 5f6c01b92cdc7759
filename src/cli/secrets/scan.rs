//! `xopero secrets scan`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Args;

use super::{CliError, Context, exit_code};
use crate::secret::{Leak, LeakKind, scan};
use crate::source::walk;
use crate::ui::{count, shown};

/// Find tokens and keys that are not sealed
///
/// Looks into every text file below the directories: Bitbucket tokens, age identities and cloud keys. It prints where
/// each stands and what it is, never its text, and ends with 7 if there is one. What is in `.git` and `.xopero` is not
/// looked at, links are not followed.
#[derive(Debug, Args)]
pub struct ScanArgs {
    /// Files and directories
    #[arg(value_name = "PATH", default_value = ".")]
    paths: Vec<PathBuf>,
}

/// Runs the command.
pub fn run(context: &Context, arguments: &ScanArgs) -> Result<u8, CliError> {
    let output = context.output;
    let (mut found, mut read, mut skipped) = (BTreeMap::new(), 0, Vec::new());
    for path in &arguments.paths {
        let mut visit = |path: &Path, bytes: &[u8]| {
            let leaks = scan(bytes);
            if !leaks.is_empty() {
                found.insert(path.to_owned(), leaks);
            }
        };
        let walked = walk(path, &mut visit).map_err(|error| CliError::from(error).with_code(exit_code::FAILED))?;
        read += walked.read;
        skipped.extend(walked.skipped);
    }
    let leaks: usize = found.values().map(Vec::len).sum();
    for (path, leaks) in &found {
        for leak in leaks {
            tell(context, path, leak);
        }
    }
    for (path, reason) in &skipped {
        output.warn(&format!("{} was not looked into: {reason}", path.display()));
    }
    let code = match (leaks, skipped.is_empty()) {
        (0, true) => exit_code::DONE,
        (0, false) => exit_code::FAILED,
        (_, _) => exit_code::SECRETS,
    };
    if output.is_json() {
        output.json(&serde_json::json!({
            "type": "scanned", "files": read, "found": leaks, "not_looked_into": skipped.len(),
        }));
    } else if leaks == 0 {
        output.say(&format!("No secret in clear text in {}.", count(read as u64, "file")));
    } else {
        let kinds = found.values().flatten();
        output.say(&format!("{} in clear text. What to do:", count(leaks as u64, "secret")));
        for advice in advice(kinds.map(|leak| leak.kind)) {
            output.say(&format!("  {advice}"));
        }
    }
    Ok(code)
}

fn tell(context: &Context, path: &Path, leak: &Leak) {
    if context.output.is_json() {
        context.output.json(&serde_json::json!({
            "type": "leak", "file": path, "line": leak.line, "column": leak.column, "kind": leak.kind.as_str(),
        }));
    } else {
        let path = shown(&path.display().to_string());
        context.output.data(&format!("{path}:{}:{}: {}", leak.line, leak.column, leak.kind));
    }
}

/// Each advice once, the most urgent first.
fn advice(kinds: impl Iterator<Item = LeakKind>) -> Vec<&'static str> {
    let mut advice: Vec<_> = kinds
        .map(|kind| match kind {
            LeakKind::BitbucketToken | LeakKind::OlderBitbucketToken | LeakKind::LikelyToken => {
                (0, "revoke the token in Bitbucket, and seal a new one: xopero credential add")
            }
            LeakKind::CloudKeyId | LeakKind::CloudSecretKey => (1, "revoke the cloud key, and make a new one"),
            LeakKind::AgeIdentity => {
                (2, "move the identity out of the repository; if it was committed, make a new one")
            }
        })
        .collect();
    advice.sort_unstable();
    advice.dedup();
    advice.into_iter().map(|(_, text)| text).collect()
}
