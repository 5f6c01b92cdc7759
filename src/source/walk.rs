//! The text files below a directory, one at a time, within limits.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::SourceError;

/// Directories that hold no sources: git's own files, and the state.
const SKIPPED: [&str; 2] = [".git", ".xopero"];

/// The largest file that is looked into.
const LARGEST: u64 = 4 << 20;

/// The deepest directory below the one that is named.
const DEEPEST: usize = 64;

/// More files than this are not a repository of settings.
const MOST: usize = 100_000;

/// A file with a zero byte among its first ones is not text.
const LOOKED_AT: usize = 8 * 1024;

/// What was found on the way.
#[derive(Debug, Default)]
pub struct Walked {
    /// Files whose text was given out.
    pub read: usize,
    /// Files that are not text.
    pub binary: usize,
    /// What was not looked into although it may be text, and why.
    pub skipped: Vec<(PathBuf, String)>,
}

/// Gives the bytes of every text file at or below `path` to `visit`, in the order of their names.
///
/// Links are not followed and devices not opened. A file or directory that cannot be read does not stop the others.
pub fn walk(path: &Path, visit: &mut dyn FnMut(&Path, &[u8])) -> Result<Walked, SourceError> {
    let found = fs::symlink_metadata(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => SourceError::Missing { path: path.to_owned() },
        _ => SourceError::Read { path: path.to_owned(), source: error },
    })?;
    let mut walked = Walked::default();
    // Entries still to look at, the next one last.
    let mut open = vec![(path.to_owned(), found.file_type(), 0)];
    let mut seen = 0;
    while let Some((path, kind, depth)) = open.pop() {
        seen += 1;
        if seen > MOST {
            walked.skipped.push((path, format!("more than {MOST} files and directories")));
            break;
        }
        if kind.is_dir() {
            if depth == DEEPEST {
                walked.skipped.push((path, format!("deeper than {DEEPEST} directories")));
                continue;
            }
            match entries(&path) {
                Ok(entries) => {
                    open.extend(entries.into_iter().rev().map(|(path, kind)| (path, kind, depth + 1)));
                }
                Err(error) => walked.skipped.push((path, error.to_string())),
            }
        } else if kind.is_file() {
            match text(&path) {
                Ok(Some(bytes)) => {
                    walked.read += 1;
                    visit(&path, &bytes);
                }
                Ok(None) => walked.binary += 1,
                Err(error) => walked.skipped.push((path, error.to_string())),
            }
        }
    }
    Ok(walked)
}

fn entries(directory: &Path) -> io::Result<Vec<(PathBuf, fs::FileType)>> {
    let mut entries = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if SKIPPED.iter().any(|name| entry.file_name() == *name) {
            continue;
        }
        let path = if directory == Path::new(".") { PathBuf::from(entry.file_name()) } else { entry.path() };
        entries.push((path, entry.file_type()?));
    }
    entries.sort_by(|one, other| one.0.cmp(&other.0));
    Ok(entries)
}

/// The bytes, unless they are not text.
fn text(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let file = File::open(path)?;
    let mut bytes = Vec::new();
    let mut file = file.take(LARGEST + 1);
    (&mut file).take(LOOKED_AT as u64).read_to_end(&mut bytes)?;
    if bytes.contains(&0) {
        return Ok(None);
    }
    file.read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST {
        return Err(io::Error::other(format!("larger than {} MiB", LARGEST >> 20)));
    }
    Ok(Some(bytes))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn text_is_given_out_in_order_and_the_rest_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let at = |path: &str| folder.path().join(path);
        for directory in ["b/.git", ".git", ".xopero", "a"] {
            fs::create_dir_all(at(directory)).unwrap();
            fs::write(at(directory).join("config"), "text").unwrap();
        }
        fs::write(at("c.bin"), b"text\0").unwrap();
        fs::write(at("d.txt"), b"not \xff UTF-8").unwrap();
        fs::write(at("large"), " ".repeat(5 << 20)).unwrap();
        symlink("/", at("link")).unwrap();
        symlink("a", at("a/again")).unwrap();
        let mut seen = Vec::new();
        let walked = walk(folder.path(), &mut |path, bytes| {
            seen.push((path.strip_prefix(folder.path()).unwrap().display().to_string(), bytes.len()));
        })
        .unwrap();
        assert_eq!(seen, [("a/config".to_owned(), 4), ("d.txt".to_owned(), 11)]);
        assert_eq!((walked.read, walked.binary, walked.skipped.len()), (2, 1, 1));
        assert!(walked.skipped[0].0.ends_with("large") && walked.skipped[0].1.contains("4 MiB"));
        assert!(matches!(walk(&at("absent"), &mut |_, _| {}), Err(SourceError::Missing { .. })));
        let one = walk(&at("d.txt"), &mut |_, _| {}).unwrap();
        assert_eq!(one.read, 1);
    }

    #[test]
    fn endless_depth_ends() {
        let folder = tempfile::tempdir().unwrap();
        let deep = folder.path().join("d/".repeat(DEEPEST + 5));
        fs::create_dir_all(&deep).unwrap();
        fs::write(deep.join("file"), "text").unwrap();
        let walked = walk(folder.path(), &mut |_, _| panic!("too deep to be read")).unwrap();
        assert!(walked.skipped[0].1.contains("deeper"));
    }
}
