//! Whether everything behind the references is there, and of the right type.
//!
//! Commits lead to their tree and parents, trees to their entries (not to submodules), tags to their target. Commits,
//! trees and tags are decoded; of blobs only the type is looked up. Memory: one byte for each object, the objects
//! still to be visited, and a bounded cache of decoded delta bases.

mod delta_bases;

use std::sync::atomic::{AtomicBool, Ordering};

use gix_hash::oid;
use gix_object::tree::EntryKind;
use gix_object::{CommitRefIter, Kind, TagRefIter, TreeRefIter};
use gix_pack::data::entry::Header;
use gix_pack::{data, index};
use gix_zlib::Inflate;

use self::delta_bases::DeltaBases;
use super::error::{ConnectivityError, VerifierError};
use super::index::{IndexedPack, LARGEST_OBJECT, kind, verifier_error};
use crate::model::{ObjectFormat, ObjectId};

/// How many missing objects are named.
const NAMED: usize = 20;

/// More deltas in a row than any packer makes.
const LONGEST_CHAIN: usize = 100_000;

/// The objects of some packs.
pub struct Objects {
    packs: Vec<gix_pack::Bundle>,
    format: ObjectFormat,
}

/// What was found behind the references.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connectivity {
    /// Objects that were reached, each once.
    pub reached: u64,
    /// How many objects are missing, each counted as often as it is named.
    pub missing_total: u64,
    /// The first of them.
    pub missing: Vec<Missing>,
}

/// An object that is named and not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Missing {
    /// The object.
    pub oid: ObjectId,
    /// The object that names it; `None` if a reference does.
    pub from: Option<ObjectId>,
}

impl Objects {
    /// Opens packs that were indexed.
    pub fn open<'a>(
        packs: impl IntoIterator<Item = &'a IndexedPack>,
        format: ObjectFormat,
    ) -> Result<Self, ConnectivityError> {
        let mut opened = Vec::new();
        for (id, indexed) in (0..).zip(packs) {
            let index = index::File::at(&indexed.index, kind(format));
            let bundle = index.and_then(|index| {
                let pack = data::File::at(&indexed.pack, kind(format))?;
                let mut pack = pack.with_alloc_limit_bytes(usize::try_from(LARGEST_OBJECT).ok());
                pack.id = id;
                Ok(gix_pack::Bundle { pack, index })
            });
            opened.push(bundle.map_err(|error| ConnectivityError::Open {
                pack: indexed.pack.clone(),
                cause: verifier_error(error.iter_errors()),
            })?);
        }
        Ok(Self { packs: opened, format })
    }

    /// Walks everything behind `tips`. It blocks: run it where blocking is allowed.
    pub fn check(&self, tips: &[ObjectId], should_interrupt: &AtomicBool) -> Result<Connectivity, ConnectivityError> {
        let mut walk = Walk {
            objects: self,
            known: self.packs.iter().map(|pack| vec![0; pack.index.num_objects() as usize]).collect(),
            waiting: Vec::new(),
            found: Connectivity { reached: 0, missing_total: 0, missing: Vec::new() },
        };
        for tip in tips {
            walk.discover(tip.as_bytes(), None, None)?;
        }
        let mut decoder = Decoder { inflate: Inflate::default(), bases: DeltaBases::default(), object: Vec::new() };
        while let Some(at) = walk.waiting.pop() {
            if should_interrupt.load(Ordering::Relaxed) {
                return Err(ConnectivityError::Interrupted);
            }
            walk.visit(at, &mut decoder)?;
        }
        Ok(walk.found)
    }

    fn find(&self, id: &oid) -> Option<At> {
        self.packs.iter().enumerate().find_map(|(pack, bundle)| {
            let entry = bundle.index.lookup(id)?;
            Some(At { pack, entry })
        })
    }

    /// The type of an object, by the headers of its delta chain.
    fn kind_of(&self, at: At, id: &oid) -> Result<Kind, ConnectivityError> {
        let bundle = &self.packs[at.pack];
        let mut offset = bundle.index.pack_offset_at_index(at.entry);
        for _ in 0..LONGEST_CHAIN {
            let entry =
                bundle.pack.entry(offset).map_err(|error| undecodable(id, verifier_error(error.iter_errors())))?;
            let base = match entry.header {
                Header::Commit => return Ok(Kind::Commit),
                Header::Tree => return Ok(Kind::Tree),
                Header::Blob => return Ok(Kind::Blob),
                Header::Tag => return Ok(Kind::Tag),
                Header::OfsDelta { base_distance } => entry.checked_base_pack_offset(base_distance),
                Header::RefDelta { base_id } => {
                    bundle.index.lookup(base_id).map(|base| bundle.index.pack_offset_at_index(base))
                }
            };
            offset = base.ok_or_else(|| undecodable(id, VerifierError("the base of a delta is missing".into())))?;
        }
        Err(undecodable(id, VerifierError("its chain of deltas is too long".into())))
    }
}

impl std::fmt::Debug for Objects {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Objects({} packs)", self.packs.len())
    }
}

/// The place of an object.
#[derive(Debug, Clone, Copy)]
struct At {
    pack: usize,
    entry: u32,
}

/// What decoding needs besides the packs.
struct Decoder {
    inflate: Inflate,
    bases: DeltaBases,
    object: Vec<u8>,
}

