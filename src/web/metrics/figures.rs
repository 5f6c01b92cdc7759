//! What the state says, as figures.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::text::{Labels, label};
use crate::model::condition::holding;
use crate::model::{
    Address, Applied, ConditionKind, Conditions, CredentialRole, DestinationId, DestinationName, PlanName, Uid,
};
use crate::run::TaskResult;
use crate::schedule::overdue;
use crate::state::{DONE, NewestRun, RUNNING, RunCount, StateError, StateStore, Verified};

/// How a repository ends that was backed up.
const BACKED_UP: [TaskResult; 3] = [TaskResult::New, TaskResult::Changed, TaskResult::Unchanged];

/// What was read at one time.
#[derive(Debug, Default)]
pub(super) struct Figures {
    pub(super) applied: Option<Applied>,
    pub(super) runs: Vec<RunCount>,
    pub(super) newest: Vec<NewestRun>,
    pub(super) repositories: BTreeMap<(Uid, String), u64>,
    pub(super) queue: BTreeMap<String, u64>,
    pub(super) conditions: Conditions,
    pub(super) destinations: BTreeMap<DestinationId, DestinationName>,
    /// For plans that are overdue.
    pub(super) behind: BTreeMap<Uid, u64>,
    /// How long the oldest run has waited for somebody.
    pub(super) waits: Duration,
    pub(super) verified: BTreeMap<(Uid, DestinationId), Verified>,
}

/// How many snapshots each plan has in each destination. Counting them takes longer than all the rest.
pub(super) type Catalogue = BTreeMap<(Uid, DestinationId), u64>;

/// What is known of a credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fitness {
    Usable,
    Expiring,
    Rejected,
}

impl Fitness {
    const ALL: [Self; 3] = [Self::Usable, Self::Expiring, Self::Rejected];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Usable => "usable",
            Self::Expiring => "expiring",
            Self::Rejected => "rejected",
        }
    }
}

impl Figures {
    /// Reads them.
    pub(super) async fn read(state: &StateStore, now: Timestamp) -> Result<Self, StateError> {
        let applied = state.applied().await?;
        let mut destinations = BTreeMap::new();
        for (name, destination) in applied.iter().flat_map(|applied| &applied.declaration.destinations) {
            let id = state.destination_id(name, &destination.place).await?;
            destinations.extend(id.map(|id| (id, name.clone())));
        }
        let newest = state.newest_whole_runs().await?;
        let mut behind = BTreeMap::new();
        for (plan, uid) in applied.iter().flat_map(plans) {
            let declared = applied.iter().find_map(|applied| applied.declaration.plans.get(plan));
            let success = last_success(&newest, uid).map(|run| run.started);
            if declared.and_then(|declared| overdue(declared, success, minted(uid.millis()), now)).is_some() {
                let since = success.unwrap_or(Timestamp::UNIX_EPOCH);
                let count = state.repositories_behind(uid, since, BACKED_UP.map(TaskResult::as_str)).await?;
                behind.insert(uid, count);
            }
        }
        let waits = state.oldest_waiting().await?.and_then(|run| minted(run.millis()));
        let waits = waits.and_then(|since| Duration::try_from(now.duration_since(since)).ok());
        Ok(Self {
            behind,
            waits: waits.unwrap_or_default(),
            verified: state.verifications().await?,
            applied,
            runs: state.run_counts().await?,
            newest,
            repositories: state.repository_counts().await?,
            queue: state.queue_counts().await?,
            conditions: state.conditions().await?,
            destinations,
        })
    }

    /// Adds all of them. Only plans in force have figures of their own.
    pub(super) fn register(&self, catalogue: &Catalogue, registry: &mut Registry) {
        let Some(applied) = &self.applied else { return };
        let at = Gauge::<i64>::default();
        at.set(applied.applied_at.as_second());
        registry.register("xopero_config_applied_timestamp_seconds", "When what is in force was applied", at);
        self.register_runs(applied, registry);
        self.register_stores(applied, catalogue, registry);
        self.register_conditions(applied, registry);
    }

