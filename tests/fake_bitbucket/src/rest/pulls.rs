//! Pull requests, as the references of a repository tell them: those of open ones are there for everybody, those of
//! closed ones are hidden.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::judge;

/// A pull request.
pub(super) struct Pull {
    number: u64,
    commit: String,
    pub(super) state: &'static str,
    /// Where the branch is that it is for.
    target: String,
}

/// All of them: what changed last, which here is what came last, first.
pub(super) fn of(path: &Path) -> Vec<Pull> {
    let references = judge::references(path);
    let main = references.iter().find(|reference| reference.name == b"refs/heads/main");
    let target = main.map_or_else(String::new, |main| main.oid.clone());
    let open = references.iter().filter_map(|reference| {
        let name = std::str::from_utf8(&reference.name).ok()?;
        let number = name.strip_prefix("refs/pull-requests/")?.strip_suffix("/from")?;
        Some((number.parse().ok()?, reference.oid.clone(), "OPEN"))
    });
    let hidden = fs::read_dir(path.join("stash-refs/pull-requests")).into_iter().flatten().flatten();
    let closed = hidden.filter_map(|entry| {
        let number: u64 = entry.file_name().to_str()?.parse().ok()?;
        let commit = fs::read_to_string(entry.path().join("from")).ok()?;
        let state = if number.is_multiple_of(2) { "MERGED" } else { "DECLINED" };
        Some((number, commit.trim().to_owned(), state))
    });
    let of = |(number, commit, state)| Pull { number, commit, state, target: target.clone() };
    let mut all: Vec<Pull> = open.chain(closed).map(of).collect();
    all.sort_by_key(|pull| std::cmp::Reverse(pull.number));
    all
}

impl Pull {
    /// How it is shown, as one to `repository`.
    pub(super) fn shape(&self, repository: Value) -> Value {
        let Self { number, commit, state, target } = self;
        let updated = 1_700_000_000_000_u64 + number * 1000;
        let mut shape = json!({
            "id": number,
            "version": 1,
            "title": format!("Change {number}"),
            "state": state,
            "open": *state == "OPEN",
            "closed": *state != "OPEN",
            "draft": false,
            "createdDate": updated - 500,
            "updatedDate": updated,
            "fromRef": {
                "id": format!("refs/heads/change-{number}"),
                "displayId": format!("change-{number}"),
                "latestCommit": commit,
                "type": "BRANCH",
                "repository": repository,
            },
            "toRef": {
                "id": "refs/heads/main",
                "displayId": "main",
                "latestCommit": target,
                "type": "BRANCH",
                "repository": repository,
            },
            "locked": false,
            "reviewers": [],
            "participants": [],
            "properties": {"commentCount": 0, "openTaskCount": 0},
        });
        if *state != "OPEN" {
            shape["closedDate"] = json!(updated);
        }
        shape
    }
}
