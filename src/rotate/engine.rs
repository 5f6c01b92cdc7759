//! Carrying out one step after the other.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use jiff::civil::Date;
use secrecy::SecretString;

use super::holding::{Place, holding, places};
use super::journal::{Journal, Made, Old, forget};
use super::next::{Finish, Situation, Step, Waiting, Wish, next};
use super::patience::Patience;
use super::proof::{Proof, logs_in, replaces};
use super::{RotateError, which};
use crate::bitbucket::{
    AccessToken, BitbucketError, Client, List, Pager, TokenId, TokenOwner, User, UserKind, WantedToken,
};
use crate::clock::Clock;
use crate::config::{self, EditError, SecretAddress};
use crate::crash::{self, CrashPoint};
use crate::http::{Authorization, HttpClient, HttpError, Proxies, Refusal};
use crate::model::{
    AccountName, Address, Credential, CredentialKind, CredentialRole, Declaration, ProjectSelector, PublicKey,
    RecipientsMark, RepoSlug, Sealed, SecretKind, Server, Uid,
};
use crate::secret::{Envelope, Expected, Identities, open, seal};
use crate::source::{SourceTree, read_tree, replace_all};

/// Tokens of projects and repositories belong to accounts whose names begin like this.
const SERVICE_ACCOUNT: &str = "access-token-user/";

/// A rotation is over after fewer steps.
const MOST_STEPS: usize = 12;

/// What a rotation works on.
pub struct Rotation<'a> {
    /// The file of the declaration.
    pub file: &'a Path,
    /// Where relative paths in it begin.
    pub base: &'a Path,
    /// Through what servers are reached.
    pub proxies: &'a Proxies,
    /// Where the journals are: beside the state, whose lock is held.
    pub directory: &'a Path,
    /// What is in force.
    pub applied: Option<&'a Declaration>,
    /// What opens the sealed values.
    pub identities: &'a Identities,
    /// The password that manages the tokens, if not the token in use does.
    pub password: Option<SecretString>,
    /// Whose password that is, if not that of the account itself.
    pub manager: Option<AccountName>,
    /// What is to become of the old token.
    pub wish: Wish,
    /// Waits where an account has no budget.
    pub patience: Patience<'a>,
    /// Time.
    pub clock: &'a dyn Clock,
}

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// A token was revoked whose secret nobody has.
    Discarded(TokenId),
    /// The new token exists, and its secret is safe.
    Made(TokenId),
    /// The new value stands in the files.
    Installed {
        /// The credentials that have it.
        places: Vec<SecretAddress>,
        /// Its last day.
        expires: Option<Date>,
        /// The files that changed: name, text before, text after.
        files: Vec<(String, String, String)>,
    },
    /// A token was revoked.
    Revoked(TokenId),
}

/// How an invocation ended well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// The rotation is over.
    Finished(Finish),
    /// The rotation waits.
    Waiting(Waiting),
}

/// What is asked of a new rotation.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    /// How many days the new token lives, if not as long as the old one.
    pub days: Option<u32>,
    /// Which token is in use.
    pub id: Option<TokenId>,
    /// The repository whose token it is, if it is one of a repository.
    pub repository: Option<RepoSlug>,
}

