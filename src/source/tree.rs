//! The main file and everything that it names, read once.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::{AtCommit, SOURCE_LIMIT, SourceError, SourceText, read_file};
use crate::config::{self, Decoded, FileId, FileKind, Invalid, SourceFile, Sources, Unreadable};
use crate::model::{FileDigest, Source};

/// The largest file with a sealed value: 64 KiB.
pub(super) const VALUE_LIMIT: u64 = 64 << 10;

/// The files of a declaration, as they were at one time: each was read once.
#[derive(Debug, Clone)]
pub struct SourceTree {
    main: SourceText,
    named: BTreeMap<String, SourceText>,
    unreadable: Vec<(String, Unreadable)>,
    /// What was asked for, in its order, and what was said. With the same answers it would be the same tree.
    answers: Vec<Answer>,
    sources: Sources,
    /// The commit that it was read out of; nothing if it was read from files.
    commit: Option<AtCommit>,
}

/// What came of looking for a file that is named.
#[derive(Debug, Clone)]
struct Answer {
    path: String,
    kind: FileKind,
    /// The digest of its text.
    said: Result<String, Unreadable>,
}

/// Texts that count instead of what the disk holds, by the paths of their files without links: what an editor has not
/// saved.
pub type Unsaved = BTreeMap<PathBuf, String>;

static NOTHING_UNSAVED: Unsaved = Unsaved::new();

/// Reads the main file and what it names. Only what is wrong with the main file itself is an error here; the rest is
/// reported with the declaration, at the place that names the file.
pub fn read_tree(path: &Path) -> Result<SourceTree, SourceError> {
    read_unsaved_tree(path, &NOTHING_UNSAVED)
}

/// The same as [`read_tree`]. Every file is read, and they are parsed unless all of them say what they said `before`.
pub(super) fn read_tree_again(path: &Path, before: SourceTree) -> Result<SourceTree, SourceError> {
    let main = read_text(path, SOURCE_LIMIT, &NOTHING_UNSAVED)?;
    if before.commit.is_none() && before.main == main {
        let mut named = NamedFiles::beside(&main);
        let as_before = |answer: &Answer| {
            let said = named.read(&answer.path, answer.kind).map(|text| text.sha256.clone());
            said.map_err(|error| unreadable(&error)) == answer.said
        };
        if before.answers.iter().all(as_before) {
            return Ok(before);
        }
    }
    read_tree(path)
}

/// The same, as an editor shows it.
pub fn read_unsaved_tree(path: &Path, unsaved: &Unsaved) -> Result<SourceTree, SourceError> {
    let real = if unsaved.is_empty() { None } else { fs::canonicalize(path).ok() };
    let main =
        read_text(real.as_deref().filter(|real| unsaved.contains_key(*real)).unwrap_or(path), SOURCE_LIMIT, unsaved)?;
    let main = SourceText { name: path.display().to_string(), path: path.to_owned(), ..main };
    let mut named = NamedFiles { unsaved, ..NamedFiles::beside(&main) };
    Ok(SourceTree::gather(main, &mut |path, kind| named.read(path, kind).cloned()))
}

fn read_text(path: &Path, limit: u64, unsaved: &Unsaved) -> Result<SourceText, SourceError> {
    match unsaved.get(path) {
        Some(text) if text.len() as u64 > limit => Err(SourceError::TooLarge { path: path.to_owned(), limit }),
        Some(text) => Ok(SourceText::new(path, text.clone())),
        None => read_file(path, limit),
    }
}

fn unreadable(error: &SourceError) -> Unreadable {
    let cause = std::error::Error::source(error).map(|cause| format!(": {cause}")).unwrap_or_default();
    let hint = match error {
        // Its hint is about the main file.
        SourceError::Missing { .. } | SourceError::NotAFile { .. } => None,
        SourceError::Linked { .. }
        | SourceError::Read { .. }
        | SourceError::TooLarge { .. }
        | SourceError::NotText { .. }
        | SourceError::Outside { .. }
        | SourceError::Twice { .. }
        | SourceError::Changed { .. }
        | SourceError::Write { .. } => error.hint(),
    };
    Unreadable { reason: format!("{error}{cause}"), hint }
}