struct Walk<'a> {
    objects: &'a Objects,
    /// For each object of each pack: 0, or the code of its type once it was discovered.
    known: Vec<Vec<u8>>,
    waiting: Vec<At>,
    found: Connectivity,
}

impl Walk<'_> {
    /// Notes an object that is named by `from` as an object of the `expected` type.
    fn discover(&mut self, id: &[u8], expected: Option<Kind>, from: Option<ObjectId>) -> Result<(), ConnectivityError> {
        let right_width = id.len() == self.objects.format.width();
        let id = oid::try_from_bytes(id).expect("an object id has a hash's width");
        let Some(at) = self.objects.find(id).filter(|_| right_width) else {
            self.found.missing_total += 1;
            if self.found.missing.len() < NAMED {
                self.found.missing.push(Missing { oid: ours(id), from });
            }
            return Ok(());
        };
        let known = self.known[at.pack][at.entry as usize];
        let found = match KINDS.get(usize::from(known).wrapping_sub(1)) {
            Some(kind) => *kind,
            None => self.objects.kind_of(at, id)?,
        };
        if let (Some(expected), Some(from)) = (expected.filter(|expected| *expected != found), from) {
            return Err(ConnectivityError::WrongKind {
                oid: ours(id),
                from,
                expected: name(expected),
                found: name(found),
            });
        }
        if known == 0 {
            self.known[at.pack][at.entry as usize] = code(found);
            self.found.reached += 1;
            if found != Kind::Blob {
                self.waiting.push(at);
            }
        }
        Ok(())
    }

    /// Decodes an object and discovers what it names.
    fn visit(&mut self, at: At, decoder: &mut Decoder) -> Result<(), ConnectivityError> {
        let bundle = &self.objects.packs[at.pack];
        let id = bundle.index.oid_at_index(at.entry);
        let hash = kind(self.objects.format);
        let from = ours(id);
        let Decoder { inflate, bases, object } = decoder;
        let damaged = |cause| undecodable(id, cause);
        let decoded = bundle.get_object_by_index(at.entry, object, inflate, bases);
        let (decoded, _) = decoded.map_err(|error| damaged(verifier_error(error.iter_errors())))?;
        match decoded.kind {
            Kind::Commit => {
                let mut tree = None;
                for token in CommitRefIter::from_bytes(decoded.data, hash) {
                    use gix_object::commit::ref_iter::Token;
                    match token.map_err(|error| damaged(verifier_error(error.iter_errors())))? {
                        Token::Tree { id } => tree = Some(id),
                        Token::Parent { id } => self.discover(id.as_slice(), Some(Kind::Commit), Some(from))?,
                        Token::Author { .. }
                        | Token::Committer { .. }
                        | Token::Encoding(_)
                        | Token::ExtraHeader(_)
                        | Token::Message(_) => break,
                    }
                }
                let tree = tree.ok_or_else(|| damaged(VerifierError("a commit without a tree".into())))?;
                // Pushed last, hence visited first: neighbouring trees share their delta bases.
                self.discover(tree.as_slice(), Some(Kind::Tree), Some(from))
            }
            Kind::Tree => {
                for entry in TreeRefIter::from_bytes(decoded.data, hash) {
                    let entry = entry.map_err(|error| damaged(verifier_error(error.iter_errors())))?;
                    let expected = match entry.mode.kind() {
                        EntryKind::Tree => Kind::Tree,
                        EntryKind::Blob | EntryKind::BlobExecutable | EntryKind::Link => Kind::Blob,
                        EntryKind::Commit => continue,
                    };
                    self.discover(entry.oid.as_bytes(), Some(expected), Some(from))?;
                }
                Ok(())
            }
            Kind::Tag => {
                let mut target = None;
                for token in TagRefIter::from_bytes(decoded.data, hash) {
                    use gix_object::tag::ref_iter::Token;
                    match token.map_err(|error| damaged(verifier_error(error.iter_errors())))? {
                        Token::Target { id } => target = Some((id, None)),
                        Token::TargetKind(kind) => target = target.map(|(id, _)| (id, Some(kind))),
                        Token::Name(_) | Token::Tagger(_) | Token::Body { .. } => break,
                    }
                }
                let (target, expected) =
                    target.ok_or_else(|| damaged(VerifierError("a tag without a target".into())))?;
                self.discover(target.as_slice(), expected, Some(from))
            }
            Kind::Blob => Ok(()),
        }
    }
}

fn undecodable(id: &oid, cause: VerifierError) -> ConnectivityError {
    ConnectivityError::Decode { oid: ours(id), cause }
}

fn ours(id: &oid) -> ObjectId {
    ObjectId::from_bytes(id.as_bytes()).expect("an object id has a hash's width")
}

const KINDS: [Kind; 4] = [Kind::Commit, Kind::Tree, Kind::Blob, Kind::Tag];

const fn code(kind: Kind) -> u8 {
    match kind {
        Kind::Commit => 1,
        Kind::Tree => 2,
        Kind::Blob => 3,
        Kind::Tag => 4,
    }
}

const fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::Commit => "commit",
        Kind::Tree => "tree",
        Kind::Blob => "blob",
        Kind::Tag => "tag",
    }
}

#[cfg(test)]
mod tests;
