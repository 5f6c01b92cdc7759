//! What a run covers: the plan's projects, those that its patterns select, and their repositories.

use std::collections::{BTreeMap, BTreeSet};

use super::conclude::Whole;
use super::dispatch::{Context, Execution, Servers};
use super::earlier::{Earlier, Gone};
use super::error::lines;
use super::inventory::{list_project, list_projects};
use super::remember::Listing;
use super::task::Task;
use super::{Event, ProjectFailure, TaskError};
use crate::model::{
    BackupPlan, Declaration, Guard, Pattern, PlannedProject, ProjectKey, ProjectSelector, Remembered, RepoId,
    ServerName, Uid,
};
use crate::state::StateError;

/// Unusable entries of a listing that are told one by one.
const UNUSABLE_TOLD: usize = 20;

/// One task for each repository in scope. What cannot be listed is entered in `whole`, and does not hide the rest.
pub(super) async fn survey(
    context: &Context,
    servers: &Servers,
    execution: &Execution,
    plan: &BackupPlan,
    earlier: Result<Earlier, StateError>,
    whole: &mut Whole,
) -> Vec<Task> {
    let earlier = earlier.unwrap_or_else(|error| {
        whole.warnings.push(format!("the listings cannot be compared with earlier ones: {}", lines(&error).join(": ")));
        Earlier::default()
    });
    let mut survey = Survey {
        context,
        servers,
        execution,
        earlier,
        guard: plan.guard,
        tasks: Vec::new(),
        seen: BTreeSet::new(),
        known: BTreeMap::new(),
        whole,
    };
    for (declared, planned) in &plan.projects {
        // A run that is stopped has as many tasks as it has.
        if survey.project(declared, planned).await.is_err() {
            break;
        }
    }
    survey.tasks
}

/// The run was stopped.
struct Stopped;

struct Survey<'a> {
    context: &'a Context,
    servers: &'a Servers,
    execution: &'a Execution,
    earlier: Earlier,
    guard: Option<Guard>,
    tasks: Vec<Task>,
    /// Repositories that have a task: one that was moved while the projects were listed is on two listings.
    seen: BTreeSet<(Uid, crate::model::RepoId)>,
    /// What is remembered of the repositories of each server.
    known: BTreeMap<Uid, BTreeMap<RepoId, Remembered>>,
    whole: &'a mut Whole,
}

