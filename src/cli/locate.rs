//! Finding a snapshot: by what the state remembers, or in a destination alone.

use std::path::PathBuf;

use clap::Args;

use super::{CliError, Context, exit_code};
use crate::archive::{ArchiveError, FORMAT, Manifest, read_document};
use crate::model::{Place, ProjectKey, RepoSlug, SnapshotRecord};
use crate::secret::Identities;
use crate::state::{SnapshotFilter, StateStore};
use crate::store::{Access, Store, keys};

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
}

/// Finds the snapshot that the arguments mean and reads its manifest.
pub async fn locate(context: &Context, arguments: &SnapshotArgs) -> Result<Located, CliError> {
    let identities = context.identities()?;
    let (store, key) = if let Some(directory) = &arguments.from {
        let store = open_directory(directory)?;
        store.marker().await?;
        let key = find_stored(context, &store, &arguments.snapshot, &identities).await?;
        (store, key)
    } else {
        let state = context.existing_state().await?;
        let record = find_recorded(&state, &arguments.snapshot).await?;
        (open_recorded(context, &state, &record).await?, record.key)
    };
    let manifest = read_manifest(&store, &key, &identities).await?;
    Ok(Located { store, manifest, identities })
}

/// Opens a destination by its directory alone.
pub fn open_directory(directory: &std::path::Path) -> Result<Store, CliError> {
    let path = directory.to_string_lossy().into_owned();
    Ok(Store::open(&Place::Local { path }, std::path::Path::new(""), Access::Read)?)
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
    let newest = state.snapshots(&filter, 100).await?.into_iter().find(|record| record.suspect.is_none());
    newest.ok_or_else(|| {
        CliError::new(exit_code::FAILED, format!("there is no snapshot of {text}"))
            .with_hint("`xopero snapshots` lists what there is")
    })
}

async fn find_stored(
    context: &Context,
    store: &Store,
    text: &str,
    identities: &Identities,
) -> Result<String, CliError> {
    let keys = store.manifests().await?;
    let unknown = || CliError::new(exit_code::FAILED, format!("there is no snapshot {text} at {}", store.place()));
    if let Some((project, slug)) = as_repository(text) {
        // Newest first, whatever repository it is of: ids are sorted by time.
        let mut newest: Vec<_> = keys.iter().filter_map(|key| Some((keys::manifest_id(key)?, key))).collect();
        newest.sort_unstable_by(|one, other| other.cmp(one));
        let mut unreadable = None;
        for (_, key) in newest {
            let manifest = match read_manifest(store, key, identities).await {
                Ok(manifest) => manifest,
                // Damage of one snapshot, perhaps of another repository, does not lock up the rest.
                Err(error) if error.is_damage() || matches!(error, ArchiveError::Open { .. }) => {
                    context.output.warn(&format!("{error}; if it is a newer snapshot of {text}, it is passed over"));
                    unreadable = unreadable.or(Some(error));
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            if manifest.project.key == project && manifest.repository.slug == slug && manifest.suspect.is_none() {
                return Ok(key.clone());
            }
        }
        return Err(unreadable.map_or_else(unknown, CliError::from));
    }
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
