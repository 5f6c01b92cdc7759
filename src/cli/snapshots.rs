//! `xopero snapshots`.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use clap::Args;

use super::locate::{Unreadable, as_repository, open_directory, open_recorded, read_manifest};
use super::{CliError, Context, exit_code};
use crate::model::{Address, DestinationId, PlanName, RepoSlug, Uid};
use crate::state::SnapshotFilter;
use crate::store::{Store, StoreError};
use crate::ui::{Side, Style, Table, bytes};

/// List the snapshots that can be restored, newest first
#[derive(Debug, Args)]
pub struct SnapshotsArgs {
    /// Only those of this plan, also from before it was renamed
    #[arg(long, value_name = "PLAN")]
    pub plan: Option<PlanName>,
    /// Only those of this repository: SLUG or PROJECT/SLUG
    #[arg(long, value_name = "REPOSITORY")]
    pub repository: Option<String>,
    /// List at most this many
    #[arg(long, value_name = "N", default_value_t = 50)]
    pub limit: u32,
    /// Read this directory, without file and state
    #[arg(long, value_name = "DIR")]
    pub from: Option<PathBuf>,
}

/// Letters of an id that are shown at least: the time, and enough of what is random.
const SHORTEST_ID: usize = 14;

/// One listed snapshot.
struct Row {
    id: String,
    repository: String,
    /// The name of its plan that is in force, else the one at that time.
    plan: String,
    /// The name at that time, if it is another one.
    plan_then: Option<String>,
    destination: String,
    created: jiff::Timestamp,
    references: u64,
    bytes: u64,
    state: &'static str,
}

/// Runs the command.
pub async fn run(context: &Context, arguments: &SnapshotsArgs) -> Result<u8, CliError> {
    let mut rows = match &arguments.from {
        Some(directory) => stored(context, arguments, &open_directory(directory).await?).await?,
        None => recorded(context, arguments).await?,
    };
    let more = rows.len() > arguments.limit as usize;
    rows.truncate(arguments.limit as usize);
    if more {
        context.output.warn(&format!("there are more than {} snapshots: --limit N shows more", arguments.limit));
    }
    if context.output.is_json() {
        for row in rows {
            context.output.json(&serde_json::json!({
                "type": "snapshot", "id": row.id, "repository": row.repository, "plan": row.plan,
                "plan_then": row.plan_then,
                "destination": row.destination, "created": row.created, "references": row.references,
                "bytes": row.bytes, "state": row.state,
            }));
        }
        return Ok(exit_code::DONE);
    }
    if rows.is_empty() {
        // Nothing may be taken for "no backups" that is a typing error.
        if arguments.plan.is_some() || arguments.repository.is_some() {
            return Err(CliError::new(exit_code::FAILED, "no snapshot fits --plan and --repository")
                .with_hint("`xopero snapshots` without them lists all"));
        }
        context.output.say("no snapshots");
        return Ok(exit_code::DONE);
    }
    if context.output.is_terminal() {
        shorten_ids(&mut rows);
        context.output.data(&table(&rows, context.output.width(), context.output.style()));
    } else {
        context.output.data(&table(&rows, usize::MAX, context.output.style()));
    }
    Ok(exit_code::DONE)
}

/// Cuts ids to a beginning that tells the listed ones apart, so that names have room. Commands take beginnings.
fn shorten_ids(rows: &mut [Row]) {
    let ids: BTreeSet<&str> = rows.iter().map(|row| row.id.as_str()).collect();
    let common = |one: &str, other: &str| one.bytes().zip(other.bytes()).take_while(|(a, b)| a == b).count();
    let longest = ids.iter().zip(ids.iter().skip(1)).map(|(one, other)| common(one, other) + 1).max();
    let length = longest.unwrap_or(0).max(SHORTEST_ID);
    for row in rows {
        row.id.truncate(length);
    }
}

