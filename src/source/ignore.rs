//! Whether git keeps its hands off the state, as far as the usual lines of `.gitignore` say so; and lines that see to it.

/// The directory of the state, as `.gitignore` names it.
const LINE: &str = ".xopero/";

/// Whether the text of a `.gitignore` keeps the state out of the repository. `here` is whether it stands in the directory
/// of the state.
pub fn ignores_state(text: &str, here: bool) -> bool {
    let mut ignored = false;
    for line in text.lines() {
        let line = line.trim_end();
        let (pattern, again) = line.strip_prefix('!').map_or((line, true), |pattern| (pattern, false));
        let anchored = pattern.starts_with('/');
        let plain = pattern.trim_start_matches("**/").trim_start_matches('/');
        let plain = plain.trim_end_matches("**").trim_end_matches('*').trim_end_matches('/');
        if plain == ".xopero" && (here || !anchored) {
            ignored = again;
        }
    }
    ignored
}

/// The text of a `.gitignore` with the state added; nothing if it is ignored already.
pub fn with_state_ignored(text: &str) -> Option<String> {
    if ignores_state(text, true) {
        return None;
    }
    Some(with_line(text, LINE))
}

/// The text of a `.gitignore` with a file added, by its path below the directory of the `.gitignore`; nothing if that
/// very line is there.
pub fn with_file_ignored(text: &str, path: &str) -> Option<String> {
    let mut line = "/".to_owned();
    for c in path.chars() {
        if matches!(c, '*' | '?' | '[' | ']' | '\\' | ' ') {
            line.push('\\');
        }
        line.push(c);
    }
    let there = text.lines().any(|other| other.trim_end() == line);
    (!there).then(|| with_line(text, &line))
}

fn with_line(text: &str, line: &str) -> String {
    let line_break = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
    format!("{text}{line_break}{line}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_ignored_by_its_path_once() {
        let once = with_file_ignored("*.log", "keys/a [1].txt").unwrap();
        assert_eq!(once, "*.log\n/keys/a\\ \\[1\\].txt\n");
        assert_eq!(with_file_ignored(&once, "keys/a [1].txt"), None);
    }

    #[test]
    fn the_usual_lines_are_known() {
        for text in [".xopero/", "a\n/.xopero\n", "**/.xopero/", ".xopero/*", "!.xopero\n.xopero/**  "] {
            assert!(ignores_state(text, true), "{text}");
            assert_eq!(with_state_ignored(text), None);
        }
        for text in ["", "# .xopero/", "xopero", ".xopero/state.txt", ".xopero/\n!.xopero/"] {
            assert!(!ignores_state(text, true), "{text}");
        }
        assert!(!ignores_state("/.xopero/", false) && ignores_state(".xopero/", false));
        assert_eq!(with_state_ignored("a").as_deref(), Some("a\n.xopero/\n"));
        assert_eq!(with_state_ignored("").as_deref(), Some(".xopero/\n"));
    }
}
