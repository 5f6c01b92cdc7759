//! Makes a bare repository on disk from a recipe.

use std::fs;
use std::path::Path;

use super::recipe::{Head, Recipe, TagOf};
use super::{World, history};
use crate::stock_git::{bytes_argument, feed, git, git_in, line, run};

/// Above this many references they are packed into one file.
const MANY_REFERENCES: usize = 50;

/// Makes the repository at `path`, which must not exist.
pub(super) fn build(world: &World, path: &Path, recipe: &Recipe) {
    let Some(depth) = recipe.shallow else {
        return build_whole(path, recipe);
    };
    let whole = world.home().join("whole.git");
    build_whole(&whole, recipe);
    let source = format!("file://{}", whole.display());
    let depth = format!("--depth={depth}");
    run(git().args(["clone", "--quiet", "--bare", "--no-single-branch"]).args([&depth, &source]).arg(path));
    run(git_in(path).args(["remote", "remove", "origin"]));
    fs::remove_dir_all(&whole).expect("the folder was just made");
}

/// Copies a folder with everything in it.
pub(super) fn copy_folder(from: &Path, to: &Path) {
    let copied = try_copy(from, to);
    copied.unwrap_or_else(|error| panic!("{} was not copied: {error}", from.display()));
}

fn try_copy(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            try_copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

fn build_whole(path: &Path, recipe: &Recipe) {
    initialise(path, recipe);
    if recipe.empty {
        return;
    }
    let compression = if recipe.bulk.is_some() { "0" } else { "1" };
    let mut import = git_in(path);
    import
        .args(["-c", "fastimport.unpackLimit=1"])
        .args(["-c", &format!("pack.compression={compression}")])
        .args(["-c", &format!("core.compression={compression}")])
        .args(["fast-import", "--quiet", "--force"]);
    if recipe.bulk.is_some() {
        import.arg("--depth=0");
    }
    feed(&mut import, |out| history::write(recipe, out));
    tag_trees(path, recipe);
    forget_inner_tags(path, recipe);
    place_head(path, recipe);
    if recipe.references.len() > MANY_REFERENCES {
        run(git_in(path).args(["pack-refs", "--all"]));
    }
}

fn initialise(path: &Path, recipe: &Recipe) {
    let format = if recipe.sha256 { "sha256" } else { "sha1" };
    run(git()
        .args(["init", "--quiet", "--bare", "--template="])
        .arg(format!("--object-format={format}"))
        .arg(format!("--initial-branch={}", recipe.default_branch))
        .arg(path));
    let settings = "[uploadpack]\n\tallowFilter = true\n[receive]\n\tautogc = false\n";
    let config = path.join("config");
    let mut text = fs::read_to_string(&config).expect("git init writes a configuration");
    text.push_str(settings);
    fs::write(&config, text).expect("the configuration can be written");
}

fn tag_trees(path: &Path, recipe: &Recipe) {
    let tree = format!("refs/heads/{}^{{tree}}", recipe.default_branch);
    for (target, name) in &recipe.tags {
        if *target == TagOf::Tree {
            run(git_in(path).args(["tag", "-a", "-m", "A tree"]).arg("--").arg(bytes_argument(name)).arg(&tree));
        }
    }
}

fn forget_inner_tags(path: &Path, recipe: &Recipe) {
    for (target, name) in &recipe.tags {
        if *target == TagOf::Tag {
            let inner = [b"refs/tags/".to_vec(), history::inner_name(name)].concat();
            run(git_in(path).args(["update-ref", "-d"]).arg(bytes_argument(&inner)));
        }
    }
}

fn place_head(path: &Path, recipe: &Recipe) {
    match &recipe.head {
        Head::DefaultBranch => {}
        Head::Unborn(branch) => {
            let target = format!("refs/heads/{branch}");
            run(git_in(path).args(["symbolic-ref", "HEAD", &target]));
        }
        Head::Detached => {
            let tip = line(git_in(path).args(["rev-parse", "HEAD"]));
            run(git_in(path).args(["update-ref", "--no-deref", "HEAD", &tip]));
        }
    }
}
