//! From facts to letters to receivers, one after the other.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use jiff::Timestamp;
use serde_json::json;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::courier::{AllowExec, Courier};
use super::decide::{Decision, Told, decide};
use super::letter::{Letter, plain};
use super::ping::{Pinged, pings};
use super::trouble::{Facts, HEARD, PlanFacts, Trouble, troubles};
use crate::clock::Clock;
use crate::crash::{self, CrashPoint};
use crate::model::condition::holding;
use crate::model::{
    Address, Alerts, AlertsName, Applied, Channel, ConditionKind, ConditionStatus, Conditions, Occasion, PlanName,
    Seen, Sighting,
};
use crate::reconcile::status::{minted, newest_runs, waiting};
use crate::state::{Before, ChannelRow, Message, NewMessage, StateError, StateStore, Telling, ToldRow};

/// The longest sleep: what happens without waking anybody is seen after it.
const LONGEST_SLEEP: Duration = Duration::from_secs(30);

/// How soon after the beginning of something it is looked at.
const SOON: Duration = Duration::from_millis(500);

/// How long the end of the process is put off for messages; those that are left wait in the outbox.
const LAST_WORDS: Duration = Duration::from_secs(20);

/// The same for a process that was sending when its work was done.
const LAST_ROUNDS: Duration = Duration::from_secs(80);

/// How long one process has a message before another may take it: longer than an attempt takes.
const TAKEN_FOR: Duration = Duration::from_mins(3);

/// The first and the longest wait after a failed attempt.
const BACKOFF: (Duration, Duration) = (Duration::from_secs(30), Duration::from_hours(1));

/// Nobody needs to be woken by what is older.
const GIVES_UP_AFTER: Duration = Duration::from_hours(72);

/// Within this time a process that may call programs has tried to.
const CALLED_WITHIN: Duration = Duration::from_mins(15);

/// How long it is remembered what was sent and what was given up.
const REMEMBERED: Duration = Duration::from_hours(7 * 24);

/// The last hour is what decides how often somebody is told.
const HOUR: Duration = Duration::from_hours(1);

/// How the keys begin of what was told of runs.
const PING: &str = "ping ";

/// Why a program is not called, as a phrase that follows its path, with what to do about it.
const NOT_CALLED: &str = "is not called: this xopero was started without --allow-exec; add it to the command that runs \
                          here, for a file alone cannot make this machine call programs";

/// What only this process knows, and that something happened.
#[derive(Debug, Default)]
pub struct Heard {
    known: Mutex<BTreeMap<String, Option<Trouble>>>,
    wake: Notify,
}

impl Heard {
    /// Remembers what is so of one matter: a trouble, or none. A trouble that lasts keeps the time at which it began.
    pub fn know(&self, matter: &str, trouble: Option<Trouble>) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let key = format!("{HEARD}{matter}");
        let trouble = trouble.map(|trouble| match known.get(&key) {
            Some(Some(before)) => Trouble { since: before.since, ..trouble },
            Some(None) | None => trouble,
        });
        known.insert(key, trouble);
        drop(known);
        self.wake();
    }

    /// Asks for a look.
    pub fn wake(&self) {
        self.wake.notify_one();
    }

    /// What is known, by matter: a trouble, or that it is in order.
    pub fn known(&self) -> BTreeMap<String, Option<Trouble>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Tells whoever is to be told.
pub struct Alerter {
    /// The state.
    pub state: Arc<StateStore>,
    /// Who sends.
    pub courier: Courier,
    /// `user@host`.
    pub who: String,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// What this process knows.
    pub heard: Arc<Heard>,
    /// The options of commands that are told, to be about the same file and state.
    pub options: String,
}

impl Alerter {
    /// Looks and sends until it is stopped, and then once more, for a while.
    pub async fn run(&self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            let wait = self.round().await;
            tokio::select! {
                () = stop.cancelled() => break,
                () = self.heard.wake.notified() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
        self.last_words().await;
    }

    /// Looks and sends while something is done, and once more when it is.
    pub async fn during<T>(&self, work: impl Future<Output = T>) -> T {
        let stop = CancellationToken::new();
        let telling = async {
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(SOON) => {}
            }
            self.run(stop.clone()).await;
        };
        let (mut work, mut telling) = (pin!(work), pin!(telling));
        tokio::select! {
            done = &mut work => {
                stop.cancel();
                let _left_in_the_outbox = tokio::time::timeout(LAST_ROUNDS, telling).await;
                done
            }
            // It ends when it is stopped, and nobody does.
            () = &mut telling => work.await,
        }
    }

