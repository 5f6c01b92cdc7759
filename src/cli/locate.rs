//! Finding a snapshot: by what the state remembers, or in a destination alone.

use std::path::PathBuf;

use clap::Args;

use super::{CliError, Context, exit_code};
use crate::archive::{ArchiveError, FORMAT, Manifest, read_document};
use crate::model::{Place, ProjectKey, RepoSlug, SnapshotRecord};
use crate::secret::Identities;
use crate::state::{SnapshotFilter, StateStore};
use crate::store::{Access, Store, StoreError, keys};
use crate::ui::count;

/// Which snapshot is meant.
#[derive(Debug, Args)]
pub struct SnapshotArgs {
    /// The snapshot: its id, the beginning of its id, or PROJECT/REPOSITORY for the newest one
    pub snapshot: String,
    /// Read this directory, without file and state
    #[arg(long, value_name = "DIR")]
    pub from: Option<PathBuf>,
}

/// A snapshot with the place that holds it.
pub struct Located {
    /// The destination.
    pub store: Store,
    /// The manifest.
    pub manifest: Manifest,
    /// Who opens it.
    pub identities: Identities,
    /// The state that remembers it; none with `--from`.
    pub state: Option<StateStore>,
}

/// Finds the snapshot that the arguments mean and reads its manifest.
pub async fn locate(context: &Context, arguments: &SnapshotArgs) -> Result<Located, CliError> {
    let identities = context.identities()?;
    if let Some(directory) = &arguments.from {
        let store = open_directory(directory).await?;
        let key = find_stored(context, &store, &arguments.snapshot, &identities).await?;
        let manifest = read_manifest(&store, &key, &identities).await?;
        return Ok(Located { store, manifest, identities, state: None });
    }
    let state = context.existing_state().await?;
    let record = find_recorded(&state, &arguments.snapshot).await?;
    let store = open_recorded(context, &state, &record).await?;
    match read_recorded(&store, &record, &identities).await {
        Ok(manifest) => Ok(Located { store, manifest, identities, state: Some(state) }),
        Err(error) => {
            if error.is_damage() {
                state.mark_damaged(record.id, &error.to_string()).await?;
            }
            Err(error.into())
        }
    }
}

/// Reads the manifest of a recorded snapshot. age does not tell who wrote a document, but the state remembers what
/// the snapshot said.
async fn read_recorded(
    store: &Store,
    record: &SnapshotRecord,
    identities: &Identities,
) -> Result<Manifest, ArchiveError> {
    let manifest = read_manifest(store, &record.key, identities).await?;
    if manifest.content() == record.content {
        return Ok(manifest);
    }
    let why = "it does not say what was recorded when it was written".to_owned();
    Err(ArchiveError::Damaged { key: record.key.clone(), why })
}

/// Opens a destination by its directory alone.
pub async fn open_directory(directory: &std::path::Path) -> Result<Store, CliError> {
    let path = directory.to_string_lossy().into_owned();
    let store = Store::open(&Place::Local { path }, std::path::Path::new(""), Access::Read)?;
    match store.marker().await {
        Ok(_) => Ok(store),
        Err(error @ StoreError::NoMarker { .. }) => Err(CliError::new(exit_code::FAILED, error.to_string())
            .with_hint("name the directory that holds xopero.json and `servers`")),
        Err(error) => Err(error.into()),
    }
}

/// Reads a manifest, refusing one of a newer format.
pub async fn read_manifest(store: &Store, key: &str, identities: &Identities) -> Result<Manifest, ArchiveError> {
    let manifest: Manifest = read_document(store, key, identities).await?;
    if manifest.format > FORMAT {
        let (key, found) = (key.to_owned(), manifest.format);
        return Err(ArchiveError::NewerFormat { key, found, supported: FORMAT });
    }
    if keys::manifest_id(key) != Some(manifest.snapshot) {
        let why = format!("it is the manifest of snapshot {}", manifest.snapshot);
        return Err(ArchiveError::Damaged { key: key.to_owned(), why });
    }
    Ok(manifest)
}

/// Opens the destination that a recorded snapshot is in, if the applied state still knows it.
pub async fn open_recorded(context: &Context, state: &StateStore, record: &SnapshotRecord) -> Result<Store, CliError> {
    let applied = state.applied().await?.ok_or_else(|| state.location().nothing_applied())?;
    let name = &record.destination_name;
    let declared = applied.declaration.destinations.get(name);
    let moved = || {
        CliError::new(exit_code::FAILED, format!("destination {name} of this snapshot is no longer the one applied"))
            .with_hint("name its directory: --from DIR")
    };
    let declared = declared.ok_or_else(moved)?;
    let store = Store::open(&declared.place, &context.base(), Access::Read)?;
    let marker = store.marker().await?;
    if marker.destination == record.destination { Ok(store) } else { Err(moved()) }
}