/// The rows for people, on short lines. If there is more than one destination, it is shown, and a plan that all have in
/// common is not; the size makes room for what else tells rows apart.
fn table(rows: &[Row], width: usize, style: Style) -> String {
    let differ = |of: fn(&Row) -> &str| rows.windows(2).any(|pair| of(&pair[0]) != of(&pair[1]));
    let destinations = differ(|row| &row.destination);
    let renamed = rows.iter().any(|row| row.plan_then.is_some());
    let plans = !destinations || renamed || differ(|row| &row.plan);
    let remarks = rows.iter().any(|row| !row.state.is_empty());
    let sizes = !(destinations && (plans || remarks));
    let shown = [true, true, plans, destinations, true, sizes, remarks];
    let columns = [
        ("SNAPSHOT", Side::Whole),
        ("REPOSITORY", Side::Name),
        ("PLAN", Side::Left),
        ("DESTINATION", Side::Left),
        ("TAKEN (UTC)", Side::Whole),
        ("SIZE", Side::Right),
        ("STATE", Side::Whole),
    ];
    let mut table = Table::new(&chosen(columns, shown), width, style);
    for row in rows {
        let cells = [
            row.id.clone(),
            row.repository.clone(),
            plan_cell(row),
            row.destination.clone(),
            row.created.strftime("%Y-%m-%d %H:%M").to_string(),
            bytes(row.bytes),
            row.state.to_owned(),
        ];
        table.row(chosen(cells, shown));
    }
    table.render()
}

/// A snapshot belongs to its plan under every name: the one in force is what commands take.
fn plan_cell(row: &Row) -> String {
    match &row.plan_then {
        Some(then) => format!("{} (then {then})", row.plan),
        None => row.plan.clone(),
    }
}

fn chosen<T, const N: usize>(all: [T; N], shown: [bool; N]) -> Vec<T> {
    all.into_iter().zip(shown).filter_map(|(one, shown)| shown.then_some(one)).collect()
}

/// What the state remembers, compared with what the destinations hold.
async fn recorded(context: &Context, arguments: &SnapshotsArgs) -> Result<Vec<Row>, CliError> {
    let state = context.existing_state().await?;
    let repository = match &arguments.repository {
        None => None,
        Some(text) => Some(match as_repository(text) {
            Some((project, slug)) => (Some(project), slug),
            None => (None, text.parse::<RepoSlug>().map_err(|error| CliError::usage(error.to_string()))?),
        }),
    };
    let uids = state.applied().await?.map(|applied| applied.uids).unwrap_or_default();
    let plan = arguments.plan.as_ref().map(|name| (name.clone(), uids.get(&Address::plan(name)).copied()));
    let named = |(address, uid): (&Address, &Uid)| Some((*uid, address.as_str().strip_prefix("plan/")?.to_owned()));
    let names: BTreeMap<Uid, String> = uids.iter().filter_map(named).collect();
    let filter = SnapshotFilter { plan, repository, destination: None };
    let records = state.snapshots(&filter, arguments.limit.saturating_add(1)).await?;
    let mut stores: BTreeMap<DestinationId, Option<Store>> = BTreeMap::new();
    let mut rows = Vec::with_capacity(records.len());
    for record in records {
        let store = match stores.entry(record.destination) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(first) => {
                let opened = open_recorded(context, &state, &record).await;
                first.insert(opened.inspect_err(|error| error.tell(context.output)).ok())
            }
        };
        let presence = match store {
            Some(store) => store.size(&record.key).await.map(drop),
            None => Ok(()),
        };
        let state = match (presence, &record.suspect) {
            (Err(StoreError::Missing { .. }), _) => "missing",
            (Err(error), _) => return Err(error.into()),
            (Ok(()), Some(_)) => "suspect",
            (Ok(()), None) => "",
        };
        let then = record.plan_name.to_string();
        let plan = names.get(&record.plan).unwrap_or(&then).clone();
        rows.push(Row {
            id: record.id.to_string(),
            repository: format!("{}/{}", record.project, record.slug),
            plan_then: Some(then).filter(|then| *then != plan),
            plan,
            destination: record.destination_name.to_string(),
            created: record.created,
            references: record.references,
            bytes: record.bytes,
            state,
        });
    }
    Ok(rows)
}

