//! What one credential sees of what it is declared for.

use std::collections::BTreeMap;

use super::Part;
use super::asking::Asked;
use super::candidates::Candidate;
use super::deadline::Spared;
use super::powers::{Power, power};
use super::server::{Answers, skipped};
use super::verdict::{git_sight, sight};
use crate::bitbucket::{List, ListedProject, Repository};
use crate::change::{Glimpse, Note, NoteKind};
use crate::git::Remote;
use crate::http::Authorization;
use crate::model::{Address, CredentialRole, ProjectKey, ProjectSeen, ProjectSelector, Sight};

/// How much of a project's listing is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Extent {
    /// One repository.
    One,
    /// As much as the server gives at once.
    Page,
}

/// What one credential sees.
pub(super) struct View {
    address: Address,
    declared: ProjectSelector,
    authorization: Authorization,
    project: Sight,
    repositories: Sight,
    /// By the key that was asked for.
    projects: Vec<(ProjectKey, ListedProject)>,
    repository: Option<(ProjectKey, Repository)>,
    glimpse: Option<(ProjectKey, Glimpse)>,
    power: Option<Power>,
    spared: Option<Spared>,
}

impl Asked<'_> {
    /// What a credential sees of what it is declared for.
    pub(super) async fn view(&self, candidate: &Candidate<'_>, authorization: &Authorization) -> View {
        let mut view = View {
            address: candidate.address(),
            declared: candidate.project.clone(),
            authorization: authorization.clone(),
            project: Sight::Unknown,
            repositories: Sight::Unknown,
            projects: Vec::new(),
            repository: None,
            glimpse: None,
            power: None,
            spared: None,
        };
        match candidate.project {
            ProjectSelector::Key(key) => self.view_project(key, self.extent(candidate), &mut view).await,
            ProjectSelector::Pattern(pattern) => {
                let of_its_own = |key: &ProjectKey| {
                    let mut keys = self.look.declaration.projects.keys();
                    keys.any(|declared| declared.as_str().eq_ignore_ascii_case(key.as_str()))
                };
                let fits = |project: &ListedProject| pattern.matches(project.key.as_str()) && !of_its_own(&project.key);
                let list = List::projects_fitting(pattern);
                let said = match self.search(authorization, list, fits).await {
                    Ok(said) => said,
                    Err(spared) => {
                        view.spared = Some(spared);
                        return view;
                    }
                };
                view.project = sight(said.as_ref());
                let fitting = said.and_then(Result::ok).unwrap_or_default();
                if let Some(first) = fitting.first().map(|project| project.key.clone()) {
                    self.view_project(&first, Extent::One, &mut view).await;
                } else if view.project == Sight::Visible {
                    view.project = Sight::Hidden { why: format!("no project that it sees fits {pattern}") };
                }
                view.projects = fitting.into_iter().map(|project| (project.key.clone(), project)).collect();
            }
        }
        view
    }

    /// How much of a project is worth a look. Its main credential sees what a run would list; whoever asked for single
    /// credentials wants to know about those alone.
    fn extent(&self, candidate: &Candidate<'_>) -> Extent {
        match (&self.look.part, &candidate.role) {
            (Part::InUse, CredentialRole::Main) => Extent::Page,
            (Part::InUse | Part::Credentials(_) | Part::Named(..), _) => Extent::One,
        }
    }

    async fn view_project(&self, key: &ProjectKey, extent: Extent, view: &mut View) {
        let authorization = view.authorization.clone();
        let (all, first) = (List::repositories(key), List::repositories(key).one_by_one());
        let mut said = match extent {
            Extent::Page => self.send_kept(&authorization, self.client.first_page(&all, &authorization)).await,
            Extent::One => self.send_kept(&authorization, self.client.first_page(&first, &authorization)).await,
        };
        // A page that is too much for the server, or for the time, must not hide that the project is there.
        if extent == Extent::Page && said.as_ref().is_ok_and(|said| sight(said.as_ref()) == Sight::Unknown) {
            said = self.send_kept(&authorization, self.client.first_page(&first, &authorization)).await.or(said);
        } else if let (Extent::Page, Ok(Some(Ok(page)))) = (extent, &said) {
            let repositories = page.values.iter().map(|repository| (repository.id, repository.listed())).collect();
            let complete = page.next.is_none() && page.quarantined.is_empty();
            view.glimpse = Some((key.clone(), Glimpse { repositories, complete }));
        }
        let said = match said {
            Ok(said) => said,
            Err(spared) => {
                view.spared = Some(spared);
                return;
            }
        };
        view.repositories = sight(said.as_ref());
        if view.repositories == Sight::Visible && self.look.part.is_thorough() {
            view.power = self.power(key, &authorization).await;
        }
        let first = said.and_then(Result::ok).and_then(|page| page.values.into_iter().next());
        if let Some(repository) = first {
            view.project = Sight::Visible;
            view.projects = vec![(key.clone(), project_of(&repository))];
            view.repository = Some((key.clone(), repository));
            return;
        }
        if view.repositories == Sight::Unknown {
            return;
        }
        let Ok(said) = self.send_kept(&authorization, self.client.project(&authorization, key)).await else { return };
        view.project = sight(said.as_ref());
        if let Some(Ok(project)) = said {
            view.projects = vec![(key.clone(), project)];
        }
    }

    /// What a credential may do besides reading, as far as the server tells.
    async fn power(&self, key: &ProjectKey, authorization: &Authorization) -> Option<Power> {
        let of = |permission| List::repositories_with(key, permission).one_by_one();
        let same = |project: &ListedProject| project.key.as_str().eq_ignore_ascii_case(key.as_str());
        let owned = self.search(authorization, List::administered_projects(), same).await.ok()?;
        let owns = owned.and_then(Result::ok).map(|found| !found.is_empty());
        let (may_administer, may_write) = (of("REPO_ADMIN"), of("REPO_WRITE"));
        let administers =
            self.send(authorization, self.client.first_page(&may_administer, authorization)).await.ok()?;
        let writes = self.send(authorization, self.client.first_page(&may_write, authorization)).await.ok()?;
        power(key, owns, administers.as_ref(), writes.as_ref())
    }

    /// Enters what the credentials see, and looks at the git of one repository.
    pub(super) async fn enter(&self, views: Vec<View>, answers: &mut Answers) {
        let mut spared: BTreeMap<Spared, Vec<&Address>> = BTreeMap::new();
        for view in &views {
            if let Some(why) = view.spared {
                spared.entry(why).or_default().push(&view.address);
            }
        }
        for (why, addresses) in spared {
            let more = match addresses.len() - 1 {
                0 => String::new(),
                more => format!(", nor {more} more"),
            };
            let all = if why == Spared::Enough { "; `xopero credential check --all` looks at all" } else { "" };
            let message = format!("was not looked at{more}: {}{all}", why.why());
            answers.skipped.push(skipped(addresses[0].clone(), message));
        }
        if let Some(view) = views.iter().find(|view| view.repository.is_some()) {
            self.git(view, answers).await;
        }
        for view in views {
            answers.powers.extend(view.power.map(|power| (view.address.clone(), power)));
            let observed_at = self.look.clock.now();
            if let Some(credential) = answers.credentials.get_mut(&view.address) {
                (credential.project, credential.repositories) = (view.project.clone(), view.repositories.clone());
            }
            answers.glimpses.extend(view.glimpse);
            for (declared, project) in view.projects {
                let name = Some(project.name).filter(|name| !name.is_empty());
                let (id, key) = (Some(project.id), Some(project.key));
                let visible = Sight::Visible;
                answers.projects.insert(declared, ProjectSeen { observed_at, visible, id, key, name });
            }
            if let (ProjectSelector::Key(key), Sight::Hidden { .. }) = (&view.declared, &view.project) {
                let seen = ProjectSeen { observed_at, visible: view.project.clone(), id: None, key: None, name: None };
                answers.projects.entry(key.clone()).or_insert(seen);
            }
        }
    }

    /// Whether git over HTTP can be read.
    async fn git(&self, view: &View, answers: &mut Answers) {
        let Some((key, repository)) = &view.repository else { return };
        let http = || self.client.http().clone();
        let link = repository.clone_link.as_deref().and_then(|link| Remote::from_clone_link(http(), link).ok());
        let remote = link.unwrap_or_else(|| Remote::new(http(), key, &repository.slug));
        if self.budget.take(&view.authorization).is_err() {
            return;
        }
        let said = self.deadline.within(remote.discover(&view.authorization)).await;
        if let Sight::Hidden { why } = git_sight(said.as_ref()) {
            let message = format!("REST answers and git does not: {why}");
            let (kind, address) = (NoteKind::PermissionLost, view.address.clone());
            answers.skipped.push(Note { kind, address, message });
        }
    }
}

/// The project that a repository names.
fn project_of(repository: &Repository) -> ListedProject {
    let (id, key, name) = (repository.project_id, repository.project.clone(), repository.project_name.clone());
    let personal = key.as_str().starts_with('~');
    ListedProject { id, key, name, personal }
}
