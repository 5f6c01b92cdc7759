//! Run after run: what changed is fetched, what did not costs one request, and every old snapshot stays what it was.

use fake_bitbucket::{Kind, Repository, World};

use crate::proof::{Moment, name_of, usual};
use crate::support::Home;

/// A history of one repository, with a snapshot after every step.
struct History {
    home: Home,
    repository: Repository,
    moments: Vec<Moment>,
}

impl History {
    fn begin(world: World, repository: Repository) -> Self {
        let home = usual(world);
        let mut history = Self { home, repository, moments: Vec::new() };
        history.step("new", 3, |_| ());
        history
    }

    /// Changes the source, runs, and demands the result and the number of git requests.
    fn step(&mut self, result: &str, requests: usize, change: impl FnOnce(&Repository)) {
        change(&self.repository);
        self.home.server.log().clear();
        let number = self.moments.len() + 1;
        let reports = self.home.reports("nightly");
        let report = &reports[&name_of(&self.repository)];
        assert_eq!(report["result"], result, "run {number}: {report}");
        assert_eq!(self.home.git_requests(&self.repository), requests, "run {number}: {report}");
        self.home.prove(&self.repository);
        let moment = self.home.moment(&self.repository);
        let is_new = self.moments.last().is_none_or(|last| last.snapshot != moment.snapshot);
        assert_eq!(is_new, result != "unchanged", "run {number}");
        self.moments.push(moment);
    }

    /// Demands that every snapshot restores to what the source was at its time.
    fn end(self) {
        for moment in &self.moments {
            self.home.prove_moment(moment);
        }
    }
}

#[test]
fn a_long_history_can_be_restored_to_every_moment() {
    let world = World::new();
    let ledger = world.project("PAY").repository("ledger", |recipe| recipe.everything());
    let mut history = History::begin(world, ledger);
    history.step("changed", 2, |ledger| {
        ledger.commit("main");
        ledger.tag("v2", "refs/heads/main");
    });
    history.step("unchanged", 1, |_| ());
    // Rewritten, and the old objects are gone from the server.
    history.step("changed", 2, |ledger| {
        ledger.force_push("main", 3);
        ledger.gc();
    });
    history.step("changed", 1, |ledger| {
        ledger.delete_ref("refs/heads/topic/1");
        ledger.delete_ref("refs/tags/v1.0");
        ledger.gc();
    });
    history.step("unchanged", 1, |_| ());
    // New names for old objects.
    history.step("changed", 1, |ledger| {
        ledger.set_ref("refs/heads/same", "refs/heads/main");
        ledger.set_ref("refs/tags/pinned", "refs/heads/topic/2");
    });
    // Only HEAD.
    history.step("changed", 1, |ledger| ledger.set_head("topic/2"));
    history.step("changed", 1, |ledger| ledger.set_head("not-yet"));
    history.step("changed", 2, |ledger| {
        ledger.set_head("main");
        ledger.commit_large("large", 300_000);
    });
    history.end();
}

#[test]
fn a_branch_that_goes_back_and_forth_is_followed() {
    let world = World::new();
    let ledger = world.project("PAY").repository("ledger", |recipe| recipe.commits(6));
    let mut history = History::begin(world, ledger);
    let tip = history.repository.oid("refs/heads/main");
    // The older commit was never a tip: the server is asked, and has nothing to send.
    history.step("changed", 2, |ledger| ledger.set_ref("refs/heads/main", "refs/heads/main~2"));
    let packs = history.home.stored_packs("nas");
    assert_eq!(packs, 1, "an empty pack is not stored");
    history.step("changed", 2, |ledger| ledger.set_ref("refs/heads/main", &tip));
    history.step("changed", 2, |ledger| {
        ledger.set_ref("refs/heads/main", "refs/heads/main~4");
        ledger.gc();
    });
    history.step("changed", 2, |ledger| {
        ledger.commit("main");
    });
    history.end();
}

#[test]
fn a_reference_that_was_deleted_and_comes_back_is_restored() {
    let world = World::new();
    let ledger = world.project("PAY").repository("ledger", |recipe| recipe.branches(2).tag("v1"));
    let mut history = History::begin(world, ledger);
    let (topic, tag) = (history.repository.oid("refs/heads/topic/1"), history.repository.oid("refs/tags/v1"));
    history.step("changed", 1, |ledger| {
        ledger.delete_ref("refs/heads/topic/1");
        ledger.delete_ref("refs/tags/v1");
    });
    history.step("changed", 2, |ledger| {
        ledger.set_ref("refs/heads/topic/1", &topic);
        ledger.set_ref("refs/tags/v1", &tag);
    });
    history.step("changed", 1, |ledger| {
        ledger.delete_ref("refs/heads/topic/1");
        ledger.delete_ref("refs/tags/v1");
    });
    // A directory where there was a file.
    history.step("changed", 2, |ledger| {
        ledger.delete_ref("refs/heads/topic/2");
        ledger.commit("topic/2/deeper");
    });
    history.end();
}

#[test]
fn an_empty_repository_fills_up_in_any_hash() {
    for sha256 in [false, true] {
        let world = World::new();
        let ledger = world.project("PAY").repository("ledger", |recipe| {
            let recipe = recipe.empty();
            if sha256 { recipe.sha256() } else { recipe }
        });
        let home = usual(world);
        assert_eq!(home.reports("nightly")["PAY/ledger"]["result"], "new");
        home.prove(&ledger);
        let empty = home.moment(&ledger);
        for _ in 0..2 {
            ledger.commit("main");
            assert_eq!(home.reports("nightly")["PAY/ledger"]["result"], "changed");
            home.prove(&ledger);
        }
        home.prove_moment(&empty);
    }
}

#[test]
fn a_repository_that_was_made_anew_in_another_hash_begins_anew() {
    let world = World::new();
    let project = world.project("PAY");
    let ledger = project.repository("ledger", |recipe| recipe.commits(3));
    let other = world.project("ELSE").repository("ledger", |recipe| recipe.commits(3).sha256());
    let home = usual(world);
    home.run("nightly");
    let before = home.moment(&ledger);
    std::fs::remove_dir_all(ledger.path()).unwrap();
    std::fs::rename(other.path(), ledger.path()).unwrap();
    let reports = home.reports("nightly");
    assert_eq!(reports["PAY/ledger"]["result"], "changed", "{reports:?}");
    home.prove(&ledger);
    home.prove_moment(&before);
}

#[test]
fn a_server_is_asked_for_its_protocol_once_and_an_unchanged_repository_costs_one_request() {
    let world = World::new();
    let made = world.project("PAY").many("repo", 6);
    let home = usual(world);
    home.run("nightly");
    let log = home.server.log();
    let kinds = || (log.count_kind(Kind::GitInfoRefs), log.count_kind(Kind::LS_REFS), log.count_kind(Kind::FETCH));
    assert_eq!(kinds(), (1, 6, 6));
    for changed in [0, 2] {
        for repository in &made[..changed] {
            repository.commit("main");
        }
        log.clear();
        let summary = home.run("nightly");
        assert_eq!(summary["totals"]["unchanged"], 6 - changed, "{summary}");
        assert_eq!(kinds(), (0, 6, changed));
        // Who am I, and one page of the listing: what an account may ask for is remembered.
        assert_eq!(log.count_kind(Kind::Rest), 2);
        assert_eq!(summary["ledger"]["requests"]["main"], 8 + changed, "{summary}");
    }
}
