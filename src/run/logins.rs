//! Secrets that servers refuse: nobody sends them again, in whatever project or run, or in another process.
//!
//! Until an answer has shown that a password is right, it is sent by one request at a time. One that was shown to be
//! right can still be changed while a run is under way: then those requests find out that are under way together, which
//! are fewer than it takes to lock an account.

use std::collections::BTreeMap;

use super::caller::Caller;
use super::credentials::Credentials;
use super::passwords::{Turn, login_refusal};
use super::permission::Scope;
use super::{Refused, TaskError};
use crate::http::{HttpError, Refusal};
use crate::model::{
    Address, ConditionKind, CredentialRole, LoginRefusal, PasswordMark, ProjectSelector, RefusedLogin, Seen, Sighting,
};
use crate::state::StateError;
use crate::throttle::Lease;

/// What is known of passwords that were refused; nothing, where to ask again does no harm.
pub(super) type Recorded = BTreeMap<PasswordMark, Option<RefusedLogin>>;

impl Credentials {
    /// Takes a secret that failed to log in out of all pools of this process, and remembers why.
    pub(super) async fn reject_login(
        &self,
        (project, role): (&ProjectSelector, &CredentialRole),
        reason: LoginRefusal,
        error: &TaskError,
    ) -> Result<Recorded, StateError> {
        let key = self.keys.get(&(project.clone(), role.clone()));
        let sharing = self.turnstile.keyring().sharing(key);
        let mut refusals = Vec::new();
        // Nobody may use it while this is written.
        for (keys, of) in &sharing {
            let key = keys.get(of);
            let refused = Refused::new(&of.0, of.1.clone(), key.account().clone(), error);
            refusals.push(refused.why.clone());
            keys.reject(&self.turnstile, &of.0, refused);
        }
        let mut recorded = Recorded::new();
        for ((keys, of), why) in sharing.iter().zip(&refusals) {
            if let Some(mark) = &keys.get(of).mark
                && !recorded.contains_key(mark)
            {
                let known = self.passwords.refuse(mark, (reason, why), self.clock.now()).await?;
                recorded.insert(mark.clone(), known);
            }
        }
        for ((keys, of), why) in sharing.iter().zip(refusals) {
            let address = Address::credential(&of.0, &of.1);
            let known = keys.get(of).mark.as_ref().and_then(|mark| recorded.get(mark)?.as_ref());
            let message = match known {
                Some(known) => format!("{why}; {}", known.consequence(&address)),
                None => why,
            };
            let seen = Seen::Holds { reason: reason.as_str(), message };
            keys.witness(Sighting { address, kind: ConditionKind::CredentialRejected, seen });
        }
        Ok(recorded)
    }

    /// Waits until a credential may be sent. A password of which nobody knows whether it is right is sent by whoever has
    /// its turn, and has it until that is dropped. One that was refused elsewhere has left the pool after this.
    pub(super) async fn login_turn(
        &self,
        (project, role): (&ProjectSelector, &CredentialRole),
    ) -> Result<Option<Turn>, TaskError> {
        let Some(mark) = self.passwords.mark(project, role) else { return Ok(None) };
        if self.passwords.is_proven(mark) {
            if self.passwords.is_time_to_look(self.clock.monotonic())
                && let Err(error) = self.set_aside_refused().await
            {
                tracing::warn!(%error, "nobody knows whether a password was refused elsewhere");
            }
            return Ok(None);
        }
        let turn = self.turn_with(mark).await?;
        self.set_aside_refused().await?;
        // Somebody may have found out while this one waited.
        Ok((!self.passwords.is_proven(mark)).then_some(turn))
    }

    /// Waits for the turn with a password.
    pub(super) async fn turn_with(&self, mark: &PasswordMark) -> Result<Turn, TaskError> {
        tokio::select! {
            biased;
            () = self.stop.cancelled() => Err(TaskError::Stopped),
            turn = self.turnstile.password_turns().of(mark).lock_owned() => Ok(turn),
        }
    }

    /// Leaves those alone that were refused before, or elsewhere. Whether they are accepted by now is for others to find
    /// out.
    pub(super) async fn set_aside_refused(&self) -> Result<(), StateError> {
        for (of, login) in self.passwords.refused().await? {
            if self.keys.rejected().contains_key(&of) {
                continue;
            }
            let (project, role) = &of;
            let refused = Refused::set_aside(project, role, self.keys.get(&of).account(), &login);
            let seen = Seen::Holds { reason: login.reason.as_str(), message: refused.why.clone() };
            self.reject(project, refused);
            let (address, kind) = (Address::credential(project, role), ConditionKind::CredentialRejected);
            self.witness(Sighting { address, kind, seen });
        }
        Ok(())
    }

    /// Takes note of what an answer to a caller says of its credential.
    pub(super) fn learn_login(&self, caller: &Caller<'_>, lease: &Lease, failed: Option<&TaskError>) {
        if let Scope::Repository(..) = caller.scope {
            self.keys.answered(&(lease.project.clone(), lease.role.clone()), failed);
        }
        if let Some(mark) = self.passwords.mark(&lease.project, &lease.role)
            && failed.is_none_or(is_logged_in)
        {
            self.passwords.prove(mark);
        }
    }

