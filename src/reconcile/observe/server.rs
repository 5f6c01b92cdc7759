//! Asking one server: who each credential is, and what the server allows.

use std::collections::{BTreeMap, VecDeque};

use futures_util::StreamExt;
use futures_util::stream;

use super::asking::{Asked, client};
use super::candidates::Candidate;
use super::deadline::{Budget, Deadline, Spent};
use super::powers::Power;
use super::secrets::{Secret, secrets};
use super::verdict::{Verdict, busy, verdict};
use super::view::View;
use super::{Look, Part};
use crate::bitbucket::{Client, User};
use crate::change::{Glimpse, Note, NoteKind};
use crate::http::Authorization;
use crate::model::{
    AccountName, Address, CredentialSeen, Login, Observations, PasswordMark, ProjectKey, ProjectSeen, RateLimit, Reach,
    RefusedLogin, ServerName, ServerSeen, Sight,
};
use crate::secret::Identities;

/// What one server told.
#[derive(Default)]
pub(super) struct Answers {
    pub(super) server: Option<(ServerName, ServerSeen)>,
    pub(super) credentials: BTreeMap<Address, CredentialSeen>,
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
/// Asks a server about credentials.
pub(super) async fn ask(
    look: &Look<'_>,
    name: &ServerName,
    candidates: Vec<Candidate<'_>>,
    (known, refused): (&Observations, &BTreeMap<PasswordMark, RefusedLogin>),
    deadline: &Deadline<'_>,
) -> Answers {
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
            answers.server = Some((name.clone(), seen(look, reach, known.servers.get(name))));
            return answers;
        }
    };
    let (budget, sparing) = match look.part {
        Part::InUse => (Budget::sparing(), true),
        Part::Credentials(_) => (Budget::generous(), false),
    };
    let asked = Asked { look, name, declared, client: Client::new(http), deadline, budget: &budget };
    let mut queue = VecDeque::new();
    for secret in secrets(&candidates) {
        let mark = PasswordMark::of(&declared.url, secret.credential);
        let before = mark.and_then(|mark| refused.get(&mark)).filter(|login| sparing && login.rests(look.clock.now()));
        match before {
            Some(login) => {
                let address = candidates[secret.users[0]].address();
                let message = format!("was not looked at: {}", login.consequence(&address));
                answers.skipped.push(skipped(address, message));
            }
            None => queue.push_back(secret),
        }
    }
    asked.logins(identities, &candidates, (queue, known.servers.get(name)), &mut answers).await;
    answers.accounts = budget.spent();
    answers
}
impl Asked<'_> {
    /// Logs in with each secret, then looks with those that were accepted. The first secret tells whether the server
    /// can be asked at all: the others stay sealed until then.
    async fn logins(
        &self,
        identities: &Identities,
        candidates: &[Candidate<'_>],
        (mut queue, before): (VecDeque<Secret<'_>>, Option<&ServerSeen>),
        answers: &mut Answers,
    ) {
        let first = loop {
            let Some(secret) = queue.pop_front() else { return };
            match self.open(secret.credential, identities) {
                Ok(authorization) => break (secret, authorization),
                Err(why) => self.enter_login(&secret, candidates, &Login::Sealed { why }, answers),
            }
        };
        let (verdict, version) = self.login(&first.1).await;
        let mut server = seen(self.look, verdict.reach.clone(), before);
        server.version = version.or(server.version);
        if verdict.reach != Reach::Answered {
            server.reach = self.explain(verdict.reach).await;
            answers.server = Some((self.name.clone(), server));
            for secret in std::iter::once(first.0).chain(queue) {
                let login = Login::Unknown { why: "the server could not be asked".to_owned() };
                self.enter_login(&secret, candidates, &login, answers);
            }
            return;
        }
        let limit = usize::from(self.declared.concurrency.listing).max(1);
        let others = stream::iter(queue).map(|secret| async move {
            match self.open(secret.credential, identities) {
                Ok(authorization) => {
                    let (verdict, version) = self.login(&authorization).await;
                    (secret, Some(authorization), verdict.login, version)
                }
                Err(why) => (secret, None, Login::Sealed { why }, None),
            }
        });
        let others: Vec<_> = others.buffer_unordered(limit).collect().await;
        let first = (first.0, Some(first.1), verdict.login, None);
        let mut accepted = Vec::new();
        for (secret, authorization, login, version) in std::iter::once(first).chain(others) {
            self.enter_login(&secret, candidates, &login, answers);
            server.version = version.or(server.version);
            if let (Login::Confirmed, Some(authorization)) = (login, authorization) {
                accepted.push((secret, authorization));
            }
        }
        if matches!(self.look.part, Part::Credentials(_)) {
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

    /// Shows a secret to the server.
    async fn login(&self, authorization: &Authorization) -> (Verdict, Option<String>) {
        let asked = self.send_kept(authorization, self.client.application_properties(authorization));
        let Ok(said) = asked.await else {
            let why = "its account was asked often enough".to_owned();
            return (Verdict { login: Login::Unknown { why }, reach: Reach::Answered }, None);
        };
        let version = said.as_ref().and_then(|said| said.as_ref().ok()).map(|version| version.version.clone());
        (verdict(said.as_ref(), authorization.account()), version)
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
            if !self.budget.is_closed(authorization.account()) {
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