    /// Looks, and sends what can be sent soon.
    pub async fn last_words(&self) {
        let _left_in_the_outbox = tokio::time::timeout(LAST_WORDS, self.round()).await;
    }

    /// Looks and sends. Tells when to do it again.
    async fn round(&self) -> Duration {
        let ended = async {
            self.look().await?;
            self.deliver().await
        };
        match ended.await {
            Ok(next) => {
                let now = self.clock.now();
                let wait = next.and_then(|next| Duration::try_from(next.duration_since(now)).ok());
                wait.map_or(LONGEST_SLEEP, |wait| wait.clamp(Duration::from_secs(1), LONGEST_SLEEP))
            }
            Err(error) => {
                tracing::warn!("alerts: {}", crate::run::lines(&error).join(": "));
                LONGEST_SLEEP
            }
        }
    }

    /// Decides what is news, and puts it into the outbox. Gives the number of messages.
    pub async fn look(&self) -> Result<usize, StateError> {
        let Some(applied) = self.state.applied().await? else { return Ok(0) };
        let declared = &applied.declaration.alerts;
        let of = |(name, alerts): (&AlertsName, &Alerts)| {
            alerts.channels().into_iter().map(|channel| (name.clone(), channel)).collect::<Vec<_>>()
        };
        self.state.keep_ways(&declared.iter().flat_map(of).collect()).await?;
        if declared.is_empty() {
            return Ok(0);
        }
        let facts = self.facts(&applied).await?;
        let now = self.clock.now();
        self.say_who_is_not_called(&applied, &facts.conditions, now).await?;
        let since = now.saturating_sub(HOUR).unwrap_or(Timestamp::MIN);
        let host = self.who.clone();
        self.state.tell(since, now, |before| telling(&applied, &facts, before, &host, now)).await
    }

    /// Programs that this process may not call are a condition, told once: nobody else may be there to call them.
    async fn say_who_is_not_called(
        &self,
        applied: &Applied,
        known: &Conditions,
        now: Timestamp,
    ) -> Result<(), StateError> {
        let alerts = &applied.declaration.alerts;
        let mut sightings = calls(alerts, known, self.courier.allow_exec);
        if sightings.iter().any(|sighting| sighting.seen != Seen::Not) {
            // Another process may call them, and does.
            let ways = self.state.channels().await?;
            let begun = now.saturating_sub(CALLED_WITHIN).unwrap_or(Timestamp::MIN);
            let is_called = |row: &&ChannelRow| {
                row.last_sent.is_some() && (row.attempts > 0 || row.waiting_since.is_none_or(|since| since > begun))
            };
            let called = ways.iter().filter(|row| row.channel == Channel::Exec).filter(is_called);
            let called: BTreeSet<Address> = called.map(|row| Address::alerts(&row.alerts)).collect();
            sightings.retain(|sighting| !called.contains(&sighting.address));
        }
        for transition in self.state.settle_conditions(&sightings, Some(applied.generation), now).await? {
            if transition.condition.status == ConditionStatus::True {
                tracing::warn!("{}: {}", transition.address, transition.condition.message);
            }
        }
        Ok(())
    }

    async fn facts(&self, applied: &Applied) -> Result<Facts, StateError> {
        let runs = newest_runs(&self.state).await?;
        let waits = waiting(&self.state, &runs).await?;
        let mut plans = BTreeMap::new();
        for name in applied.declaration.plans.keys() {
            let Some(uid) = applied.uids.get(&Address::plan(name)) else { continue };
            let whole = |summary: &serde_json::Value| summary["only"].is_null();
            let of_plan = runs.iter().filter(|run| run.plan == *uid && run.only.is_none());
            let mut of_plan: Vec<_> = of_plan.filter(|run| run.summary.as_ref().is_none_or(whole)).cloned().collect();
            of_plan.sort_by_key(|run| std::cmp::Reverse(run.id));
            let running = of_plan.iter().find(|run| run.finished.is_none());
            let waiting = running.and_then(|run| waits.get(&run.id).copied());
            plans.insert(name.clone(), PlanFacts { known_since: minted(*uid), runs: of_plan, waiting });
        }
        let conditions = self.state.conditions().await?;
        let (declaration, heard) = (applied.declaration.clone(), self.heard.known());
        Ok(Facts { declaration, plans, conditions, heard, options: self.options.clone() })
    }

