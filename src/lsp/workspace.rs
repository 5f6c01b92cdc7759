//! The files that an editor has open, over those of the disk, and the declarations that they belong to.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use lsp_types::Uri;
use url::Url;

use super::names::Names;
use crate::config::{self, Diagnostic, FileId, Outline};
use crate::source::{SOURCE_LIMIT, SourceError, SourceTree, Unsaved, read_file, read_unsaved_tree};

/// More open files are not looked at.
const MOST_OPEN: usize = 256;

/// How many directories up the main file of a declaration is looked for.
const FURTHEST_UP: usize = 16;

/// The files that are open.
#[derive(Debug)]
pub(super) struct Workspace {
    /// What a main file is called.
    main_name: String,
    /// Paths without links.
    texts: Unsaved,
    uris: BTreeMap<PathBuf, Uri>,
    /// What was read since the last change, by the main file.
    views: BTreeMap<PathBuf, Rc<View>>,
}

/// A declaration with what an editor has not saved of it.
#[derive(Debug)]
pub(super) struct View {
    pub(super) tree: SourceTree,
    pub(super) names: Names,
    /// What is wrong with it.
    pub(super) found: Vec<Diagnostic>,
    /// The directory that its paths begin at.
    pub(super) directory: PathBuf,
    pub(super) uris: BTreeMap<FileId, Uri>,
    pub(super) paths: BTreeMap<FileId, PathBuf>,
}

impl View {
    /// Which of its files has a path.
    pub(super) fn file(&self, path: &Path) -> Option<FileId> {
        self.paths.iter().find(|(_, other)| *other == path).map(|(id, _)| *id)
    }

    /// The text of a file.
    pub(super) fn text(&self, file: FileId) -> &str {
        &self.tree.sources().file(file).text
    }
}

/// What a file has to do with declarations.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    /// Of the one with this main file.
    Of(PathBuf),
    /// Of none.
    None,
}

impl Workspace {
    /// Nothing is open.
    pub(super) fn new(main_name: &str) -> Self {
        Self { main_name: main_name.to_owned(), texts: Unsaved::new(), uris: BTreeMap::new(), views: BTreeMap::new() }
    }

    /// Takes the text of a file, whether it was open or not. What is no file is of no interest.
    pub(super) fn set(&mut self, uri: &Uri, text: String) {
        let Some(path) = path(uri) else { return };
        let is_new = !self.texts.contains_key(&path);
        if text.len() as u64 > SOURCE_LIMIT || is_new && self.texts.len() >= MOST_OPEN {
            tracing::warn!("a file of the editor is too large, or one too many: its saved text counts");
            self.close(uri);
            return;
        }
        self.uris.insert(path.clone(), uri.clone());
        self.texts.insert(path, text);
        self.changed();
    }

    /// The text of an open file.
    pub(super) fn open_text(&self, uri: &Uri) -> Option<&str> {
        self.texts.get(&path(uri)?).map(String::as_str)
    }

    /// Lets a file go: what is saved counts.
    pub(super) fn close(&mut self, uri: &Uri) {
        if let Some(path) = path(uri) {
            self.texts.remove(&path);
            self.uris.remove(&path);
        }
        self.changed();
    }

    /// Forgets what was read: something changed on the disk.
    pub(super) fn changed(&mut self) {
        self.views.clear();
    }

    /// The declaration that a file belongs to, and which of its files it is; a file of none is looked at by itself.
    pub(super) fn view(&mut self, uri: &Uri) -> Option<(Rc<View>, FileId)> {
        let path = path(uri)?;
        let main = match self.part(&path) {
            Part::Of(main) => main,
            Part::None => path.clone(),
        };
        let view = self.read(&main).ok()?;
        let file = view.file(&path)?;
        Some((view, file))
    }

    /// The declarations that open files belong to, by their main files.
    pub(super) fn declarations(&mut self) -> BTreeMap<PathBuf, Result<Rc<View>, SourceError>> {
        let open: Vec<PathBuf> = self.texts.keys().cloned().collect();
        let mut found = BTreeMap::new();
        for path in open {
            if let Part::Of(main) = self.part(&path)
                && !found.contains_key(&main)
            {
                let view = self.read(&main);
                found.insert(main, view);
            }
        }
        found
    }

    /// The name that the editor has for a file.
    pub(super) fn uri(&self, path: &Path) -> Option<Uri> {
        let real = real(path);
        match self.uris.get(&real) {
            Some(uri) => Some(uri.clone()),
            None => Url::from_file_path(&real).ok()?.as_str().parse().ok(),
        }
    }

    fn part(&mut self, path: &Path) -> Part {
        if path.file_name().is_some_and(|name| name == self.main_name.as_str()) {
            return Part::Of(path.to_owned());
        }
        let above: Vec<PathBuf> = path.ancestors().skip(1).take(FURTHEST_UP).map(Path::to_owned).collect();
        for directory in above {
            let main = directory.join(&self.main_name);
            if (self.texts.contains_key(&main) || main.is_file())
                && let Ok(view) = self.read(&main)
                && view.file(path).is_some()
            {
                return Part::Of(main);
            }
        }
        // A main file may have any name.
        let text = self.texts.get(path).cloned().or_else(|| read_file(path, SOURCE_LIMIT).ok().map(|file| file.text));
        let outline = Outline::of(&text.unwrap_or_default(), FileId::MAIN);
        let is_main = outline.children(None).any(|(_, node)| outline.name(node) == "xopero");
        if is_main { Part::Of(path.to_owned()) } else { Part::None }
    }

