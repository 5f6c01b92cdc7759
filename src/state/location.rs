//! Where the state is kept.

use std::fmt;
use std::path::{Path, PathBuf};

use secrecy::SecretString;

use super::StateError;
use super::server_address::{ServerAddress, Surroundings};
use super::sqlite::create_directory;

/// The usual directory of a state, beside the file.
pub(super) const DIRECTORY: &str = ".xopero";

/// The usual name of a database.
pub(super) const DATABASE: &str = "state.db";

/// The place of a state database.
#[derive(Debug, Clone)]
pub enum StateLocation {
    /// An SQLite file.
    File {
        /// The file.
        database: PathBuf,
    },
    /// A database of a PostgreSQL server, which several hosts can share.
    Server {
        /// How it is reached.
        server: Box<ServerAddress>,
        /// Where what concerns this host alone is kept.
        directory: PathBuf,
    },
}

/// The name of a state database, for people. It never holds a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StatePlace {
    /// The file.
    File(PathBuf),
    /// The address, as short as it tells which one.
    Server(String),
}

impl StateLocation {
    /// Takes `sqlite:PATH`, with `PATH` absolute or relative to `base`, or `postgres://USER@HOST/DATABASE`.
    pub fn parse(text: &str, base: &Path, surroundings: &Surroundings<'_>) -> Result<Self, StateError> {
        let Some((scheme, rest)) = text.split_once(':') else {
            return Err(StateError::Unsupported { kind: "a place without a kind such as `sqlite:`".to_owned() });
        };
        // Only the kind goes into the error: the rest of such an address may hold a password.
        let kind = match scheme {
            "sqlite" => {
                let path = Path::new(rest.strip_prefix("//").unwrap_or(rest));
                if path.file_name().is_some() && !rest.starts_with(':') {
                    return Ok(Self::File { database: base.join(path) });
                }
                "an SQLite database that is not a file"
            }
            "postgres" | "postgresql" => {
                let server = Box::new(ServerAddress::parse(text, surroundings)?);
                return Ok(Self::Server { server, directory: base.join(DIRECTORY) });
            }
            _ => "a database of an unknown kind",
        };
        Err(StateError::Unsupported { kind: kind.to_owned() })
    }

    /// The default place: `.xopero/state.db` below `base`.
    pub fn beside(base: &Path) -> Self {
        Self::File { database: base.join(DIRECTORY).join(DATABASE) }
    }

    /// Gives a server the password to log in with. A file has none.
    #[must_use]
    pub fn with_password(self, password: SecretString) -> Self {
        match self {
            Self::File { .. } => self,
            Self::Server { server, directory } => {
                Self::Server { server: Box::new(server.with_password(password)), directory }
            }
        }
    }

    /// Whether it is a server that nothing gave a password for.
    pub fn lacks_password(&self) -> bool {
        match self {
            Self::File { .. } => false,
            Self::Server { server, .. } => !server.has_password(),
        }
    }

    /// The directory for what concerns this host alone: beside the database, or beside the file that declares the
    /// backups.
    pub fn directory(&self) -> &Path {
        match self {
            Self::File { database } => match database.parent() {
                Some(directory) if directory != Path::new("") => directory,
                Some(_) | None => Path::new("."),
            },
            Self::Server { directory, .. } => directory,
        }
    }

    /// The same, made if it is not there: nothing that belongs to a state on a server makes it.
    pub fn make_directory(&self) -> Result<&Path, StateError> {
        create_directory(self.directory())?;
        Ok(self.directory())
    }

    /// Its name, for people.
    pub fn place(&self) -> StatePlace {
        match self {
            Self::File { database } => StatePlace::File(database.clone()),
            Self::Server { server, .. } => StatePlace::Server(server.to_string()),
        }
    }

    /// The error of a command that needs something applied where there is nothing.
    pub fn nothing_applied(&self) -> StateError {
        StateError::NothingApplied { place: self.place() }
    }
}

impl fmt::Display for StatePlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Server(address) => f.write_str(address),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relative_paths_begin_beside_the_file() {
        let base = Path::new("/srv/config");
        let parse = |text: &str| StateLocation::parse(text, base, &Surroundings::default()).unwrap();
        let file = |path: &str| StatePlace::File(path.into());
        assert_eq!(parse("sqlite:.xopero/state.db").place(), StateLocation::beside(base).place());
        assert_eq!(parse("sqlite:/var/lib/x.db").place(), file("/var/lib/x.db"));
        assert_eq!(parse("sqlite:///var/lib/x.db").directory(), Path::new("/var/lib"));
        let relative = StateLocation::parse("sqlite:x.db", Path::new(""), &Surroundings::default()).unwrap();
        assert_eq!(relative.directory(), Path::new("."));
    }

    #[test]
    fn a_server_has_a_directory_beside_the_file_and_a_name_without_a_password() {
        for scheme in ["postgres", "postgresql"] {
            let text = format!("{scheme}://xopero:hunter2@db.example.com/estate?sslmode=verify-full");
            let location = StateLocation::parse(&text, Path::new("/srv/config"), &Surroundings::default()).unwrap();
            assert_eq!(location.directory(), Path::new("/srv/config/.xopero"));
            assert_eq!(location.place().to_string(), "postgres://xopero@db.example.com/estate");
            assert!(!location.lacks_password());
            assert!(!format!("{location:?} {}", location.nothing_applied()).contains("hunter2"));
        }
    }

    #[test]
    fn other_places_are_refused_without_showing_their_password() {
        for text in ["mysql://xopero:hunter2@db/x", "sqlite::memory:", "sqlite:", "state.db", "odbc:hunter2"] {
            let error = StateLocation::parse(text, Path::new("/"), &Surroundings::default()).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{text}");
            assert!(error.hint().is_some());
        }
    }
}
