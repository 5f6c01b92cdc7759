//! Reading a declaration out of a commit, and judging the commits that lead to it.

use std::path::{Path, PathBuf};

use git2::{ErrorCode, ObjectType, Odb, Oid, Repository};
use jiff::Timestamp;

use super::Branch;
use crate::config::FileKind;
use crate::source::commits::descent;
use crate::source::signature::{AllowedSigners, SignatureError};
use crate::source::tree::VALUE_LIMIT;
use crate::source::{
    AtCommit, Descent, Flaw, MOST_COMMITS, SOURCE_LIMIT, SourceError, SourceText, SourceTree, Tip, whole,
};

/// A directory with more bytes of names than this is not looked into.
const TREE_LIMIT: usize = 16 << 20;

/// The mode of a symbolic link.
const LINK: i32 = 0o120_000;

/// Characters of an author that are kept.
const LONGEST_AUTHOR: usize = 200;

/// What a tip is worth.
#[derive(Debug)]
pub(super) enum Verdict {
    /// It may count.
    Good(Box<SourceTree>, Tip),
    /// A file is missing, empty or cannot be read.
    Flawed(Flaw),
    /// It does not come from the applied commit.
    Rewound,
    /// A commit is not signed as it must be.
    Unsigned(String, SignatureError),
    /// The history that was fetched does not reach far enough to tell.
    MoreHistory,
}

/// What becomes of a tip that does not come from the applied commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rewinds {
    /// It is refused: nobody is there to decide.
    Refused,
    /// It is given to somebody who is told, and decides.
    Given,
}

/// What a tip is judged by.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules<'a> {
    pub(super) branch: &'a Branch,
    /// The commit that is applied.
    pub(super) applied: Option<&'a str>,
    /// Who must have signed every commit since then.
    pub(super) signers: Option<&'a AllowedSigners>,
    /// Where the history was cut off.
    pub(super) cuts: &'a [String],
    /// Whether a tip that does not come from the applied commit is looked into.
    pub(super) rewinds: Rewinds,
}

/// Judges the commit `id` of a repository.
pub(super) fn judge(repository: &Repository, id: &str, rules: Rules<'_>) -> Result<Verdict, git2::Error> {
    let id = Oid::from_str(id)?;
    let since = match rules.applied {
        None => vec![id.to_string()],
        Some(applied) => match since(repository, applied, id, rules)? {
            Ok(since) => since,
            Err(verdict) => return Ok(verdict),
        },
    };
    let mut signed_by = None;
    if let Some(signers) = rules.signers {
        // The oldest first: that is where to look.
        for commit in since.iter().rev() {
            match signer(repository, Oid::from_str(commit)?, signers)? {
                Ok(principals) => signed_by = Some(principals),
                Err(why) => return Ok(Verdict::Unsigned(commit.clone(), why)),
            }
        }
    }
    Ok(match declaration(repository, id, &rules.branch.path)? {
        Ok(tree) => {
            let tip = tip(repository, id, signed_by)?;
            Verdict::Good(Box::new(tree.of_commit(tip.at.clone())), tip)
        }
        Err(flaw) => Verdict::Flawed(flaw),
    })
}

/// The commits that came after the applied one, newest first; or what the tip is worth without looking at them.
fn since(
    repository: &Repository,
    applied: &str,
    id: Oid,
    rules: Rules<'_>,
) -> Result<Result<Vec<String>, Verdict>, git2::Error> {
    // A number that is none of this repository's is that of another history.
    let found = Oid::from_str(applied).map_or(Ok(Descent::Rewound), |applied| descent(repository, applied, id))?;
    Ok(match found {
        // To whoever is asked, it is like the first time: the tip tells who stands for all of it.
        Descent::Rewound if rules.rewinds == Rewinds::Given => Ok(vec![id.to_string()]),
        Descent::Rewound => Err(Verdict::Rewound),
        Descent::Shallow => Err(Verdict::MoreHistory),
        Descent::Forward { more: true, .. } if rules.signers.is_some() => {
            Err(Verdict::Unsigned(id.to_string(), SignatureError::TooMany { limit: MOST_COMMITS }))
        }
        Descent::Forward { commits, more: _ } => {
            let since: Vec<String> = commits.into_iter().map(|commit| commit.commit).collect();
            // Behind it there may be more commits that are not of the applied history.
            if since.iter().any(|commit| rules.cuts.contains(commit)) { Err(Verdict::MoreHistory) } else { Ok(since) }
        }
    })
}

