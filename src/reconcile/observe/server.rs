//! Asking one server: who each credential is, what it sees, and what the server allows.

use std::collections::{BTreeMap, VecDeque};

use futures_util::StreamExt;
use futures_util::stream;

use super::candidates::Candidate;
use super::deadline::{Budget, Closed, Deadline, ONE, Spent};
use super::powers::{Power, power};
use super::verdict::{Verdict, busy, chain, git_sight, is_rate_limited, login_refusal, sight, verdict};
use super::{Look, Part};
use crate::bitbucket::{BitbucketError, Client, ListedProject, Repository};
use crate::change::{Glimpse, Note, NoteKind};
use crate::git::Remote;
use crate::http::{Authorization, HttpClient};
use crate::model::{
    AccountName, Address, Credential, CredentialKind, CredentialRole, CredentialSeen, Login, LoginRefusal,
    Observations, ProjectKey, ProjectSeen, ProjectSelector, RateLimit, Reach, Server, ServerName, ServerSeen, Sight,
};
use crate::secret::{Expected, Identities, open};

/// What one server told.
#[derive(Default)]
pub(super) struct Answers {
    pub(super) server: Option<(ServerName, ServerSeen)>,
    pub(super) credentials: BTreeMap<Address, CredentialSeen>,
    pub(super) projects: BTreeMap<ProjectKey, ProjectSeen>,
    /// What was seen of the projects that have a key of their own.
    pub(super) glimpses: BTreeMap<ProjectKey, Glimpse>,
    pub(super) powers: BTreeMap<Address, Power>,
    pub(super) skipped: Vec<Note>,
    /// Requests that were sent, by account, and whether the account was rate-limited.
    pub(super) accounts: BTreeMap<AccountName, Spent>,
}

/// A secret, and the credentials that share it.
struct Secret<'a> {
    credential: &'a Credential,
    users: Vec<usize>,
}

/// Asks a server about credentials.
pub(super) async fn ask(
    look: &Look<'_>,
    name: &ServerName,
    candidates: Vec<Candidate<'_>>,
    known: &Observations,
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
            answers.server = Some((name.clone(), seen(look, reach)));
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
        let before = || secret.users.iter().find_map(|user| refused_before(&candidates[*user], known));
        match before().filter(|_| sparing) {
            Some(message) => answers.skipped.push(skipped(candidates[secret.users[0]].address(), message)),
            None => queue.push_back(secret),
        }
    }
    asked.logins(identities, &candidates, queue, &mut answers).await;
    answers.accounts = budget.spent();
    answers
}

/// What all requests to a server share.
struct Asked<'a> {
    look: &'a Look<'a>,
    name: &'a ServerName,
    declared: &'a Server,
    client: Client,
    deadline: &'a Deadline<'a>,
    budget: &'a Budget,
}

