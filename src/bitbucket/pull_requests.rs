//! Pull requests to a repository, in all states.
//!
//! What is decided on is read; the document as it came is kept beside it. Once a pull request is closed no reference
//! names its commits any more: this is the only place that tells them ([`unadvertised`](crate::git::unadvertised)).
//!
//! The date of the last update says nothing about comments, tasks, approvals and reviewers: it is no sign that nothing
//! has changed.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::Value;

use super::List;
use super::dates::date;
use crate::model::{ObjectId, ProjectKey, RepoId, RepoSlug};

/// What has become of a pull request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum PullRequestState {
    /// It waits.
    Open,
    /// It was taken.
    Merged,
    /// It was not.
    Declined,
    /// Another version knows more than this one.
    Other,
}

impl PullRequestState {
    fn new(word: &str) -> Self {
        match word {
            "OPEN" => Self::Open,
            "MERGED" => Self::Merged,
            "DECLINED" => Self::Declined,
            _ => Self::Other,
        }
    }
}

/// A pull request as a list shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PullRequest {
    /// Its number in the repository.
    pub id: u64,
    /// How often it was changed.
    pub version: u64,
    /// What has become of it.
    pub state: PullRequestState,
    /// When it was changed last, as far as the server counts that as a change.
    pub updated: Option<Timestamp>,
    /// When it was closed, if it was and the server tells.
    pub closed: Option<Timestamp>,
    /// The newest commit that it brings, if the server tells.
    pub from: Option<ObjectId>,
    /// The newest commit of the branch that it is for, as it saw it last, if the server tells.
    pub to: Option<ObjectId>,
    /// The repository that it comes from; nothing, if that is gone or not to be seen.
    pub source: Option<RepoId>,
    /// The document as it came.
    pub document: Value,
}

fn read(document: Value) -> Result<PullRequest, String> {
    let number = |name: &str| document.get(name).and_then(Value::as_u64);
    let id = number("id").ok_or("it has no number")?;
    let end = |name: &str| {
        let commit = document.get(name)?.get("latestCommit")?.as_str()?;
        commit.parse::<ObjectId>().ok()
    };
    let source = document.get("fromRef").and_then(|end| end.get("repository")?.get("id")?.as_u64());
    Ok(PullRequest {
        id,
        version: number("version").ok_or_else(|| format!("pull request {id} has no version"))?,
        state: PullRequestState::new(document.get("state").and_then(Value::as_str).unwrap_or_default()),
        updated: document.get("updatedDate").and_then(date),
        closed: document.get("closedDate").and_then(date),
        from: end("fromRef"),
        to: end("toRef"),
        source: source.map(RepoId),
        document,
    })
}

impl List<PullRequest> {
    /// All pull requests to a repository, in every state: what changed last comes first.
    pub fn pull_requests(project: &ProjectKey, slug: &RepoSlug) -> Self {
        let place = ["rest", "api", "latest", "projects", project.as_str(), "repos", slug.as_str(), "pull-requests"];
        Self::at(&place, read).filter("state", "ALL").filter("direction", "INCOMING").filter("order", "NEWEST")
    }
}

/// The commits that only these pull requests name: those of closed ones, each once, in order. Open ones are
/// advertised.
pub fn hidden_commits<'a>(pull_requests: impl IntoIterator<Item = &'a PullRequest>) -> BTreeSet<ObjectId> {
    let closed = pull_requests.into_iter().filter(|one| one.state != PullRequestState::Open);
    closed.flat_map(|one| [one.from, one.to]).flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bitbucket::Page;
    use crate::bitbucket::canned::{Canned, authorization};

    const PATH: &str = "/bb/rest/api/latest/projects/PAY/repos/ledger/pull-requests\
                        ?state=ALL&direction=INCOMING&order=NEWEST&start=0&limit=1000";

    async fn listed(values: &str) -> Page<PullRequest> {
        let body = format!(r#"{{"values":[{values}],"isLastPage":true}}"#);
        let list = List::pull_requests(&"PAY".parse().unwrap(), &"ledger".parse().unwrap());
        Canned::answer(PATH, &body).serve().await.first_page(&list, &authorization()).await.unwrap()
    }

    fn end(digit: &str) -> String {
        format!(r#"{{"id":"refs/heads/x","latestCommit":"{}","repository":{{"id":35}}}}"#, digit.repeat(40))
    }

    #[tokio::test]
    async fn quirk_11_every_state_is_asked_for_and_the_document_is_kept() {
        let merged = format!(
            r#"{{"id":7,"version":3,"state":"MERGED","updatedDate":1686651080688,"closedDate":"2026-06-05T13:54:44+0000",
                "fromRef":{},"toRef":{},"properties":{{"commentCount":4}},"draft":false,"news":[1]}}"#,
            end("1"),
            end("2")
        );
        let page = listed(&merged).await;
        let one = &page.values[0];
        assert_eq!((one.id, one.version, one.state), (7, 3, PullRequestState::Merged));
        assert_eq!(
            (one.updated.unwrap().as_millisecond(), one.closed.unwrap().as_second()),
            (1_686_651_080_688, 1_780_667_684)
        );
        assert_eq!((one.from.unwrap().to_string(), one.source), ("1".repeat(40), Some(RepoId(35))));
        assert_eq!((&one.document["properties"]["commentCount"], &one.document["news"][0]), (&4.into(), &1.into()));
    }

    #[tokio::test]
    async fn quirk_33_what_is_gone_or_hidden_is_missing_and_hides_nothing_else() {
        let bare = r#"{"id":1,"version":0,"state":"DECLINED","fromRef":null,"toRef":{"id":"refs/heads/main"}}"#;
        let forked = format!(
            r#"{{"id":2,"version":0,"state":"HALTED","fromRef":{{"latestCommit":"{}","repository":null}}}}"#,
            "3".repeat(40)
        );
        let hostile = r#"{"id":3,"version":0,"state":7,"fromRef":{"latestCommit":"../etc"},"closedDate":{}}"#;
        let page = listed(&format!("{bare},{forked},{hostile},{{}},{{\"id\":-1}},7")).await;
        let seen: Vec<_> = page.values.iter().map(|one| (one.id, one.state, one.from.is_some(), one.source)).collect();
        let (other, declined) = (PullRequestState::Other, PullRequestState::Declined);
        assert_eq!(seen, [(1, declined, false, None), (2, other, true, None), (3, other, false, None)]);
        assert_eq!(page.quarantined.len(), 3);
    }

    #[tokio::test]
    async fn quirk_17_the_commits_of_closed_ones_are_those_that_nothing_else_names() {
        let one = |id: u64, state: &str, from: &str| {
            format!(r#"{{"id":{id},"version":0,"state":"{state}","fromRef":{},"toRef":{}}}"#, end(from), end("9"))
        };
        let values = [one(1, "OPEN", "1"), one(2, "MERGED", "2"), one(3, "DECLINED", "3"), one(4, "MERGED", "2")];
        let page = listed(&values.join(",")).await;
        let hidden: Vec<String> = hidden_commits(&page.values).iter().map(ToString::to_string).collect();
        assert_eq!(hidden, ["2", "3", "9"].map(|digit| digit.repeat(40)));
    }
}
