//! The pre-commit hook: its text among what others wrote into it, and writing it.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::staged::Staged;

/// The first line of our part.
const BEGIN: &str = "# >>> xopero: written by `xopero hook install`, which replaces everything up to the last line";

/// The last line of our part.
const END: &str = "# <<< xopero";

/// What to do with a hook that somebody else wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Foreign {
    /// Leave it alone.
    Refuse,
    /// Put our part behind its first line, so that both run.
    Join,
    /// Replace it.
    Replace,
}

/// What becomes of the hook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Installation {
    /// It is as it should be.
    Unchanged,
    /// There was none, or only what is replaced.
    Write(String),
    /// Somebody else wrote it, and it stays.
    Foreign,
    /// Somebody else wrote it in another language than that of the shell: nothing can be put into it.
    NotAShellScript,
}

/// What a hook must say that checks the file at `path`, relative to the work tree, given what it says.
pub fn installation(existing: Option<&str>, path: &str, foreign: Foreign) -> Installation {
    let part = part(path);
    let alone = format!("#!/bin/sh\n{part}");
    let Some(existing) = existing.filter(|text| !text.trim().is_empty()) else { return Installation::Write(alone) };
    let text = match (ours(existing), foreign) {
        (Some((before, after)), _) => format!("{before}{part}{after}"),
        (None, Foreign::Refuse) => return Installation::Foreign,
        (None, Foreign::Replace) => alone,
        (None, Foreign::Join) => {
            let (first, rest) = existing.split_once('\n').unwrap_or((existing, ""));
            let program = first.strip_prefix("#!").and_then(|line| line.split_whitespace().last());
            match program.and_then(|program| program.rsplit('/').next()) {
                Some("sh" | "bash" | "dash" | "ash" | "ksh" | "zsh") => format!("{first}\n{part}{rest}"),
                Some(_) | None => return Installation::NotAShellScript,
            }
        }
    };
    if text == existing { Installation::Unchanged } else { Installation::Write(text) }
}

/// What stands before and after our part.
fn ours(text: &str) -> Option<(&str, &str)> {
    let start = text.find(BEGIN)?;
    let end = start + text[start..].find(END)? + END.len();
    Some((&text[..start], text[end..].strip_prefix('\n').unwrap_or(&text[end..])))
}

/// Git runs a hook in the uppermost directory of the work tree.
fn part(path: &str) -> String {
    let file = format!("'{}'", path.replace('\'', "'\\''"));
    format!(
        "{BEGIN}\n\
         if ! command -v xopero >/dev/null 2>&1; then\n    \
             echo 'pre-commit: xopero is not on the PATH, so nothing can be checked' >&2\n    \
             exit 1\n\
         fi\n\
         xopero -f {file} fmt --check >&2 &&\n    \
             xopero secrets scan >&2 &&\n    \
             xopero -f {file} plan --offline >/dev/null || {{\n    \
             echo 'pre-commit: refused by xopero (git commit --no-verify goes round it)' >&2\n    \
             exit 1\n\
         }}\n\
         {END}\n"
    )
}

/// Writes a hook that can be executed; a reader sees the old text or the new one.
pub fn write_hook(path: &Path, text: &str) -> io::Result<()> {
    let parent = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(parent)?;
    Staged::write(path, text.as_bytes(), Some(fs::Permissions::from_mode(0o755)))?.put()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(existing: Option<&str>, path: &str, foreign: Foreign) -> String {
        let Installation::Write(text) = installation(existing, path, foreign) else { panic!("{existing:?}") };
        text
    }

    #[test]
    fn installing_twice_changes_nothing_and_a_new_path_replaces_the_old() {
        let first = written(None, "xopero.kdl", Foreign::Refuse);
        assert!(first.starts_with("#!/bin/sh\n") && first.contains("xopero -f 'xopero.kdl' fmt --check"));
        assert_eq!(installation(Some(&first), "xopero.kdl", Foreign::Refuse), Installation::Unchanged);
        let moved = written(Some(&first), "it's/x.kdl", Foreign::Refuse);
        assert!(moved.contains(r"-f 'it'\''s/x.kdl' ") && !moved.contains("'xopero.kdl'"), "{moved}");
        assert_eq!(moved.matches(BEGIN).count(), 1);
        assert_eq!(written(Some(" \n"), "xopero.kdl", Foreign::Refuse), first);
    }

    #[test]
    fn the_hook_of_somebody_else_stays_unless_its_owner_agrees() {
        let foreign = "#!/usr/bin/env bash\nmake lint\nexit 0\n";
        assert_eq!(installation(Some(foreign), "x.kdl", Foreign::Refuse), Installation::Foreign);
        let joined = written(Some(foreign), "x.kdl", Foreign::Join);
        assert!(
            joined.starts_with("#!/usr/bin/env bash\n# >>>") && joined.ends_with("# <<< xopero\nmake lint\nexit 0\n")
        );
        assert_eq!(installation(Some(&joined), "x.kdl", Foreign::Refuse), Installation::Unchanged);
        assert!(!written(Some(foreign), "x.kdl", Foreign::Replace).contains("make lint"));
        for other in ["#!/usr/bin/python3\npass\n", "make lint\n"] {
            assert_eq!(installation(Some(other), "x.kdl", Foreign::Join), Installation::NotAShellScript);
        }
    }
}
