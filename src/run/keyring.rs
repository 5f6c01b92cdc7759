//! Which credentials send the same secret: those of several projects, and of several runs of this process.
//!
//! A server that refuses a secret refuses it to all of them. Whoever hears of it first takes it out of all their pools:
//! if each project had to find out by itself, a few of them would be enough to lock an account by a wrong password.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};

use super::turnstile::Turnstile;
use super::{Event, EventSink, Refused, TaskError, lines};
use crate::http::{Authorization, HttpError};
use crate::model::{AccountName, CredentialRole, PasswordMark, ProjectSelector, Sighting};
use crate::throttle::{Holder, Party, RotationId};

/// A credential of a run.
pub(super) type CredentialKey = (ProjectSelector, CredentialRole);

/// What one credential sends, and as whom.
pub(super) struct Key {
    /// The rotation that it is a member of.
    pub(super) rotation: RotationId,
    /// Its account.
    pub(super) holder: Holder,
    /// What it sends.
    pub(super) authorization: Authorization,
    /// What tells its password from others, if it is one.
    pub(super) mark: Option<PasswordMark>,
}

impl Key {
    /// The account as it is declared.
    pub(super) fn account(&self) -> &AccountName {
        self.authorization.account()
    }

    /// Whether a server that refuses one refuses the other.
    fn is_same_secret(&self, other: &Self) -> bool {
        let same_mark = self.mark.is_some() && self.mark == other.mark;
        self.holder == other.holder && (same_mark || self.authorization.is_same_secret(&other.authorization))
    }
}

/// How tasks fared with a credential.
#[derive(Default)]
struct Answers {
    accepted: u64,
    refused: u64,
    /// What the last refusal said.
    why: String,
}

/// The credentials of one run, and what became of them.
pub(super) struct Keys {
    all: BTreeMap<CredentialKey, Key>,
    /// Those that left the pool, and why.
    rejected: Mutex<BTreeMap<CredentialKey, Refused>>,
    /// Those of which the summary tells what became of them.
    told: Mutex<BTreeSet<CredentialKey>>,
    /// How tasks fared with them.
    answers: Mutex<BTreeMap<CredentialKey, Answers>>,
    /// What was learnt on the way, for the memory.
    sightings: Mutex<Vec<Sighting>>,
    events: Arc<dyn EventSink>,
}

impl Keys {
    /// None has left the pool yet.
    pub(super) fn new(all: BTreeMap<CredentialKey, Key>, events: Arc<dyn EventSink>) -> Self {
        Self {
            all,
            rejected: Mutex::default(),
            told: Mutex::default(),
            answers: Mutex::default(),
            sightings: Mutex::default(),
            events,
        }
    }

    /// One of them.
    pub(super) fn get(&self, of: &CredentialKey) -> &Key {
        &self.all[of]
    }

    /// Takes a credential out of the pool for good.
    pub(super) fn reject(&self, turnstile: &Turnstile, project: &ProjectSelector, refused: Refused) {
        let of = (project.clone(), refused.credential.clone());
        turnstile.reject(self.all[&of].rotation, &of.1);
        let (account, why) = (refused.account.clone(), refused.why.clone());
        let known = self.rejected().insert(of.clone(), refused);
        // Requests under way with the same secret come back refused as well: that is no news.
        if known.is_none() {
            let (project, credential) = of;
            self.events.emit(&Event::CredentialRejected { project, credential, account, why });
        }
    }

    /// Those that left the pool, and why.
    pub(super) fn rejected(&self) -> MutexGuard<'_, BTreeMap<CredentialKey, Refused>> {
        self.rejected.lock().expect("no holder panics")
    }

    /// Those that left the pool since this was asked for last.
    pub(super) fn untold(&self) -> Vec<(CredentialKey, Refused)> {
        let rejected = self.rejected();
        let mut told = self.told.lock().expect("no holder panics");
        let news = rejected.iter().filter(|(of, _)| told.insert((*of).clone()));
        news.map(|(of, refused)| (of.clone(), refused.clone())).collect()
    }

    /// The summary says what became of a credential.
    pub(super) fn tell(&self, of: &CredentialKey) {
        self.told.lock().expect("no holder panics").insert(of.clone());
    }

    /// A request of a task was answered, with this failure if it is one. What says nothing about the credential does not
    /// count.
    pub(super) fn answered(&self, of: &CredentialKey, failed: Option<&TaskError>) {
        let is_refusal = |error: &&TaskError| matches!(error.http(), Some(HttpError::Unauthorized { .. }));
        let refusal = failed.filter(is_refusal);
        if failed.is_some() && refusal.is_none() {
            return;
        }
        let mut answers = self.answers.lock().expect("no holder panics");
        let answers = answers.entry(of.clone()).or_default();
        match refusal {
            None => answers.accepted += 1,
            Some(error) => {
                answers.refused += 1;
                answers.why = lines(error).join(": ");
            }
        }
    }

    /// Those with which every request of tasks was refused, how often, and why; as far as that is not told by other words.
    pub(super) fn useless(&self) -> Vec<(CredentialKey, u64, String)> {
        let answers = self.answers.lock().expect("no holder panics");
        let told = self.told.lock().expect("no holder panics");
        let useless = |(of, answers): &(&CredentialKey, &Answers)| {
            answers.accepted == 0 && answers.refused > 0 && !told.contains(*of)
        };
        let found = answers.iter().filter(useless);
        found.map(|(of, answers)| (of.clone(), answers.refused, answers.why.clone())).collect()
    }

    /// Remembers what was seen, until the run ends.
    pub(super) fn witness(&self, sighting: Sighting) {
        self.sightings.lock().expect("no holder panics").push(sighting);
    }

    /// What was seen on the way, in order.
    pub(super) fn sightings(&self) -> Vec<Sighting> {
        std::mem::take(&mut *self.sightings.lock().expect("no holder panics"))
    }
}

/// The credentials of all runs of this process.
#[derive(Default)]
pub(super) struct Keyring(Mutex<BTreeMap<Party, Arc<Keys>>>);

impl Keyring {
    /// A run begins.
    pub(super) fn add(&self, party: Party, keys: Arc<Keys>) {
        self.lock().insert(party, keys);
    }

    /// A run has ended.
    pub(super) fn remove(&self, party: Party) {
        self.lock().remove(&party);
    }

    /// Every credential that sends the same secret to the same server, this one included.
    pub(super) fn sharing(&self, key: &Key) -> Vec<(Arc<Keys>, CredentialKey)> {
        let runs = self.lock();
        let all = runs.values().flat_map(|keys| keys.all.iter().map(move |(of, found)| (keys, of, found)));
        let same = all.filter(|(_, _, found)| found.is_same_secret(key));
        same.map(|(keys, of, _)| (Arc::clone(keys), of.clone())).collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Party, Arc<Keys>>> {
        self.0.lock().expect("no holder panics")
    }
}