impl SourceTree {
    /// The main file, and what it names as `read` gives it.
    pub(super) fn gather(
        main: SourceText,
        read: &mut dyn FnMut(&str, FileKind) -> Result<SourceText, SourceError>,
    ) -> Self {
        let (mut named, mut failed, mut answers) = (BTreeMap::new(), Vec::new(), Vec::new());
        let sources = Sources::gather(main.file(), &mut |path, kind| {
            let mut answer = |said| answers.push(Answer { path: path.to_owned(), kind, said });
            match read(path, kind) {
                Ok(text) => {
                    answer(Ok(text.sha256.clone()));
                    let file = text.file();
                    named.insert(path.to_owned(), text);
                    Ok(file)
                }
                Err(error) => {
                    let why = unreadable(&error);
                    answer(Err(why.clone()));
                    failed.push((path.to_owned(), why.clone()));
                    Err(why)
                }
            }
        });
        Self { main, named, unreadable: failed, answers, sources, commit: None }
    }

    /// The same, read out of a commit.
    #[must_use]
    pub(super) fn of_commit(self, commit: AtCommit) -> Self {
        Self { commit: Some(commit), ..self }
    }

    /// The commit that it was read out of; nothing if it was read from files.
    pub const fn commit(&self) -> Option<&AtCommit> {
        self.commit.as_ref()
    }

    /// What it declares. Out of a commit, it lies in no directory of this machine, and cannot name files beside it that
    /// are read later.
    pub fn decode(&self) -> Result<Decoded, Invalid> {
        let decoded = config::decode(&self.sources)?;
        if self.commit.is_some() { config::without_directory(decoded) } else { Ok(decoded) }
    }

    /// The main file.
    pub const fn main(&self) -> &SourceText {
        &self.main
    }

    /// The files of the declaration, parsed.
    pub const fn sources(&self) -> &Sources {
        &self.sources
    }

    /// One of the declaration's files.
    pub fn text(&self, id: FileId) -> &SourceText {
        let name = &self.sources.file(id).name;
        self.named.values().find(|file| id != FileId::MAIN && file.name == *name).unwrap_or(&self.main)
    }

    /// Every file that was read, the main one first.
    pub fn texts(&self) -> impl Iterator<Item = &SourceText> {
        std::iter::once(&self.main).chain(self.named.values())
    }

    /// The file with a sealed value that the declaration names by this path.
    pub fn value(&self, path: &str) -> Option<&SourceText> {
        self.named.get(path)
    }

    /// Every file that the main one names, by the path that names it, whether it could be read or not.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.named.keys().chain(self.unreadable.iter().map(|(path, _)| path)).map(String::as_str)
    }

    /// The first named file that cannot be read, and why.
    pub(super) fn unreadable(&self) -> Option<(&str, &Unreadable)> {
        self.unreadable.first().map(|(path, why)| (path.as_str(), why))
    }

    /// The first file that says nothing at all.
    pub(super) fn empty(&self) -> Option<&SourceText> {
        self.texts().find(|file| file.text.trim().is_empty())
    }

    /// The files that `after` makes something else of, with what they will say.
    pub fn changes<'t, 'a>(&'t self, after: &'a Sources) -> Vec<(&'t SourceText, &'a str)> {
        let declared = after.files().map(|(id, file)| (self.text(id), file.text.as_str()));
        let values = after.values().iter().filter_map(|(path, file)| Some((self.value(path)?, file.text.as_str())));
        declared.chain(values).filter(|(old, new)| old.text != *new).collect()
    }

    /// What a generation remembers of it. Whether a commit says the same is another question: [`super::Provenance`].
    pub fn source(&self) -> Source {
        let digest =
            |(path, file): (&String, &SourceText)| FileDigest { path: path.clone(), sha256: file.sha256.clone() };
        Source {
            file: self.main.name.clone(),
            sha256: self.main.sha256.clone(),
            files: self.named.iter().map(digest).collect(),
            commit: None,
        }
    }
}

/// Reads files by their paths relative to the directory of the main file, and none outside of it.
///
/// A symbolic link may lead elsewhere in that directory, not out of it. All files together have at most
/// [`SOURCE_LIMIT`] bytes.
#[derive(Debug)]
pub struct NamedFiles<'a> {
    unsaved: &'a Unsaved,
    directory: PathBuf,
    /// What is left of the limit.
    left: u64,
    /// Where included files really are, so that none is included twice under two names.
    places: Vec<PathBuf>,
    read: BTreeMap<String, SourceText>,
}