/// Looks at everything a rotation needs, and changes nothing: the journal is not written yet.
pub async fn begin(
    rotation: &Rotation<'_>,
    project: &ProjectSelector,
    role: &CredentialRole,
    asked: &Asked,
) -> Result<Journal, RotateError> {
    let (_, declaration) = rotation.declaration()?;
    let address = Address::credential(project, role);
    let found = declaration.projects.get(project);
    let credential = found.and_then(|found| found.credential(role));
    let (Some(found), Some(credential)) = (found, credential) else {
        return Err(RotateError::NotDeclared { address });
    };
    refuse_others(&address, credential)?;
    let server = &declaration.servers[&found.server];
    let (origin, account) = (server.url.origin(), &credential.account);
    let secret = rotation.open(&address, &credential.sealed, &origin, account)?;
    if let Some(closed) =
        places(&declaration, &origin, account, rotation.identities).into_iter().find(|place| place.secret.is_err())
    {
        let address = closed.address();
        return Err(closed.secret.map_or_else(
            |source| RotateError::Secret { address: address.clone(), source },
            |_| RotateError::NotDeclared { address: address.clone() },
        ));
    }
    let client = rotation.client(server)?;
    let token = bearer(&address, account, &secret)?;
    match logs_in(&client, &token, &rotation.patience).await {
        Proof::Good => {}
        // A token that has ended can still be replaced by whoever has the password.
        Proof::Bad(_) if rotation.password.is_some() => {}
        Proof::Bad(why) => return Err(RotateError::NotAccepted { address, why }),
        Proof::Unknown(source) => return Err(RotateError::Ask { attempt: "logging in with the token in use", source }),
    }
    let manager = rotation.manager(&address, account, &secret)?;
    let owner = rotation.owner(&client, &manager, (project, account), asked.repository.as_ref()).await?;
    rotation.demand_manager(&owner)?;
    let (tokens, all_legible) = rotation.list(&client, &manager, &owner).await?;
    let old = which::in_use(&tokens, all_legible, &secret, asked.id.as_ref())?;
    if old.permissions.is_empty() {
        return Err(RotateError::NoPermissions { id: old.id.clone() });
    }
    let (now, id) = (rotation.clock.now(), Uid::mint(rotation.clock));
    let wanted = WantedToken {
        name: which::name(project, role, now, id),
        permissions: old.permissions.clone(),
        expiry_days: which::days(asked.days, old, credential.expires),
    };
    let old = Old { id: old.id.clone(), name: old.name.clone(), sealed: credential.sealed.clone() };
    let whose = (origin, account.clone(), owner);
    Ok(Journal::begin(id, (project.clone(), role.clone()), whose, old, wanted, now))
}

/// What cannot be rotated, with the reason.
fn refuse_others(address: &Address, credential: &Credential) -> Result<(), RotateError> {
    let address = address.clone();
    if let Some(of) = &credential.same_as {
        return Err(RotateError::SameAs { address, of: of.clone() });
    }
    match credential.kind {
        CredentialKind::Password => Err(RotateError::Password { address }),
        CredentialKind::Token => Ok(()),
    }
}

/// Goes as far as a rotation can go, and says on the way what was done.
pub async fn advance(
    rotation: &Rotation<'_>,
    mut journal: Journal,
    tell: &mut dyn FnMut(Told),
) -> Result<Ended, RotateError> {
    journal.save(rotation.directory)?;
    crash::point(CrashPoint::RotationBegun);
    for _ in 0..MOST_STEPS {
        let (tree, declaration) = rotation.declaration()?;
        let address = journal.address();
        let (origin, account) = (journal.origin.clone(), journal.account.clone());
        let old = rotation.open(&address, &journal.old.sealed, &origin, &account)?;
        let made = journal.made.as_ref();
        let new = made.map(|made| rotation.open(&address, &made.sealed, &origin, &account)).transpose()?;
        let here = places(&declaration, &origin, &account, rotation.identities);
        let file = holding(&here, &old, new.as_ref());
        let in_force = |applied| holding(&places(applied, &origin, &account, rotation.identities), &old, new.as_ref());
        let applied = rotation.applied.map(in_force);
        let server = declaration.servers.values().find(|server| server.url.origin() == origin);
        let server = server.ok_or_else(|| RotateError::NoServer { origin: origin.clone() })?;
        let client = rotation.client(server)?;
        let owner = journal.owner();
        rotation.demand_manager(&owner)?;
        let working = new.as_ref().filter(|_| file == super::holding::Holding::New).unwrap_or(&old);
        let manager = rotation.manager(&address, &account, working)?;
        let (tokens, _) = rotation.list(&client, &manager, &owner).await?;
        if rotation.password.is_some() && journal.manager.as_ref() != Some(manager.account()) {
            journal.manager = Some(manager.account().clone());
            journal.save(rotation.directory)?;
        }
        let step = next(&Situation {
            old: &journal.old.id,
            made: journal.made.as_ref().map(|made| &made.id),
            name: &journal.wanted.name,
            tokens: &tokens,
            file,
            applied,
            wish: rotation.wish,
        });
        let at = Carrying { rotation, client: &client, manager: &manager, owner: &owner, declaration: &declaration };
        match (step, &new) {
            (Step::Discard(ids), _) => {
                for id in ids {
                    at.revoke(&id).await?;
                    tell(Told::Discarded(id));
                }
            }
            (Step::Make, _) => {
                let made = at.make(&journal).await?;
                crash::point(CrashPoint::TokenMade);
                tell(Told::Made(made.id.clone()));
                journal.made = Some(made);
                journal.save(rotation.directory)?;
                crash::point(CrashPoint::TokenSafe);
            }
            (Step::Install, Some(new)) => tell(at.install(&tree, &journal, &here, (&old, new)).await?),
            (Step::Revoke(ids), Some(new)) => {
                at.still_works(&journal, &here, new).await?;
                for id in ids {
                    crash::point(CrashPoint::TokenLeaves);
                    at.revoke(&id).await?;
                    crash::point(CrashPoint::TokenRevoked);
                    tell(Told::Revoked(id));
                }
            }
            (Step::Done(finish), _) => {
                forget(&journal, rotation.directory)?;
                crash::point(CrashPoint::RotationForgotten);
                return Ok(Ended::Finished(finish));
            }
            (Step::Wait(why), _) => return Ok(Ended::Waiting(why)),
            (Step::Stop(why), _) => return Err(RotateError::Stuck { address, why }),
            (Step::Install | Step::Revoke(_), None) => unreachable!("both follow the making of a token"),
        }
    }
    // A server that lists what was revoked.
    let why = "the server lists tokens that it has revoked".to_owned();
    let source = BitbucketError::Malformed { resource: "access-tokens".to_owned(), why };
    Err(RotateError::Ask { attempt: "finishing the rotation", source })
}

