//! What somebody should know, as it is now.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;

use crate::model::condition::holding;
use crate::model::{
    Address, ConditionKind, Conditions, CredentialRole, Declaration, FilePlace, Occasion, PlanName, ProjectSelector,
    RunId, Waiting, command_with, shell_word,
};
use crate::reconcile::status::{overdue_words, shortfall};
use crate::run::Outcome;
use crate::schedule::{Overdue, overdue};
use crate::state::{ABANDONED, DONE, RUNNING, RunRow};

/// Waiting for budget is usual, and news only after this.
const THROTTLED_FOR: Duration = Duration::from_mins(30);

/// What is wrong with the file is news after this.
const SETTLES_AFTER: Duration = Duration::from_mins(1);

/// What is known of one plan in force.
#[derive(Debug, Clone, Default)]
pub struct PlanFacts {
    /// When it was applied for the first time.
    pub known_since: Option<Timestamp>,
    /// Its newest runs over all of its repositories, newest first.
    pub runs: Vec<RunRow>,
    /// What waits for budget in the run under way.
    pub waiting: Option<Waiting>,
}

impl PlanFacts {
    /// The run under way.
    pub fn running(&self) -> Option<&RunRow> {
        self.runs.iter().find(|run| run.state == RUNNING)
    }

    /// The newest run that ended by itself or was killed. One that a person stopped says nothing.
    fn last(&self) -> Option<&RunRow> {
        self.runs.iter().find(|run| run.state != RUNNING && run.state != Outcome::Interrupted.as_str())
    }

    fn last_success(&self) -> Option<Timestamp> {
        self.runs.iter().find(|run| run.state == DONE).map(|run| run.started)
    }
}

/// What is known at one time.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// What is in force.
    pub declaration: Declaration,
    /// The plans in force.
    pub plans: BTreeMap<PlanName, PlanFacts>,
    /// What was observed, and lasts.
    pub conditions: Conditions,
    /// What only the process knows that follows the file and begins runs, by key. A key without a trouble is known to be
    /// in order; what has no key is not known.
    pub heard: BTreeMap<String, Option<Trouble>>,
    /// The options of commands that are told, to be about the same file and state.
    pub options: String,
}

/// Something that somebody should know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// Of which kind.
    pub occasion: Occasion,
    /// What it is about: `plan/nightly`, or `the declaration`.
    pub about: String,
    /// The plans that it concerns; all of them if there is none.
    pub plans: BTreeSet<PlanName>,
    /// Where in the files, if it is about a place there.
    pub place: Option<FilePlace>,
    /// Since when.
    pub since: Timestamp,
    /// Why, as one word: another one is news.
    pub reason: String,
    /// What is wrong, as a sentence without its full stop.
    pub what: String,
    /// What to do next.
    pub next: String,
}

impl Facts {
    /// The key of a trouble with a plan.
    pub fn key(occasion: Occasion, address: &Address) -> String {
        format!("{occasion} {address}")
    }

    /// A command to type next.
    pub(super) fn command(&self, command: &str) -> String {
        command_with(command, &self.options)
    }

    /// Whether what has this key would be known if it were there.
    pub fn is_known(&self, key: &str) -> bool {
        if key.starts_with(HEARD) {
            // A trouble that is too young to be told is no news, and what was told before is not over by it: a process
            // that begins hears of an old trouble anew.
            return matches!(self.heard.get(key), Some(None));
        }
        // What is under way will tell.
        let of_plan = key.strip_prefix("failed plan/").and_then(|name| PlanName::new(name).ok());
        of_plan.and_then(|name| self.plans.get(&name)).is_none_or(|plan| plan.running().is_none())
    }
}

/// How the keys begin of what only a process knows.
pub(super) const HEARD: &str = "heard ";

