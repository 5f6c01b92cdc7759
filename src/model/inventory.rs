//! The repositories of a project as they were listed at one time, and what became of those that were known before.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::condition::{ConditionKind, Seen, Sighting};
use super::names::{ProjectId, ProjectKey, RepoId, RepoSlug, ServerName};
use super::{Address, Generation};

/// The repositories of one project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inventory {
    /// When they were listed.
    pub observed_at: Timestamp,
    /// By number: a repository keeps it when it is renamed or moved.
    pub repositories: BTreeMap<RepoId, ListedRepository>,
}

/// A repository as it was listed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedRepository {
    /// The key of its project, as the server gives it.
    pub project: ProjectKey,
    /// The number of its project.
    pub project_id: ProjectId,
    /// Its slug.
    pub slug: RepoSlug,
    /// Whether the server promises that it can be read.
    pub state: RepositoryState,
    /// Whether it is read-only by decision.
    pub archived: bool,
    /// Stored bytes of its newest snapshot, if there is one.
    pub stored: Option<u64>,
}

/// The state of a repository at the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RepositoryState {
    /// It can be read.
    Available,
    /// It is being made, for example by a fork.
    Initialising,
    /// Making it failed.
    InitialisationFailed,
    /// It is out of service.
    Offline,
    /// A state that this program does not know.
    Unknown,
}

impl RepositoryState {
    /// Reads Bitbucket's word.
    pub fn new(text: &str) -> Self {
        match text {
            "AVAILABLE" => Self::Available,
            "INITIALISING" => Self::Initialising,
            "INITIALISATION_FAILED" => Self::InitialisationFailed,
            "OFFLINE" => Self::Offline,
            _ => Self::Unknown,
        }
    }

    /// Why it may not be possible to read the repository, as a word; `None` if the server promises that it is.
    pub const fn unfit(self) -> Option<&'static str> {
        match self {
            Self::Available | Self::Unknown => None,
            Self::Initialising => Some("initialising"),
            Self::InitialisationFailed => Some("failed to initialise"),
            Self::Offline => Some("offline"),
        }
    }
}

/// What is remembered of a repository from listing to listing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remembered {
    /// The declared project that it was listed in last.
    pub listed_in: ProjectKey,
    /// As it was listed last.
    pub last: ListedRepository,
    /// When.
    pub seen_at: Timestamp,
    /// Its name when the generation in force was applied: what it is compared with.
    pub before: RepositoryName,
    /// That generation.
    pub generation: Generation,
}

/// Where a repository was at one time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepositoryName {
    /// The number of its project.
    pub project_id: ProjectId,
    /// The key of its project.
    pub project: ProjectKey,
    /// Its slug.
    pub slug: RepoSlug,
}

impl ListedRepository {
    fn name(&self) -> RepositoryName {
        RepositoryName { project_id: self.project_id, project: self.project.clone(), slug: self.slug.clone() }
    }
}

/// What a listing says in the light of earlier ones.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Comparison {
    /// What to remember of the repositories that are listed.
    pub remember: BTreeMap<RepoId, Remembered>,
    /// What was seen of them and of their project.
    pub sightings: Vec<Sighting>,
    /// Repositories that were listed in this project before, and are not any more.
    pub absent: Vec<RepoId>,
}

/// Compares the repositories that are listed in a declared project with what is `known` of the server's.
///
/// A repository is its number: one with another slug was renamed, one in another project was moved. Both are measured
/// against the time at which the generation in force was applied, so that applying again takes note of them. A project
/// whose key changed takes its repositories along: they did not move.
pub fn compare(
    server: &ServerName,
    project: &ProjectKey,
    known: &BTreeMap<RepoId, Remembered>,
    listed: &Inventory,
    generation: Generation,
) -> Comparison {
    let mut comparison = Comparison::default();
    for (id, repository) in &listed.repositories {
        let before = match known.get(id) {
            Some(known) if known.generation == generation => known.before.clone(),
            Some(known) => known.last.name(),
            None => repository.name(),
        };
        let address = Address::repository(server, *id);
        let sighting = |kind, seen| Sighting { address: address.clone(), kind, seen };
        comparison.sightings.extend([
            sighting(ConditionKind::RepoRenamed, renamed(*id, &before, repository)),
            sighting(ConditionKind::RepoMoved, moved(*id, &before, repository)),
            sighting(ConditionKind::RepoGone, Seen::Not),
        ]);
        let remembered = Remembered {
            listed_in: project.clone(),
            last: repository.clone(),
            seen_at: listed.observed_at,
            before,
            generation,
        };
        comparison.remember.insert(*id, remembered);
    }
    let was_here = known.iter().filter(|(_, known)| known.listed_in == *project);
    comparison.absent = was_here.map(|(id, _)| *id).filter(|id| !listed.repositories.contains_key(id)).collect();
    if let Some(repository) = listed.repositories.values().next() {
        let seen = project_renamed(project, &repository.project);
        let address = Address::project(&project.clone().into());
        comparison.sightings.push(Sighting { address, kind: ConditionKind::ProjectRenamed, seen });
    }
    comparison
}

