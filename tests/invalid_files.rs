//! What is said of files that cannot be used: every file in `tests/fixtures/config/invalid`, with its report beside it.
//!
//! After a change of the language or of its words, write the reports anew and read every difference:
//! `REWRITE_REPORTS=1 cargo test --test invalid_files`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use xopero::config::{Diagnostic, SourceFile, Sources, Unreadable, decode, render};

/// What needs so many files, patterns or bytes that tests beside the code make them, or a file in a branch.
const MADE_ELSEWHERE: [&str; 4] =
    ["xopero::relative-ca-file", "xopero::too-large", "xopero::too-many-files", "xopero::too-many-patterns"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn fixtures() -> PathBuf {
    root().join("tests/fixtures/config/invalid")
}

fn files(kind: &str) -> BTreeSet<PathBuf> {
    let entries =
        fs::read_dir(fixtures()).expect("there are fixtures").map(|entry| entry.expect("it can be listed").path());
    entries.filter(|path| path.extension().is_some_and(|found| found == kind)).collect()
}

/// The file, with what it names, as somebody beside it would name them.
fn sources(file: &Path) -> Sources {
    let named =
        |name: &str, path: &Path| fs::read_to_string(path).map(|text| SourceFile { name: name.to_owned(), text });
    let main =
        named(file.file_name().and_then(|name| name.to_str()).expect("it has a name"), file).expect("it can be read");
    Sources::gather(main, &mut |path, _| {
        named(path, &fixtures().join(path))
            .map_err(|_| Unreadable { reason: "there is no such file".into(), hint: None })
    })
}

/// What is wrong with a file, or what it probably does not mean.
fn diagnostics(sources: &Sources) -> Vec<Diagnostic> {
    match decode(sources) {
        Ok(decoded) => decoded.warnings,
        Err(invalid) => invalid.diagnostics,
    }
}

#[expect(clippy::disallowed_methods, reason = "whoever runs the test decides")]
fn is_rewriting() -> bool {
    std::env::var_os("REWRITE_REPORTS").is_some()
}

#[test]
fn every_invalid_file_has_its_report() {
    let (files, mut reports) = (files("kdl"), files("txt"));
    assert!(files.len() >= 40, "{}", files.len());
    let rewrite = is_rewriting();
    let mut other = Vec::new();
    for file in files {
        let sources = sources(&file);
        let found = diagnostics(&sources);
        assert!(!found.is_empty(), "nothing is said of {}", file.display());
        let shown = render(&sources, &found, false, 80);
        assert!(!shown.contains("MDM0NjAyMTQ0NjYwOg"), "a secret is shown: {}", file.display());
        // The lines of the file are as long as they are.
        for line in shown.lines().filter(|line| !line.contains(" │ ") && !line.contains(" · ")) {
            assert!(line.chars().count() <= 80, "{}: too wide: {line}", file.display());
        }
        let path = file.with_extension("txt");
        reports.remove(&path);
        if rewrite {
            fs::write(&path, &shown).unwrap();
        } else if fs::read_to_string(&path).unwrap_or_default() != shown {
            other.push(format!("{}\n{shown}", file.display()));
        }
    }
    assert!(reports.is_empty(), "reports of no file: {reports:?}");
    assert!(other.is_empty(), "these are reported otherwise:\n{}", other.join("\n"));
}

#[test]
fn every_code_is_in_a_report() {
    let mut codes = BTreeSet::new();
    codes_in(&root().join("src/config"), &mut codes);
    assert!(codes.len() > 40, "{codes:?}");
    let shown: BTreeSet<String> = files("kdl")
        .iter()
        .flat_map(|file| diagnostics(&sources(file)))
        .map(|found| found.code.to_owned())
        .chain(MADE_ELSEWHERE.map(str::to_owned))
        .collect();
    let missing: Vec<&String> = codes.difference(&shown).collect();
    assert!(missing.is_empty(), "no file shows {missing:?}");
}

/// The codes that the production code of a directory names.
fn codes_in(directory: &Path, codes: &mut BTreeSet<String>) {
    for path in fs::read_dir(directory).expect("it is there").map(|entry| entry.expect("it can be listed").path()) {
        if path.is_dir() {
            if !path.ends_with("tests") {
                codes_in(&path, codes);
            }
            continue;
        }
        let text = fs::read_to_string(&path).expect("it can be read");
        let production = text.split("#[cfg(test)]").next().unwrap_or_default();
        if path.ends_with("tests.rs") {
            continue;
        }
        for (at, _) in production.match_indices("\"xopero::") {
            // A code that is only compared is not reported.
            if production[..at].trim_end().ends_with("error(") || production[..at].trim_end().ends_with("warning(") {
                codes.insert(production[at + 1..].split('"').next().unwrap_or_default().to_owned());
            }
        }
    }
}
