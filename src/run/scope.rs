//! What a run covers: the plan's projects, those that its patterns select, and their repositories.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::conclude::Whole;
use super::dispatch::{Context, Execution, Servers};
use super::error::lines;
use super::inventory::{Inventory, Wanted, list_project, list_projects, task};
use super::memory::Memory;
use super::permission::{Scope, is_missing_project};
use super::remember::{Absent, Listing, Trust};
use super::server::ServerContext;
use super::shrink::{self, Shrink, judge, stakes};
use super::task::Task;
use super::{Event, ProjectFailure, TaskError, TaskName};
use crate::model::{
    AccountName, Address, BackupPlan, Declaration, ListedRepository, Pattern, PlannedProject, ProjectKey,
    ProjectSelector, RepoId, Seen, ServerName, Sighting, Uid,
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
    memories: Result<BTreeMap<Uid, Memory>, StateError>,
    whole: &mut Whole,
) -> Vec<Task> {
    let memories = memories.unwrap_or_else(|error| {
        let why = lines(&error).join(": ");
        whole
            .warnings
            .push(format!("the listings cannot be compared with earlier ones, and are not remembered: {why}"));
        BTreeMap::new()
    });
    let mut survey = Survey {
        context,
        servers,
        execution,
        memories,
        unaccepted: execution.accepted.clone(),
        tasks: Vec::new(),
        seen: BTreeSet::new(),
        whole,
    };
    for (declared, planned) in &plan.projects {
        // A run that is stopped has as many tasks as it has.
        if survey.project(declared, planned).await.is_err() {
            break;
        }
    }
    for key in std::mem::take(&mut survey.unaccepted) {
        survey.whole.warnings.push(format!("--accept-listing {key}: no listing of a project of that key was suspect"));
    }
    survey.tasks
}

/// The run was stopped.
struct Stopped;

/// What to make of a listing.
enum Verdict {
    /// It is believed. These are missing from it.
    Trusted(BTreeMap<RepoId, String>),
    /// It is believed, because a person says so.
    Accepted,
    /// It is not, which is told.
    Suspect,
}