/// `PROJECT/REPOSITORY`, if the text has that form.
pub fn as_repository(text: &str) -> Option<(ProjectKey, RepoSlug)> {
    let (project, slug) = text.split_once('/')?;
    Some((project.parse().ok()?, slug.parse().ok()?))
}

async fn find_recorded(state: &StateStore, text: &str) -> Result<SnapshotRecord, CliError> {
    let Some((project, slug)) = as_repository(text) else { return Ok(state.snapshot(text).await?) };
    let filter = SnapshotFilter { repository: Some((Some(project), slug)), ..SnapshotFilter::default() };
    let records = state.snapshots(&filter, 1000).await?;
    let all_suspect = !records.is_empty();
    let newest = records.into_iter().find(|record| record.suspect.is_none());
    newest.ok_or_else(|| no_snapshot_of(text, all_suspect))
}

fn no_snapshot_of(text: &str, all_suspect: bool) -> CliError {
    if all_suspect {
        CliError::new(
            exit_code::FAILED,
            format!("every snapshot of {text} is suspect: the source had lost its references"),
        )
        .with_hint("`xopero snapshots` lists them; name one by its id to use it all the same")
    } else {
        CliError::new(exit_code::FAILED, format!("there is no snapshot of {text}"))
            .with_hint("`xopero snapshots` lists what there is")
    }
}

async fn find_stored(
    context: &Context,
    store: &Store,
    text: &str,
    identities: &Identities,
) -> Result<String, CliError> {
    let keys = store.manifests().await?;
    if let Some((project, slug)) = as_repository(text) {
        // Newest first, whatever repository it is of: ids are sorted by time.
        let mut newest: Vec<_> = keys.iter().filter_map(|key| Some((keys::manifest_id(key)?, key))).collect();
        newest.sort_unstable_by(|one, other| other.cmp(one));
        let mut unreadable = Unreadable::default();
        let mut suspect = false;
        for (_, key) in newest {
            let Some(manifest) = unreadable.pass(read_manifest(store, key, identities).await)? else { continue };
            if manifest.project.key == project && manifest.repository.slug == slug {
                if manifest.suspect.is_none() {
                    unreadable.warn(context);
                    return Ok(key.clone());
                }
                suspect = true;
            }
        }
        return Err(unreadable.first.map_or_else(|| no_snapshot_of(text, suspect), CliError::from));
    }
    let unknown = || {
        CliError::new(exit_code::FAILED, format!("there is no snapshot {text} at {}", store.place()))
            .with_hint("name a snapshot by its id, or PROJECT/REPOSITORY; `xopero snapshots --from DIR` lists them")
    };
    let wanted = text.to_ascii_uppercase();
    let fits = |key: &&String| keys::manifest_id(key).is_some_and(|id| id.to_string().starts_with(&wanted));
    let mut fitting = keys.iter().filter(fits);
    match (fitting.next(), fitting.next()) {
        (Some(key), None) => Ok(key.clone()),
        (None, _) => Err(unknown()),
        (Some(_), Some(_)) => {
            let what = format!("\"{text}\" is the beginning of more than one snapshot at {}", store.place());
            let hint = "give more characters of the id, as `xopero snapshots` shows it";
            Err(CliError::new(exit_code::FAILED, what).with_hint(hint))
        }
    }
}

/// Manifests that were passed over because they cannot be read: damage of one, perhaps of another repository, or one
/// for other identities, does not lock up the rest.
#[derive(Default)]
pub struct Unreadable {
    /// Why the first of them cannot be read.
    pub first: Option<ArchiveError>,
    count: usize,
}

impl Unreadable {
    /// Takes what was read, unless it has to be passed over.
    pub fn pass(&mut self, read: Result<Manifest, ArchiveError>) -> Result<Option<Manifest>, ArchiveError> {
        match read {
            Ok(manifest) => Ok(Some(manifest)),
            Err(error) if error.is_damage() || matches!(error, ArchiveError::Open { .. }) => {
                self.count += 1;
                self.first.get_or_insert(error);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Says once what was passed over.
    pub fn warn(&self, context: &Context) {
        if let Some(first) = &self.first {
            let manifests = count(self.count as u64, "manifest");
            context.output.warn(&format!("{manifests} could not be read and passed over: {first}"));
        }
    }
}
