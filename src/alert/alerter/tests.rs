//! From the state to receivers, over kills and restarts.

use std::sync::atomic::Ordering;

use serde_json::json;

use super::super::courier::tests::{Receiver, courier};
use super::super::decide::tests::alerts;
use super::*;
use crate::change::sample;
use crate::clock::ManualClock;
use crate::model::{AlertAddress, AlertUrl, Generation, RunId, Uid, Webhook};
use crate::state::{RunStart, StateLocation};

struct Scene {
    home: tempfile::TempDir,
    _identity: tempfile::TempDir,
    clock: Arc<ManualClock>,
    courier: Courier,
    receiver: Receiver,
    runs: u64,
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

impl Scene {
    /// A state with one plan, and alerts that tell a receiver.
    async fn new() -> Self {
        let (identity, courier, _key) = courier();
        let (home, receiver) = (tempfile::tempdir().unwrap(), Receiver::start().await);
        let clock = Arc::new(ManualClock::at(at("2026-11-22T00:00:00Z")));
        let scene = Self { home, _identity: identity, clock, courier, receiver, runs: 0 };
        let url =
            |path: &str| AlertAddress::Clear(AlertUrl::new(&format!("{}{path}", scene.receiver.address)).unwrap());
        let mut declaration = sample::declaration();
        let told = Alerts {
            webhook: Some(Webhook { address: url("/hook"), signing_key: None }),
            healthchecks: Some(url("/ping")),
            ..alerts()
        };
        declaration.alerts.insert("ops".parse().unwrap(), told);
        let state = scene.state().await;
        let mut applied = sample::applied(declaration);
        (applied.lineage, applied.generation) = (state.lineage(), Generation(1));
        applied.applied_at = at("2026-11-21T00:00:00Z");
        applied.uids.insert(Address::parse("plan/nightly").unwrap(), uid());
        state.record_applied(&applied, None).await.unwrap();
        state.close().await;
        scene
    }

    async fn state(&self) -> StateStore {
        StateStore::open(&StateLocation::beside(self.home.path()), &*self.clock).await.unwrap()
    }

    /// Another process with the same state.
    async fn alerter(&self) -> Alerter {
        Alerter {
            state: Arc::new(self.state().await),
            courier: self.courier.clone(),
            who: "ada@vault".into(),
            clock: Arc::clone(&self.clock) as Arc<dyn Clock>,
            heard: Arc::default(),
            options: String::new(),
        }
    }

    /// Puts something else in force.
    async fn change(&self, change: impl FnOnce(&mut crate::model::Declaration)) {
        let state = self.state().await;
        let mut applied = state.applied().await.unwrap().unwrap();
        let before = applied.generation;
        applied.generation = Generation::after(Some(before));
        change(&mut applied.declaration);
        state.record_applied(&applied, Some(before)).await.unwrap();
        state.close().await;
    }

    fn is(&self, time: &str) {
        self.until(at(time));
    }

    fn until(&self, time: Timestamp) {
        self.clock.advance(Duration::try_from(time.duration_since(self.clock.now())).unwrap());
    }

    /// A run of the plan that ends so, or goes on.
    async fn run(&mut self, alerter: &Alerter, state: &str) {
        self.runs += 1;
        let id = RunId::from_parts(self.runs, 0);
        let name = "nightly".parse().unwrap();
        let now = self.clock.now();
        let generation = Generation(1);
        let start = RunStart {
            id,
            plan: uid(),
            plan_name: &name,
            generation,
            only: None,
            resumes: None,
            scheduled: None,
            at: now,
        };
        alerter.state.start_run(start, &[]).await.unwrap();
        if state != "running" {
            let summary = json!({"only": null, "totals": {"failed": 1}});
            alerter.state.finish_run(id, state, now, &summary, &[]).await.unwrap();
        }
    }

