//! What can go wrong between a server's git and a verified pack.

use std::io;
use std::path::PathBuf;

use crate::http::{HttpError, RequestPlace, Retry};
use crate::model::git::InvalidRefName;
use crate::model::{ObjectFormat, ObjectId, RefName};

/// An answer that breaks git's protocol, or a refusal inside it. Found by parsers that do not know the address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProtocolError {
    /// Four bytes that are no packet length.
    #[error("a packet begins with {0:?} in place of its length")]
    PacketLength(String),
    /// The answer ended inside a packet or before its last packet.
    #[error("the answer ended before {awaited}")]
    Truncated {
        /// What had to come next.
        awaited: &'static str,
    },
    /// The server said in the protocol that it failed.
    #[error("the server's git says {message:?}")]
    Remote {
        /// Its words, shortened.
        message: String,
    },
    /// The repository is a shallow clone: its history is not all there.
    #[error("the repository is shallow: the server itself has only a part of its history")]
    Shallow,
    /// A section or packet that was not asked for.
    #[error("unexpected {what} in {reading}")]
    Unexpected {
        /// What came.
        what: String,
        /// What was being read.
        reading: &'static str,
    },
    /// A line that does not have the form of its kind.
    #[error("malformed line in {reading}: {line:?}")]
    Malformed {
        /// What was being read.
        reading: &'static str,
        /// The line, shortened.
        line: String,
    },
    /// A reference with a name that git forbids.
    #[error("the server advertises a reference that no repository may hold")]
    RefName(#[source] InvalidRefName),
    /// A reference that is advertised twice.
    #[error("the server advertises {0} twice")]
    DuplicateRef(RefName),
    /// More references than are accepted.
    #[error("the server advertises more than {limit} references")]
    TooManyReferences {
        /// The limit.
        limit: usize,
    },
    /// A listing with more bytes than are accepted.
    #[error("the list of references is larger than {limit} bytes")]
    ListingTooLarge {
        /// The limit.
        limit: u64,
    },
    /// An object id of another hash than the repository's.
    #[error("an object id is not of the format {expected}")]
    ForeignFormat {
        /// The repository's format.
        expected: ObjectFormat,
    },
    /// An object format that this program does not know.
    #[error("the repository has the unknown object format {0:?}")]
    UnknownFormat(String),
    /// A capability without which packs cannot be streamed.
    #[error("the server does not offer `{0}`")]
    MissingCapability(&'static str),
}

/// Why a listing or a fetch failed.
#[derive(Debug, thiserror::Error)]
pub enum GitError {
    /// The request failed below git.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// The server's git refused or failed.
    #[error("{place}: the server's git says {message:?}")]
    Remote {
        /// The request.
        place: RequestPlace,
        /// Its words, shortened.
        message: String,
    },
    /// A question in protocol v2 got no answer in protocol v2, or the repository has another object format: ask
    /// [`Remote::discover`](super::Remote::discover).
    #[error("{place}: no answer in git protocol v2")]
    NotV2 {
        /// The request.
        place: RequestPlace,
        /// What came in place of it; `None` for nothing at all.
        #[source]
        cause: Option<ProtocolError>,
    },
    /// The answer breaks the protocol.
    #[error("{place}: the answer is not what git's protocol asks for")]
    Protocol {
        /// The request.
        place: RequestPlace,
        /// What is wrong.
        #[source]
        cause: ProtocolError,
    },
    /// A clone link that does not lead to a repository.
    #[error("the clone link {link:?} does not end in scm/<project>/<repository>.git")]
    CloneLink {
        /// The link without a user name or a password.
        link: String,
    },
}

impl GitError {
    /// Gives a parser's finding its address.
    pub(super) fn at(place: RequestPlace, cause: ProtocolError) -> Self {
        if let ProtocolError::Remote { message } = cause {
            return Self::Remote { place, message };
        }
        Self::Protocol { place, cause }
    }

    /// Whether the same request can succeed later.
    pub fn retry(&self) -> Retry {
        match self {
            Self::Http(error) => error.retry(),
            Self::Remote { .. } | Self::Protocol { cause: ProtocolError::Truncated { .. }, .. } => Retry::Backoff,
            Self::NotV2 { .. } | Self::Protocol { .. } | Self::CloneLink { .. } => Retry::Never,
        }
    }

    /// What a person can do about it.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Http(error) => return error.hint(),
            Self::Remote { message, .. } if message.contains("not our ref") => {
                "the repository changed between listing and fetching; the next run takes it"
            }
            Self::Protocol { cause: ProtocolError::Shallow, .. } => {
                "let an administrator complete the repository on the server: `git fetch --unshallow` from its origin"
            }
            Self::Protocol { cause: ProtocolError::RefName(_) | ProtocolError::DuplicateRef(_), .. } => {
                "let an administrator run `git fsck` on the repository at the server"
            }
            Self::Protocol { cause: ProtocolError::Truncated { .. }, .. } => {
                "a proxy between here and the server may limit the time or the size of an answer"
            }
            Self::Remote { .. } | Self::NotV2 { .. } | Self::Protocol { .. } | Self::CloneLink { .. } => return None,
        };
        Some(hint.to_owned())
    }
}

