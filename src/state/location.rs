//! Where the state is kept.

use std::path::{Path, PathBuf};

use super::StateError;

/// The usual directory of a state, beside the file.
pub(super) const DIRECTORY: &str = ".xopero";

/// The usual name of a database.
pub(super) const DATABASE: &str = "state.db";

/// The place of a state database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateLocation {
    database: PathBuf,
}

impl StateLocation {
    /// Takes `sqlite:PATH`, with `PATH` absolute or relative to `base`.
    pub fn parse(text: &str, base: &Path) -> Result<Self, StateError> {
        let Some((scheme, rest)) = text.split_once(':') else {
            return Err(StateError::Unsupported { kind: "a place without a kind such as `sqlite:`".to_owned() });
        };
        // Only the kind goes into the error: the rest of such an address may hold a password.
        let kind = match scheme {
            "sqlite" => {
                let path = Path::new(rest.strip_prefix("//").unwrap_or(rest));
                if path.file_name().is_some() && !rest.starts_with(':') {
                    return Ok(Self { database: base.join(path) });
                }
                "an SQLite database that is not a file"
            }
            "postgres" | "postgresql" => "PostgreSQL: it is not built into this version",
            _ => "a database of an unknown kind",
        };
        Err(StateError::Unsupported { kind: kind.to_owned() })
    }

    /// The default place: `.xopero/state.db` below `base`.
    pub fn beside(base: &Path) -> Self {
        Self { database: base.join(DIRECTORY).join(DATABASE) }
    }

    /// The database file.
    pub fn database(&self) -> &Path {
        &self.database
    }

    /// The directory of the database, which also holds the lock.
    pub fn directory(&self) -> &Path {
        match self.database.parent() {
            Some(directory) if directory != Path::new("") => directory,
            Some(_) | None => Path::new("."),
        }
    }

    /// The error of a command that needs something applied where there is nothing.
    pub fn nothing_applied(&self) -> StateError {
        StateError::NothingApplied { path: self.database.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relative_paths_begin_beside_the_file() {
        let base = Path::new("/srv/config");
        let parse = |text: &str| StateLocation::parse(text, base).unwrap();
        assert_eq!(parse("sqlite:.xopero/state.db"), StateLocation::beside(base));
        assert_eq!(parse("sqlite:/var/lib/x.db").database(), Path::new("/var/lib/x.db"));
        assert_eq!(parse("sqlite:///var/lib/x.db").directory(), Path::new("/var/lib"));
        assert_eq!(StateLocation::parse("sqlite:x.db", Path::new("")).unwrap().directory(), Path::new("."));
    }

    #[test]
    fn other_places_are_refused_without_showing_their_password() {
        for text in ["postgres://xopero:hunter2@db/x", "sqlite::memory:", "sqlite:", "state.db", "odbc:hunter2"] {
            let error = StateLocation::parse(text, Path::new("/")).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{text}");
            assert!(error.hint().is_some());
        }
    }
}
