//! Whether all files of a declaration are there: nothing else is given to those who follow it.

use std::path::{Path, PathBuf};

use super::{SourceError, SourceTree};

/// Why a tree is not whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Flaw {
    /// The file.
    pub(super) path: PathBuf,
    /// What is wrong with it, as a fragment.
    pub(super) reason: String,
}

/// The tree of the file at `path`, if all its files could be read and say something.
pub(super) fn whole(path: &Path, read: Result<SourceTree, SourceError>) -> Result<Box<SourceTree>, Flaw> {
    let tree = read.map_err(|error| {
        let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
        Flaw { path: path.to_owned(), reason: format!("{error}{cause}") }
    })?;
    if let Some((name, why)) = tree.unreadable() {
        return Err(Flaw { path: tree.main().path.with_file_name(name), reason: why.reason.clone() });
    }
    if let Some(file) = tree.empty() {
        return Err(Flaw { path: file.path.clone(), reason: format!("{} is empty", file.name) });
    }
    Ok(Box::new(tree))
}
