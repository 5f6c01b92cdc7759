//! What can go wrong with a restore.

use std::io;
use std::path::PathBuf;

use crate::archive::{ArchiveError, Finding};
use crate::git::BundleError;
use crate::state::StateError;

/// A failure to restore or export.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The target is there already.
    #[error("{} exists already", path.display())]
    Occupied {
        /// The target.
        path: PathBuf,
    },
    /// A file or directory could not be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// The path.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The snapshot could not be read.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// What was found could not be recorded.
    #[error(transparent)]
    State(#[from] StateError),
    /// The snapshot is not whole: nothing was restored.
    #[error("the snapshot is damaged: {}", first(findings))]
    Damaged {
        /// What is wrong.
        findings: Vec<Finding>,
    },
    /// A bundle cannot hold this snapshot.
    #[error("the snapshot cannot become a bundle")]
    Bundle(#[from] BundleError),
    /// Restoring or exporting was told to stop.
    #[error("stopped before the end; nothing was left behind")]
    Stopped,
}

fn first(findings: &[Finding]) -> String {
    match findings {
        [] => "no finding".into(),
        [finding] => format!("{}: {}", finding.what, finding.why),
        [finding, rest @ ..] => format!("{}: {} (and {} more)", finding.what, finding.why, rest.len()),
    }
}

impl RestoreError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Occupied { .. } => Some("nothing is ever overwritten: name a file or directory that does not exist yet, or, to restore, an empty directory".into()),
            Self::Archive(error) => error.hint(),
            Self::State(error) => error.hint(),
            Self::Damaged { .. } => {
                Some("try an older snapshot, or the same one in another destination: xopero snapshots".into())
            }
            Self::Bundle(_) => Some("`xopero restore` gives a bare repository, with HEAD".into()),
            Self::Write { .. } | Self::Stopped => None,
        }
    }

    /// Whether stored bytes are at fault.
    pub fn is_damage(&self) -> bool {
        match self {
            Self::Damaged { .. } => true,
            Self::Archive(error) => error.is_damage(),
            Self::Occupied { .. } | Self::Write { .. } | Self::State(_) | Self::Bundle(_) | Self::Stopped => false,
        }
    }
}