    fn register_runs(&self, applied: &Applied, registry: &mut Registry) {
        let (last, good, behind) = (gauges(), gauges(), gauges());
        let runs = Family::<Labels, Counter>::default();
        let repositories = gauges();
        for (plan, uid) in plans(applied) {
            let of_plan = label("plan", plan);
            let mut newest = self.newest.iter().filter(|run| run.plan == uid && run.state != RUNNING);
            let began = last_success(&self.newest, uid).map_or(Timestamp::UNIX_EPOCH, |run| run.started);
            last.get_or_create(&of_plan).set(began.as_second());
            behind.get_or_create(&of_plan).set(signed(self.behind.get(&uid).copied().unwrap_or_default()));
            if let Some(newest) = newest.next() {
                good.get_or_create(&of_plan).set(i64::from(newest.state == DONE));
            }
            for count in self.runs.iter().filter(|count| count.plan == uid && count.state != RUNNING) {
                let labels = [of_plan.clone(), label("result", &count.state)].concat();
                runs.get_or_create(&labels).inc_by(count.runs);
            }
            for ((_, state), count) in self.repositories.iter().filter(|((plan, _), _)| *plan == uid) {
                let labels = [of_plan.clone(), label("state", state)].concat();
                repositories.get_or_create(&labels).set(signed(*count));
            }
        }
        registry.register(
            "xopero_backup_last_success_timestamp_seconds",
            "When the last run of a plan began that backed up everything, or 0 if none did",
            last,
        );
        registry.register(
            "xopero_backup_last_attempt_status",
            "Whether the last run of a plan that is over backed up everything",
            good,
        );
        registry.register("xopero_backup_runs", "Runs that are over, by how they ended", runs);
        registry.register(
            "xopero_repos",
            "Repositories in the last run of a plan that went over all of them, by how they ended",
            repositories,
        );
        registry.register(
            "xopero_repos_overdue",
            "Repositories of a plan that is overdue which no run has backed up since its last success",
            behind,
        );
        let queue = gauges();
        for (state, count) in &self.queue {
            queue.get_or_create(&label("state", state)).set(signed(*count));
        }
        registry.register("xopero_queue_jobs", "Repositories of runs under way that did not end", queue);
        let oldest = Gauge::<i64>::default();
        oldest.set(signed(self.waits.as_secs()));
        registry.register(
            "xopero_queue_oldest_age_seconds",
            "How long ago the oldest run began of which repositories wait, or 0 if none waits",
            oldest,
        );
    }

    fn register_stores(&self, applied: &Applied, catalogue: &Catalogue, registry: &mut Registry) {
        let snapshots = gauges();
        for (plan, uid) in plans(applied) {
            for ((_, destination), count) in catalogue.iter().filter(|((plan, _), _)| *plan == uid) {
                let Some(destination) = self.destinations.get(destination) else { continue };
                let labels = [label("plan", plan), label("destination", destination)].concat();
                snapshots.get_or_create(&labels).set(signed(*count));
            }
        }
        registry.register("xopero_snapshots", "Snapshots of a plan in a destination", snapshots);
        let (last, errors) = (gauges(), Family::<Labels, Counter>::default());
        for (plan, uid) in plans(applied) {
            // The first damage is to be seen as a rise.
            for destination in &applied.declaration.plans[plan].destinations {
                let _zero = errors.get_or_create(&[label("plan", plan), label("destination", destination)].concat());
            }
            for ((_, destination), verified) in self.verified.iter().filter(|((plan, _), _)| *plan == uid) {
                let Some(destination) = self.destinations.get(destination) else { continue };
                let labels = [label("plan", plan), label("destination", destination)].concat();
                errors.get_or_create(&labels).inc_by(verified.damaged);
                last.get_or_create(&labels).set(verified.last_whole.map_or(0, Timestamp::as_second));
            }
        }
        registry.register(
            "xopero_verify_last_full_timestamp_seconds",
            "When a snapshot was verified for the last time and found to be whole, or 0 if none was",
            last,
        );
        registry.register("xopero_verify_errors", "Verified snapshots that were damaged", errors);
    }

    fn register_conditions(&self, applied: &Applied, registry: &mut Registry) {
        let conditions = gauges();
        for kind in ConditionKind::ALL {
            let count = holding(&self.conditions).filter(|(_, held, _)| *held == kind).count();
            conditions.get_or_create(&label("kind", kind.as_str())).set(signed(count as u64));
        }
        registry.register("xopero_conditions", "Lasting facts that somebody should know, by kind", conditions);
        let credentials = gauges();
        for (key, project) in &applied.declaration.projects {
            let additional = project.additional.keys().cloned().map(CredentialRole::Additional);
            for role in std::iter::once(CredentialRole::Main).chain(additional) {
                let Some(credential) = project.credential(&role) else { continue };
                let fitness = self.fitness(&Address::credential(key, &role));
                let labels =
                    [label("project", key), label("credential", &role), label("account", &credential.account)].concat();
                for state in Fitness::ALL {
                    let labels = [labels.clone(), label("state", state.as_str())].concat();
                    credentials.get_or_create(&labels).set(i64::from(state == fitness));
                }
            }
        }
        registry.register(
            "xopero_credential_state",
            "1 for the state that a credential is in, as far as it was seen",
            credentials,
        );
    }

    fn fitness(&self, credential: &Address) -> Fitness {
        let holds = |kind| holding(&self.conditions).any(|(address, held, _)| address == credential && held == kind);
        if holds(ConditionKind::CredentialRejected) || holds(ConditionKind::AccountMismatch) {
            Fitness::Rejected
        } else if holds(ConditionKind::CredentialExpiring) {
            Fitness::Expiring
        } else {
            Fitness::Usable
        }
    }
}

fn plans(applied: &Applied) -> impl Iterator<Item = (&PlanName, Uid)> {
    let names = applied.declaration.plans.keys();
    names.filter_map(|name| Some((name, *applied.uids.get(&Address::plan(name))?)))
}