/// Everything that somebody should know at `now`, by a key that stays as long as it lasts.
pub fn troubles(facts: &Facts, now: Timestamp) -> BTreeMap<String, Trouble> {
    let mut all = BTreeMap::new();
    for (name, plan) in &facts.plans {
        let Some(declared) = facts.declaration.plans.get(name) else { continue };
        let address = Address::plan(name);
        let of_plan = |occasion, since, reason: &str, what: String, next: String| Trouble {
            occasion,
            about: address.to_string(),
            plans: BTreeSet::from([name.clone()]),
            place: None,
            since,
            reason: reason.to_owned(),
            what,
            next,
        };
        if plan.running().is_none()
            && let Some(run) = plan.last().filter(|run| run.state != DONE)
        {
            let what = shortfall(run).unwrap_or_default();
            let trouble = of_plan(Occasion::Failed, run.started, &run.state, what, after_run(facts, name, run));
            all.insert(Facts::key(Occasion::Failed, &address), trouble);
        }
        if let Some(waiting) = plan.waiting.filter(|waiting| has_lasted(waiting.since, now, THROTTLED_FOR)) {
            let noun = if waiting.tasks == 1 { "repository waits" } else { "repositories wait" };
            let what =
                format!("{} {noun} for the server's limit, until {} at least", waiting.tasks, minute(waiting.until));
            let next = format!("nothing is lost: the run goes on by itself; more accounts in {name} make it faster");
            let trouble = of_plan(Occasion::Throttled, waiting.since, "throttled", what, next);
            all.insert(Facts::key(Occasion::Throttled, &address), trouble);
        }
        let late = overdue(declared, plan.last_success(), plan.known_since, now);
        if let Some(late) = late.filter(|_| plan.running().is_none()) {
            let last = match plan.last_success() {
                Some(success) => format!("; the last success began {}", minute(success)),
                None => "; it never succeeded".to_owned(),
            };
            let what = format!("it {}{last}", overdue_words(&late));
            let next = next_of_overdue(facts, name, &late, plan.runs.first().map(|run| run.id));
            let trouble = of_plan(Occasion::Overdue, late.due, "overdue", what, next);
            all.insert(Facts::key(Occasion::Overdue, &address), trouble);
        }
    }
    for (address, kind, condition) in holding(&facts.conditions) {
        let Some(occasion) = occasion(kind) else { continue };
        let trouble = Trouble {
            occasion,
            about: address.to_string(),
            plans: concerned(&facts.declaration, address),
            place: None,
            since: condition.since,
            reason: condition.reason.clone(),
            what: condition.message.clone(),
            next: next_of(facts, kind, address),
        };
        // What nothing in force uses any more troubles nobody.
        if !trouble.plans.is_empty() {
            all.insert(format!("{} {address}", kind.as_str()), trouble);
        }
    }
    // A file that is being edited is broken for moments.
    let settled = |trouble: &Trouble| match trouble.occasion {
        Occasion::Source | Occasion::Approval => has_lasted(trouble.since, now, SETTLES_AFTER),
        Occasion::Failed
        | Occasion::Recovered
        | Occasion::Throttled
        | Occasion::Overdue
        | Occasion::Suspect
        | Occasion::Credential
        | Occasion::Server
        | Occasion::Destination => true,
    };
    let heard = facts.heard.iter().filter_map(|(key, trouble)| Some((key.clone(), trouble.clone()?)));
    let heard = heard.filter(|(_, trouble)| settled(trouble));
    all.extend(heard);
    all
}

fn has_lasted(since: Timestamp, now: Timestamp, span: Duration) -> bool {
    Duration::try_from(now.duration_since(since)).is_ok_and(|lasted| lasted >= span)
}

fn after_run(facts: &Facts, name: &PlanName, run: &RunRow) -> String {
    let resume = facts.command(&format!("run {name} --resume"));
    if run.state == ABANDONED {
        return format!("its process was killed; go on with it: {resume}");
    }
    format!("see why: {}; go on with the rest: {resume}", facts.command(&format!("runs show {}", run.id)))
}

fn next_of_overdue(facts: &Facts, name: &PlanName, late: &Overdue, last: Option<RunId>) -> String {
    let look = last.map(|run| format!(", then {}", facts.command(&format!("runs show {run}")))).unwrap_or_default();
    let status = facts.command("status");
    match late.within {
        None => {
            let run = facts.command(&format!("run {name}"));
            format!("check that `xopero watch` is running: {status}{look}; begin one by hand: {run}")
        }
        Some(_) => format!("check that whatever runs {name} is running: {status}{look}"),
    }
}

/// What a condition is told as, if it is.
const fn occasion(kind: ConditionKind) -> Option<Occasion> {
    match kind {
        ConditionKind::CredentialExpiring
        | ConditionKind::CredentialRejected
        | ConditionKind::AccountMismatch
        | ConditionKind::PermissionLost => Some(Occasion::Credential),
        ConditionKind::ListingSuspect => Some(Occasion::Suspect),
        ConditionKind::ServerUnreachable => Some(Occasion::Server),
        ConditionKind::DestinationForeign => Some(Occasion::Destination),
        // A look says that an account is limited at that moment; runs that wait for long are told by themselves. What
        // was renamed, moved or deleted on purpose keeps its backups. What is wrong with a branch is heard from whoever
        // follows it. Who may not call a program says so in its log.
        ConditionKind::Throttled
        | ConditionKind::RepoRenamed
        | ConditionKind::RepoMoved
        | ConditionKind::RepoGone
        | ConditionKind::ProjectRenamed
        | ConditionKind::SourceStale
        | ConditionKind::SourceRewound
        | ConditionKind::SourceUnsigned
        | ConditionKind::ExecNotAllowed => None,
    }
}

