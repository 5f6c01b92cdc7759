//! Asking one server: who each credential is, and what the server allows.

use std::collections::{BTreeMap, VecDeque};

use futures_util::StreamExt;
use futures_util::stream;
use jiff::Timestamp;

use super::Look;
use super::asking::{Asked, client};
use super::candidates::Candidate;
use super::deadline::{Budget, Deadline, Spared, Spent};
use super::powers::Power;
use super::secrets::{Secret, lanes, secrets};
use super::verdict::{Verdict, busy, verdict};
use super::view::View;
use crate::bitbucket::{Client, User};
use crate::change::{Glimpse, Note, NoteKind};
use crate::http::Authorization;
use crate::model::{
    AccountName, Address, CredentialKind, CredentialSeen, Login, Observations, PasswordMark, ProjectKey, ProjectSeen,
    RateLimit, Reach, RefusedLogin, ServerName, ServerSeen, Sight, check_command,
};
use crate::secret::Identities;

/// What is known before a look.
pub(super) struct Before {
    pub(super) known: Observations,
    /// The passwords that were refused.
    pub(super) refused: BTreeMap<PasswordMark, RefusedLogin>,
    /// The accounts that rest after a refusal, and until when.
    pub(super) rests: BTreeMap<(ServerName, AccountName), Timestamp>,
}

/// What one server told.
#[derive(Default)]
pub(super) struct Answers {
    pub(super) server: Option<(ServerName, ServerSeen)>,
    pub(super) credentials: BTreeMap<Address, CredentialSeen>,
    /// The credentials that were not shown to it, with what is known of them.
    pub(super) left_alone: BTreeMap<Address, CredentialSeen>,
    pub(super) projects: BTreeMap<ProjectKey, ProjectSeen>,
    /// What was seen of the projects that have a key of their own.
    pub(super) glimpses: BTreeMap<ProjectKey, Glimpse>,
    pub(super) powers: BTreeMap<Address, Power>,
    pub(super) users: BTreeMap<AccountName, User>,
    pub(super) skipped: Vec<Note>,
    /// What the server said to passwords, for the memory.
    pub(super) passwords: BTreeMap<PasswordMark, Login>,
    /// Requests that were sent, by account, and whether the account was rate-limited.
    pub(super) accounts: BTreeMap<AccountName, Spent>,
}

impl Answers {
    /// Enters what is known of the credentials behind a secret that is not shown to the server.
    fn leave_alone<'a>(
        &mut self,
        secret: &Secret<'a>,
        candidates: &[Candidate<'a>],
        known: impl Fn(&Candidate<'a>) -> CredentialSeen,
    ) {
        for candidate in secret.users.iter().map(|user| &candidates[*user]) {
            self.left_alone.insert(candidate.address(), known(candidate));
        }
    }
}

/// A secret that was shown to the server, or was to be.
struct Shown<'a> {
    secret: Secret<'a>,
    authorization: Option<Authorization>,
    login: Login,
    version: Option<String>,
}

/// Asks a server about credentials.
pub(super) async fn ask(
    look: &Look<'_>,
    name: &ServerName,
    candidates: Vec<Candidate<'_>>,
    before: &Before,
    deadline: &Deadline<'_>,
) -> Answers {
    let server_before = before.known.servers.get(name);
    let declared = &look.declaration.servers[name];
    let mut answers = Answers::default();
    let Ok(identities) = &look.identities else {
        let why = look.identities.as_ref().err().cloned().unwrap_or_default();
        let message = format!("not asked: no credential of it can be opened: {why}");
        answers.skipped.push(skipped(Address::server(name), message));
        return answers;
    };
    let http = match client(declared, look) {
        Ok(http) => http,
        Err(reach) => {
            answers.server = Some((name.clone(), seen(look, reach, server_before)));
            return answers;
        }
    };
    let budget = if look.part.is_thorough() { Budget::generous() } else { Budget::sparing() };
    let asked = Asked { look, name, declared, client: Client::new(http), deadline, budget: &budget };
    let queue = asked.worth_showing(&candidates, before, &mut answers);
    asked.logins(identities, &candidates, (queue, server_before), &mut answers).await;
    answers.accounts = budget.spent();
    answers
}

