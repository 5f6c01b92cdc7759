//! Reads one setting from the text of a git configuration file.

/// The last value of `section.key` in `text`, as git reads it; keys and sections have no case.
///
/// Settings of subsections (`[remote "x"]`) and of files that are included are not looked at.
pub(super) fn value(text: &str, section: &str, key: &str) -> Option<String> {
    let (mut here, mut found) = (false, None);
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let mut line = line.trim_start();
        if let Some(rest) = line.strip_prefix('[') {
            let Some((name, rest)) = rest.split_once(']') else { continue };
            here = name.trim().eq_ignore_ascii_case(section);
            line = rest.trim_start();
        }
        let end = line.find(|c: char| !c.is_ascii_alphanumeric() && c != '-').unwrap_or(line.len());
        let (name, rest) = line.split_at(end);
        if !here || !name.eq_ignore_ascii_case(key) {
            continue;
        }
        if let Some(rest) = rest.trim_start().strip_prefix('=') {
            found = Some(read_value(rest.trim_start(), &mut lines));
        }
    }
    found
}

/// A value with its quotes, escapes, comment and continued lines resolved.
fn read_value<'a>(first: &'a str, more: &mut impl Iterator<Item = &'a str>) -> String {
    // White space at the end counts only inside quotes.
    let (mut value, mut keep, mut quoted) = (String::new(), 0, false);
    let mut chars = first.chars();
    loop {
        match chars.next() {
            None => break,
            Some('"') => {
                quoted = !quoted;
                keep = value.len();
            }
            Some('#' | ';') if !quoted => break,
            Some('\\') => {
                match chars.next() {
                    None => chars = more.next().unwrap_or_default().chars(),
                    Some('n') => value.push('\n'),
                    Some('t') => value.push('\t'),
                    Some('b') => drop(value.pop()),
                    Some(other) => value.push(other),
                }
                keep = value.len();
            }
            Some(c) => {
                value.push(c);
                if quoted || !c.is_whitespace() {
                    keep = value.len();
                }
            }
        }
    }
    value.truncate(keep.min(value.len()));
    value
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn values_are_read_as_git_reads_them() {
        let hooks = |text: &str| value(text, "core", "hooksPath");
        assert_eq!(hooks("[core]\n\tbare = false\n\thooksPath = .githooks  # ours\n"), Some(".githooks".into()));
        assert_eq!(hooks("[Core]\nHOOKSPATH=\"a b\" ; c\n"), Some("a b".into()));
        assert_eq!(
            hooks("[core] hooksPath = one\n[other]\nhooksPath = two\n[core]\nhooksPath = \"t\\\\h\"\n"),
            Some("t\\h".into())
        );
        assert_eq!(hooks("[core]\nhooksPath = .git\\\nhooks\n"), Some(".githooks".into()));
        assert_eq!(hooks("[core \"sub\"]\nhooksPath = x\n"), None);
        assert_eq!(hooks("# hooksPath = x\n[core]\n; hooksPath = x\nhooksPathology = y\n"), None);
        assert_eq!(hooks("[core]\nhooksPath\n"), None);
    }

    proptest! {
        #[test]
        fn any_text_is_read(text in "[\\[\\]a-z=\"\\\\#; \n]{0,200}") {
            let _whatever = value(&format!("[a]\na = {text}"), "a", "a");
        }
    }
}
