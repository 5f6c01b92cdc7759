//! The bare repository that holds what was fetched last.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Seek, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use git2::{Repository, RepositoryInitOptions, RepositoryOpenFlags};

use super::BranchError;
use crate::model::ObjectId;

/// A directory that holds one fetch.
#[derive(Debug, Clone)]
pub(super) struct Objects {
    place: PathBuf,
}

impl Objects {
    pub(super) fn new(place: &Path) -> Self {
        Self { place: place.to_owned() }
    }

    /// A file without a name, on the same disk, for the pack while it comes.
    pub(super) fn spool(&self) -> Result<File, BranchError> {
        let parent = self.place.parent().unwrap_or(Path::new("."));
        let made = DirBuilder::new().recursive(true).mode(0o700).create(parent);
        made.and_then(|()| tempfile::tempfile_in(parent)).map_err(|error| self.failed(error))
    }

    /// Replaces what there was by the objects of a pack, whose history is cut off at `cuts`. What there was is kept
    /// until it is [decided](Self::decide) which of the two stays.
    pub(super) fn replace(&self, pack: File, cuts: &[ObjectId]) -> Result<(), BranchError> {
        let (new, old) = (self.place.with_added_extension("new"), self.place.with_added_extension("old"));
        remove(&new).map_err(|error| self.failed(error))?;
        unpack(&new, pack, cuts).map_err(|error| self.failed(error))?;
        // What was there before the first of several fetches is what is kept.
        let away = if old.exists() { remove(&self.place) } else { rename_if_there(&self.place, &old) };
        // Whoever is killed between these finds nothing, and fetches again.
        away.and_then(|()| fs::rename(&new, &self.place)).map_err(|error| self.failed(error))
    }

    /// Ends what [`replace`](Self::replace) began: what was fetched stays if it is `followed`. Otherwise what there was
    /// comes back, because it is what people are still shown.
    pub(super) fn decide(&self, followed: bool) -> Result<(), BranchError> {
        let old = self.place.with_added_extension("old");
        let ended = if followed || !old.exists() {
            remove(&old)
        } else {
            remove(&self.place).and_then(|()| fs::rename(&old, &self.place))
        };
        ended.map_err(|error| self.failed(error))
    }

    /// Opens it, and no repository above it.
    pub(super) fn open(&self) -> Result<Repository, git2::Error> {
        let flags = RepositoryOpenFlags::NO_SEARCH | RepositoryOpenFlags::BARE;
        Repository::open_ext(&self.place, flags, std::iter::empty::<&Path>())
    }

    pub(super) fn failed(&self, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> BranchError {
        BranchError::Store { path: self.place.clone(), source: error.into() }
    }
}

fn unpack(directory: &Path, mut pack: File, cuts: &[ObjectId]) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    DirBuilder::new().mode(0o700).create(directory)?;
    let options = &mut RepositoryInitOptions::new();
    let repository = Repository::init_opts(directory, options.bare(true).external_template(false))?;
    let database = repository.odb()?;
    let mut writer = database.packwriter()?;
    pack.rewind()?;
    io::copy(&mut pack, &mut writer)?;
    writer.commit()?;
    if !cuts.is_empty() {
        let mut shallow = File::create(directory.join("shallow"))?;
        for cut in cuts {
            writeln!(shallow, "{cut}")?;
        }
    }
    Ok(())
}

fn rename_if_there(from: &Path, to: &Path) -> io::Result<()> {
    match fs::rename(from, to) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        renamed => renamed,
    }
}

fn remove(directory: &Path) -> io::Result<()> {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}
