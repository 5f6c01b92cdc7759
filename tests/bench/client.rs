//! The two clients, each with a fresh home and nothing of the user's settings.

use crate::CONCURRENCY;
use crate::home::{XoperoHome, environment, folder};
use crate::measure::{Cost, Work};
use crate::server::{Served, TOKEN};

/// Stock git with a folder for its clones.
pub struct GitHome {
    folder: tempfile::TempDir,
    urls: Vec<String>,
}

impl GitHome {
    /// Nothing is cloned yet.
    pub fn new(served: &Served, project: &str) -> Self {
        Self { folder: folder(), urls: served.clone_urls(project).map(str::to_owned).collect() }
    }

    /// Clones every repository of the project.
    pub fn clone_all(&self) -> Cost {
        self.measure(|number, url| vec!["clone".into(), "--mirror".into(), url.into(), format!("{number}.git")])
    }

    /// Fetches every clone.
    pub fn fetch_all(&self) -> Cost {
        self.measure(|number, _| vec![format!("--git-dir={number}.git"), "fetch".into(), "--prune".into()])
    }

    /// Repacking behind the scenes is switched off: it is git's own affair, and not what is compared.
    fn measure(&self, arguments: impl Fn(usize, &str) -> Vec<String>) -> Cost {
        let settings = [
            "protocol.version=2",
            &format!("http.extraHeader=Authorization: Bearer {TOKEN}"),
            "gc.auto=0",
            "maintenance.auto=false",
        ];
        let command = |(number, url): (usize, &String)| {
            let mut words = vec!["git".to_owned()];
            words.extend(settings.iter().flat_map(|setting| ["-c".to_owned(), (*setting).to_owned()]));
            words.extend(arguments(number, url));
            words
        };
        let mut environment = environment(self.folder.path());
        environment.push(("GIT_CONFIG_NOSYSTEM".into(), "1".into()));
        environment.push(("GIT_TERMINAL_PROMPT".into(), "0".into()));
        Work {
            concurrency: CONCURRENCY,
            folder: self.folder.path().to_owned(),
            environment,
            commands: self.urls.iter().enumerate().map(command).collect(),
        }
        .measure()
    }
}

/// Runs the plan of a home.
pub fn run(home: &XoperoHome) -> Cost {
    let words = [env!("CARGO_BIN_EXE_xopero"), "run", "bench", "--json"];
    Work {
        concurrency: 1,
        folder: home.folder(),
        environment: home.environment(),
        commands: [words.map(str::to_owned).to_vec()].into(),
    }
    .measure()
}