impl NamedFiles<'_> {
    /// The files that `main` names.
    pub fn beside(main: &SourceText) -> Self {
        Self {
            unsaved: &NOTHING_UNSAVED,
            directory: main.directory().to_owned(),
            left: SOURCE_LIMIT.saturating_sub(main.text.len() as u64),
            places: main.path.canonicalize().into_iter().collect(),
            read: BTreeMap::new(),
        }
    }

    /// Reads a file, unless it was read before.
    pub fn read(&mut self, path: &str, kind: FileKind) -> Result<&SourceText, SourceError> {
        if !self.read.contains_key(path) {
            let file = self.read_anew(path, kind)?;
            self.left = self.left.saturating_sub(file.text.len() as u64);
            self.read.insert(path.to_owned(), file);
        }
        Ok(&self.read[path])
    }

    fn read_anew(&mut self, path: &str, kind: FileKind) -> Result<SourceText, SourceError> {
        let shown = if self.directory == Path::new(".") { PathBuf::from(path) } else { self.directory.join(path) };
        let failed = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound => SourceError::Missing { path: shown.clone() },
            _ => SourceError::Read { path: shown.clone(), source: error },
        };
        let root = fs::canonicalize(&self.directory).map_err(failed)?;
        let real = match fs::canonicalize(root.join(path)) {
            Err(_) if self.unsaved.contains_key(&root.join(path)) => root.join(path),
            found => found.map_err(failed)?,
        };
        if !real.starts_with(&root) {
            return Err(SourceError::Outside { path: shown });
        }
        let limit = match kind {
            FileKind::Included => self.left,
            FileKind::Value => self.left.min(VALUE_LIMIT),
        };
        if kind == FileKind::Included {
            if self.places.contains(&real) {
                return Err(SourceError::Twice { path: shown });
            }
            self.places.push(real.clone());
        }
        // What was looked at is what is opened: the path without links.
        match read_text(&real, limit, self.unsaved) {
            Ok(file) => Ok(SourceText { name: shown.display().to_string(), path: shown, ..file }),
            Err(error) => Err(error.of(shown)),
        }
    }
}

impl SourceText {
    /// The file for whoever parses it.
    pub fn file(&self) -> SourceFile {
        SourceFile { name: self.name.clone(), text: self.text.clone() }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    struct Folder(tempfile::TempDir);

    impl Folder {
        fn new(files: &[(&str, &str)]) -> Self {
            let folder = Self(tempfile::tempdir().unwrap());
            fs::create_dir_all(folder.path("root/teams")).unwrap();
            for (path, text) in files {
                fs::write(folder.path(path), text).unwrap();
            }
            folder
        }

        fn path(&self, path: &str) -> PathBuf {
            self.0.path().join(path)
        }

        fn named(&self) -> NamedFiles<'_> {
            NamedFiles::beside(&read_file(&self.path("root/xopero.kdl"), SOURCE_LIMIT).unwrap())
        }
    }

    #[test]
    fn a_tree_has_the_digest_of_every_file() {
        let folder = Folder::new(&[
            ("root/xopero.kdl", "include \"teams/web.kdl\"\nx { token file=\"teams/a.age\"; }"),
            ("root/teams/web.kdl", "y"),
            ("root/teams/a.age", "abc"),
        ]);
        let tree = read_tree(&folder.path("root/xopero.kdl")).unwrap();
        let source = tree.source();
        assert_eq!(source.sha256, tree.main().sha256);
        let files: Vec<(&str, &str)> = source.files.iter().map(|file| (&*file.path, &file.sha256[..8])).collect();
        assert_eq!(files, [("teams/a.age", "ba7816bf"), ("teams/web.kdl", "a1fce436")]);
        let ids: Vec<FileId> = tree.sources().files().map(|(id, _)| id).collect();
        assert_eq!(ids.len(), 2);
        assert_eq!(tree.text(ids[0]).path, folder.path("root/xopero.kdl"));
        assert_eq!(
            (tree.text(ids[1]).text.as_str(), &tree.text(ids[1]).path),
            ("y", &folder.path("root/teams/web.kdl"))
        );
    }