impl Rotation<'_> {
    /// The files as they are.
    fn declaration(&self) -> Result<(SourceTree, Declaration), RotateError> {
        let tree = read_tree(self.file)?;
        let decoded = config::decode(tree.sources()).map_err(|source| EditError::Invalid { source })?;
        Ok((tree, decoded.declaration))
    }

    fn open(
        &self,
        address: &Address,
        sealed: &Sealed,
        origin: &str,
        account: &AccountName,
    ) -> Result<SecretString, RotateError> {
        let expected = Expected { kind: SecretKind::Token, origin: origin.to_owned(), account: account.clone() };
        open(sealed, self.identities, &expected)
            .map_err(|source| RotateError::Secret { address: address.clone(), source })
    }

    fn client(&self, server: &Server) -> Result<Client, RotateError> {
        let read = |path: &String| {
            std::fs::read(self.base.join(path)).map_err(|source| RotateError::CaFile { path: path.clone(), source })
        };
        let ca = server.ca_file.as_ref().map(read).transpose()?;
        let http = HttpClient::new(&server.url, ca.as_deref(), self.proxies, server.timeout)
            .map_err(|source| RotateError::Setup { origin: server.url.origin(), source })?;
        Ok(Client::new(http))
    }

    /// Whose token it is. Accounts that stand behind tokens of projects and repositories have a name, or a kind, that
    /// says so.
    async fn owner(
        &self,
        client: &Client,
        manager: &Authorization,
        (project, account): (&ProjectSelector, &AccountName),
        repository: Option<&RepoSlug>,
    ) -> Result<TokenOwner, RotateError> {
        let named = repository.is_some() || account.as_str().starts_with(SERVICE_ACCOUNT);
        let user = if named { None } else { self.user(client, manager, account).await? };
        let is_service = named || user.as_ref().is_some_and(|user| user.kind == UserKind::Service);
        match (project, repository) {
            _ if !is_service => {
                Ok(user.map_or_else(|| TokenOwner::guessed(account), |user| TokenOwner::User(user.slug)))
            }
            (ProjectSelector::Key(key), None) => Ok(TokenOwner::Project(key.clone())),
            (ProjectSelector::Key(key), Some(slug)) => Ok(TokenOwner::Repository(key.clone(), slug.clone())),
            (ProjectSelector::Pattern(_), _) => Err(RotateError::OfAPattern { project: project.clone() }),
        }
    }

    /// The account behind the tokens of a project or a repository has no password: one that was given is somebody else's.
    fn demand_manager(&self, owner: &TokenOwner) -> Result<(), RotateError> {
        match owner {
            TokenOwner::Project(_) | TokenOwner::Repository(..)
                if self.password.is_some() && self.manager.is_none() =>
            {
                Err(RotateError::NobodyToManage { owner: owner.clone() })
            }
            TokenOwner::User(_) | TokenOwner::Project(_) | TokenOwner::Repository(..) => Ok(()),
        }
    }

    /// The user that an account is. Who may not see users is told nothing, and the usual slug is tried.
    async fn user(
        &self,
        client: &Client,
        manager: &Authorization,
        account: &AccountName,
    ) -> Result<Option<User>, RotateError> {
        match self.patience.send(manager, async || client.user_named(manager, account).await).await {
            Ok(user) => Ok(user),
            Err(BitbucketError::Http(
                HttpError::NotFound { .. }
                | HttpError::Unauthorized { meaning: Refusal::NoPermission | Refusal::Unknown, .. },
            )) => Ok(None),
            Err(source) => {
                let owner = TokenOwner::guessed(account);
                Err(self.managing("asking whose the account is", manager, &owner, source))
            }
        }
    }

    /// Who manages the tokens: somebody by a password, or the token that works.
    fn manager(
        &self,
        address: &Address,
        account: &AccountName,
        working: &SecretString,
    ) -> Result<Authorization, RotateError> {
        match &self.password {
            Some(password) => {
                let who = self.manager.as_ref().unwrap_or(account).clone();
                Authorization::basic(who, password).map_err(|source| unusable(address, source))
            }
            None => bearer(address, account, working),
        }
    }

    /// All tokens of an owner, and whether each of them could be read.
    async fn list(
        &self,
        client: &Client,
        manager: &Authorization,
        owner: &TokenOwner,
    ) -> Result<(Vec<AccessToken>, bool), RotateError> {
        let (mut tokens, mut all_legible) = (Vec::new(), true);
        let mut pager = Pager::new(List::access_tokens(owner));
        let failed = |source| self.managing("listing the tokens of the account", manager, owner, source);
        while let Some(page) =
            self.patience.send(manager, async || pager.next(client, manager).await).await.map_err(failed)?
        {
            all_legible &= page.quarantined.is_empty();
            tokens.extend(page.values);
        }
        Ok((tokens, all_legible))
    }

    fn managing(
        &self,
        attempt: &'static str,
        manager: &Authorization,
        owner: &TokenOwner,
        source: BitbucketError,
    ) -> RotateError {
        let refused = matches!(
            source,
            BitbucketError::Http(HttpError::Unauthorized { meaning: Refusal::NoPermission | Refusal::Unknown, .. })
        );
        let wrong = matches!(source, BitbucketError::Http(HttpError::Unauthorized { meaning: Refusal::Rejected, .. }));
        if refused && self.password.is_none() {
            RotateError::MayNotManage { owner: owner.clone(), source }
        } else if refused {
            RotateError::ManagerMayNot { account: manager.account().clone(), owner: owner.clone(), source }
        } else if wrong && self.password.is_some() {
            RotateError::WrongPassword { account: manager.account().clone(), source }
        } else {
            RotateError::Ask { attempt, source }
        }
    }
}

