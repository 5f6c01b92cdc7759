//! The way from a path to its file: every entry of a directory that decides where it leads.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

/// As many links as the system follows.
const MOST_LINKS: usize = 40;

/// The entries that decide where paths lead, each as its name in a directory without links.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Hops {
    /// What is looked for in the directories: links, the files themselves, and the first that is missing.
    pub(super) entries: BTreeSet<PathBuf>,
}

/// What tells that a file is the same as before without reading it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Print {
    device: u64,
    inode: u64,
    mode: u32,
    length: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Hops {
    /// The hops of all paths. Relative ones begin at the working directory.
    pub(super) fn of<'a>(paths: impl IntoIterator<Item = &'a Path>) -> Self {
        let mut hops = Self::default();
        for path in paths {
            // Without a working directory nothing can be resolved, and reading says so.
            if let Ok(path) = std::path::absolute(path) {
                hops.walk(&path);
            }
        }
        hops
    }

    /// The directories that the entries are in.
    pub(super) fn directories(&self) -> BTreeSet<PathBuf> {
        self.entries.iter().filter_map(|entry| entry.parent()).map(Path::to_owned).collect()
    }

    /// What the entries are at this time; `None` for one that does not exist.
    pub(super) fn prints(&self) -> BTreeMap<PathBuf, Option<Print>> {
        self.entries.iter().map(|entry| (entry.clone(), print(entry))).collect()
    }

    fn walk(&mut self, path: &Path) {
        let mut left: VecDeque<OsString> = VecDeque::new();
        let mut at = PathBuf::from("/");
        prepend(&mut left, path);
        let mut links = 0;
        while let Some(part) = left.pop_front() {
            if part == ".." {
                at.pop();
                continue;
            }
            let entry = at.join(&part);
            match fs::symlink_metadata(&entry) {
                Ok(found) if found.is_symlink() => {
                    self.entries.insert(entry.clone());
                    links += 1;
                    let Ok(target) = fs::read_link(&entry) else { return };
                    if links > MOST_LINKS {
                        return;
                    }
                    if target.is_absolute() {
                        at = PathBuf::from("/");
                    }
                    prepend(&mut left, &target);
                }
                Ok(found) if found.is_dir() && !left.is_empty() => at = entry,
                // The file, what is in its place, or the first thing that is missing.
                Ok(_) | Err(_) => {
                    self.entries.insert(entry);
                    return;
                }
            }
        }
    }
}

/// Puts the parts of `path` before the others.
fn prepend(left: &mut VecDeque<OsString>, path: &Path) {
    for part in path.components().rev() {
        match part {
            Component::Prefix(_) | Component::RootDir | Component::CurDir => {}
            Component::ParentDir => left.push_front("..".into()),
            Component::Normal(name) => left.push_front(name.to_owned()),
        }
    }
}

fn print(path: &Path) -> Option<Print> {
    let found = fs::symlink_metadata(path).ok()?;
    Some(Print {
        device: found.dev(),
        inode: found.ino(),
        mode: found.mode(),
        length: found.len(),
        modified: (found.mtime(), found.mtime_nsec()),
        changed: (found.ctime(), found.ctime_nsec()),
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn folder() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        (folder, root)
    }

    fn hops(root: &Path, path: &str) -> Vec<String> {
        let hops = Hops::of([root.join(path).as_path()]);
        hops.entries.iter().map(|entry| entry.strip_prefix(root).unwrap().display().to_string()).collect()
    }

    #[test]
    fn every_link_on_the_way_is_a_hop() {
        let (_folder, root) = folder();
        fs::create_dir_all(root.join("mount/..2026_1")).unwrap();
        fs::write(root.join("mount/..2026_1/xopero.kdl"), "x").unwrap();
        symlink("..2026_1", root.join("mount/..data")).unwrap();
        symlink("..data/xopero.kdl", root.join("mount/xopero.kdl")).unwrap();
        symlink("mount/../mount", root.join("etc")).unwrap();
        let way = ["mount/..2026_1/xopero.kdl", "mount/..data", "mount/xopero.kdl"];
        assert_eq!(hops(&root, "mount/xopero.kdl"), way);
        assert_eq!(hops(&root, "etc/xopero.kdl")[0], "etc");
        assert_eq!(hops(&root, "etc/./xopero.kdl")[1..], way);
        let directories = Hops::of([root.join("mount/xopero.kdl").as_path()]).directories();
        assert_eq!(directories, [root.join("mount"), root.join("mount/..2026_1")].into());
    }

    #[test]
    fn the_first_missing_part_is_where_to_look() {
        let (_folder, root) = folder();
        assert_eq!(hops(&root, "a/b/xopero.kdl"), ["a"]);
        fs::create_dir(root.join("a")).unwrap();
        assert_eq!(hops(&root, "a/b/xopero.kdl"), ["a/b"]);
        symlink("gone/b", root.join("link")).unwrap();
        assert_eq!(hops(&root, "link"), ["gone", "link"]);
        fs::write(root.join("file"), "x").unwrap();
        assert_eq!(hops(&root, "file/xopero.kdl"), ["file"]);
    }

    #[test]
    fn a_circle_of_links_ends() {
        let (_folder, root) = folder();
        symlink("two", root.join("one")).unwrap();
        symlink("one", root.join("two")).unwrap();
        assert_eq!(hops(&root, "one"), ["one", "two"]);
        symlink("deeper/x", root.join("deeper")).unwrap();
        assert_eq!(hops(&root, "deeper"), ["deeper"]);
    }
}