    /// Takes a password out of all pools, if an answer outside of any task says that it does not log in. Tokens lock
    /// nothing, and are refused in places where they are good everywhere else.
    pub(super) async fn heed_refusal(
        &self,
        (project, role): (&ProjectSelector, &CredentialRole),
        error: &TaskError,
    ) -> Result<(), StateError> {
        match login_refusal(error.http()) {
            Some(reason @ (LoginRefusal::WrongSecret | LoginRefusal::Captcha))
                if self.passwords.mark(project, role).is_some() =>
            {
                self.reject_login((project, role), reason, error).await.map(drop)
            }
            Some(
                LoginRefusal::WrongSecret
                | LoginRefusal::Captcha
                | LoginRefusal::NotAccepted
                | LoginRefusal::Unlicensed
                | LoginRefusal::BasicBlocked,
            )
            | None => Ok(()),
        }
    }
}

/// Whether a failure is one of somebody whom the server knows. It looks at the password before it looks for anything.
fn is_logged_in(error: &TaskError) -> bool {
    matches!(
        error.http(),
        Some(
            HttpError::Unauthorized { meaning: Refusal::NoPermission, .. }
                | HttpError::NotFound { exception: Some(_), .. }
                | HttpError::Conflict { .. }
        )
    )
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use futures_util::future::join_all;
    use jiff::Timestamp;
    use secrecy::SecretString;
    use tokio::sync::Barrier;
    use tokio_util::sync::CancellationToken;

    use super::super::credentials::Opened;
    use super::super::deadline::Deadline;
    use super::super::hours::Hours;
    use super::super::journal::Journal;
    use super::super::passwords::Passwords;
    use super::super::turnstile::{Turnstile, Voucher};
    use super::super::{Event, EventSink};
    use super::*;
    use crate::bitbucket::BitbucketError;
    use crate::clock::{Clock, ManualClock, SystemClock};
    use crate::http::{Authorization, RequestPlace};
    use crate::model::{AccountName, BaseUrl, Credential, CredentialKind, Limit, LimitSource, RateLimit, Sealed};
    use crate::state::{StateLocation, StateStore};
    use crate::throttle::Holder;

    struct Silent;

    impl EventSink for Silent {
        fn emit(&self, _event: &Event) {}
    }

    /// What runs of one process share.
    struct Process {
        clock: Arc<ManualClock>,
        turnstile: Turnstile,
        state: Arc<StateStore>,
    }

    impl Process {
        fn new(state: &Arc<StateStore>) -> Self {
            let clock = Arc::new(ManualClock::at(Timestamp::UNIX_EPOCH));
            let time = Arc::<ManualClock>::clone(&clock);
            Self { clock, turnstile: Turnstile::new(time), state: Arc::clone(state) }
        }

        /// A run over two projects that share one secret.
        fn run(&self, kind: CredentialKind) -> Credentials {
            let url = BaseUrl::new("https://bb.example.com").unwrap();
            let account: AccountName = "svc".parse().unwrap();
            let (secret, role) = (SecretString::from("secret"), CredentialRole::Main);
            let sealed = Sealed::new("sealed");
            let credential = Credential { account: account.clone(), kind, sealed, expires: None, same_as: None };
            let holder = Holder::new(&url, &account);
            let limit = RateLimit::Bucket { burst: 60, refill_per_second: 5 };
            self.turnstile.tell(holder.clone(), Limit { limit, source: LimitSource::File });
            let authorization = match kind {
                CredentialKind::Token => Authorization::bearer(account.clone(), &secret).unwrap(),
                CredentialKind::Password => Authorization::basic(account.clone(), &secret).unwrap(),
            };
            let projects: [ProjectSelector; 2] = ["PAY", "OPS"].map(|key| key.parse().unwrap());
            let mark = PasswordMark::of(&url, &credential);
            let marks = projects.iter().filter_map(|project| Some(((project.clone(), role.clone()), mark.clone()?)));
            let passwords = Passwords::new(Arc::clone(&self.state), marks.collect());
            let member = (role.clone(), account, holder);
            let opened = Opened {
                rotations: projects.iter().map(|project| (project.clone(), vec![member.clone()])).collect(),
                authorizations: projects
                    .iter()
                    .map(|project| ((project.clone(), role.clone()), authorization.clone()))
                    .collect(),
                contexts: BTreeMap::new(),
                servers: projects.iter().map(|project| (project.clone(), "bb".parse().unwrap())).collect(),
                passwords,
            };
            let (never, clock): (_, Arc<dyn Clock>) =
                (CancellationToken::new(), Arc::<ManualClock>::clone(&self.clock));
            let events: Arc<dyn EventSink> = Arc::new(Silent);
            let deadline = Deadline::start(None, (&never, &never), &clock, &events);
            let journal = Arc::new(Journal::open(Arc::clone(&self.state), Arc::clone(&events)));
            let hours = Arc::new(Hours::of(None, Arc::clone(&clock)));
            Credentials::new(self.turnstile.clone(), opened, journal, clock, events, (&deadline, &hours))
        }
    }

    async fn state() -> (tempfile::TempDir, Arc<StateStore>) {
        let home = tempfile::tempdir().unwrap();
        let state = StateStore::open(&StateLocation::beside(home.path()), &SystemClock).await.unwrap();
        (home, Arc::new(state))
    }

    fn refusal(meaning: Refusal) -> BitbucketError {
        let place = RequestPlace { address: "https://bb.example.com".into(), request_id: None };
        BitbucketError::Http(HttpError::Unauthorized { place, meaning, message: String::new() })
    }

    /// Sends one request for a project, which is answered so, and counts it.
    async fn send(
        credentials: &Credentials,
        project: &str,
        sent: &AtomicUsize,
        answer: Result<(), Refusal>,
    ) -> Result<(), TaskError> {
        let project: ProjectSelector = project.parse().unwrap();
        let mut caller = Caller::new(&project, "task".to_owned(), Scope::Server);
        let attempt = |voucher: Voucher| async move {
            if !voucher.departs().await? {
                return Err(TaskError::Overtaken);
            }
            sent.fetch_add(1, Ordering::SeqCst);
            tokio::task::yield_now().await;
            answer.map_err(|meaning| refusal(meaning).into())
        };
        credentials.send(&mut caller, attempt).await
    }

    fn why(ended: Result<(), TaskError>) -> String {
        match ended {
            Err(error @ TaskError::NoCredential { .. }) => error.to_string(),
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn a_refused_secret_leaves_the_pools_of_all_projects_and_runs() {
        for kind in [CredentialKind::Token, CredentialKind::Password] {
            let (_home, state) = state().await;
            let process = Process::new(&state);
            let (one, other) = (process.run(kind), process.run(kind));
            let sent = AtomicUsize::new(0);
            for (run, project) in [(&one, "PAY"), (&other, "OPS")] {
                send(run, project, &sent, Ok(())).await.unwrap();
            }
            why(send(&one, "PAY", &sent, Err(Refusal::Rejected)).await);
            for (run, project) in [(&one, "OPS"), (&other, "PAY"), (&other, "OPS")] {
                assert!(why(send(run, project, &sent, Ok(())).await).contains("is wrong"));
            }
            assert_eq!(sent.load(Ordering::SeqCst), 3, "{kind:?}");
            assert_eq!(other.sightings().len(), 2, "each credential is known to be rejected");
        }
    }

    #[tokio::test]
    async fn a_password_of_which_nothing_is_known_is_sent_once_if_it_is_wrong() {
        let (_home, state) = state().await;
        let process = Process::new(&state);
        let (one, other) = (process.run(CredentialKind::Password), process.run(CredentialKind::Password));
        let sent = &AtomicUsize::new(0);
        let of = |number| (if number % 2 == 0 { &one } else { &other }, if number < 4 { "PAY" } else { "OPS" });
        let all = (0..8).map(|number| async move {
            let (run, project) = of(number);
            send(run, project, sent, Err(Refusal::Rejected)).await
        });
        for ended in join_all(all).await {
            why(ended);
        }
        assert_eq!(sent.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn one_answer_lets_a_password_be_sent_by_many_at_once() {
        let (_home, state) = state().await;
        let credentials = Process::new(&state).run(CredentialKind::Password);
        send(&credentials, "PAY", &AtomicUsize::new(0), Ok(())).await.unwrap();
        let (project, together): (ProjectSelector, _) = ("PAY".parse().unwrap(), &Barrier::new(4));
        let all = (0..4).map(|_| async {
            let mut caller = Caller::new(&project, "task".to_owned(), Scope::Server);
            let attempt = |_: Voucher| async move { Ok::<_, TaskError>(together.wait().await.is_leader()) };
            credentials.send(&mut caller, attempt).await
        });
        let ended = tokio::time::timeout(Duration::from_mins(1), join_all(all)).await.expect("nobody waits in turn");
        assert!(ended.iter().all(Result::is_ok));
    }

    #[tokio::test]
    async fn a_password_that_another_process_was_refused_with_is_not_sent() {
        let (_home, state) = state().await;
        let (here, there) = (Process::new(&state), Process::new(&state));
        let (one, other) = (here.run(CredentialKind::Password), there.run(CredentialKind::Password));
        let late = there.run(CredentialKind::Password);
        let sent = AtomicUsize::new(0);
        for run in [&one, &other] {
            send(run, "PAY", &sent, Ok(())).await.unwrap();
            send(run, "PAY", &sent, Ok(())).await.unwrap();
        }
        why(send(&one, "OPS", &sent, Err(Refusal::Captcha)).await);
        assert!(why(send(&late, "OPS", &sent, Ok(())).await).contains("set aside"), "its first request looks");
        there.clock.advance(Duration::from_secs(10));
        assert!(why(send(&other, "PAY", &sent, Ok(())).await).contains("set aside"));
        assert_eq!(sent.load(Ordering::SeqCst), 5);
    }
}