impl Asked<'_> {
    /// Logs in with each secret, then looks with those that were accepted. The first secret tells whether the server
    /// can be asked at all: the others stay sealed until then.
    async fn logins(
        &self,
        identities: &Identities,
        candidates: &[Candidate<'_>],
        mut queue: VecDeque<Secret<'_>>,
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
        let mut server = ServerSeen { version, ..seen(self.look, verdict.reach.clone()) };
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
                    let login = self.login(&authorization).await.0.login;
                    (secret, Some(authorization), login)
                }
                Err(why) => (secret, None, Login::Sealed { why }),
            }
        });
        let others: Vec<_> = others.buffer_unordered(limit).collect().await;
        let first = (first.0, Some(first.1), verdict.login);
        let mut accepted = Vec::new();
        for (secret, authorization, login) in std::iter::once(first).chain(others) {
            self.enter_login(&secret, candidates, &login, answers);
            if let (Login::Confirmed, Some(authorization)) = (login, authorization) {
                accepted.push((secret, authorization));
            }
        }
        if let Some((_, authorization)) = accepted.first() {
            server.limit =
                self.send(authorization, self.client.rate_limit(authorization)).await.ok().flatten().flatten();
        }
        if matches!(server.limit, Some(RateLimit::Bucket { .. })) {
            server.exceptions = self.exceptions(&accepted).await;
        }
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

    /// The accounts that have a limit of their own.
    async fn exceptions(&self, accepted: &[(Secret<'_>, Authorization)]) -> BTreeMap<AccountName, RateLimit> {
        let mut accounts: BTreeMap<&AccountName, &Authorization> = BTreeMap::new();
        for (_, authorization) in accepted {
            accounts.entry(authorization.account()).or_insert(authorization);
        }
        let mut exceptions = BTreeMap::new();
        for (account, authorization) in accounts {
            let own = self.send(authorization, self.client.own_rate_limit(authorization)).await;
            if let Ok(Some(Some(limit))) = own {
                exceptions.insert(account.clone(), limit);
            }
        }
        exceptions
    }

    /// What a credential sees of what it is declared for.
    async fn view(&self, candidate: &Candidate<'_>, authorization: &Authorization) -> View {
        let mut view = View {
            address: candidate.address(),
            declared: candidate.project.clone(),
            authorization: authorization.clone(),
            project: Sight::Unknown,
            repositories: Sight::Unknown,
            projects: Vec::new(),
            repository: None,
            glimpse: None,
            power: None,
            spared: false,
        };
        match candidate.project {
            ProjectSelector::Key(key) => self.view_project(key, self.extent(candidate), &mut view).await,
            ProjectSelector::Pattern(pattern) => {
                let Ok(said) = self.send_kept(authorization, self.client.projects(authorization, 0)).await else {
                    view.spared = true;
                    return view;
                };
                view.project = sight(said.as_ref());
                let page = said.and_then(Result::ok).map(|page| page.values).unwrap_or_default();
                let of_its_own = |key: &ProjectKey| {
                    let mut keys = self.look.declaration.projects.keys();
                    keys.any(|declared| declared.as_str().eq_ignore_ascii_case(key.as_str()))
                };
                let fits = |project: &ListedProject| pattern.matches(project.key.as_str()) && !of_its_own(&project.key);
                let fitting: Vec<ListedProject> = page.into_iter().filter(fits).collect();
                if let Some(first) = fitting.first().map(|project| project.key.clone()) {
                    self.view_project(&first, Extent::One, &mut view).await;
                } else if view.project == Sight::Visible {
                    view.project = Sight::Hidden { why: format!("no project that it sees fits {pattern}") };
                }
                view.projects = fitting.into_iter().map(|project| (project.key.clone(), project)).collect();
            }
        }
        view
    }

    /// How much of a project is worth a look. Its main credential sees what a run would list; whoever asked for single
    /// credentials wants to know about those alone.
    fn extent(&self, candidate: &Candidate<'_>) -> Extent {
        match (&self.look.part, &candidate.role) {
            (Part::InUse, CredentialRole::Main) => Extent::Page,
            (Part::InUse | Part::Credentials(_), _) => Extent::One,
        }
    }

    async fn view_project(&self, key: &ProjectKey, extent: Extent, view: &mut View) {
        let authorization = view.authorization.clone();
        let mut said = match extent {
            Extent::Page => self.send_kept(&authorization, self.client.repositories(&authorization, key, 0)).await,
            Extent::One => self.send_kept(&authorization, self.client.first_repository(&authorization, key)).await,
        };
        // A page that is too much for the server, or for the time, must not hide that the project is there.
        if extent == Extent::Page && said.as_ref().is_ok_and(|said| sight(said.as_ref()) == Sight::Unknown) {
            said = self.send_kept(&authorization, self.client.first_repository(&authorization, key)).await.or(said);
        } else if let (Extent::Page, Ok(Some(Ok(page)))) = (extent, &said) {
            let repositories = page.values.iter().map(|repository| (repository.id, repository.listed())).collect();
            let complete = page.next.is_none() && page.quarantined.is_empty();
            view.glimpse = Some((key.clone(), Glimpse { repositories, complete }));
        }
        let Ok(said) = said else {
            view.spared = true;
            return;
        };
        view.repositories = sight(said.as_ref());
        if view.repositories == Sight::Visible && matches!(self.look.part, Part::Credentials(_)) {
            view.power = self.power(key, &authorization).await;
        }
        let first = said.and_then(Result::ok).and_then(|page| page.values.into_iter().next());
        if let Some(repository) = first {
            view.project = Sight::Visible;
            view.projects = vec![(key.clone(), project_of(&repository))];
            view.repository = Some((key.clone(), repository));
            return;
        }
        if view.repositories == Sight::Unknown {
            return;
        }
        let Ok(said) = self.send_kept(&authorization, self.client.project(&authorization, key)).await else { return };
        view.project = sight(said.as_ref());
        if let Some(Ok(project)) = said {
            view.projects = vec![(key.clone(), project)];
        }
    }

    /// What a credential may do besides reading, as far as the server tells.
    async fn power(&self, key: &ProjectKey, authorization: &Authorization) -> Option<Power> {
        let projects = self.send(authorization, self.client.administered_projects(authorization)).await.ok()?;
        let first = |permission| self.client.first_repository_with(authorization, key, permission);
        let administers = self.send(authorization, first("REPO_ADMIN")).await.ok()?;
        let writes = self.send(authorization, first("REPO_WRITE")).await.ok()?;
        power(key, projects.as_ref(), administers.as_ref(), writes.as_ref())
    }

    /// Enters what the credentials see, and looks at the git of one repository.
    async fn enter(&self, views: Vec<View>, answers: &mut Answers) {
        let spared: Vec<&View> = views.iter().filter(|view| view.spared).collect();
        if let Some(first) = spared.first() {
            let more = match spared.len() - 1 {
                0 => String::new(),
                more => format!(", and {more} more"),
            };
            let message = format!(
                "not looked at, to spare the budget of its account{more}; `xopero credential check --all` looks at all"
            );
            answers.skipped.push(skipped(first.address.clone(), message));
        }
        if let Some(view) = views.iter().find(|view| view.repository.is_some()) {
            self.git(view, answers).await;
        }
        for view in views {
            answers.powers.extend(view.power.map(|power| (view.address.clone(), power)));
            let observed_at = self.look.clock.now();
            if let Some(credential) = answers.credentials.get_mut(&view.address) {
                (credential.project, credential.repositories) = (view.project.clone(), view.repositories.clone());
            }
            answers.glimpses.extend(view.glimpse);
            for (declared, project) in view.projects {
                let name = Some(project.name).filter(|name| !name.is_empty());
                let (id, key) = (Some(project.id), Some(project.key));
                let visible = Sight::Visible;
                answers.projects.insert(declared, ProjectSeen { observed_at, visible, id, key, name });
            }
            if let (ProjectSelector::Key(key), Sight::Hidden { .. }) = (&view.declared, &view.project) {
                let seen = ProjectSeen { observed_at, visible: view.project.clone(), id: None, key: None, name: None };
                answers.projects.entry(key.clone()).or_insert(seen);
            }
        }
    }

    /// Whether git over HTTP can be read.
    async fn git(&self, view: &View, answers: &mut Answers) {
        let Some((key, repository)) = &view.repository else { return };
        let http = || self.client.http().clone();
        let link = repository.clone_link.as_deref().and_then(|link| Remote::from_clone_link(http(), link).ok());
        let remote = link.unwrap_or_else(|| Remote::new(http(), key, &repository.slug));
        if !self.budget.take(view.authorization.account()) {
            return;
        }
        let said = self.deadline.within(remote.discover(&view.authorization)).await;
        if let Sight::Hidden { why } = git_sight(said.as_ref()) {
            let message = format!("REST answers and git does not: {why}");
            let (kind, address) = (NoteKind::PermissionLost, view.address.clone());
            answers.skipped.push(Note { kind, address, message });
        }
    }

    /// Sends a request if the account's budget allows it; `Err` if it does not, `None` if the answer did not come.
    async fn send_kept<T>(
        &self,
        authorization: &Authorization,
        request: impl Future<Output = Result<T, BitbucketError>>,
    ) -> Result<Option<Result<T, BitbucketError>>, Spared> {
        if !self.budget.take(authorization.account()) {
            return Err(Spared);
        }
        let said = self.deadline.within(request).await;
        if let Some(Err(error)) = &said {
            if is_rate_limited(error) {
                self.budget.close(authorization.account(), Closed::RateLimited);
            } else if login_refusal(error).is_some() {
                self.budget.close(authorization.account(), Closed::Refused);
            }
        }
        Ok(said)
    }

    /// The same for a question whose failure says nothing.
    async fn send<T>(
        &self,
        authorization: &Authorization,
        request: impl Future<Output = Result<T, BitbucketError>>,
    ) -> Result<Option<T>, Spared> {
        Ok(self.send_kept(authorization, request).await?.and_then(Result::ok))
    }

    fn enter_login(&self, secret: &Secret<'_>, candidates: &[Candidate<'_>], login: &Login, answers: &mut Answers) {
        for candidate in secret.users.iter().map(|user| &candidates[*user]) {
            answers.credentials.insert(candidate.address(), self.seen(candidate, login.clone()));
        }
    }

    /// Opens a secret, for this server and no other.
    fn open(&self, credential: &Credential, identities: &Identities) -> Result<Authorization, String> {
        let (origin, account) = (self.declared.url.origin(), credential.account.clone());
        let expected = Expected { kind: credential.kind.into(), origin, account: account.clone() };
        let secret = open(&credential.sealed, identities, &expected).map_err(|error| chain(&error))?;
        let authorization = match credential.kind {
            CredentialKind::Token => Authorization::bearer(account, &secret),
            CredentialKind::Password => Authorization::basic(account, &secret),
        };
        authorization.map_err(|error| chain(&error))
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

/// The account was not asked, to spare its budget.
struct Spared;

/// How much of a project's listing is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Extent {
    /// One repository.
    One,
    /// As much as the server gives at once.
    Page,
}

/// What one credential sees.
struct View {
    address: Address,
    declared: ProjectSelector,
    authorization: Authorization,
    project: Sight,
    repositories: Sight,
    /// By the key that was asked for.
    projects: Vec<(ProjectKey, ListedProject)>,
    repository: Option<(ProjectKey, Repository)>,
    glimpse: Option<(ProjectKey, Glimpse)>,
    power: Option<Power>,
    spared: bool,
}

/// The project that a repository names.
fn project_of(repository: &Repository) -> ListedProject {
    let (id, key, name) = (repository.project_id, repository.project.clone(), repository.project_name.clone());
    let personal = key.as_str().starts_with('~');
    ListedProject { id, key, name, personal }
}

fn seen(look: &Look<'_>, reach: Reach) -> ServerSeen {
    ServerSeen { observed_at: look.clock.now(), reach, version: None, limit: None, exceptions: BTreeMap::new() }
}

/// A client that waits no longer than one request may take.
fn client(declared: &Server, look: &Look<'_>) -> Result<HttpClient, Reach> {
    let read = |path: &String| {
        std::fs::read(look.base.join(path)).map_err(|error| Reach::Unreachable {
            why: format!("cannot read the certificates in {path}: {error}"),
            hint: Some("ca-file is relative to xopero.kdl".to_owned()),
        })
    };
    let ca = declared.ca_file.as_ref().map(read).transpose()?;
    HttpClient::new(&declared.url, ca.as_deref(), look.proxies, declared.timeout.min(ONE))
        .map_err(|error| Reach::Unreachable { why: chain(&error), hint: error.hint() })
}

/// The candidates by the secret that they share: an account that serves many projects logs in once.
fn secrets<'a>(candidates: &[Candidate<'a>]) -> Vec<Secret<'a>> {
    let mut places: BTreeMap<(String, &AccountName, CredentialKind), usize> = BTreeMap::new();
    let mut secrets: Vec<Secret<'a>> = Vec::new();
    for (index, candidate) in candidates.iter().enumerate() {
        let credential = candidate.credential;
        let key = (credential.sealed.full_digest(), &credential.account, credential.kind);
        let place = *places.entry(key).or_insert(secrets.len());
        match secrets.get_mut(place) {
            Some(secret) => secret.users.push(index),
            None => secrets.push(Secret { credential, users: vec![index] }),
        }
    }
    secrets
}

/// Why a credential is not shown to the server again: a password that was wrong before leads to a CAPTCHA.
fn refused_before(candidate: &Candidate<'_>, known: &Observations) -> Option<String> {
    let seen = known.credentials.get(&candidate.address())?;
    let same = seen.sealed == candidate.credential.sealed.digest() && seen.account == candidate.credential.account;
    let harmful =
        matches!(seen.login, Login::Refused { reason: LoginRefusal::WrongSecret | LoginRefusal::Captcha, .. });
    (same && harmful && candidate.credential.kind == CredentialKind::Password).then(|| {
        let command = match &candidate.role {
            CredentialRole::Main => format!("xopero credential check {}", candidate.project),
            CredentialRole::Additional(name) => {
                format!("xopero credential check {} {name}", candidate.project)
            }
        };
        format!(
            "its password was refused on {}, and is not tried again so that the account is not locked; `{command}` \
             tries it",
            seen.observed_at.strftime("%Y-%m-%d")
        )
    })
}

fn skipped(address: Address, message: String) -> Note {
    Note { kind: NoteKind::NotObserved, address, message }
}