struct Survey<'a> {
    context: &'a Context,
    servers: &'a Servers,
    execution: &'a Execution,
    /// What is remembered of each server; nothing, if that cannot be read.
    memories: BTreeMap<Uid, Memory>,
    /// Projects whose listings are to be believed, and were not suspect so far.
    unaccepted: BTreeSet<ProjectKey>,
    tasks: Vec<Task>,
    /// Repositories that have a task: one that was moved while the projects were listed is on two listings.
    seen: BTreeSet<(Uid, crate::model::RepoId)>,
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
                for key in self.matching(declared, planned, pattern).await? {
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
        planned: &PlannedProject,
        pattern: &Pattern,
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
        let known = self.memories.get(&server.uid).map(|memory| memory.projects()).into_iter().flatten();
        let missing: Vec<ProjectKey> = known
            .filter(|key| selected(key) && !keys.iter().any(|found| folded(found) == folded(key)))
            .cloned()
            .collect();
        for key in missing {
            self.missing_project(&key, declared, planned).await?;
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
        let wanted = self.wanted(key, declared, planned);
        let server = self.server(declared);
        let inventory = match self.list(wanted, Scope::Listing(key), &server).await {
            Ok(inventory) => inventory,
            Err(error) => return self.failed(&ProjectSelector::Key(key.clone()), &error),
        };
        let verdict = self.compare(&server, key, declared, &inventory.listed);
        self.take(wanted, &server, inventory, verdict).await;
        Ok(())
    }

    /// A project that fitted a pattern and is on the list of projects no more. It is asked for by its key: what answers
    /// is backed up, though it does not end the alarm. If nothing does, all of its repositories are missing.
    async fn missing_project(
        &mut self,
        key: &ProjectKey,
        declared: &ProjectSelector,
        planned: &PlannedProject,
    ) -> Result<(), Stopped> {
        let server = self.server(declared);
        let verdict = self.compare(&server, key, declared, &BTreeMap::new());
        let is_missed = match &verdict {
            Verdict::Trusted(gone) => !gone.is_empty(),
            Verdict::Accepted => false,
            Verdict::Suspect => true,
        };
        if is_missed {
            if self.context.deadline.is_reached() {
                self.not_listed(ProjectSelector::Key(key.clone()));
                return Ok(());
            }
            let wanted = self.wanted(key, declared, planned);
            // That the accounts do not see it is told by the verdict.
            match self.list(wanted, Scope::Server, &server).await {
                Ok(inventory) => {
                    let verdict = match verdict {
                        Verdict::Suspect => Verdict::Suspect,
                        Verdict::Trusted(_) | Verdict::Accepted => {
                            self.compare(&server, key, declared, &inventory.listed)
                        }
                    };
                    self.whole.warnings.push(format!(
                        "project {key} is not on the list of projects, but answers by its key: it is backed up. Check what \
                         the main credential of {declared} may see"
                    ));
                    self.take(wanted, &server, inventory, verdict).await;
                    return Ok(());
                }
                Err(TaskError::NoCredential { .. }) => {}
                Err(error) if error.http().is_some_and(is_missing_project) => {}
                Err(error) => return self.failed(&ProjectSelector::Key(key.clone()), &error),
            }
        }
        if !matches!(verdict, Verdict::Suspect) {
            self.tell(key, verdict, &Absent::default(), None);
            let recorded =
                self.context.state.record_listing(server.uid, key, self.context.clock.now(), &BTreeMap::new()).await;
            if let Err(error) = recorded {
                self.forgot(&error);
            }
        }
        Ok(())
    }

    fn wanted<'w>(&self, key: &'w ProjectKey, declared: &'w ProjectSelector, planned: &'w PlannedProject) -> Wanted<'w>
    where
        Self: 'w,
    {
        Wanted { key, declared, planned, only: self.execution.only.as_ref() }
    }

    fn server(&self, declared: &ProjectSelector) -> Arc<ServerContext> {
        Arc::clone(&self.servers[&self.execution.applied.declaration.projects[declared].server])
    }

    async fn list(
        &mut self,
        wanted: Wanted<'_>,
        scope: Scope<'_>,
        server: &Arc<ServerContext>,
    ) -> Result<Inventory, TaskError> {
        let Context { credentials, events, .. } = self.context;
        let (listed, ledger) = list_project(wanted, scope, server, credentials, events).await;
        self.whole.ledger.add(&ledger);
        listed
    }

    /// Makes tasks of a listing, and of what it leaves out and is there all the same.
    async fn take(&mut self, wanted: Wanted<'_>, server: &Arc<ServerContext>, inventory: Inventory, verdict: Verdict) {
        let Wanted { key, declared, planned, .. } = wanted;
        let Inventory { tasks, listed: repositories, quarantined, reader } = inventory;
        let listing = Listing { context: self.context, server, declared, planned, project: key, repositories };
        let mut absent = self.remember(listing, &verdict).await;
        absent.found.retain(|found| wanted.takes(&found.slug));
        self.tell(key, verdict, &absent, reader.as_ref());
        let by_name = absent.found.into_iter().map(|repository| task(key, declared, repository, server));
        let seen = &mut self.seen;
        let fresh = |task: &Task| seen.insert((task.server.uid, task.repository.id));
        self.tasks.extend(tasks.into_iter().chain(by_name).filter(fresh));
        self.whole.projects_failed.extend(unusable(&ProjectSelector::Key(key.clone()), &quarantined));
    }

    /// Compares a listing with the last trusted one, and tells if it is not believed.
    fn compare(
        &mut self,
        server: &ServerContext,
        key: &ProjectKey,
        declared: &ProjectSelector,
        listed: &BTreeMap<RepoId, ListedRepository>,
    ) -> Verdict {
        let Execution { applied, plan, accepted, .. } = self.execution;
        let Some(memory) = self.memories.get(&server.uid) else { return Verdict::Trusted(BTreeMap::new()) };
        let trusted = memory.trusted(key);
        let stakes = stakes(&applied.declaration.plans, declared, plan);
        let (verdict, seen) = match judge(key, trusted.as_ref(), |id| listed.contains_key(&id), &stakes) {
            Shrink::Nothing => (Verdict::Trusted(BTreeMap::new()), Seen::Not),
            Shrink::Little(names) => (Verdict::Trusted(names), Seen::Not),
            Shrink::Much(suspicion) if accepted.iter().any(|accepted| folded(accepted) == folded(key)) => {
                self.unaccepted.retain(|accepted| folded(accepted) != folded(key));
                self.whole.warnings.push(suspicion.accepted());
                (Verdict::Accepted, Seen::Not)
            }
            Shrink::Much(suspicion) => {
                self.whole.projects_failed.push(suspicion.failure());
                (Verdict::Suspect, suspicion.seen())
            }
        };
        let address = Address::project(&key.clone().into());
        self.context.credentials.witness(Sighting { address, kind: shrink::CONDITION, seen });
        verdict
    }

    /// Remembers a listing, unless it is not believed, and gives what is there though it is not listed. A memory that
    /// fails is no reason to lose a run.
    async fn remember(&mut self, listing: Listing<'_>, verdict: &Verdict) -> Absent {
        let Some(memory) = self.memories.get_mut(&listing.server.uid) else { return Absent::default() };
        let trust = match verdict {
            Verdict::Trusted(_) => Trust::Trusted,
            Verdict::Accepted => Trust::Accepted,
            Verdict::Suspect => Trust::Suspect,
        };
        let (absent, remembered) = listing.remember(memory, trust).await;
        self.whole.ledger.add(&absent.ledger);
        if let Err(error) = remembered {
            self.forgot(&error);
        }
        absent
    }

    /// Tells what became of repositories that a trusted listing, read as `reader`, leaves out.
    fn tell(&mut self, key: &ProjectKey, verdict: Verdict, absent: &Absent, reader: Option<&AccountName>) {
        let gone = match verdict {
            Verdict::Trusted(gone) => gone,
            Verdict::Accepted => BTreeMap::new(),
            Verdict::Suspect => return,
        };
        let to = reader.map_or(String::new(), |account| format!(" to account {account}"));
        let warnings = &mut self.whole.warnings;
        for found in &absent.found {
            let name = TaskName { project: key.clone(), slug: found.slug.clone() };
            warnings.push(format!(
                "{name} is not listed{to}, but answers by name: it is backed up. Check what the accounts may see"
            ));
        }
        let found = |id: &RepoId| absent.found.iter().any(|found| found.id == *id);
        for (id, name) in gone.into_iter().filter(|(id, _)| !found(id)) {
            warnings.push(if absent.unknown.contains(&id) {
                format!(
                    "{name} is not listed{to}, and it could not be asked for by name: it is not backed up by this run; the \
                     next run asks again"
                )
            } else {
                format!("{name} is no longer listed; its snapshots are kept")
            });
        }
    }

    fn forgot(&mut self, error: &StateError) {
        self.whole.warnings.push(format!("the listing is not remembered: {}", lines(error).join(": ")));
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