fn next_of(facts: &Facts, kind: ConditionKind, address: &Address) -> String {
    let credential = shell_word(address.as_str().strip_prefix("credential/").unwrap_or(address.as_str()));
    let command = |command: &str| facts.command(command);
    let reseal = command(&format!("secrets set {credential}"));
    match kind {
        ConditionKind::CredentialExpiring => format!("make and seal a new one: {reseal}"),
        ConditionKind::CredentialRejected | ConditionKind::AccountMismatch => {
            format!("look: {}; seal a new one: {reseal}", command("credential check"))
        }
        ConditionKind::PermissionLost => "give its account read permission on the project again".to_owned(),
        ConditionKind::ListingSuspect => format!(
            "check the permissions of its accounts; if the rest was removed on purpose: {}",
            command("run PLAN --accept-listing PROJECT")
        ),
        ConditionKind::ServerUnreachable => format!("check the server and the way to it, then: {}", command("plan")),
        ConditionKind::DestinationForeign => format!(
            "check where the destination leads (a mount, a bucket); nothing is written there: {}",
            command("status")
        ),
        ConditionKind::Throttled
        | ConditionKind::RepoRenamed
        | ConditionKind::RepoMoved
        | ConditionKind::RepoGone
        | ConditionKind::ProjectRenamed
        | ConditionKind::SourceStale
        | ConditionKind::SourceRewound
        | ConditionKind::SourceUnsigned
        | ConditionKind::ExecNotAllowed => format!("look: {}", command("status")),
    }
}

/// The plans that use what is at an address.
fn concerned(declaration: &Declaration, address: &Address) -> BTreeSet<PlanName> {
    // What a pattern takes in is told by its own key.
    let key_of_project = address.as_str().strip_prefix("project/");
    let takes_in = |selector: &ProjectSelector| {
        selector.pattern().zip(key_of_project).is_some_and(|(pattern, key)| pattern.matches(key))
    };
    let uses = |name: &PlanName| {
        let plan = &declaration.plans[name];
        let destination = plan.destinations.iter().any(|name| Address::destination(name) == *address);
        destination
            || plan.projects.iter().any(|(key, planned)| {
                let server = declaration.projects.get(key).map(|project| Address::server(&project.server));
                let enabled = planned.enabled_credentials.iter().cloned().map(CredentialRole::Additional);
                let mut roles = [CredentialRole::Main].into_iter().chain(enabled);
                Address::project(key) == *address
                    || takes_in(key)
                    || server.as_ref() == Some(address)
                    || roles.any(|role| Address::credential(key, &role) == *address)
            })
    };
    declaration.plans.keys().filter(|name| uses(name)).cloned().collect()
}