    fn read(&mut self, main: &Path) -> Result<Rc<View>, SourceError> {
        if let Some(view) = self.views.get(main) {
            return Ok(Rc::clone(view));
        }
        let tree = read_unsaved_tree(main, &self.texts)?;
        let found = match config::decode(tree.sources()) {
            Ok(decoded) => decoded.warnings,
            Err(invalid) => invalid.diagnostics,
        };
        let paths: BTreeMap<FileId, PathBuf> =
            tree.sources().files().map(|(id, _)| (id, real(&tree.text(id).path))).collect();
        let uris = paths.iter().filter_map(|(id, path)| Some((*id, self.uri(path)?))).collect();
        let names = Names::of(tree.sources());
        let directory = tree.main().directory().to_owned();
        let view = Rc::new(View { tree, names, found, directory, uris, paths });
        self.views.insert(main.to_owned(), Rc::clone(&view));
        Ok(view)
    }
}

/// The path of a file, without links as far as it exists.
fn path(uri: &Uri) -> Option<PathBuf> {
    let url = Url::parse(uri.as_str()).ok()?;
    (url.scheme() == "file").then(|| url.to_file_path().ok()).flatten().map(|path| real(&path))
}

fn real(path: &Path) -> PathBuf {
    if let Ok(real) = fs::canonicalize(path) {
        return real;
    }
    // A file that is not saved yet.
    match (path.parent().and_then(|parent| fs::canonicalize(parent).ok()), path.file_name()) {
        (Some(parent), Some(name)) => parent.join(name),
        _ => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Folder(tempfile::TempDir);

    impl Folder {
        fn new(files: &[(&str, &str)]) -> Self {
            let folder = Self(tempfile::tempdir().unwrap());
            for (path, text) in files {
                let path = folder.0.path().join(path);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, text).unwrap();
            }
            folder
        }

        fn uri(&self, path: &str) -> Uri {
            Url::from_file_path(self.0.path().join(path)).unwrap().as_str().parse().unwrap()
        }
    }

    fn mains(workspace: &mut Workspace) -> Vec<String> {
        let mains = workspace.declarations().into_keys();
        mains.map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn an_included_file_belongs_to_the_main_one() {
        let folder = Folder::new(&[
            ("xopero.kdl", "xopero schema=1\ninclude \"teams/web.kdl\"\n"),
            ("teams/web.kdl", "server \"saved\"\n"),
            ("other/zellij.kdl", "theme \"x\"\n"),
            ("prod.kdl", "xopero schema=1\n"),
        ]);
        let mut workspace = Workspace::new("xopero.kdl");
        workspace.set(&folder.uri("teams/web.kdl"), "server \"edited\"\n".into());
        let (view, file) = workspace.view(&folder.uri("teams/web.kdl")).unwrap();
        assert_eq!((view.text(file), view.uris.len()), ("server \"edited\"\n", 2));
        assert_eq!(mains(&mut workspace), ["xopero.kdl"]);

        workspace.set(&folder.uri("other/zellij.kdl"), "theme \"x\"\n".into());
        assert_eq!(mains(&mut workspace), ["xopero.kdl"], "files of others are left alone");
        assert!(workspace.view(&folder.uri("other/zellij.kdl")).is_some());
        workspace.set(&folder.uri("prod.kdl"), "xopero schema=1\n".into());
        assert_eq!(mains(&mut workspace), ["prod.kdl", "xopero.kdl"]);

        workspace.close(&folder.uri("teams/web.kdl"));
        let (view, file) = workspace.view(&folder.uri("teams/web.kdl")).unwrap();
        assert_eq!(view.text(file), "server \"saved\"\n");
    }

    #[test]
    fn files_need_not_exist_and_are_bounded() {
        let folder = Folder::new(&[("x", "")]);
        let mut workspace = Workspace::new("xopero.kdl");
        workspace.set(&folder.uri("xopero.kdl"), "xopero schema=1\ninclude \"new.kdl\"\n".into());
        workspace.set(&folder.uri("new.kdl"), "server \"bb\"\n".into());
        assert_eq!(workspace.view(&folder.uri("new.kdl")).unwrap().0.uris.len(), 2);
        workspace.set(&folder.uri("xopero.kdl"), " ".repeat(5 << 20));
        assert!(workspace.view(&folder.uri("xopero.kdl")).is_none());
        for number in 0..2 * MOST_OPEN {
            workspace.set(&folder.uri(&format!("{number}.kdl")), String::new());
        }
        assert!(workspace.texts.len() <= MOST_OPEN);
        workspace.set(&"untitled:1".parse().unwrap(), "xopero schema=1".into());
        assert!(workspace.view(&"untitled:1".parse().unwrap()).is_none());
    }
}