fn signer(
    repository: &Repository,
    id: Oid,
    signers: &AllowedSigners,
) -> Result<Result<String, SignatureError>, git2::Error> {
    let (signature, payload) = match repository.extract_signature(&id, None) {
        Ok(found) => found,
        Err(error) if error.code() == ErrorCode::NotFound => return Ok(Err(SignatureError::Unsigned)),
        Err(error) => return Err(error),
    };
    let at = time(repository.find_commit(id)?.committer().when());
    Ok(signers.check(&payload, &signature, at).map(str::to_owned))
}

pub(super) fn tip(repository: &Repository, id: Oid, signed_by: Option<String>) -> Result<Tip, git2::Error> {
    let commit = repository.find_commit(id)?;
    let author = commit.author();
    let shown =
        format!("{} <{}>", String::from_utf8_lossy(author.name_bytes()), String::from_utf8_lossy(author.email_bytes()));
    Ok(Tip {
        at: AtCommit::new(repository.path(), id),
        author: shown.chars().take(LONGEST_AUTHOR).collect(),
        time: time(commit.committer().when()),
        signed_by,
    })
}

/// A time that cannot be is the nearest that can.
fn time(when: git2::Time) -> Timestamp {
    let bound = if when.seconds() < 0 { Timestamp::MIN } else { Timestamp::MAX };
    Timestamp::from_second(when.seconds()).unwrap_or(bound)
}

/// The declaration whose main file is at `path`.
pub(super) fn declaration(
    repository: &Repository,
    id: Oid,
    path: &str,
) -> Result<Result<Box<SourceTree>, Flaw>, git2::Error> {
    let files = Files { database: repository.odb()?, root: repository.find_commit(id)?.tree_id(), repository };
    let main = match files.read(path, SOURCE_LIMIT) {
        Ok(main) => main,
        Err(error) => return Ok(whole(Path::new(path), Err(error))),
    };
    let mut left = SOURCE_LIMIT.saturating_sub(main.text.len() as u64);
    let directory = path.rsplit_once('/').map(|(directory, _)| directory);
    let tree = SourceTree::gather(main, &mut |name, kind| {
        let limit = match kind {
            FileKind::Included => left,
            FileKind::Value => left.min(VALUE_LIMIT),
        };
        let path = directory.map_or_else(|| name.to_owned(), |directory| format!("{directory}/{name}"));
        let file = files.read(&path, limit)?;
        left = left.saturating_sub(file.text.len() as u64);
        Ok(file)
    });
    Ok(whole(Path::new(path), Ok(tree)))
}

/// The files of one commit.
struct Files<'a> {
    repository: &'a Repository,
    database: Odb<'a>,
    root: Oid,
}

impl Files<'_> {
    /// The file at a path from the root.
    fn read(&self, path: &str, limit: u64) -> Result<SourceText, SourceError> {
        let shown = PathBuf::from(path);
        let failed = |error: git2::Error| match error.code() {
            ErrorCode::NotFound => SourceError::Missing { path: shown.clone() },
            _ => SourceError::Read { path: shown.clone(), source: std::io::Error::other(error.message().to_owned()) },
        };
        let (mut at, mut kind) = (self.root, ObjectType::Tree);
        for part in path.split('/') {
            if kind != ObjectType::Tree {
                return Err(SourceError::Missing { path: shown });
            }
            if self.size(at).map_err(failed)? > TREE_LIMIT {
                return Err(SourceError::TooLarge { path: shown, limit: TREE_LIMIT as u64 });
            }
            let tree = self.repository.find_tree(at).map_err(failed)?;
            let Some(entry) = tree.get_name_bytes(part.as_bytes()) else {
                return Err(SourceError::Missing { path: shown });
            };
            (at, kind) = match entry.kind() {
                Some(kind @ (ObjectType::Blob | ObjectType::Tree)) if entry.filemode_raw() != LINK => {
                    (entry.id(), kind)
                }
                _ => return Err(SourceError::Linked { path: shown }),
            };
        }
        if kind != ObjectType::Blob {
            return Err(SourceError::NotAFile { path: shown });
        }
        if self.size(at).map_err(failed)? as u64 > limit {
            return Err(SourceError::TooLarge { path: shown, limit });
        }
        let blob = self.repository.find_blob(at).map_err(failed)?;
        let text = std::str::from_utf8(blob.content())
            .map_err(|error| SourceError::NotText { path: shown.clone(), offset: error.valid_up_to() })?;
        Ok(SourceText::new(&shown, text.to_owned()))
    }

    /// The size of an object, known before it is inflated.
    fn size(&self, id: Oid) -> Result<usize, git2::Error> {
        self.database.read_header(id).map(|(size, _)| size)
    }
}