/// A time for people, to the minute.
pub(super) fn minute(at: Timestamp) -> String {
    format!("{} UTC", at.strftime("%Y-%m-%d %H:%M"))
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::json;

    use super::*;
    use crate::change::sample;
    use crate::model::condition::settle;
    use crate::model::{Generation, Seen, Sighting, Uid};

    pub(in crate::alert) fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    pub(in crate::alert) fn nightly() -> PlanName {
        "nightly".parse().unwrap()
    }

    /// A run that began and ended in this state; its number orders it.
    pub(in crate::alert) fn run(number: u64, state: &str, started: &str) -> RunRow {
        let started = at(started);
        let ended = state != RUNNING;
        RunRow {
            id: RunId::from_parts(number, 0),
            plan: Uid::from_parts(1, 1),
            plan_name: nightly(),
            generation: Generation(41),
            only: None,
            resumes: None,
            state: state.into(),
            started,
            finished: ended.then_some(started),
            summary: ended.then(|| json!({"only": null, "totals": {"failed": 3}})),
        }
    }

    pub(in crate::alert) fn facts(runs: Vec<RunRow>) -> Facts {
        let plan = PlanFacts { runs, ..PlanFacts::default() };
        Facts { declaration: sample::declaration(), plans: BTreeMap::from([(nightly(), plan)]), ..Facts::default() }
    }

    fn keys(facts: &Facts, now: &str) -> Vec<String> {
        troubles(facts, at(now)).into_keys().collect()
    }

    #[test]
    fn the_last_run_that_ended_by_itself_counts() {
        let morning = "2026-11-22T06:00:00Z";
        let (good, bad) = (run(1, DONE, "2026-11-21T01:30:00Z"), run(2, "partial", "2026-11-22T01:30:00Z"));
        let all = troubles(&facts(vec![bad.clone(), good.clone()]), at(morning));
        let failed = &all["failed plan/nightly"];
        assert_eq!(failed.reason, "partial");
        assert_eq!(failed.what, "run of 2026-11-22 01:30 UTC: partial, 3 repositories not backed up");
        assert!(failed.next.contains("xopero runs show 00000000020000000000000000"), "{}", failed.next);
        let stopped = run(3, "interrupted", "2026-11-22T02:30:00Z");
        assert_eq!(keys(&facts(vec![stopped, bad.clone(), good.clone()]), morning), ["failed plan/nightly"]);
        let again = run(4, DONE, "2026-11-22T03:30:00Z");
        assert_eq!(keys(&facts(vec![again, bad.clone(), good.clone()]), morning), [""; 0]);
        let running = facts(vec![run(5, RUNNING, "2026-11-22T05:30:00Z"), bad, good]);
        assert_eq!(keys(&running, morning), [""; 0]);
        assert!(!running.is_known("failed plan/nightly"), "what is under way will tell");
    }

    #[test]
    fn a_plan_is_overdue_although_nothing_ran() {
        let mut facts = facts(Vec::new());
        assert_eq!(keys(&facts, "2026-11-30T00:00:00Z"), [""; 0], "nobody knows since when it is there");
        facts.plans.get_mut(&nightly()).unwrap().known_since = Some(at("2026-11-20T00:00:00Z"));
        assert_eq!(keys(&facts, "2026-11-20T12:00:00Z"), [""; 0]);
        let all = troubles(&facts, at("2026-11-21T06:00:00Z"));
        let overdue = &all["overdue plan/nightly"];
        assert!(overdue.what.ends_with("and has not succeeded since; it never succeeded"), "{}", overdue.what);
        assert!(overdue.next.contains("xopero watch"), "{}", overdue.next);
        let elsewhere = Facts { options: "-f b.kdl".to_owned(), ..facts.clone() };
        let next = &troubles(&elsewhere, at("2026-11-21T06:00:00Z"))["overdue plan/nightly"].next;
        assert!(next.contains("xopero status -f b.kdl"), "{next}");
    }

    #[test]
    fn waiting_for_budget_is_news_when_it_lasts() {
        let mut facts = facts(vec![run(1, RUNNING, "2026-11-22T01:30:00Z")]);
        let (since, until) = (at("2026-11-22T02:00:00Z"), at("2026-11-22T02:40:00Z"));
        facts.plans.get_mut(&nightly()).unwrap().waiting = Some(Waiting { tasks: 2, since, until });
        assert_eq!(keys(&facts, "2026-11-22T02:29:59Z"), [""; 0]);
        assert_eq!(keys(&facts, "2026-11-22T02:30:00Z"), ["throttled plan/nightly"]);
    }

    #[test]
    fn conditions_concern_the_plans_that_use_what_they_are_about() {
        let sighting = |address: &str, kind| Sighting {
            address: Address::parse(address).unwrap(),
            kind,
            seen: Seen::Holds { reason: "WrongSecret", message: "the server does not accept it".into() },
        };
        let mut facts = facts(Vec::new());
        let seen = [
            sighting("credential/PAY/main", ConditionKind::CredentialRejected),
            sighting("credential/PAY/extra-2", ConditionKind::CredentialRejected),
            sighting("server/bb", ConditionKind::Throttled),
            sighting("project/TEAM-7", ConditionKind::ListingSuspect),
        ];
        facts.conditions = settle(&Conditions::new(), &seen, None, at("2026-11-22T01:00:00Z")).0;
        let all = troubles(&facts, at("2026-11-22T06:00:00Z"));
        assert_eq!(
            all.keys().collect::<Vec<_>>(),
            ["CredentialRejected credential/PAY/main"],
            "no plan enables extra-2"
        );
        let plan = facts.declaration.plans.get_mut(&nightly()).unwrap();
        let planned = plan.projects.values().next().unwrap().clone();
        plan.projects.insert("TEAM-*".parse().unwrap(), planned);
        let keys = keys(&facts, "2026-11-22T06:00:00Z");
        assert_eq!(keys.last().unwrap(), "ListingSuspect project/TEAM-7", "{keys:?}");
        let trouble = all.values().next().unwrap();
        assert_eq!((trouble.occasion, &trouble.plans), (Occasion::Credential, &BTreeSet::from([nightly()])));
        assert!(trouble.next.ends_with("xopero secrets set PAY/main"), "{}", trouble.next);
    }
}