    /// Sends what is due. Tells when something is due again.
    pub async fn deliver(&self) -> Result<Option<Timestamp>, StateError> {
        let mut later: Option<Timestamp> = None;
        loop {
            let waiting = self.state.oldest_messages().await?;
            if waiting.is_empty() {
                return Ok(later);
            }
            let applied = self.state.applied().await?;
            let now = self.clock.now();
            let (due, not_yet): (Vec<_>, Vec<_>) = waiting.into_iter().partition(|message| message.next_at <= now);
            let declared = applied.as_ref().map(|applied| &applied.declaration.alerts);
            let attempts = due.iter().map(|message| {
                let alerts = declared.and_then(|declared| declared.get(&message.alerts));
                self.attempt(message, alerts)
            });
            let mut moved = false;
            for ended in join_all(attempts).await {
                moved |= ended?;
            }
            later = not_yet.iter().map(|message| message.next_at).min();
            if !moved {
                return Ok(later);
            }
            self.state.forget_messages(now.saturating_sub(REMEMBERED).unwrap_or(Timestamp::MIN)).await?;
        }
    }

    /// Tries to send a message. Tells whether something changed by it.
    async fn attempt(&self, message: &Message, alerts: Option<&Alerts>) -> Result<bool, StateError> {
        let Message { id, alerts: name, channel, created, attempts, .. } = message;
        let alerts = alerts.filter(|alerts| alerts.channels().contains(channel));
        let letter = serde_json::from_value::<Letter>(message.body.clone()).ok();
        let (Some(alerts), Some(letter)) = (alerts, letter) else {
            // Nobody is to be told any more, or another version wrote what this one cannot read.
            self.state.drop_message(id).await?;
            return Ok(true);
        };
        let now = self.clock.now();
        let waited = Duration::try_from(now.duration_since(*created)).unwrap_or_default();
        if *channel == Channel::Exec && self.courier.allow_exec == AllowExec::No {
            // It waits for a process that may call the program, and is no attempt.
            let given_up = waited >= GIVES_UP_AFTER;
            if given_up {
                self.state.message_given_up(id, now, &format!("the program {NOT_CALLED}")).await?;
            }
            return Ok(given_up);
        }
        let until = now.saturating_add(TAKEN_FOR).unwrap_or(Timestamp::MAX);
        if !self.state.take_message(id, now, until).await? {
            return Ok(false);
        }
        let sent = self.courier.send(name, alerts, *channel, &letter, id).await;
        let now = self.clock.now();
        match sent {
            Ok(receipt) => {
                if let Some(left_out) = receipt.left_out {
                    tracing::warn!("alerts/{name} {channel}: not for {left_out}");
                }
                crash::point(CrashPoint::AlertSent);
                self.state.message_sent(id, now).await?;
            }
            Err(error) => {
                let line = plain(&error.line());
                tracing::warn!("alerts/{name} {channel}: {line}");
                if waited >= GIVES_UP_AFTER {
                    self.state.message_given_up(id, now, &line).await?;
                } else {
                    let wait = backoff(*attempts).max(error.retry_after().unwrap_or_default());
                    let next = now.saturating_add(wait).unwrap_or(Timestamp::MAX);
                    self.state.message_failed(id, next, &line).await?;
                }
            }
        }
        Ok(true)
    }
}

/// The wait after so many failed attempts before this one.
fn backoff(attempts: u64) -> Duration {
    let (first, longest) = BACKOFF;
    let doubled = u32::try_from(attempts.min(16)).map_or(1, |attempts| 1_u32 << attempts);
    first.saturating_mul(doubled).min(longest)
}

