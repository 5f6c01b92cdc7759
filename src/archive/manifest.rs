//! The manifest: everything that is needed to restore one repository as it was at one time.
//!
//! Compatibility: a field may be added with a default; the meaning of a field must not change. A reader must refuse
//! a `format` above its own, and must ignore fields that it does not know.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::model::{
    Generation, ObjectFormat, PackId, PlanName, ProjectKey, References, RepoId, RepoSlug, RunId, ServerName,
    SnapshotId, Uid, hex,
};

/// The format that this version writes, and the newest that it reads.
pub const FORMAT: u32 = 1;

/// One repository at one time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The version of this document.
    pub format: u32,
    /// The snapshot's identity, which is also the name of its key.
    pub snapshot: SnapshotId,
    /// When the references were read.
    pub created: Timestamp,
    /// The run that made it.
    pub run: RunId,
    /// Which claim of the task made it, counted from 1 in each run; 0 if that is not known. Of two in one run, the one
    /// with the smaller number was written by a worker that was taken for lost.
    #[serde(default)]
    pub epoch: u64,
    /// The applied generation that asked for it.
    pub generation: Generation,
    /// The plan it belongs to.
    pub plan: PlanEntry,
    /// The server it was taken from.
    pub server: ServerEntry,
    /// The project, as it was.
    pub project: ProjectEntry,
    /// The repository, as it was.
    pub repository: RepositoryEntry,
    /// References and objects.
    pub git: GitPart,
    /// The public keys that this document and all of its packs are encrypted to, sorted.
    #[serde(default)]
    pub encrypted_to: Vec<String>,
    /// What could not be read, and why.
    #[serde(default)]
    pub not_read: Vec<NotRead>,
    /// Why this snapshot must not stand in for the one before it, if so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspect: Option<Suspect>,
    /// What wrote it.
    pub tool: ToolEntry,
}

/// The plan of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanEntry {
    /// Its identity.
    pub uid: Uid,
    /// Its name at that time.
    pub name: PlanName,
}

/// The server of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerEntry {
    /// Its identity.
    pub uid: Uid,
    /// Its name at that time.
    pub name: ServerName,
    /// Its address at that time.
    pub url: String,
    /// Bitbucket's version, if it told.
    pub version: Option<String>,
}

/// The project of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProjectEntry {
    /// Bitbucket's number of it.
    pub id: u64,
    /// Its key at that time.
    pub key: ProjectKey,
}

/// The repository of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepositoryEntry {
    /// Bitbucket's number of it: its identity.
    pub id: RepoId,
    /// Its slug at that time.
    pub slug: RepoSlug,
    /// Its name at that time.
    pub name: String,
    /// Whether it was archived.
    pub archived: bool,
}

/// References and objects of a repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GitPart {
    /// Which hash names its objects.
    pub object_format: ObjectFormat,
    /// The protocol it was read with: `v2`, `v1` or `v0`.
    pub protocol: String,
    /// Every reference that the server advertised, and `HEAD`.
    pub references: References,
    /// The packs that hold the objects, in the order in which they were taken. Each can be indexed by itself.
    pub packs: Vec<PackEntry>,
}

/// One stored pack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackEntry {
    /// Its identity.
    pub id: PackId,
    /// Its key below the destination.
    pub key: String,
    /// Bytes of the stored object.
    pub stored_bytes: u64,
    /// SHA-256 of the stored object, in hexadecimal.
    pub stored_sha256: String,
    /// Bytes of the pack inside.
    pub pack_bytes: u64,
    /// The pack's trailer: the hash of its content, in hexadecimal.
    pub pack_checksum: String,
    /// Objects in the pack.
    pub objects: u64,
}

/// A source that had lost all or nearly all of its references.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suspect {
    /// What was seen, for people.
    pub why: String,
    /// The number of references in the last snapshot that was not suspect.
    pub trusted: u64,
}

/// Something that belongs to the repository and is not in the snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotRead {
    /// What.
    pub what: String,
    /// Why.
    pub why: String,
}

/// What wrote a document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolEntry {
    /// `xopero`.
    pub name: String,
    /// Its version.
    pub version: String,
}

impl ToolEntry {
    /// This build.
    pub fn this() -> Self {
        Self { name: "xopero".into(), version: env!("CARGO_PKG_VERSION").into() }
    }
}

/// What a chain is known by. A chain only grows: its first pack stays its first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChainMark<'a> {
    /// The first pack.
    pub first: Option<PackId>,
    /// The keys that everything in it is encrypted to, sorted.
    pub encrypted_to: &'a [String],
}

/// A digest of what a snapshot says: of the names, the references, and the chain that it belongs to. Objects hash to
/// the references, so whoever knows the digest knows the whole content.
///
/// Of two manifests with the same digest the later names all packs of the earlier.
pub fn content(
    project: &ProjectKey,
    repository: &RepositoryEntry,
    format: ObjectFormat,
    references: &References,
    chain: ChainMark<'_>,
) -> String {
    // By name, so that a field that is added does not change the digests that are recorded.
    let RepositoryEntry { id, slug, name, archived } = repository;
    let words = (project, (id, slug, name, archived), format, references, chain.first, chain.encrypted_to);
    let words = serde_json::to_vec(&words).expect("texts and numbers are JSON");
    hex::encode(&Sha256::digest(words))
}

impl Manifest {
    /// Stored bytes of all its packs.
    pub fn stored_bytes(&self) -> u64 {
        self.git.packs.iter().map(|pack| pack.stored_bytes).sum()
    }

    /// What its chain is known by.
    pub fn chain(&self) -> ChainMark<'_> {
        ChainMark { first: self.git.packs.first().map(|pack| pack.id), encrypted_to: &self.encrypted_to }
    }

    /// A digest of what it says. See [`content`].
    pub fn content(&self) -> String {
        let GitPart { object_format, references, packs: _, protocol: _ } = &self.git;
        content(&self.project.key, &self.repository, *object_format, references, self.chain())
    }

    /// Objects in all its packs. One that two packs hold counts twice.
    pub fn objects(&self) -> u64 {
        self.git.packs.iter().map(|pack| pack.objects).sum()
    }
}
