//! The git work tree that a file is in, and where its hooks are. Git itself is not called.

use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use super::git_config::value;
use super::ignore::ignores_state;
use super::{SourceError, read_file};

/// Larger than any configuration that a person keeps.
const CONFIG_LIMIT: u64 = 1 << 20;

/// A work tree of git.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkTree {
    /// Its uppermost directory.
    pub root: PathBuf,
    /// The directory that holds what belongs to this work tree alone.
    own: PathBuf,
    /// The directory that all work trees of the repository share.
    common: PathBuf,
}

/// Where git looks for the hooks of a work tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hooks {
    /// In this directory, which belongs to the repository.
    Here(PathBuf),
    /// In a directory that serves other repositories too, because a configuration says so.
    Elsewhere {
        /// The directory.
        directory: PathBuf,
        /// The configuration file that names it.
        named_by: PathBuf,
    },
}

impl WorkTree {
    /// The work tree that `path` is in, if it is in one.
    pub fn around(path: &Path) -> Result<Option<Self>, SourceError> {
        let start = path.canonicalize().map_err(|source| SourceError::Read { path: path.to_owned(), source })?;
        for root in start.ancestors() {
            let dot_git = root.join(".git");
            let own = match fs::metadata(&dot_git) {
                Ok(found) if found.is_dir() => dot_git,
                Ok(_) => match linked(&dot_git)? {
                    Some(own) => own,
                    None => continue,
                },
                Err(_) => continue,
            };
            let common = match text(&own.join("commondir"))? {
                Some(path) => own.join(path.trim_end()),
                None => own.clone(),
            };
            return Ok(Some(Self { root: root.to_owned(), own, common }));
        }
        Ok(None)
    }

    /// Where git looks for hooks. `user` are the configuration files outside of the repository, the most important
    /// first; `home` is what `~` stands for.
    pub fn hooks(&self, user: &[PathBuf], home: Option<&Path>) -> Result<Hooks, SourceError> {
        let shared = self.common.join("config");
        let mut files = vec![shared.clone()];
        // A work tree has settings of its own only if the repository says so.
        if setting(&shared, "extensions", "worktreeConfig")?.is_some_and(|on| on.eq_ignore_ascii_case("true")) {
            files.insert(0, self.own.join("config.worktree"));
        }
        files.extend_from_slice(user);
        for file in files {
            let Some(named) = setting(&file, "core", "hooksPath")?.filter(|path| !path.is_empty()) else { continue };
            let directory = match (named.strip_prefix("~/"), home) {
                (Some(rest), Some(home)) => home.join(rest),
                _ => self.root.join(&named),
            };
            let directory = plain(&directory);
            let ours = [&self.root, &self.common, &self.own].iter().any(|place| directory.starts_with(plain(place)));
            return Ok(if ours { Hooks::Here(directory) } else { Hooks::Elsewhere { directory, named_by: file } });
        }
        Ok(Hooks::Here(plain(&self.common.join("hooks"))))
    }
}

/// Whether git keeps its hands off the state in `directory`, as far as `.gitignore` and `info/exclude` say so.
pub fn is_state_ignored(work_tree: &WorkTree, directory: &Path) -> Result<bool, SourceError> {
    let start = directory.canonicalize().map_err(|source| SourceError::Read { path: directory.to_owned(), source })?;
    for (index, place) in start.ancestors().take_while(|place| place.starts_with(&work_tree.root)).enumerate() {
        if text(&place.join(".gitignore"))?.is_some_and(|text| ignores_state(&text, index == 0)) {
            return Ok(true);
        }
    }
    let excluded = text(&work_tree.common.join("info/exclude"))?;
    Ok(excluded.is_some_and(|text| ignores_state(&text, start == work_tree.root)))
}

/// What the file `.git` of a linked work tree or a submodule names.
fn linked(dot_git: &Path) -> Result<Option<PathBuf>, SourceError> {
    let named = text(dot_git)?.and_then(|text| text.strip_prefix("gitdir:").map(|path| path.trim().to_owned()));
    let beside = dot_git.parent().unwrap_or(Path::new("/"));
    Ok(named.map(|path| beside.join(path)))
}

