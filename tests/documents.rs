//! Every KDL block of the README and every file in `examples/` is what it claims to be.

use std::fs;
use std::path::{Path, PathBuf};

use xopero::config::{Invalid, SourceFile, Sources, decode};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn source(name: &str, text: &str) -> Sources {
    Sources::alone(SourceFile { name: name.to_owned(), text: text.to_owned() })
}

/// The fenced blocks of a document whose language is `kdl`: what follows `kdl` on the fence, the line, and the text.
fn kdl_blocks(document: &str) -> Vec<(String, usize, String)> {
    let mut blocks = Vec::new();
    let mut open: Option<(String, usize, String)> = None;
    for (number, line) in document.lines().enumerate() {
        match (&mut open, line.strip_prefix("```")) {
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (Some((_, _, text)), None) => {
                text.push_str(line);
                text.push('\n');
            }
            (None, Some(language)) => open = Some((language.to_owned(), number + 1, String::new())),
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a fenced block is never closed");
    blocks.retain(|(language, _, _)| language.split(',').next() == Some("kdl"));
    blocks
}

#[test]
fn the_blocks_of_the_readme_are_what_they_claim() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let blocks = kdl_blocks(&readme);
    assert!(!blocks.is_empty());
    for (language, line, text) in blocks {
        let decoded = decode(&source("README.md", &text));
        match (language.as_str(), decoded) {
            ("kdl", Ok(_)) | ("kdl,must-fail", Err(_)) => {}
            ("kdl,before-credentials", Err(invalid)) => only_credentials_are_missing(&invalid, line),
            (_, Ok(_)) => panic!("README.md:{line}: the block is valid, but is marked {language}"),
            (_, Err(invalid)) => panic!("README.md:{line}: {invalid:?}"),
        }
    }
}

/// A file as it is before `xopero credential add` has completed it.
fn only_credentials_are_missing(invalid: &Invalid, line: usize) {
    for diagnostic in &invalid.diagnostics {
        let code = matches!(diagnostic.code, "xopero::missing-node" | "xopero::unknown-name");
        assert!(code && diagnostic.message.contains("credential"), "README.md:{line}: {diagnostic:?}");
    }
}

#[test]
fn the_readme_shows_the_script_that_the_tests_run() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let script = fs::read_to_string(root().join("tests/e2e/stock_tools.sh")).unwrap();
    assert!(readme.contains(&format!("```bash\n{script}```\n")));
}

#[test]
fn the_reference_of_the_language_is_what_the_table_says() {
    let stored = fs::read_to_string(root().join("schema/language.md")).unwrap();
    assert!(stored == xopero::config::reference(), "make it anew: cargo run -- schema > schema/language.md");
    let stored = fs::read_to_string(root().join("schema/language.json")).unwrap();
    let made = xopero::ui::shown_json(&xopero::config::reference_json()) + "\n";
    assert!(stored == made, "make it anew: cargo run -- schema --json > schema/language.json");
    let stored = fs::read_to_string(root().join("schema/language.kdl")).unwrap();
    let anew = "make it anew: cargo run -- schema --format kdl > schema/language.kdl";
    assert!(stored == xopero::config::reference_kdl(), "{anew}");
}

#[test]
fn every_example_is_valid() {
    let entries = fs::read_dir(root().join("examples")).unwrap().map(|entry| entry.unwrap().path());
    let files: Vec<PathBuf> = entries.filter(|path| path.extension().is_some_and(|kind| kind == "kdl")).collect();
    assert!(files.len() >= 2, "{files:?}");
    for file in files {
        let name = file.display().to_string();
        if let Err(invalid) = decode(&source(&name, &fs::read_to_string(&file).unwrap())) {
            panic!("{name}: {invalid:?}");
        }
    }
}

#[test]
fn the_example_in_several_files_is_valid() {
    let tree = xopero::source::read_tree(&root().join("examples/split/xopero.kdl")).unwrap();
    let decoded = decode(tree.sources()).unwrap_or_else(|invalid| panic!("{invalid:?}"));
    assert_eq!(tree.sources().files().count(), 2);
    assert_eq!(decoded.declaration.plans.len(), 1);
}

#[test]
fn the_changelog_and_the_licence_are_there() {
    let text = |name: &str| fs::read_to_string(root().join(name)).unwrap();
    assert!(text("CHANGELOG.md").contains("## Unreleased"));
    let license = text("LICENSE");
    assert!(license.contains("MIT License") && license.contains("Apache License"));
}