impl Survey<'_> {
    async fn project(&mut self, declared: &ProjectSelector, planned: &PlannedProject) -> Result<(), Stopped> {
        if self.context.deadline.is_reached() {
            self.not_listed(declared.clone());
            return Ok(());
        }
        match declared {
            ProjectSelector::Key(key) => self.repositories(key, declared, planned).await,
            ProjectSelector::Pattern(pattern) => {
                for key in self.matching(declared, pattern, planned).await? {
                    self.repositories(&key, declared, planned).await?;
                }
                Ok(())
            }
        }
    }

    /// The projects that a pattern selects: those that the main credential may see, that fit, and that are not
    /// declared by their key.
    async fn matching(
        &mut self,
        declared: &ProjectSelector,
        pattern: &Pattern,
        planned: &PlannedProject,
    ) -> Result<Vec<ProjectKey>, Stopped> {
        let declaration = &self.execution.applied.declaration;
        let name = &declaration.projects[declared].server;
        let server = &self.servers[name];
        let (listed, ledger) = list_projects(declared, server, &self.context.credentials).await;
        self.whole.ledger.add(&ledger);
        let listed = match listed {
            Ok(listed) => listed,
            Err(error) => return self.failed(declared, &error).map(|()| Vec::new()),
        };
        let of_its_own = declared_by_key(declaration, name);
        let selected = |key: &ProjectKey| pattern.matches(key.as_str()) && !of_its_own.contains(&folded(key));
        let mut keys: Vec<ProjectKey> = listed.entries.into_values().map(|project| project.key).collect();
        keys.retain(selected);
        keys.sort();
        self.whole.projects_failed.extend(unusable(declared, &listed.quarantined));
        if keys.is_empty() {
            self.whole.warnings.push(format!(
                "no project fits {declared}: of what the main credential may see on server {name}, nothing that is not \
                 declared by its key"
            ));
        }
        if self.execution.only.is_none() {
            let known = self.earlier.projects(server.uid);
            let missing = known.into_iter().filter(|key| selected(key) && !keys.contains(key));
            let gone: Vec<Gone> =
                missing.map(|key| self.earlier.gone(server.uid, key, planned, &[], self.guard)).collect();
            for gone in gone {
                self.miss(gone);
            }
        }
        let event = Event::ProjectsFound { pattern: declared.clone(), projects: keys.clone() };
        self.context.events.emit(&event);
        Ok(keys)
    }

    async fn repositories(
        &mut self,
        key: &ProjectKey,
        declared: &ProjectSelector,
        planned: &PlannedProject,
    ) -> Result<(), Stopped> {
        if self.context.deadline.is_reached() {
            self.not_listed(ProjectSelector::Key(key.clone()));
            return Ok(());
        }
        let Context { credentials, events, .. } = self.context;
        let server = &self.servers[&self.execution.applied.declaration.projects[declared].server];
        let only = self.execution.only.as_ref();
        let (listed, ledger) = list_project(key, declared, planned, only, server, credentials, events).await;
        self.whole.ledger.add(&ledger);
        let project = ProjectSelector::Key(key.clone());
        let inventory = match listed {
            Ok(inventory) => inventory,
            Err(error) => return self.failed(&project, &error),
        };
        if only.is_none() {
            self.miss(self.earlier.gone(server.uid, key, planned, &inventory.tasks, self.guard));
        }
        let listing = Listing { context: self.context, server, declared, project: key, repositories: inventory.listed };
        self.remember(listing).await;
        let seen = &mut self.seen;
        let fresh = |task: &Task| seen.insert((task.server.uid, task.repository.id));
        self.tasks.extend(inventory.tasks.into_iter().filter(fresh));
        self.whole.projects_failed.extend(unusable(&project, &inventory.quarantined));
        Ok(())
    }

    /// Compares a listing with earlier ones. A memory that fails is no reason to lose a run.
    async fn remember(&mut self, listing: Listing<'_>) {
        let server = listing.server.uid;
        if !self.known.contains_key(&server) {
            match self.context.state.remembered(server).await {
                Ok(known) => drop(self.known.insert(server, known)),
                Err(error) => return self.forgot(&error),
            }
        }
        let known = self.known.entry(server).or_default();
        match listing.remember(known).await {
            Ok(ledger) => self.whole.ledger.add(&ledger),
            Err(error) => self.forgot(&error),
        }
    }

    fn forgot(&mut self, error: &StateError) {
        self.whole.warnings.push(format!("the listing is not remembered: {}", lines(error).join(": ")));
    }

    fn miss(&mut self, gone: Gone) {
        match gone {
            Gone::Nothing => {}
            Gone::Few(warnings) => self.whole.warnings.extend(warnings),
            Gone::Many(failure) => self.whole.projects_failed.push(failure),
        }
    }

    fn not_listed(&mut self, project: ProjectSelector) {
        let error = vec!["not listed: the run had to end before".to_owned()];
        let hint = Some("`xopero run PLAN --resume` goes on with it".to_owned());
        self.whole.projects_failed.push(ProjectFailure { project, error, hint, throttled_until: None });
    }

    fn failed(&mut self, project: &ProjectSelector, error: &TaskError) -> Result<(), Stopped> {
        if matches!(error, TaskError::Stopped) {
            return Err(Stopped);
        }
        let throttled_until = match error {
            TaskError::OutOfTime { until } => Some(*until),
            _ => None,
        };
        let (project, hint) = (project.clone(), error.hint());
        let failure = ProjectFailure { project, error: error.lines(), hint, throttled_until };
        self.whole.projects_failed.push(failure);
        Ok(())
    }
}

/// The projects of a server that have declarations of their own, as [`folded`] keys.
fn declared_by_key(declaration: &Declaration, server: &ServerName) -> BTreeSet<String> {
    let of_server = declaration.projects.iter().filter(|(_, project)| project.server == *server);
    of_server
        .filter_map(|(declared, _)| match declared {
            ProjectSelector::Key(key) => Some(folded(key)),
            ProjectSelector::Pattern(_) => None,
        })
        .collect()
}

/// Bitbucket does not tell keys apart by case.
fn folded(key: &ProjectKey) -> String {
    key.as_str().to_ascii_lowercase()
}

/// What unusable entries of a listing mean for the run: what they stand for is not backed up.
fn unusable(project: &ProjectSelector, entries: &[String]) -> Option<ProjectFailure> {
    let first = match entries.len() {
        0 => return None,
        1 => "1 entry of its listing cannot be used; what it stands for is not backed up".to_owned(),
        count => format!("{count} entries of its listing cannot be used; what they stand for is not backed up"),
    };
    let told = entries.iter().take(UNUSABLE_TOLD).cloned();
    let hint = "let an administrator of the server look at them".to_owned();
    Some(ProjectFailure {
        project: project.clone(),
        error: std::iter::once(first).chain(told).collect(),
        hint: Some(hint),
        throttled_until: None,
    })
}