fn setting(file: &Path, section: &str, key: &str) -> Result<Option<String>, SourceError> {
    Ok(text(file)?.and_then(|text| value(&text, section, key)))
}

/// The text of a file, if there is one.
fn text(path: &Path) -> Result<Option<String>, SourceError> {
    match read_file(path, CONFIG_LIMIT) {
        Ok(found) => Ok(Some(found.text)),
        Err(SourceError::Missing { .. }) => Ok(None),
        Err(SourceError::Read { source, .. }) if source.kind() == io::ErrorKind::NotADirectory => Ok(None),
        Err(error) => Err(error),
    }
}

/// The path without `.` and `..`: what is compared must not climb.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => drop(plain.pop()),
            Component::Prefix(_) | Component::RootDir | Component::Normal(_) => plain.push(part),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Folder {
        root: PathBuf,
        _removed_at_the_end: tempfile::TempDir,
    }

    impl Folder {
        fn new(files: &[(&str, &str)]) -> Self {
            let folder = tempfile::tempdir().unwrap();
            let root = folder.path().canonicalize().unwrap();
            let folder = Self { root, _removed_at_the_end: folder };
            for (path, text) in files {
                fs::create_dir_all(folder.root.join(path).parent().unwrap()).unwrap();
                fs::write(folder.root.join(path), text).unwrap();
            }
            folder
        }

        fn hooks(&self, work_tree: &str) -> Hooks {
            let found = WorkTree::around(&self.root.join(work_tree)).unwrap().unwrap();
            found.hooks(&[self.root.join("home/.gitconfig")], Some(&self.root.join("home"))).unwrap()
        }

        fn here(&self, path: &str) -> Hooks {
            Hooks::Here(self.root.join(path))
        }
    }

    #[test]
    fn hooks_are_in_the_repository_unless_its_configuration_says_otherwise() {
        let folder = Folder::new(&[("r/.git/config", "[core]\n\tbare = false\n"), ("r/infra/xopero.kdl", "")]);
        assert_eq!(folder.hooks("r/infra"), folder.here("r/.git/hooks"));
        assert!(WorkTree::around(&folder.root).unwrap().is_none());
        let folder = Folder::new(&[("r/.git/config", "[core]\n\thooksPath = ./.githooks\n")]);
        assert_eq!(folder.hooks("r"), folder.here("r/.githooks"));
    }

    #[test]
    fn a_directory_of_other_repositories_is_told_from_our_own() {
        let user = ("home/.gitconfig", "[core]\n\thooksPath = ~/hooks\n");
        let folder = Folder::new(&[("r/.git/config", ""), user]);
        let elsewhere = Hooks::Elsewhere {
            directory: folder.root.join("home/hooks"),
            named_by: folder.root.join("home/.gitconfig"),
        };
        assert_eq!(folder.hooks("r"), elsewhere);
        let folder = Folder::new(&[("r/.git/config", "[core]\nhooksPath = ../../../r/hooks\n"), user]);
        assert!(matches!(folder.hooks("r"), Hooks::Elsewhere { .. }), "a path that climbs out is not ours");
        let folder = Folder::new(&[("r/.git/config", ""), ("home/.gitconfig", "[core]\nhooksPath = .githooks\n")]);
        assert_eq!(folder.hooks("r"), folder.here("r/.githooks"));
    }

    #[test]
    fn linked_work_trees_share_the_hooks_of_their_repository() {
        let folder = Folder::new(&[
            ("r/.git/config", "[extensions]\n\tworktreeConfig = true\n"),
            ("r/.git/worktrees/w/commondir", "../..\n"),
            ("w/.git", "gitdir: ../r/.git/worktrees/w\n"),
        ]);
        assert_eq!(folder.hooks("w"), folder.here("r/.git/hooks"));
        fs::write(folder.root.join("r/.git/worktrees/w/config.worktree"), "[core]\nhooksPath = own\n").unwrap();
        assert_eq!(folder.hooks("w"), folder.here("w/own"));
    }
}
