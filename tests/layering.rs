//! The layers of `src/`: a module uses only modules of lower layers. Also the budget of lines for production files.

#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Every module of the library with its layer. A module may use modules of lower layers; change the table only with
/// a reason.
const LAYERS: &[(&str, u32)] = &[
    // Values and pure decisions: no input, no output, `now` is an argument.
    ("clock", 0),
    // Whoever must not leave something half done lets itself be killed in the middle of it.
    ("crash", 0),
    ("staged", 5),
    ("model", 10),
    ("schedule", 20),
    ("retention", 20),
    ("config", 30),
    ("change", 40),
    ("throttle", 40),
    // Adapters: each hides one foreign thing.
    ("secret", 50),
    ("state", 50),
    ("store", 50),
    ("http", 50),
    ("git", 60),
    // A declaration may come from a branch at a server.
    ("source", 65),
    ("bitbucket", 70),
    // Engines.
    ("archive", 80),
    ("run", 90),
    ("restore", 90),
    ("reconcile", 90),
    ("rotate", 90),
    // Outside.
    ("alert", 92),
    ("daemon", 95),
    ("lsp", 100),
    ("ui", 100),
    ("web", 100),
    ("cli", 110),
];

/// Foreign crates that are named in one room only, and the room.
const HIDDEN: &[(&str, &[&str])] = &[
    ("age", &["secret"]),
    ("axum", &["web"]),
    ("comfy_table", &["ui"]),
    ("croner", &["schedule"]),
    ("gix_features", &["git"]),
    ("gix_hash", &["git"]),
    ("gix_object", &["git"]),
    ("gix_pack", &["git"]),
    ("gix_zlib", &["git"]),
    ("git2", &["source"]),
    ("indicatif", &["ui"]),
    ("kdl", &["config/document.rs"]),
    ("lettre", &["alert"]),
    ("lsp_server", &["lsp"]),
    ("lsp_types", &["lsp"]),
    ("miette", &["config"]),
    ("notify", &["source"]),
    ("object_store", &["store"]),
    ("prometheus_client", &["web/metrics"]),
    ("reqwest", &["http"]),
    // Signatures of commits, and of what webhooks are sent.
    ("ring", &["source", "alert"]),
    ("rustls", &["http"]),
    ("sd_notify", &["daemon/service_manager.rs"]),
    ("similar", &["ui"]),
    ("sqlx", &["state"]),
    ("tracing_subscriber", &["cli/log.rs"]),
];

/// Lines of a production file without its tests.
const BUDGET: usize = 600;

struct Source {
    /// Below `src/`.
    path: String,
    /// The code without comments and test modules.
    code: Vec<String>,
    /// Lines before the test module.
    lines: usize,
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path: PathBuf = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                let production: Vec<_> = production(&text).collect();
                let path = path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
                let code = production
                    .iter()
                    .filter(|line| !line.trim_start().starts_with("//"))
                    .map(|line| (*line).to_owned());
                found.push(Source { path, code: code.collect(), lines: production.len() });
            }
        }
    }
    found.sort_by(|one, other| one.path.cmp(&other.path));
    assert!(found.len() > 50, "the sources were not found");
    found
}

/// The lines before the test module, whatever its visibility.
fn production(text: &str) -> impl Iterator<Item = &str> {
    let mut lines = text.lines().peekable();
    std::iter::from_fn(move || {
        let line = lines.next()?;
        let tests_follow = line == "#[cfg(test)]" && lines.peek().is_some_and(|next| next.ends_with("mod tests {"));
        (!tests_follow).then_some(line)
    })
    .fuse()
}

/// Files that only tests use: their module is declared under `cfg(test)`.
fn is_test_support(path: &str) -> bool {
    ["/tests.rs", "/stock.rs", "/canned.rs", "/sample.rs"].iter().any(|name| path.ends_with(name))
}

fn room(path: &str) -> &str {
    path.split(['/', '.']).next().unwrap()
}

#[test]
fn every_module_is_in_the_table() {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs")).unwrap();
    let declared = text.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'));
    let mut declared: Vec<_> = declared.collect();
    let mut listed: Vec<_> = LAYERS.iter().map(|(name, _)| *name).collect();
    declared.sort_unstable();
    listed.sort_unstable();
    assert_eq!(declared, listed);
}

#[test]
fn modules_use_lower_layers_only() {
    let layers: BTreeMap<&str, u32> = LAYERS.iter().copied().collect();
    let mut wrong = Vec::new();
    for source in sources().iter().filter(|source| !is_test_support(&source.path)) {
        let room = room(&source.path);
        let Some(layer) = layers.get(room) else { continue };
        for line in &source.code {
            for rest in line.split("crate::").skip(1) {
                // The names of a group may stand on later lines: one path for each `use` keeps them in sight.
                if rest.starts_with(['{', '*']) {
                    wrong.push(format!("{}: write one `use crate::…` for each module: {line}", source.path));
                }
                let used: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                if let Some(other) = layers.get(used.as_str())
                    && used != room
                    && other >= layer
                {
                    wrong.push(format!("{}: {room} ({layer}) uses {used} ({other})", source.path));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn foreign_crates_stay_in_their_room() {
    let mut wrong = Vec::new();
    for source in sources().iter().filter(|source| !is_test_support(&source.path)) {
        for (krate, rooms) in HIDDEN {
            let named = source.code.iter().any(|line| {
                line.contains(&format!("use {krate}::"))
                    || line.contains(&format!(" {krate}::"))
                    || line.contains(&format!("({krate}::"))
                    || line.contains(&format!("<{krate}::"))
            });
            let at_home = rooms.iter().any(|room| source.path == *room || source.path.starts_with(&format!("{room}/")));
            if named && !at_home {
                wrong.push(format!("{} names {krate}, which belongs to {}", source.path, rooms.join(", ")));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn production_files_keep_the_budget() {
    let long = sources().into_iter().filter(|source| source.lines > BUDGET && !is_test_support(&source.path));
    let long: Vec<_> = long.map(|source| format!("{} has {} lines", source.path, source.lines)).collect();
    assert!(long.is_empty(), "{}", long.join("\n"));
}

/// The versions of a package in the lock file.
fn locked(name: &str) -> usize {
    let lock = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.lock")).unwrap();
    lock.lines().filter(|line| *line == format!("name = \"{name}\"")).count()
}

#[test]
fn there_is_one_tls_stack_with_one_provider() {
    for one in ["rustls", "ring", "reqwest", "hyper", "h2"] {
        assert_eq!(locked(one), 1, "{one}");
    }
    for other in ["native-tls", "openssl", "openssl-sys", "aws-lc-rs", "aws-lc-sys", "boring", "rustls-graviola"] {
        assert_eq!(locked(other), 0, "{other}: TLS is rustls with ring");
    }
}