/// What is told by all alerts in force.
fn telling(applied: &Applied, facts: &Facts, before: &Before, host: &str, now: Timestamp) -> Telling {
    let mut telling = Telling::default();
    let now_so = troubles(facts, now);
    for (name, alerts) in &applied.declaration.alerts {
        let rows = || before.told.iter().filter(|row| row.alerts == *name);
        let told: BTreeMap<String, Told> = rows()
            .filter(|row| !row.key.starts_with(PING))
            .filter_map(|row| Some((row.key.clone(), serde_json::from_value(row.body.clone()).ok()?)))
            .collect();
        let queued = before.queued.get(name).map(Vec::as_slice).unwrap_or_default();
        let Decision { events, told: after, forgotten, id } = decide(alerts, facts, &now_so, &told, queued, now);
        telling.told.extend(after.into_iter().map(|(key, told)| row(name, key, &told)));
        telling.forgotten.extend(forgotten.into_iter().map(|key| (name.clone(), key)));
        if !events.is_empty() {
            let letter = Letter::Alert { events, host: host.to_owned(), at: now };
            let channels = alerts.channels().into_iter().filter(|channel| letter.goes_by(*channel));
            telling.messages.extend(channels.map(|channel| message(name, channel, &id, "", &letter)));
        }
        if alerts.healthchecks.is_none() {
            // Whoever comes to listen anew begins anew.
            let pings = rows().filter(|row| row.key.starts_with(PING));
            telling.forgotten.extend(pings.map(|row| (name.clone(), row.key.clone())));
        } else {
            signs_of_life(name, alerts, applied, facts, before, host, now, &mut telling);
        }
    }
    telling
}

/// What is news of programs that may not be called, or may be.
fn calls(alerts: &BTreeMap<AlertsName, Alerts>, known: &Conditions, allow: AllowExec) -> Vec<Sighting> {
    let kind = ConditionKind::ExecNotAllowed;
    let of = |(name, alerts): (&AlertsName, &Alerts)| {
        let address = Address::alerts(name);
        let holds = holding(known).any(|(about, found, _)| *about == address && found == kind);
        let seen = match (&alerts.exec, allow) {
            (Some(program), AllowExec::No) if !holds => {
                Seen::Holds { reason: "NotAllowed", message: format!("{program} {NOT_CALLED}") }
            }
            (None, _) | (Some(_), AllowExec::Yes) if holds => Seen::Not,
            (None | Some(_), AllowExec::No | AllowExec::Yes) => return None,
        };
        Some(Sighting { address, kind, seen })
    };
    alerts.iter().filter_map(of).collect()
}

#[expect(clippy::too_many_arguments, reason = "it is a part of one function that is told apart")]
fn signs_of_life(
    name: &AlertsName,
    alerts: &Alerts,
    applied: &Applied,
    facts: &Facts,
    before: &Before,
    host: &str,
    now: Timestamp,
    telling: &mut Telling,
) {
    let rows = before.told.iter().filter(|row| row.alerts == *name);
    let told: BTreeMap<PlanName, Pinged> = rows
        .filter_map(|row| {
            let plan = row.key.strip_prefix(PING)?.parse().ok()?;
            Some((plan, serde_json::from_value(row.body.clone()).ok()?))
        })
        .collect();
    let (due, after) = pings(alerts, facts, &told, applied.applied_at);
    telling.told.extend(after.into_iter().map(|(plan, pinged)| row(name, format!("{PING}{plan}"), &pinged)));
    for ping in due {
        let (kind, about) = (ping.kind.segments().join(""), format!("{PING}{}", ping.plan));
        let id = format!("{}-{}", ping.run, if kind.is_empty() { "success" } else { &kind });
        let letter = Letter::Ping { ping, host: host.to_owned(), at: now };
        telling.messages.push(message(name, Channel::Healthchecks, &id, &about, &letter));
    }
}

fn row(name: &AlertsName, key: String, body: &impl serde::Serialize) -> ToldRow {
    ToldRow { alerts: name.clone(), key, body: json!(body) }
}

fn message(name: &AlertsName, channel: Channel, id: &str, about: &str, letter: &Letter) -> NewMessage {
    NewMessage {
        id: format!("{id}-{name}-{channel}"),
        alerts: name.clone(),
        channel,
        about: about.to_owned(),
        body: json!(letter),
    }
}

impl Trouble {
    /// A trouble with the declaration itself, or with whatever no plan is to blame for.
    pub fn of_declaration(occasion: Occasion, since: Timestamp, reason: &str, what: String, next: String) -> Self {
        Self {
            occasion,
            about: "the declaration".to_owned(),
            plans: BTreeSet::new(),
            place: None,
            since,
            reason: reason.to_owned(),
            what,
            next,
        }
    }
}

#[cfg(test)]
mod tests;