fn last_success(newest: &[NewestRun], plan: Uid) -> Option<&NewestRun> {
    newest.iter().find(|run| run.plan == plan && run.state == DONE)
}

/// When an id was minted, of which these are the milliseconds.
fn minted(millis: u64) -> Option<Timestamp> {
    Timestamp::from_millisecond(i64::try_from(millis).ok()?).ok()
}

fn gauges() -> Family<Labels, Gauge> {
    Family::default()
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::super::text::Form;
    use super::*;
    use crate::change::sample;
    use crate::model::condition::settle;
    use crate::model::{Seen, Sighting};

    #[test]
    fn the_text_tells_what_the_state_says() {
        let mut applied = sample::applied(sample::declaration());
        let plan = applied.declaration.plans.keys().next().unwrap().clone();
        let (uid, other) = (Uid::from_parts(1, 1), Uid::from_parts(1, 2));
        applied.uids.insert(Address::plan(&plan), uid);
        let (key, project) = applied.declaration.projects.iter().next().unwrap();
        let account = project.credential(&CredentialRole::Main).unwrap().account.clone();
        let sighting = Sighting {
            address: Address::credential(key, &CredentialRole::Main),
            kind: ConditionKind::CredentialRejected,
            seen: Seen::Holds { reason: "WrongSecret", message: "no".into() },
        };
        let (conditions, _) = settle(&Conditions::new(), &[sighting], None, Timestamp::UNIX_EPOCH);
        let (key, at) = (key.clone(), |second| Timestamp::from_second(second).unwrap());
        let newest = |plan, state: &str, second| NewestRun { plan, state: state.into(), started: at(second) };
        let count = |plan, state: &str, runs| RunCount { plan, state: state.into(), runs };
        let figures = Figures {
            runs: vec![count(uid, "done", 7), count(uid, "running", 1), count(other, "done", 99)],
            newest: vec![newest(uid, "running", 30), newest(uid, "partial", 20), newest(uid, "done", 10)],
            repositories: [((uid, "unchanged".into()), 40), ((other, "new".into()), 1)].into(),
            queue: [("queued".into(), 3)].into(),
            destinations: [(DestinationId::from_parts(1, 1), "nas".parse().unwrap())].into(),
            applied: Some(applied),
            conditions,
            behind: [(uid, 4)].into(),
            waits: Duration::from_secs(90),
            verified: [(
                (uid, DestinationId::from_parts(1, 1)),
                Verified { whole: 2, damaged: 1, last_whole: Some(at(25)) },
            )]
            .into(),
        };
        let catalogue = [((uid, DestinationId::from_parts(1, 1)), 12), ((uid, DestinationId::from_parts(1, 9)), 5)];
        let mut registry = Registry::default();
        figures.register(&catalogue.into(), &mut registry);
        let text = Form::Plain.text(&registry);
        for line in [
            format!("xopero_backup_last_success_timestamp_seconds{{plan=\"{plan}\"}} 10"),
            format!("xopero_backup_last_attempt_status{{plan=\"{plan}\"}} 0"),
            format!("xopero_backup_runs_total{{plan=\"{plan}\",result=\"done\"}} 7"),
            format!("xopero_repos{{plan=\"{plan}\",state=\"unchanged\"}} 40"),
            format!("xopero_snapshots{{plan=\"{plan}\",destination=\"nas\"}} 12"),
            "xopero_queue_jobs{state=\"queued\"} 3".into(),
            "xopero_queue_oldest_age_seconds 90".into(),
            format!("xopero_repos_overdue{{plan=\"{plan}\"}} 4"),
            format!("xopero_verify_errors_total{{plan=\"{plan}\",destination=\"nas\"}} 1"),
            format!("xopero_verify_last_full_timestamp_seconds{{plan=\"{plan}\",destination=\"nas\"}} 25"),
            "xopero_conditions{kind=\"CredentialRejected\"} 1".into(),
            "xopero_conditions{kind=\"RepoGone\"} 0".into(),
            format!(
                "xopero_credential_state{{project=\"{key}\",credential=\"main\",account=\"{account}\",\
                 state=\"rejected\"}} 1"
            ),
            format!(
                "xopero_credential_state{{project=\"{key}\",credential=\"main\",account=\"{account}\",\
                 state=\"usable\"}} 0"
            ),
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
        assert!(!text.contains(" 99\n") && !text.contains("running") && !text.contains(" 5\n"), "{text}");
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let name = line.split(['{', ' ']).next().unwrap();
            for word in ["HELP", "TYPE"] {
                assert!(text.contains(&format!("# {word} {name} ")), "{word} of {name}");
            }
        }
    }

    #[test]
    fn without_anything_in_force_there_is_nothing_to_tell() {
        let mut registry = Registry::default();
        Figures::default().register(&Catalogue::new(), &mut registry);
        assert_eq!(Form::Plain.text(&registry), "");
    }
}