/// Whether a project is known to the server by another key than the declared one. Case does not matter to Bitbucket.
pub fn project_renamed(declared: &ProjectKey, found: &ProjectKey) -> Seen {
    if declared.as_str().eq_ignore_ascii_case(found.as_str()) {
        return Seen::Not;
    }
    let message = format!("the project's key is \"{found}\" at the server; declare it under that key");
    Seen::Holds { reason: "Renamed", message }
}

fn renamed(id: RepoId, before: &RepositoryName, found: &ListedRepository) -> Seen {
    if before.slug == found.slug {
        return Seen::Not;
    }
    let message = format!("repository \"{}\" is \"{}\" (id {id}); its backups go on", before.slug, found.slug);
    Seen::Holds { reason: "Renamed", message }
}

/// What is seen of a repository that was found in a project.
pub fn moved(id: RepoId, before: &RepositoryName, found: &ListedRepository) -> Seen {
    if before.project_id == found.project_id {
        return Seen::Not;
    }
    let (old, new) = (format!("{}/{}", before.project, before.slug), format!("{}/{}", found.project, found.slug));
    Seen::Holds { reason: "Moved", message: format!("repository {old} is {new} (id {id}); its backups are kept") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(project: &str, project_id: u64, slug: &str) -> ListedRepository {
        ListedRepository {
            project: project.parse().unwrap(),
            project_id: ProjectId(project_id),
            slug: slug.parse().unwrap(),
            state: RepositoryState::Available,
            archived: false,
            stored: None,
        }
    }

    fn look(known: &BTreeMap<RepoId, Remembered>, listed: &[(u64, ListedRepository)], generation: u64) -> Comparison {
        let repositories = listed.iter().map(|(id, one)| (RepoId(*id), one.clone())).collect();
        let inventory = Inventory { observed_at: Timestamp::UNIX_EPOCH, repositories };
        compare(&"bb".parse().unwrap(), &"PAY".parse().unwrap(), known, &inventory, Generation(generation))
    }

    fn told(comparison: &Comparison) -> Vec<String> {
        let holding = comparison.sightings.iter().filter_map(|sighting| match &sighting.seen {
            Seen::Holds { message, .. } => Some(format!("{} {}: {message}", sighting.kind.as_str(), sighting.address)),
            Seen::Not => None,
        });
        holding.collect()
    }

    #[test]
    fn a_first_listing_has_no_news() {
        let first = look(&BTreeMap::new(), &[(812, listed("PAY", 7, "ledger"))], 1);
        assert_eq!((told(&first), first.absent.as_slice()), (vec![], [].as_slice()));
    }

    #[test]
    fn a_rename_is_told_until_the_next_generation() {
        let first = look(&BTreeMap::new(), &[(812, listed("PAY", 7, "ledger"))], 1);
        let second = look(&first.remember, &[(812, listed("PAY", 7, "book"))], 1);
        let message = "RepoRenamed repository/bb/812: repository \"ledger\" is \"book\" (id 812); its backups go on";
        assert_eq!(told(&second), [message]);
        let third = look(&second.remember, &[(812, listed("PAY", 7, "book"))], 1);
        assert_eq!(told(&third), [message]);
        assert_eq!(told(&look(&third.remember, &[(812, listed("PAY", 7, "book"))], 2)), [""; 0]);
        let back = look(&third.remember, &[(812, listed("PAY", 7, "ledger"))], 1);
        assert_eq!(told(&back), [""; 0]);
    }

    #[test]
    fn a_repository_that_takes_the_old_name_is_another_one() {
        let first = look(&BTreeMap::new(), &[(812, listed("PAY", 7, "ledger"))], 1);
        let second = look(&first.remember, &[(900, listed("PAY", 7, "ledger"))], 1);
        assert_eq!((told(&second), second.absent.as_slice()), (vec![], [RepoId(812)].as_slice()));
    }

    #[test]
    fn what_comes_from_another_project_was_moved() {
        let first = look(&BTreeMap::new(), &[(812, listed("OPS", 3, "ledger"))], 1);
        let second = look(&first.remember, &[(812, listed("PAY", 7, "ledger"))], 1);
        assert_eq!(
            told(&second),
            ["RepoMoved repository/bb/812: repository OPS/ledger is PAY/ledger (id 812); its backups are kept"]
        );
    }

    #[test]
    fn a_project_with_another_key_took_its_repositories_along() {
        let first = look(&BTreeMap::new(), &[(812, listed("PAY", 7, "ledger"))], 1);
        let second = look(&first.remember, &[(812, listed("BILL", 7, "ledger"))], 1);
        assert_eq!(
            told(&second),
            ["ProjectRenamed project/PAY: the project's key is \"BILL\" at the server; declare it under that key"]
        );
        assert_eq!(told(&look(&BTreeMap::new(), &[(812, listed("pay", 7, "ledger"))], 1)), [""; 0]);
    }
}
