//! `xopero secrets doctor`.

use std::collections::BTreeSet;

use clap::Args;

use super::verify::check;
use super::{CliError, Context, exit_code, refused};
use crate::config::{self, SealedValue, Sources};
use crate::model::{PublicKey, RecipientsMark};
use crate::secret::{FoundIdentities, locate_identities};
use crate::source::{WorkTree, is_state_ignored};
use crate::ui::{count, shown, wrap};

/// Look for what is wrong with identities, recipients and sealed values
///
/// Every line is `ok`, `warn` or `bad`, with what to do. Ends with 7 if something is bad.
#[derive(Debug, Args)]
pub struct DoctorArgs {}

/// How a thing is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Level {
    Ok,
    Warn,
    Bad,
}

/// One thing that was looked at.
struct Finding {
    level: Level,
    what: String,
    /// What to do about it.
    advice: Option<String>,
}

fn finding(level: Level, what: impl Into<String>) -> Finding {
    Finding { level, what: what.into(), advice: None }
}

impl Finding {
    fn advice(self, advice: impl Into<String>) -> Self {
        Self { advice: Some(advice.into()), ..self }
    }
}

/// Runs the command.
pub fn run(context: &Context, _arguments: &DoctorArgs) -> Result<u8, CliError> {
    let mut findings = Vec::new();
    let identities = match locate_identities(&context.identity_sources()) {
        Ok(found) => {
            findings.push(identity(&found));
            Some(found)
        }
        Err(error) => {
            let bad = finding(Level::Bad, error.to_string());
            findings.push(Finding { advice: error.hint(), ..bad });
            None
        }
    };
    let tree = context.source()?;
    let sources = tree.sources();
    let keys =
        config::declared_recipients(sources).map_err(|invalid| context.invalid(sources, &invalid.diagnostics))?;
    let values = config::sealed_values(sources).map_err(|error| refused(context, sources, error))?;
    if let Some(found) = &identities {
        findings.push(membership(&found.identities.public_keys(), &keys));
        findings.extend(values.iter().map(|value| opens(value, found)));
    }
    findings.push(staleness(&values, &keys));
    findings.extend(destinations(sources, &keys, identities.as_ref()));
    findings.extend(ignored(context));
    let bad = findings.iter().any(|found| found.level == Level::Bad);
    for found in &findings {
        tell(context, found);
    }
    Ok(if bad { exit_code::SECRETS } else { exit_code::DONE })
}

fn identity(found: &FoundIdentities) -> Finding {
    let FoundIdentities { path, named_by, mode, identities } = found;
    let why = named_by.map_or_else(|| "the first of the usual places".to_owned(), |by| format!("named by {by}"));
    let keys: Vec<String> = identities.public_keys().iter().map(ToString::to_string).collect();
    finding(Level::Ok, format!("identity {}\nmode {mode:04o}, {why}\npublic key {}", path.display(), keys.join(", ")))
}

fn membership(own: &[PublicKey], recipients: &[PublicKey]) -> Finding {
    if own.iter().any(|key| recipients.contains(key)) {
        finding(
            Level::Ok,
            format!("the identity is one of the {} of the file", count(recipients.len() as u64, "recipient")),
        )
    } else {
        let key = own.first().map(ToString::to_string).unwrap_or_default();
        finding(Level::Warn, "the identity is not a recipient of the file: it cannot open what is sealed from here on")
            .advice(format!("xopero recipients add {key} --rekey, where a recipient's identity is"))
    }
}

fn opens(value: &SealedValue, found: &FoundIdentities) -> Finding {
    match check(value, &found.identities) {
        Ok(()) => finding(Level::Ok, format!("{} opens, for the server and account of the file", value.address)),
        Err(reason) => finding(Level::Bad, format!("{}: {reason}", value.address))
            .advice("seal it anew (xopero secrets set), or have it sealed for this machine (xopero secrets rekey)"),
    }
}

fn staleness(values: &[SealedValue], recipients: &[PublicKey]) -> Finding {
    let mark = RecipientsMark::of(recipients);
    let others =
        |known: bool| values.iter().filter(|one| !one.is_for(&mark) && one.sealed_for.is_some() == known).count();
    match (others(true), others(false)) {
        (0, 0) => finding(
            Level::Ok,
            format!("{} sealed for the recipients of the file", count(values.len() as u64, "secret")),
        ),
        (0, unknown) => finding(Level::Warn, format!("{} without a note for whom", count(unknown as u64, "secret")))
            .advice("xopero secrets rekey"),
        (stale, _) => {
            finding(Level::Warn, format!("{} sealed for others than the recipients", count(stale as u64, "secret")))
                .advice("xopero secrets rekey")
        }
    }
}

fn destinations(sources: &Sources, recipients: &[PublicKey], found: Option<&FoundIdentities>) -> Vec<Finding> {
    let recipients: BTreeSet<&PublicKey> = recipients.iter().collect();
    let own = found.map(|found| found.identities.public_keys()).unwrap_or_default();
    let Ok(decoded) = config::decode(sources) else {
        return vec![
            finding(Level::Warn, "the file is not valid, so its destinations were not looked at")
                .advice("correct what `xopero validate` reports"),
        ];
    };
    let judged = decoded.declaration.destinations.iter().map(|(name, destination)| {
        let keys: BTreeSet<&PublicKey> = destination.encrypt_to.iter().collect();
        let away = "let an identity that is kept elsewhere open the backups: change `encrypt-to`";
        if keys == recipients {
            finding(Level::Warn, format!("destination {name}: whoever opens the file opens the backups too"))
                .advice(away)
        } else if own.iter().any(|key| keys.contains(key)) {
            finding(Level::Warn, format!("destination {name}: the identity of this machine opens its backups"))
                .advice(away)
        } else {
            finding(Level::Ok, format!("destination {name}: this machine cannot open its backups, and needs not to"))
        }
    });
    judged.collect()
}

/// Whether the state stays out of git. Outside of a repository there is nothing to say.
fn ignored(context: &Context) -> Option<Finding> {
    let base = context.base();
    let found = WorkTree::around(&base).and_then(|found| match found {
        Some(work_tree) => is_state_ignored(&work_tree, &base).map(Some),
        None => Ok(None),
    });
    match found {
        Ok(None) => None,
        Ok(Some(true)) => Some(finding(Level::Ok, "git ignores .xopero, the directory of the state")),
        Ok(Some(false)) => Some(
            finding(Level::Warn, "git does not ignore .xopero, the directory of the state")
                .advice("add the line `.xopero/` to .gitignore"),
        ),
        Err(error) => Some(finding(Level::Warn, error.to_string())),
    }
}

fn tell(context: &Context, found: &Finding) {
    let output = context.output;
    let style = output.style();
    let (word, shown_word) = match found.level {
        Level::Ok => ("ok", style.green("ok  ")),
        Level::Warn => ("warn", style.yellow("warn")),
        Level::Bad => ("bad", style.red("bad ")),
    };
    if output.is_json() {
        output.json(&serde_json::json!({
            "type": "finding", "level": word, "message": found.what, "advice": found.advice,
        }));
        return;
    }
    let mut lines = found.what.lines().chain(found.advice.iter().flat_map(|advice| advice.lines()));
    let first = wrap("", 6, shown(lines.next().unwrap_or_default()).split(' ')).join("\n");
    output.data(&format!("{shown_word}  {first}"));
    for line in lines {
        output.data(&wrap("      ", 6, shown(line).split(' ')).join("\n"));
    }
}