/// What a destination holds, read from its manifests.
async fn stored(context: &Context, arguments: &SnapshotsArgs, store: &Store) -> Result<Vec<Row>, CliError> {
    let identities = context.identities()?;
    let mut rows: Vec<(Uid, Row)> = Vec::new();
    // Without a state only the snapshots themselves tell which plan a name stands for.
    let mut named: BTreeSet<Uid> = BTreeSet::new();
    let mut unreadable = Unreadable::default();
    for key in store.manifests().await? {
        let Some(manifest) = unreadable.pass(read_manifest(store, &key, &identities).await)? else { continue };
        let repository = format!("{}/{}", manifest.project.key, manifest.repository.slug);
        let wanted = arguments.repository.as_ref();
        let fits = wanted.is_none_or(|wanted| *wanted == repository || wanted == manifest.repository.slug.as_str());
        if arguments.plan.as_ref().is_none_or(|plan| *plan == manifest.plan.name) {
            named.insert(manifest.plan.uid);
        }
        if fits {
            let row = Row {
                id: manifest.snapshot.to_string(),
                repository,
                plan: manifest.plan.name.to_string(),
                plan_then: None,
                destination: store.place().to_owned(),
                created: manifest.created,
                references: manifest.git.references.tips.len() as u64,
                bytes: manifest.stored_bytes(),
                state: if manifest.suspect.is_some() { "suspect" } else { "" },
            };
            rows.push((manifest.plan.uid, row));
        }
    }
    let mut rows: Vec<Row> = rows.into_iter().filter(|(plan, _)| named.contains(plan)).map(|(_, row)| row).collect();
    match unreadable.first {
        Some(error) if rows.is_empty() => return Err(error.into()),
        _ => unreadable.warn(context),
    }
    // Ids are sorted by the time at which the snapshots were stored.
    rows.sort_by(|one, other| other.id.cmp(&one.id));
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table of snapshots of these plans in these destinations.
    fn listed(rows: &[(&str, &str)]) -> String {
        let row = |(plan, destination): &(&str, &str)| Row {
            id: "01M81FST1183SGRZEVSXSESMGJ".into(),
            repository: "PAY/ledger".into(),
            plan: (*plan).into(),
            plan_then: None,
            destination: (*destination).into(),
            created: "2026-11-22T01:30:00Z".parse().unwrap(),
            references: 1,
            bytes: 12 << 20,
            state: "",
        };
        let rows: Vec<Row> = rows.iter().map(row).collect();
        let text = table(&rows, 80, Style { color: false });
        assert_eq!(text.lines().count(), rows.len() + 1, "{text}");
        assert!(text.lines().all(|line| line.len() <= 80), "{text}");
        text
    }

    #[test]
    fn what_tells_rows_apart_is_shown() {
        let one = listed(&[("nightly", "nas"), ("nightly", "nas")]);
        assert!(one.contains("PLAN") && !one.contains("DESTINATION"), "{one}");
        let two = listed(&[("nightly", "nas"), ("nightly", "vault")]);
        assert!(two.contains("DESTINATION") && two.contains("vault") && !two.contains("PLAN"), "{two}");
        let both = listed(&[("nightly", "nas"), ("weekly", "usb")]);
        assert!(both.contains("DESTINATION") && both.contains("PLAN"), "{both}");
    }

    #[test]
    fn a_listing_fits_a_terminal() {
        let row = |id: &str, repository: &str| Row {
            id: id.into(),
            repository: repository.into(),
            plan: "nightly-of-the-payments-platform".into(),
            plan_then: Some("nightly".into()),
            destination: "nas".into(),
            created: jiff::Timestamp::UNIX_EPOCH,
            references: 1,
            bytes: 1 << 30,
            state: "",
        };
        let long = "PAYMENTS_PLATFORM/a-service-with-quite-a-long-name-as-they-tend-to-have";
        let mut rows = [row("01M81J0AP6XJXJ2B3T4SAHZ7M8", long), row("01M80000000000000000000000", "PAY/ledger")];
        shorten_ids(&mut rows);
        let text = table(&rows, 80, Style { color: false });
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        assert!(text.contains("01M81J0AP6XJXJ ") && text.contains("PAY/ledger"), "{text}");
    }

    #[test]
    fn short_ids_still_tell_rows_apart() {
        let row = |id: &str| Row {
            id: id.into(),
            repository: "PAY/ledger".into(),
            plan: "nightly".into(),
            plan_then: None,
            destination: "nas".into(),
            created: jiff::Timestamp::UNIX_EPOCH,
            references: 1,
            bytes: 1,
            state: "",
        };
        let mut rows =
            [row("01M81J0AP6XJXJ2B3T4SAHZ7M8"), row("01M81J0AP6XJXJ2B9T4SAHZ7M8"), row("01M80000000000000000000000")];
        shorten_ids(&mut rows);
        let ids: Vec<_> = rows.iter().map(|row| row.id.as_str()).collect();
        assert_eq!(ids, ["01M81J0AP6XJXJ2B3", "01M81J0AP6XJXJ2B9", "01M80000000000000"]);
    }
}