/// Why bytes are not a whole pack.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PackError {
    /// It does not begin as a pack of version 2 does.
    #[error("not a pack of version 2")]
    Header,
    /// It ended too early.
    #[error("the pack ends after {bytes} bytes, in the middle")]
    Truncated {
        /// Bytes seen.
        bytes: u64,
    },
    /// An entry of a type that does not exist.
    #[error("entry {entry} at byte {offset} has an unknown type")]
    EntryType {
        /// Its number, from 0.
        entry: u32,
        /// Where it begins.
        offset: u64,
    },
    /// An entry whose size or distance is too large a number.
    #[error("entry {entry} at byte {offset} holds a number that is too large")]
    Overflow {
        /// Its number, from 0.
        entry: u32,
        /// Where it begins.
        offset: u64,
    },
    /// A delta whose base lies outside the entries before it.
    #[error("entry {entry} at byte {offset} is a delta to a base outside the pack")]
    DeltaBase {
        /// Its number, from 0.
        entry: u32,
        /// Where it begins.
        offset: u64,
    },
    /// Compressed bytes that cannot be inflated.
    #[error("entry {entry} at byte {offset} cannot be inflated")]
    Inflate {
        /// Its number, from 0.
        entry: u32,
        /// Where it begins.
        offset: u64,
    },
    /// An entry that is not as large as it says.
    #[error("entry {entry} at byte {offset} does not have the size that it declares")]
    EntrySize {
        /// Its number, from 0.
        entry: u32,
        /// Where it begins.
        offset: u64,
    },
    /// The checksum at the end does not fit.
    #[error("the checksum at the end of the pack does not fit its bytes")]
    Checksum,
    /// The bytes are a forged pair of SHA-1 (a collision attack).
    #[error("the pack carries a SHA-1 collision attack")]
    Collision,
    /// Bytes after the checksum.
    #[error("there are bytes after the end of the pack")]
    Trailing,
    /// More than is accepted.
    #[error("the pack exceeds the limit of {limit} {what}")]
    Limit {
        /// The limit.
        limit: u64,
        /// What is limited, in the plural.
        what: &'static str,
    },
    /// Packs that do not add up to the announced number of objects.
    #[error("the packs hold {found} objects, not {expected}")]
    Count {
        /// What was announced.
        expected: u32,
        /// What they hold.
        found: u64,
    },
}

/// The words of the library that decodes objects, as one line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct VerifierError(pub(super) String);

/// Why a pack could not be indexed.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// The pack is damaged, or refers to objects that it does not hold.
    #[error("the pack is damaged or not self-contained")]
    Damaged {
        /// What is wrong.
        #[source]
        cause: VerifierError,
    },
    /// The pack could not be read.
    #[error("cannot read the pack")]
    Read {
        /// What the reader said.
        #[source]
        cause: io::Error,
    },
    /// Something in the directory could not be written.
    #[error("cannot write to {directory}")]
    Write {
        /// The directory.
        directory: PathBuf,
        /// What the system said.
        #[source]
        cause: io::Error,
    },
    /// It was told to stop.
    #[error("indexing was interrupted")]
    Interrupted,
}

/// Why the objects of packs could not be walked.
#[derive(Debug, thiserror::Error)]
pub enum ConnectivityError {
    /// A pack or its index cannot be opened.
    #[error("cannot open {pack}")]
    Open {
        /// The pack.
        pack: PathBuf,
        /// What is wrong.
        #[source]
        cause: VerifierError,
    },
    /// An object cannot be decoded.
    #[error("object {oid} cannot be decoded")]
    Decode {
        /// The object.
        oid: ObjectId,
        /// What is wrong.
        #[source]
        cause: VerifierError,
    },
    /// An object is not of the type that another one says.
    #[error("object {oid} is a {found}, but {from} needs a {expected}")]
    WrongKind {
        /// The object.
        oid: ObjectId,
        /// The object that names it.
        from: ObjectId,
        /// The type that `from` asks for.
        expected: &'static str,
        /// The type it has.
        found: &'static str,
    },
    /// It was told to stop.
    #[error("the check was interrupted")]
    Interrupted,
}

/// Why a bundle cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    /// There is no reference to put into it.
    #[error("a repository without references cannot become a bundle")]
    Empty,
}

/// At most 300 characters of what a server wrote, on one line.
pub(super) fn shorten(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(&text[..text.len().min(1200)]);
    text.trim().chars().map(|c| if c.is_control() { ' ' } else { c }).take(300).collect()
}