impl Asked<'_> {
    /// The secrets that are shown to the server: none of an account that rests, and no password that is set aside unless
    /// somebody named it.
    fn worth_showing<'a>(
        &self,
        candidates: &[Candidate<'a>],
        before: &Before,
        answers: &mut Answers,
    ) -> VecDeque<Secret<'a>> {
        let mut queue = VecDeque::new();
        let mut resting = BTreeMap::new();
        for secret in secrets(candidates) {
            let account = &secret.credential.account;
            if let Some(until) = before.rests.get(&(self.name.clone(), account.clone())) {
                let until = until.strftime("%Y-%m-%d %H:%M UTC");
                resting.insert(account, format!("it rests until {until}, because the server refused it more requests"));
                answers.leave_alone(&secret, candidates, |candidate| {
                    self.seen(candidate, Login::Unknown { why: format!("its account rests until {until}") })
                });
                continue;
            }
            let mark = PasswordMark::of(&self.declared.url, secret.credential);
            let known = mark.and_then(|mark| before.refused.get(&mark));
            let Some(login) = known.filter(|login| !self.look.part.is_named() && login.rests(self.look.clock.now()))
            else {
                queue.push_back(secret);
                continue;
            };
            answers.leave_alone(&secret, candidates, |candidate| {
                let refused = Login::Refused { reason: login.reason, why: login.why.clone() };
                CredentialSeen { observed_at: login.last, ..self.seen(candidate, refused) }
            });
            // The server counts it with the other passwords of the account.
            self.budget.refuse_password(account, login.reason);
            let address = candidates[secret.users[0]].address();
            let more = match secret.users.len() - 1 {
                0 => String::new(),
                more => format!(", nor {more} more with the same password"),
            };
            let message = format!("was not looked at{more}: {}", login.consequence(&address));
            answers.skipped.push(skipped(address, message));
        }
        let notes = resting
            .into_iter()
            .map(|(account, why)| skipped(Address::account(self.name, account), format!("was not asked: {why}")));
        answers.skipped.extend(notes);
        queue
    }

    /// Logs in with each secret, then looks with those that were accepted. The first secret tells whether the server
    /// can be asked at all: the others stay sealed until then.
    async fn logins(
        &self,
        identities: &Identities,
        candidates: &[Candidate<'_>],
        (mut queue, before): (VecDeque<Secret<'_>>, Option<&ServerSeen>),
        answers: &mut Answers,
    ) {
        let (secret, authorization) = loop {
            let Some(secret) = queue.pop_front() else { return };
            match self.open(secret.credential, identities) {
                Ok(authorization) => break (secret, authorization),
                Err(why) => self.enter_login(&secret, candidates, &Login::Sealed { why }, answers),
            }
        };
        let (Verdict { login, reach }, version) = self.login(&secret, &authorization).await;
        if reach != Reach::Answered {
            let server = seen(self.look, self.explain(reach).await, before);
            answers.server = Some((self.name.clone(), server));
            for secret in std::iter::once(secret).chain(queue) {
                let login = Login::Unknown { why: "the server could not be asked".to_owned() };
                self.enter_login(&secret, candidates, &login, answers);
            }
            return;
        }
        let limit = usize::from(self.declared.concurrency.listing).max(1);
        let lanes = stream::iter(lanes(queue)).map(|lane| async move {
            let mut shown = Vec::new();
            for secret in lane {
                shown.push(self.show(secret, candidates, identities).await);
            }
            shown
        });
        let others: Vec<Vec<Shown<'_>>> = lanes.buffer_unordered(limit).collect().await;
        let first = Shown { secret, authorization: Some(authorization), login, version };
        let mut server = seen(self.look, Reach::Answered, before);
        let mut accepted = Vec::new();
        for Shown { secret, authorization, login, version } in
            std::iter::once(first).chain(others.into_iter().flatten())
        {
            self.enter_login(&secret, candidates, &login, answers);
            server.version = version.or(server.version);
            if let (Login::Confirmed, Some(authorization)) = (login, authorization) {
                accepted.push((secret, authorization));
            }
        }
        if self.look.part.is_thorough() {
            answers.users = self.users(&accepted).await;
        }
        self.limits(&accepted, &answers.users, &mut server).await;
        answers.server = Some((self.name.clone(), server));
        let users = accepted.iter().flat_map(|(secret, authorization)| {
            secret.users.iter().map(move |user| (&candidates[*user], authorization))
        });
        let views = stream::iter(users).map(|(candidate, authorization)| self.view(candidate, authorization));
        let views: Vec<View> = views.buffered(limit).collect().await;
        self.enter(views, answers).await;
    }

    /// Opens a secret and shows it to the server, unless that might lock its account.
    async fn show<'a>(&self, secret: Secret<'a>, candidates: &[Candidate<'a>], identities: &Identities) -> Shown<'a> {
        let login = match self.may_lock(&secret) {
            Some(spared) => {
                let command = check_command(&candidates[secret.users[0]].address());
                Login::Unknown { why: format!("{}; `{command}` shows it to the server", spared.why()) }
            }
            None => match self.open(secret.credential, identities) {
                Ok(authorization) => {
                    let (Verdict { login, .. }, version) = self.login(&secret, &authorization).await;
                    return Shown { secret, authorization: Some(authorization), login, version };
                }
                Err(why) => Login::Sealed { why },
            },
        };
        Shown { secret, authorization: None, login, version: None }
    }

    /// Why one more password of its account is not shown, if it is one.
    fn may_lock(&self, secret: &Secret<'_>) -> Option<Spared> {
        match secret.credential.kind {
            CredentialKind::Password => self.budget.try_password(&secret.credential.account).err(),
            CredentialKind::Token => None,
        }
    }

    /// Shows a secret to the server.
    async fn login(&self, secret: &Secret<'_>, authorization: &Authorization) -> (Verdict, Option<String>) {
        let asked = self.send_kept(authorization, self.client.application_properties(authorization));
        let said = match asked.await {
            Ok(said) => said,
            Err(spared) => {
                let login = Login::Unknown { why: spared.why().to_owned() };
                return (Verdict { login, reach: Reach::Answered }, None);
            }
        };
        let verdict = verdict(said.as_ref(), authorization.account());
        if let (CredentialKind::Password, Login::Refused { reason, .. }) = (secret.credential.kind, &verdict.login) {
            self.budget.refuse_password(authorization.account(), *reason);
        }
        (verdict, said.and_then(Result::ok).map(|version| version.version))
    }

    /// What the server allows, as far as it answers: what it said before holds until it says something else.
    async fn limits(
        &self,
        accepted: &[(Secret<'_>, Authorization)],
        users: &BTreeMap<AccountName, User>,
        server: &mut ServerSeen,
    ) {
        for authorization in by_account(accepted).into_values() {
            if let Ok(Some(limit)) = self.send(authorization, self.client.rate_limit(authorization)).await {
                // Another credential may have been told.
                server.limit = limit.or(server.limit);
                server.limits_asked = Some(server.observed_at);
                break;
            }
            // One that has no budget left did not answer for the server.
            if !self.budget.is_limited(authorization.account()) {
                break;
            }
        }
        match server.limit {
            Some(RateLimit::Bucket { .. }) => {
                // What is known of accounts that were not looked at stays.
                for (account, own) in self.exceptions(accepted, users).await {
                    match own {
                        Some(limit) => server.exceptions.insert(account, limit),
                        None => server.exceptions.remove(&account),
                    };
                }
            }
            Some(RateLimit::Unlimited) => server.exceptions.clear(),
            None => {}
        }
    }

    /// Asks a busy server what it is busy with.
    async fn explain(&self, reach: Reach) -> Reach {
        match reach {
            Reach::Busy { why } => {
                let state = self.deadline.within(self.client.server_state()).await;
                busy(why, state.and_then(Result::ok))
            }
            Reach::Answered | Reach::Unreachable { .. } => reach,
        }
    }

    /// What the server says of the accounts.
    async fn users(&self, accepted: &[(Secret<'_>, Authorization)]) -> BTreeMap<AccountName, User> {
        let mut users = BTreeMap::new();
        for (account, authorization) in by_account(accepted) {
            let said = self.send(authorization, self.client.user_named(authorization, account)).await;
            if let Ok(Some(Some(user))) = said {
                users.insert(account.clone(), user);
            }
        }
        users
    }

    /// Whether the accounts have limits of their own, as far as the server answers.
    async fn exceptions(
        &self,
        accepted: &[(Secret<'_>, Authorization)],
        users: &BTreeMap<AccountName, User>,
    ) -> BTreeMap<AccountName, Option<RateLimit>> {
        let mut exceptions = BTreeMap::new();
        for (account, authorization) in by_account(accepted) {
            let slug = users.get(account).map(|user| &user.slug);
            let own = self.send(authorization, self.client.own_rate_limit(authorization, slug)).await;
            if let Ok(Some(own)) = own {
                exceptions.insert(account.clone(), own);
            }
        }
        exceptions
    }

    fn enter_login(&self, secret: &Secret<'_>, candidates: &[Candidate<'_>], login: &Login, answers: &mut Answers) {
        let mark = PasswordMark::of(&self.declared.url, secret.credential);
        answers.passwords.extend(mark.map(|mark| (mark, login.clone())));
        for candidate in secret.users.iter().map(|user| &candidates[*user]) {
            answers.credentials.insert(candidate.address(), self.seen(candidate, login.clone()));
        }
    }

    fn seen(&self, candidate: &Candidate<'_>, login: Login) -> CredentialSeen {
        CredentialSeen {
            observed_at: self.look.clock.now(),
            server: self.name.clone(),
            account: candidate.credential.account.clone(),
            sealed: candidate.credential.sealed.digest(),
            login,
            project: Sight::Unknown,
            repositories: Sight::Unknown,
        }
    }
}

/// One authorization for each account.
fn by_account<'a>(accepted: &'a [(Secret<'_>, Authorization)]) -> BTreeMap<&'a AccountName, &'a Authorization> {
    let mut accounts = BTreeMap::new();
    for (_, authorization) in accepted {
        accounts.entry(authorization.account()).or_insert(authorization);
    }
    accounts
}

/// What is said of a server that was just asked: what it did not say in this look is as it was.
fn seen(look: &Look<'_>, reach: Reach, before: Option<&ServerSeen>) -> ServerSeen {
    let observed_at = look.clock.now();
    match before {
        Some(before) => {
            let limits_asked = before.answered_about_limits();
            ServerSeen { observed_at, reach, limits_asked, ..before.clone() }
        }
        None => ServerSeen {
            observed_at,
            reach,
            version: None,
            limit: None,
            exceptions: BTreeMap::new(),
            limits_asked: None,
        },
    }
}

pub(super) fn skipped(address: Address, message: String) -> Note {
    Note { kind: NoteKind::NotObserved, address, message }
}