    #[test]
    fn what_is_read_again_is_what_is_there() {
        let main = "include \"a.kdl\"\ninclude \"no.kdl\"\nx { token file=\"v.age\"; }";
        let folder = Folder::new(&[("root/xopero.kdl", main), ("root/a.kdl", "y"), ("root/v.age", "abc")]);
        let path = folder.path("root/xopero.kdl");
        let mut tree = read_tree(&path).unwrap();
        let edits: [(&str, Option<&[u8]>); 10] = [
            ("a.kdl", Some(b"z")),
            ("v.age", Some(b"abd")),
            ("no.kdl", Some(b"w")),
            ("a.kdl", Some(b"\xff")),
            ("a.kdl", None),
            ("a.kdl", Some(b"z {")),
            ("v.age", None),
            ("no.kdl", Some(b"w w")),
            ("xopero.kdl", Some(b"include \"a.kdl\"")),
            ("xopero.kdl", Some(b"include \"no.kdl\"")),
        ];
        for (file, bytes) in edits {
            let file = folder.path("root").join(file);
            match bytes {
                Some(bytes) => fs::write(file, bytes).unwrap(),
                None => fs::remove_file(file).unwrap(),
            }
            let again = read_tree_again(&path, tree).unwrap();
            assert_eq!(format!("{again:?}"), format!("{:?}", read_tree(&path).unwrap()));
            let parsed = again.main().text.as_ptr();
            tree = read_tree_again(&path, again).unwrap();
            assert_eq!(tree.main().text.as_ptr(), parsed, "what says the same is not parsed twice");
        }
        fs::remove_file(&path).unwrap();
        assert!(matches!(read_tree_again(&path, tree), Err(SourceError::Missing { .. })));
    }

    #[test]
    fn what_is_not_saved_counts() {
        let folder =
            Folder::new(&[("root/xopero.kdl", "include \"a.kdl\""), ("root/a.kdl", "saved"), ("outside", "x")]);
        symlink("../outside", folder.path("root/out.kdl")).unwrap();
        let real = |path: &str| folder.path(path).canonicalize().unwrap();
        let main = "include \"a.kdl\"\ninclude \"new.kdl\"\ninclude \"out.kdl\"";
        let unsaved = Unsaved::from([
            (real("root/xopero.kdl"), main.to_owned()),
            (real("root/a.kdl"), "edited".to_owned()),
            (real("root").join("new.kdl"), "new".to_owned()),
            (real("outside"), "SECRET".to_owned()),
        ]);
        let tree = read_unsaved_tree(&folder.path("root/xopero.kdl"), &unsaved).unwrap();
        let texts: Vec<&str> = tree.sources().files().map(|(_, file)| file.text.as_str()).collect();
        assert_eq!(texts, [main, "edited", "new"]);
        let saved = read_tree(&folder.path("root/xopero.kdl")).unwrap();
        assert_eq!(saved.sources().files().count(), 2);
    }

    #[test]
    fn links_stay_inside() {
        let folder = Folder::new(&[("root/xopero.kdl", ""), ("root/teams/web.kdl", "web"), ("outside", "SECRET")]);
        symlink("teams/web.kdl", folder.path("root/inside.kdl")).unwrap();
        symlink("../outside", folder.path("root/out.kdl")).unwrap();
        symlink(folder.0.path(), folder.path("root/up")).unwrap();
        symlink("xopero.kdl", folder.path("root/self.kdl")).unwrap();
        let mut named = folder.named();
        assert_eq!(named.read("inside.kdl", FileKind::Included).unwrap().text, "web");
        for path in ["out.kdl", "up/outside"] {
            let error = named.read(path, FileKind::Value).unwrap_err();
            assert!(matches!(error, SourceError::Outside { .. }) && error.hint().is_some(), "{error}");
        }
        for path in ["teams/web.kdl", "self.kdl", "xopero.kdl"] {
            let error = named.read(path, FileKind::Included).unwrap_err();
            assert!(matches!(error, SourceError::Twice { .. }), "{path}: {error}");
        }
        assert_eq!(named.read("teams/web.kdl", FileKind::Value).unwrap().text, "web");
    }

    #[test]
    fn everything_together_is_bounded() {
        let half = "x".repeat(3 << 20);
        let folder = Folder::new(&[("root/xopero.kdl", &half), ("root/a.kdl", "x"), ("root/b.kdl", &half)]);
        fs::write(folder.path("root/v.age"), &half[..70_000]).unwrap();
        let mut named = folder.named();
        named.read("a.kdl", FileKind::Included).unwrap();
        let error = named.read("b.kdl", FileKind::Included).unwrap_err();
        assert!(matches!(&error, SourceError::TooLarge { path, .. } if *path == folder.path("root/b.kdl")), "{error}");
        assert!(matches!(named.read("v.age", FileKind::Value), Err(SourceError::TooLarge { limit: 65_536, .. })));
        assert!(matches!(named.read("no.kdl", FileKind::Value), Err(SourceError::Missing { .. })));
        assert!(matches!(named.read("teams", FileKind::Value), Err(SourceError::NotAFile { .. })));
    }
}