/// One step's surroundings.
struct Carrying<'a> {
    rotation: &'a Rotation<'a>,
    client: &'a Client,
    manager: &'a Authorization,
    owner: &'a TokenOwner,
    declaration: &'a Declaration,
}

impl Carrying<'_> {
    async fn revoke(&self, id: &TokenId) -> Result<(), RotateError> {
        let revoke = async || self.client.revoke_access_token(self.manager, self.owner, id).await;
        let revoked = self.rotation.patience.send(self.manager, revoke).await;
        revoked.map_err(|source| self.rotation.managing("revoking a token", self.manager, self.owner, source))
    }

    /// Has the server make the new token, and seals its secret.
    async fn make(&self, journal: &Journal) -> Result<Made, RotateError> {
        let name = journal.wanted.name.clone();
        let make = async || self.client.make_access_token(self.manager, self.owner, &journal.wanted).await;
        let made = match self.rotation.patience.send(self.manager, make).await {
            Ok(made) => made,
            Err(source) if was_refused(&source) => {
                forget(journal, self.rotation.directory)?;
                return Err(match self.rotation.managing("making a token", self.manager, self.owner, source) {
                    RotateError::Ask { source, .. } => RotateError::Make { name, source },
                    other => other,
                });
            }
            Err(source) => return Err(RotateError::MakeUnanswered { name, source }),
        };
        let days = made.token.expiry_days.or(journal.wanted.expiry_days);
        let since = made.token.created.unwrap_or_else(|| self.rotation.clock.now());
        let expires = days.and_then(|days| which::last_day(since, days));
        let credential = (SecretKind::Token, &journal.account);
        let sealed = self.seal(&journal.address(), credential, &journal.origin, &made.secret)?;
        Ok(Made { id: made.token.id, sealed, expires })
    }

    fn seal(
        &self,
        address: &Address,
        (kind, account): (SecretKind, &AccountName),
        origin: &str,
        secret: &SecretString,
    ) -> Result<Sealed, RotateError> {
        let (origin, account, secret) = (origin.to_owned(), account.clone(), secret.clone());
        seal(&Envelope { kind, origin, account, secret }, &self.recipients())
            .map_err(|source| RotateError::Secret { address: address.clone(), source })
    }

    fn recipients(&self) -> Vec<PublicKey> {
        self.declaration.recipients.iter().map(|recipient| recipient.key.clone()).collect()
    }

    /// Proves the new token, and puts it into the files at every place that holds the old one.
    async fn install(
        &self,
        tree: &SourceTree,
        journal: &Journal,
        here: &[Place<'_>],
        (old, new): (&SecretString, &SecretString),
    ) -> Result<Told, RotateError> {
        let made = journal.made.as_ref().expect("its secret was opened");
        let address = journal.address();
        let (before, after) = (bearer(&address, &journal.account, old)?, bearer(&address, &journal.account, new)?);
        let users: BTreeSet<&ProjectSelector> =
            here.iter().filter(|place| place.holds(old)).map(|place| place.project).collect();
        match replaces(self.client, (&after, &before), users.into_iter(), &self.rotation.patience).await {
            Proof::Good => {}
            Proof::Bad(why) => {
                self.revoke(&made.id).await?;
                forget(journal, self.rotation.directory)?;
                return Err(RotateError::NotProven { why });
            }
            Proof::Unknown(source) => return Err(RotateError::Ask { attempt: "trying the new token", source }),
        }
        crash::point(CrashPoint::TokenProven);
        let mut replacements = BTreeMap::new();
        for place in here.iter().filter(|place| place.holds(old) && place.credential.same_as.is_none()) {
            let credential = (place.credential.kind.into(), &place.credential.account);
            let sealed = self.seal(&place.address(), credential, &journal.origin, new)?;
            replacements.insert(SecretAddress::credential(place.project, &place.role), sealed);
        }
        let mark = RecipientsMark::of(&self.recipients());
        let places: BTreeSet<SecretAddress> = replacements.keys().cloned().collect();
        let edited = config::replace_sealed(tree.sources(), &replacements, &mark)?;
        let edited = config::set_expiry(&edited, &places, made.expires)?;
        let changes = tree.changes(&edited);
        replace_all(&changes)?;
        crash::point(CrashPoint::TokenInstalled);
        let files = changes.iter().map(|(file, text)| (file.name.clone(), file.text.clone(), (*text).to_owned()));
        Ok(Told::Installed { places: places.into_iter().collect(), expires: made.expires, files: files.collect() })
    }

    /// Whether the new token, if something uses it, is accepted: the old one is about to go.
    async fn still_works(&self, journal: &Journal, here: &[Place<'_>], new: &SecretString) -> Result<(), RotateError> {
        if !here.iter().any(|place| place.holds(new)) {
            return Ok(());
        }
        let address = journal.address();
        let token = bearer(&address, &journal.account, new)?;
        match logs_in(self.client, &token, &self.rotation.patience).await {
            Proof::Good => Ok(()),
            Proof::Bad(why) => Err(RotateError::NotAccepted { address, why }),
            Proof::Unknown(source) => Err(RotateError::Ask { attempt: "trying the new token", source }),
        }
    }
}

/// Whether the server has said that it did not do what was asked.
fn was_refused(error: &BitbucketError) -> bool {
    matches!(
        error,
        BitbucketError::Http(
            HttpError::Unauthorized { .. }
                | HttpError::NotFound { .. }
                | HttpError::Conflict { .. }
                | HttpError::RateLimited { .. }
                | HttpError::Status { status: 400..=499, .. }
        )
    )
}

fn bearer(address: &Address, account: &AccountName, secret: &SecretString) -> Result<Authorization, RotateError> {
    Authorization::bearer(account.clone(), secret).map_err(|source| unusable(address, source))
}

fn unusable(address: &Address, source: HttpError) -> RotateError {
    RotateError::Setup { origin: address.to_string(), source }
}