    /// The requests since the last look: the path, and of alerts the phases.
    fn came(&self, from: usize) -> Vec<String> {
        let told = |(head, body): &(String, String)| {
            let path = head.split([' ', '?']).nth(1).unwrap().to_owned();
            let document: serde_json::Value = serde_json::from_str(body).unwrap_or_default();
            let phases = document["events"].as_array().into_iter().flatten();
            let phases: Vec<&str> = phases.filter_map(|event| event["phase"].as_str()).collect();
            if phases.is_empty() { path } else { format!("{path} {}", phases.join(" ")) }
        };
        let mut came: Vec<String> = self.receiver.seen()[from..].iter().map(told).collect();
        came.sort();
        came
    }
}

fn uid() -> Uid {
    // It is there since the beginning of the day.
    Uid::from_parts(at("2026-11-22T00:00:00Z").as_millisecond().unsigned_abs(), 1)
}

#[tokio::test]
async fn a_failure_is_told_once_and_so_is_its_end() {
    let mut scene = Scene::new().await;
    let alerter = scene.alerter().await;
    for (time, state, expected) in [
        ("2026-11-22T01:30:00Z", "partial", vec!["/hook begins", "/ping/fail"]),
        ("2026-11-22T02:30:00Z", "partial", vec!["/ping/fail"]),
        ("2026-11-22T03:30:00Z", "done", vec!["/hook over", "/ping"]),
        ("2026-11-22T04:30:00Z", "done", vec!["/ping"]),
    ] {
        scene.is(time);
        scene.run(&alerter, state).await;
        let before = scene.receiver.seen().len();
        alerter.round().await;
        assert_eq!(scene.came(before), expected, "{time}");
        alerter.round().await;
        assert_eq!(scene.came(before), expected, "{time}, again");
    }
}

#[tokio::test]
async fn whoever_is_killed_between_deciding_and_sending_tells_after_all() {
    let mut scene = Scene::new().await;
    scene.is("2026-11-22T01:30:00Z");
    let killed = scene.alerter().await;
    scene.run(&killed, "failed").await;
    assert_eq!(killed.look().await.unwrap(), 2);
    drop(killed);
    assert_eq!(scene.receiver.seen(), []);
    // Killed while it was sending: it has the message, and nobody knows how far it came.
    let sending = scene.alerter().await;
    for message in sending.state.oldest_messages().await.unwrap() {
        let now = scene.clock.now();
        assert!(sending.state.take_message(&message.id, now, now + TAKEN_FOR).await.unwrap());
    }
    drop(sending);
    let next = scene.alerter().await;
    next.round().await;
    assert_eq!(scene.receiver.seen(), [], "somebody may be sending it");
    scene.is("2026-11-22T01:33:00Z");
    next.round().await;
    assert_eq!(scene.came(0), ["/hook begins", "/ping/fail"]);
    scene.alerter().await.round().await;
    assert_eq!(scene.came(0).len(), 2);
}

#[tokio::test]
async fn a_receiver_that_is_down_is_tried_again_and_given_up_aloud() {
    let mut scene = Scene::new().await;
    let alerter = scene.alerter().await;
    scene.is("2026-11-22T01:30:00Z");
    scene.receiver.status.store(500, Ordering::SeqCst);
    scene.run(&alerter, "failed").await;
    alerter.round().await;
    alerter.round().await;
    assert_eq!(scene.came(0).len(), 2, "the next attempt is not due");
    let next = alerter.deliver().await.unwrap().unwrap();
    assert_eq!(next, at("2026-11-22T01:30:30Z"));
    scene.until(next);
    alerter.round().await;
    assert_eq!(scene.came(0).len(), 4);
    let channels = alerter.state.channels().await.unwrap();
    let webhook = channels.iter().find(|row| row.channel == Channel::Webhook).unwrap();
    assert_eq!((webhook.waiting, webhook.attempts), (1, 2));
    assert!(webhook.last_error.as_ref().unwrap().ends_with("/hook: status 500"), "{webhook:?}");
    // It is back: what waited goes first, and nothing is lost.
    scene.receiver.status.store(204, Ordering::SeqCst);
    scene.is("2026-11-22T01:40:00Z");
    scene.run(&alerter, "done").await;
    let before = scene.receiver.seen().len();
    alerter.round().await;
    assert_eq!(scene.came(before), ["/hook begins", "/hook over", "/ping"], "the failed sign of life is superseded");
    // Another one that nobody takes for three days.
    scene.is("2026-11-22T05:00:00Z");
    scene.receiver.status.store(500, Ordering::SeqCst);
    scene.run(&alerter, "failed").await;
    alerter.round().await;
    scene.is("2026-11-25T05:00:00Z");
    alerter.round().await;
    let channels = alerter.state.channels().await.unwrap();
    assert!(channels.iter().all(|row| row.given_up == 1 && row.last_error.is_some()), "{channels:?}");
}

#[tokio::test]
async fn a_run_is_told_while_it_goes_on_and_when_it_ends() {
    let mut scene = Scene::new().await;
    scene.is("2026-11-22T01:30:00Z");
    let alerter = scene.alerter().await;
    // The lock is what tells that a run is alive.
    let body = crate::state::LockBody {
        id: "1".into(),
        who: "ada@vault".into(),
        pid: std::process::id(),
        operation: "run".into(),
        since: scene.clock.now(),
    };
    let location = alerter.state.location();
    let _lock = crate::state::StateLock::acquire(location, crate::state::Exclusive::Runs, &body).await.unwrap();
    scene.run(&alerter, "running").await;
    alerter.round().await;
    assert_eq!(scene.came(0), ["/ping/start"]);
    let done = alerter.during(async {
        let id = RunId::from_parts(scene.runs, 0);
        let now = scene.clock.now();
        alerter.state.finish_run(id, "done", now, &json!({"only": null}), &[]).await.unwrap();
        7
    });
    assert_eq!(done.await, 7);
    assert_eq!(scene.came(1), ["/ping"]);
}

#[tokio::test]
async fn of_alerts_that_have_left_nothing_is_remembered() {
    let mut scene = Scene::new().await;
    let alerter = scene.alerter().await;
    scene.is("2026-11-22T01:30:00Z");
    scene.receiver.status.store(500, Ordering::SeqCst);
    scene.run(&alerter, "failed").await;
    alerter.round().await;
    let mut left = None;
    scene.change(|declaration| left = declaration.alerts.remove(&"ops".parse().unwrap())).await;
    alerter.round().await;
    assert_eq!(alerter.state.channels().await.unwrap(), []);
    scene.receiver.status.store(200, Ordering::SeqCst);
    scene.is("2026-11-22T03:00:00Z");
    let before = scene.receiver.seen().len();
    alerter.round().await;
    assert_eq!(scene.came(before), [""; 0], "nobody is to be told");
    // Whoever comes anew is told what is so, and of runs from then on.
    scene.change(|declaration| drop(declaration.alerts.insert("ops".parse().unwrap(), left.unwrap()))).await;
    alerter.round().await;
    assert!(scene.came(before).contains(&"/hook begins".to_owned()), "{:?}", scene.came(before));
    // One way leaves: the others stay.
    scene.receiver.status.store(500, Ordering::SeqCst);
    scene.is("2026-11-22T04:00:00Z");
    scene.run(&alerter, "done").await;
    alerter.round().await;
    let ways = |rows: Vec<crate::state::ChannelRow>| rows.into_iter().map(|row| row.channel).collect::<Vec<_>>();
    let both = [Channel::Healthchecks, Channel::Webhook];
    assert_eq!(ways(alerter.state.channels().await.unwrap()), both);
    scene.change(|declaration| declaration.alerts.values_mut().for_each(|alerts| alerts.healthchecks = None)).await;
    alerter.round().await;
    assert_eq!(ways(alerter.state.channels().await.unwrap()), [Channel::Webhook]);
}

#[tokio::test]
async fn a_program_that_may_not_be_called_is_a_condition_and_waits_for_whoever_may() {
    let mut scene = Scene::new().await;
    let alerter = scene.alerter().await;
    scene
        .change(|declaration| declaration.alerts.values_mut().for_each(|alerts| alerts.exec = Some("/bin/cat".into())))
        .await;
    let held = async || {
        let conditions = alerter.state.conditions().await.unwrap();
        let held = holding(&conditions)
            .map(|(address, kind, found)| format!("{} {address} {}", kind.as_str(), found.generation.unwrap()));
        held.collect::<Vec<_>>()
    };
    scene.is("2026-11-22T01:30:00Z");
    scene.run(&alerter, "failed").await;
    for minute in 30..40 {
        scene.is(&format!("2026-11-22T01:{minute}:01Z"));
        alerter.round().await;
        assert_eq!(held().await, ["ExecNotAllowed alerts/ops 2"], "before the first failure, and once");
    }
    let exec = async || {
        let ways = alerter.state.channels().await.unwrap();
        ways.into_iter().find(|way| way.channel == Channel::Exec).unwrap()
    };
    assert_eq!((exec().await.waiting, exec().await.attempts), (1, 0), "it was not tried");
    let mut trusting = scene.alerter().await;
    trusting.courier.allow_exec = AllowExec::Yes;
    trusting.round().await;
    assert_eq!((exec().await.waiting, exec().await.last_sent), (0, Some(at("2026-11-22T01:39:01Z"))));
    assert_eq!(held().await, [""; 0]);
    alerter.round().await;
    assert_eq!(held().await, [""; 0], "somebody calls it");
    // Nobody came for three days.
    scene.is("2026-11-22T05:00:00Z");
    scene.run(&alerter, "done").await;
    alerter.round().await;
    assert_eq!(held().await, [""; 0]);
    scene.is("2026-11-22T05:16:00Z");
    alerter.round().await;
    assert_eq!(held().await, ["ExecNotAllowed alerts/ops 2"], "whoever called it is gone");
    scene.is("2026-11-25T05:00:00Z");
    alerter.round().await;
    assert_eq!(exec().await.given_up, 1);
}

#[test]
fn waits_double_up_to_an_hour() {
    let waits: Vec<u64> = [0, 1, 2, 7, 60].into_iter().map(|attempts| backoff(attempts).as_secs()).collect();
    assert_eq!(waits, [30, 60, 120, 3600, 3600]);
}
