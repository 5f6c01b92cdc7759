//! One request, whoever answers for it: passes, exchanges, waits.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::caller::Caller;
use super::credentials::Credentials;
use super::passwords::Turn;
use super::permission::Scope;
use super::turnstile::{Entry, Pass, Place, Voucher};
use super::{Event, ExchangeReason, Refused, TaskError};
use crate::http::{HttpError, Refusal};
use crate::throttle::{Ask, Lack, Outcome};

/// A caller whose accounts have budget within this time is paced; one whose accounts do not is throttled.
pub(super) const PACE: Duration = Duration::from_millis(500);

impl Credentials {
    /// Sends one request with a credential of the caller's project. The attempt shows its voucher at the server's gate,
    /// where a busy server is waited for.
    ///
    /// The caller keeps its credential from request to request. Where its account has no token, and after a 429, the
    /// same request goes on with another account; when none has budget the caller waits, holding nothing else. A token
    /// that came before a 429 is not used after it. A credential that the server rejects leaves the pool; one that may
    /// not do this is passed over for this caller. Any other failure is the caller's.
    pub(super) async fn send<T, F, R, E>(&self, caller: &mut Caller<'_>, mut attempt: F) -> Result<T, TaskError>
    where
        F: FnMut(Voucher) -> R,
        R: Future<Output = Result<T, E>>,
        E: Into<TaskError>,
    {
        loop {
            let pass = Arc::new(self.pass(caller).await?);
            let lease = pass.lease().clone();
            tracing::Span::current().record("account", tracing::field::display(&lease.account));
            caller.lease = Some(lease.clone());
            // Kept until it is known what the answer says of the password.
            let turn = self.login_turn((&lease.project, &lease.role)).await?;
            let authorization = self.authorizations[&(lease.project.clone(), lease.role.clone())].clone();
            let voucher = Voucher::new(authorization, Arc::clone(&pass));
            let voucher = if caller.is_unbegun() { voucher.within(&self.hours) } else { voucher };
            let result = tokio::select! {
                biased;
                () = self.stop.cancelled() => {
                    self.sent(caller, &pass);
                    return Err(TaskError::Stopped);
                }
                result = attempt(voucher) => result,
            };
            let was_sent = self.sent(caller, &pass);
            let error: TaskError = match result {
                Ok(value) => {
                    self.learn_login(caller, &lease, None);
                    pass.settle(Outcome::Answered);
                    return Ok(value);
                }
                Err(error) => error.into(),
            };
            if matches!(error, TaskError::Overtaken) {
                pass.settle(Outcome::Unsent);
                continue;
            }
            self.learn_login(caller, &lease, Some(&error));
            match error.http() {
                Some(HttpError::RateLimited { retry_after, .. }) => {
                    caller.ledger.limited(&lease);
                    caller.limited = true;
                    self.settle_refusal(&pass, *retry_after).await?;
                }
                Some(HttpError::Unauthorized { meaning, .. }) => {
                    // A credential that does not log in leaves before its token can go to somebody else who would use
                    // it. One that may not do this is looked at with a request of the same account, which would wait
                    // for the answer that has come.
                    if meaning.of_login().is_none() {
                        pass.settle(Outcome::Answered);
                    }
                    self.unauthorized(caller, *meaning, &error, turn).await?;
                    pass.settle(Outcome::Answered);
                }
                _ => {
                    pass.settle(if was_sent { Outcome::Answered } else { Outcome::Unsent });
                    return Err(error);
                }
            }
        }
    }

    /// Settles a request that was answered with 429. Those who use the account hear of it, here, elsewhere, and later.
    pub(super) async fn settle_refusal(&self, pass: &Pass, retry_after: Option<Duration>) -> Result<(), TaskError> {
        let stake = pass.stake();
        let rests = pass.settle(Outcome::RateLimited { retry_after });
        if let Some(stake) = &stake {
            self.turnstile.keep_refused(&stake.holder).await;
        }
        self.tell_rest(pass.lease(), rests);
        if let (Some(stake), Some(rests)) = (stake, rests) {
            self.turnstile.tell_refusal(&stake, rests).await?;
        }
        Ok(())
    }

    /// Waits, or ends early because the run is stopped.
    pub(super) async fn wait(&self, duration: Duration) -> Result<(), TaskError> {
        tokio::select! {
            biased;
            () = self.stop.cancelled() => Err(TaskError::Stopped),
            () = tokio::time::sleep(duration) => Ok(()),
        }
    }

    /// A token for one request. A task that would begin with it, and may not, gets none.
    async fn pass(&self, caller: &mut Caller<'_>) -> Result<Pass, TaskError> {
        if self.stop.is_cancelled() {
            return Err(TaskError::Stopped);
        }
        loop {
            self.may_begin(caller)?;
            match self.ask(caller) {
                Entry::Admitted(pass) => return Ok(pass),
                Entry::Exhausted => return Err(self.nobody(caller)),
                Entry::Queued(queued) => {
                    if let Some(pass) = self.turn(caller, queued).await? {
                        // The hours may have come while it waited.
                        return match self.may_begin(caller) {
                            Ok(()) => Ok(pass),
                            Err(error) => {
                                pass.settle(Outcome::Unsent);
                                Err(error)
                            }
                        };
                    }
                }
            }
        }
    }

    /// A task whose hours have come before its first request waits for their end, and holds nothing.
    fn may_begin(&self, caller: &Caller<'_>) -> Result<(), TaskError> {
        if caller.is_unbegun() && self.hours.closed().is_some() { Err(TaskError::HoursClosed) } else { Ok(()) }
    }

    fn ask(&self, caller: &mut Caller<'_>) -> Entry {
        let arrival = *caller.arrival.get_or_insert_with(|| self.turnstile.arrive());
        self.turnstile.ask(Ask {
            rotation: self.rotation(caller.project),
            arrival,
            keep: caller.lease.as_ref().map(|lease| &lease.role),
            steadiness: caller.steadiness,
            except: &self.ruled_out(caller),
        })
    }

    /// Waits in the queue. A caller is throttled from when none of its accounts has budget within [`PACE`]; one that
    /// waits for answers to others is not. A throttled task gives its slot to others, and at the deadline it gives up. So it does when hours come in which it may not begin.
    async fn turn(&self, caller: &mut Caller<'_>, mut place: Place) -> Result<Option<Pass>, TaskError> {
        let began = self.clock.monotonic();
        let (mut wait, mut parked) = (None, None);
        let served = loop {
            if let Err(error) = self.may_begin(caller) {
                break Err(error);
            }
            let prospect = place.prospect();
            if caller.patience.is_some_and(|patience| prospect > patience) {
                let until = self.clock.now().saturating_add(prospect).unwrap_or(Timestamp::MAX);
                break Err(TaskError::OutOfTime { until });
            }
            if prospect >= PACE || wait.is_some() {
                self.throttle(caller, &mut wait, prospect).await;
                parked = parked.or_else(|| match caller.scope {
                    Scope::Repository(..) => Some(self.parking.park(caller.project)),
                    Scope::Server | Scope::Listing(_) => None,
                });
            }
            let until = wait.as_ref().map(super::throttled::Wait::until);
            tokio::select! {
                biased;
                () = self.stop.cancelled() => break Err(TaskError::Stopped),
                () = self.closing.cancelled(), if until.is_some() => {
                    break Err(TaskError::OutOfTime { until: until.expect("it is a condition of this branch") });
                }
                pass = place.turn() => break Ok(pass),
                // Its accounts may begin to rest while it waits, or rest longer.
                () = tokio::time::sleep(PACE) => {}
            }
        };
        drop(parked);
        if let Some(wait) = wait {
            let account = served.as_ref().ok().and_then(Option::as_ref).map(|pass| pass.lease().account.clone());
            self.end_wait(caller, wait, account).await;
        } else {
            let waited = self.clock.monotonic().saturating_duration_since(began);
            caller.ledger.paced_ms += u64::try_from(waited.as_millis()).unwrap_or(u64::MAX);
        }
        served
    }

    /// Enters what was sent, and whether that is an exchange: a pass that was not used is none. Tells whether it was used.
    fn sent(&self, caller: &mut Caller<'_>, pass: &Pass) -> bool {
        let lease = pass.lease();
        if !pass.enter(&mut caller.ledger) {
            return false;
        }
        let limited = std::mem::take(&mut caller.limited);
        let from = caller.asked_as.replace(lease.account.clone());
        if let Some(from) = from.filter(|from| *from != lease.account) {
            let reason = match pass.lack() {
                _ if limited => ExchangeReason::RateLimited,
                Some(Lack::Room) => ExchangeReason::NoRoom,
                Some(Lack::Budget) | None => ExchangeReason::NoBudget,
            };
            caller.ledger.exchange(&from, reason);
            let (subject, to) = (caller.subject.clone(), lease.account.clone());
            self.events.emit(&Event::CredentialExchanged { subject, from, to, reason });
        }
        true
    }

    /// The caller's credential was refused: for good, or for what the caller needs.
    async fn unauthorized(
        &self,
        caller: &mut Caller<'_>,
        meaning: Refusal,
        error: &TaskError,
        turn: Option<Turn>,
    ) -> Result<(), TaskError> {
        let Some(lease) = caller.lease.take() else { return Ok(()) };
        caller.asked_as = None;
        if let Some(reason) = meaning.of_login() {
            self.reject_login((&lease.project, &lease.role), reason, error).await?;
            return Ok(());
        }
        let refused = Refused::new(&lease.project, lease.role.clone(), lease.account.clone(), error);
        if meaning == Refusal::NoPermission {
            self.doubt(caller, &lease, &refused).await;
        }
        if meaning == Refusal::Unknown {
            self.explain(caller, &lease, error, turn).await?;
        }
        caller.refusals.push(refused);
        caller.unfit.insert(lease.role);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::net::TcpListener;
    use std::path::Path;

    use secrecy::SecretString;
    use tokio::sync::Barrier;
    use tokio_util::sync::CancellationToken;

    use super::super::credentials::Opened;
    use super::super::deadline::Deadline;
    use super::super::hours::Hours;
    use super::super::journal::Journal;
    use super::super::passwords::Passwords;
    use super::super::server::ServerContext;
    use super::super::turnstile::Turnstile;
    use super::super::{EventSink, RunError};
    use super::*;
    use crate::bitbucket::BitbucketError;
    use crate::clock::{Clock, ManualClock, SystemClock};
    use crate::http::{Authorization, Proxies, RequestPlace, Tally};
    use crate::model::{
        AccountName, BaseUrl, Concurrency, CredentialRole, Cron, Limit, LimitSource, ProjectKey, ProjectSelector,
        RateLimit, Server, Timetable, Uid, Window,
    };
    use crate::schedule::Agenda;
    use crate::state::{StateLocation, StateStore};
    use crate::throttle::{Holder, Steadiness};

    struct Silent;

    impl EventSink for Silent {
        fn emit(&self, _event: &Event) {}
    }

    /// The credentials of a project, one for each account, and its server, which nobody serves. `never` stops them.
    async fn scene(
        state: Arc<StateStore>,
        clock: Arc<dyn Clock>,
        (accounts, burst, hours): (&[&str], u32, Option<Agenda>),
        never: &CancellationToken,
    ) -> Result<(Credentials, ServerContext), RunError> {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let url = BaseUrl::new(&format!("http://127.0.0.1:{port}")).unwrap();
        let project: ProjectSelector = "PAY".parse().unwrap();
        let events: Arc<dyn EventSink> = Arc::new(Silent);
        let deadline = Deadline::start(None, (never, never), &clock, &events);
        let turnstile = Turnstile::new(Arc::clone(&clock));
        let (timeout, concurrency) = (Duration::from_secs(5), Concurrency::default());
        let declared = Server { url: url.clone(), ca_file: None, timeout, concurrency, rate_limit: None };
        let around = (&clock, &events, &deadline, turnstile.roads());
        let (proxies, tally) = (Proxies::new(None, None), Tally::default());
        let (name, uid) = ("bb".parse().unwrap(), Uid::from_parts(1, 1));
        let server =
            ServerContext::open(name, uid, &declared, Path::new("."), (&proxies, &tally), &state, around).await?;
        let (mut rotation, mut authorizations) = (Vec::new(), BTreeMap::new());
        for name in accounts {
            let account: AccountName = name.parse().unwrap();
            let role = CredentialRole::Additional(name.parse().unwrap());
            let holder = Holder::new(&url, &account);
            let limit = RateLimit::Bucket { burst, refill_per_second: 5 };
            turnstile.tell(holder.clone(), Limit { limit, source: LimitSource::File });
            let authorization = Authorization::bearer(account.clone(), &SecretString::from("token")).unwrap();
            authorizations.insert((project.clone(), role.clone()), authorization);
            rotation.push((role, account, holder));
        }
        let opened = Opened {
            rotations: [(project.clone(), rotation)].into(),
            authorizations,
            servers: [(project, server.name.clone())].into(),
            contexts: BTreeMap::new(),
            passwords: Passwords::new(Arc::clone(&state), BTreeMap::new()),
        };
        let journal = Arc::new(Journal::open(state, Arc::clone(&events)));
        let hours = Arc::new(Hours::of(hours, Arc::clone(&clock)));
        Ok((Credentials::new(turnstile, opened, journal, clock, events, (&deadline, &hours)), server))
    }

    async fn state() -> (tempfile::TempDir, Arc<StateStore>) {
        let home = tempfile::tempdir().unwrap();
        let state = StateStore::open(&StateLocation::beside(home.path()), &SystemClock).await.unwrap();
        (home, Arc::new(state))
    }

    #[tokio::test]
    async fn only_a_request_that_is_sent_is_an_exchange() {
        let (_home, state) = state().await;
        let stop = CancellationToken::new();
        let clock = Arc::new(ManualClock::at(Timestamp::UNIX_EPOCH));
        let (credentials, server) = scene(state, clock, (&["svc-a", "svc-b"], 1, None), &stop).await.unwrap();
        let (selector, key): (ProjectSelector, ProjectKey) = ("PAY".parse().unwrap(), "PAY".parse().unwrap());
        let mut caller = Caller::new(&selector, "task".to_owned(), Scope::Repository(&key, &server));
        let answer = |voucher: Voucher| async move {
            assert!(voucher.departs().await?);
            Ok::<_, TaskError>(voucher.authorization.account().clone())
        };
        let first = credentials.send(&mut caller, answer).await.unwrap();
        // The other account has the only token that is left, and does not get to use it.
        let (first, stop) = (&first, &stop);
        let overtaken = |voucher: Voucher| async move {
            assert_ne!(voucher.authorization.account(), first);
            stop.cancel();
            Err::<(), _>(TaskError::Overtaken)
        };
        let ended = credentials.send(&mut caller, overtaken).await;
        assert!(matches!(ended, Err(TaskError::Stopped)), "{ended:?}");
        assert_eq!((caller.ledger.total_requests(), caller.ledger.exchanges), (1, 0));
    }

    #[tokio::test]
    async fn what_never_left_the_gate_is_in_no_book_and_leaves_its_token() {
        let (_home, state) = state().await;
        // No time passes, so there is no other token.
        let clock = Arc::new(ManualClock::at(Timestamp::UNIX_EPOCH));
        let (credentials, server) = scene(state, clock, (&["svc"], 1, None), &CancellationToken::new()).await.unwrap();
        let (selector, key): (ProjectSelector, ProjectKey) = ("PAY".parse().unwrap(), "PAY".parse().unwrap());
        let mut caller = Caller::new(&selector, "task".to_owned(), Scope::Repository(&key, &server));
        let given_up = |_voucher| std::future::ready(Err::<(), _>(TaskError::Stopped));
        let ended = credentials.send(&mut caller, given_up).await;
        assert!(matches!(ended, Err(TaskError::Stopped)), "{ended:?}");
        assert_eq!((caller.ledger.total_requests(), caller.ledger.credentials.len()), (0, 0));
        let twice = |voucher: Voucher| async move {
            let voucher = voucher.for_git();
            assert!(voucher.departs().await? && voucher.departs().await?);
            Ok::<_, TaskError>(())
        };
        let sent = tokio::time::timeout(Duration::from_mins(1), credentials.send(&mut caller, twice)).await;
        sent.expect("there is a token").unwrap();
        assert_eq!(
            (caller.ledger.total_requests(), caller.ledger.git_requests),
            (2, 2),
            "a busy server was asked again"
        );
    }

    #[tokio::test]
    async fn the_first_request_of_another_account_is_an_exchange() {
        let (_home, state) = state().await;
        let clock = Arc::new(ManualClock::at(Timestamp::UNIX_EPOCH));
        let accounts: &[&str] = &["svc-a", "svc-b"];
        let (credentials, server) = scene(state, clock, (accounts, 1, None), &CancellationToken::new()).await.unwrap();
        let (selector, key): (ProjectSelector, ProjectKey) = ("PAY".parse().unwrap(), "PAY".parse().unwrap());
        let mut caller = Caller::new(&selector, "task".to_owned(), Scope::Repository(&key, &server));
        let answer = |voucher: Voucher| async move {
            assert!(voucher.departs().await?);
            Ok::<_, TaskError>(voucher.authorization.account().clone())
        };
        let first = credentials.send(&mut caller, answer).await.unwrap();
        let second = credentials.send(&mut caller, answer).await.unwrap();
        assert_ne!(first, second);
        assert_eq!((caller.ledger.exchanges, caller.ledger.exchanges_ahead), (1, 1));
    }

    #[tokio::test]
    async fn who_waits_for_answers_to_others_is_not_throttled() {
        let (_home, state) = state().await;
        let clock = Arc::new(ManualClock::at(Timestamp::UNIX_EPOCH));
        let time = Arc::<ManualClock>::clone(&clock);
        let (credentials, server) = scene(state, time, (&["svc"], 60, None), &CancellationToken::new()).await.unwrap();
        let (selector, key): (ProjectSelector, ProjectKey) = ("PAY".parse().unwrap(), "PAY".parse().unwrap());
        let task = |name: &str| Caller::new(&selector, name.to_owned(), Scope::Repository(&key, &server));
        let (all_sent, answers) = (&Barrier::new(5), &Barrier::new(5));
        let held = (0..4).map(|number| {
            let (credentials, mut caller) = (&credentials, task(&format!("task {number}")));
            async move {
                let slow = |voucher: Voucher| async move {
                    assert!(voucher.departs().await.unwrap());
                    all_sent.wait().await;
                    answers.wait().await;
                    Ok::<_, TaskError>(())
                };
                credentials.send(&mut caller, slow).await
            }
        });
        let waits = async {
            all_sent.wait().await;
            let mut caller = task("waits");
            {
                let send = credentials.send(&mut caller, |_| std::future::ready(Ok::<_, TaskError>(())));
                tokio::pin!(send);
                tokio::select! {
                    biased;
                    _ = &mut send => panic!("as many are under way as may be"),
                    () = tokio::task::yield_now() => {}
                }
                assert_eq!(credentials.parking.count(&selector), 0);
                clock.advance(Duration::from_secs(3));
                answers.wait().await;
                send.await.unwrap();
            }
            caller.ledger
        };
        let (_answered, ledger) = tokio::join!(futures_util::future::join_all(held), waits);
        assert_eq!((ledger.throttled_waits, ledger.paced_ms), (0, 3000));
    }

    #[tokio::test]
    async fn a_task_that_waits_for_budget_does_not_begin_in_closed_hours() {
        let (_home, state) = state().await;
        let start: Timestamp = "2026-11-23T07:59:59Z".parse().unwrap();
        let clock = Arc::new(ManualClock::at(start));
        let cron = Cron { expression: "0 1 * * *".into(), time_zone: "UTC".into() };
        let not_between = vec![Window { from: "08:00".parse().unwrap(), to: "18:00".parse().unwrap() }];
        let agenda = Agenda::new(&Timetable { not_between, ..Timetable::of(cron) }, Uid::from_parts(0, 0)).unwrap();
        let time = Arc::<ManualClock>::clone(&clock);
        let around = (&["svc"][..], 1, Some(agenda));
        let (credentials, server) = scene(state, time, around, &CancellationToken::new()).await.unwrap();
        let (selector, key): (ProjectSelector, ProjectKey) = ("PAY".parse().unwrap(), "PAY".parse().unwrap());
        let task = |name: &str| Caller::new(&selector, name.to_owned(), Scope::Repository(&key, &server));
        let answer = |voucher: Voucher| async move {
            assert!(voucher.departs().await?);
            Ok::<_, TaskError>(())
        };
        let mut begun = task("begun");
        credentials.send(&mut begun, answer).await.unwrap();
        let mut waits = task("waits");
        {
            let waiting = credentials.send(&mut waits, |_| async { panic!("it begins") as Result<(), TaskError> });
            tokio::pin!(waiting);
            tokio::select! {
                biased;
                _ = &mut waiting => panic!("no token is left"),
                () = tokio::task::yield_now() => {}
            }
            // The hours come, and with them the token.
            clock.advance(Duration::from_secs(1));
            let ended = waiting.await;
            assert!(matches!(ended, Err(TaskError::HoursClosed)), "{ended:?}");
        }
        assert_eq!(waits.ledger.total_requests(), 0);
        credentials.send(&mut begun, answer).await.expect("what is under way goes on, with the token that was left");
        let late = credentials.send(&mut task("late"), answer).await;
        assert!(matches!(late, Err(TaskError::HoursClosed)), "{late:?}");
        clock.advance(Duration::from_hours(10));
        credentials.send(&mut waits, answer).await.unwrap();
    }

    #[tokio::test]
    async fn a_request_that_waited_at_the_gate_does_not_begin_a_task_in_closed_hours() {
        let (_home, state) = state().await;
        let clock = Arc::new(ManualClock::at(Timestamp::UNIX_EPOCH));
        let around = (&["svc"][..], 60, None);
        let (credentials, server) = scene(state, clock, around, &CancellationToken::new()).await.unwrap();
        let (selector, key): (ProjectSelector, ProjectKey) = ("PAY".parse().unwrap(), "PAY".parse().unwrap());
        let mut caller = Caller::new(&selector, "task".to_owned(), Scope::Repository(&key, &server));
        let hours = &credentials.hours;
        let gate = |voucher: Voucher| async move {
            // The coordinator lets nobody begin anything while it waits.
            hours.shut(true);
            if voucher.departs().await? { Ok(()) } else { Err(TaskError::Overtaken) }
        };
        let ended = credentials.send(&mut caller, gate).await;
        assert!(matches!(ended, Err(TaskError::HoursClosed)), "{ended:?}");
        assert_eq!(caller.ledger.total_requests(), 0);
    }

    #[tokio::test]
    async fn those_without_permission_do_not_wait_for_each_other() {
        let (_home, state) = state().await;
        // No time passes, so whoever waits for time waits for ever.
        let clock = Arc::new(ManualClock::at(Timestamp::UNIX_EPOCH));
        let (credentials, server) = scene(state, clock, (&["svc"], 60, None), &CancellationToken::new()).await.unwrap();
        let (selector, key): (ProjectSelector, ProjectKey) = ("PAY".parse().unwrap(), "PAY".parse().unwrap());
        // As many as may be under way are answered together.
        let all_sent = &Barrier::new(4);
        let tasks = (0..4).map(|number| {
            let (credentials, selector, scope) = (&credentials, &selector, Scope::Repository(&key, &server));
            async move {
                let mut caller = Caller::new(selector, format!("task {number}"), scope);
                let refuse = |voucher: Voucher| async move {
                    assert!(voucher.departs().await.unwrap());
                    all_sent.wait().await;
                    let place = RequestPlace { address: "https://bb.example.com".into(), request_id: None };
                    let (meaning, message) = (Refusal::NoPermission, String::new());
                    Err::<(), _>(BitbucketError::Http(HttpError::Unauthorized { place, meaning, message }))
                };
                credentials.send(&mut caller, refuse).await
            }
        });
        let ended = tokio::time::timeout(Duration::from_mins(1), futures_util::future::join_all(tasks)).await;
        for ended in ended.expect("nobody waits for the clock") {
            assert!(matches!(ended, Err(TaskError::NoCredential { .. })), "{ended:?}");
        }
    }

    #[tokio::test]
    async fn a_doubt_does_not_wait_for_an_account_that_rests() {
        let (_home, state) = state().await;
        // No time passes, so whoever waits for time waits for ever.
        let clock = Arc::new(ManualClock::at(Timestamp::UNIX_EPOCH));
        let accounts: &[&str] = &["svc-a", "svc-b"];
        let (credentials, server) = scene(state, clock, (accounts, 60, None), &CancellationToken::new()).await.unwrap();
        let (selector, key): (ProjectSelector, ProjectKey) = ("PAY".parse().unwrap(), "PAY".parse().unwrap());
        let mut caller = Caller::new(&selector, "task".to_owned(), Scope::Repository(&key, &server));
        let credentials = &credentials;
        let first_is_refused = |voucher: Voucher| async move {
            assert!(voucher.departs().await.unwrap());
            let account = voucher.authorization.account().clone();
            if account.as_str() != "svc-a" {
                return Ok(account);
            }
            // Its account begins to rest before it hears that it may not.
            let role = CredentialRole::Additional("svc-a".parse().unwrap());
            let (rotation, except) = (credentials.rotation(&"PAY".parse().unwrap()), BTreeSet::new());
            let (arrival, keep, steadiness) = (credentials.turnstile.arrive(), Some(&role), Steadiness::Any);
            let Entry::Admitted(other) =
                credentials.turnstile.ask(Ask { rotation, arrival, keep, steadiness, except: &except })
            else {
                panic!("there are tokens")
            };
            assert!(other.departs().await);
            other.settle(Outcome::RateLimited { retry_after: Some(Duration::from_mins(10)) });
            let place = RequestPlace { address: "https://bb.example.com".into(), request_id: None };
            let (meaning, message) = (Refusal::NoPermission, String::new());
            Err(BitbucketError::Http(HttpError::Unauthorized { place, meaning, message }))
        };
        let ended = tokio::time::timeout(Duration::from_mins(1), credentials.send(&mut caller, first_is_refused)).await;
        assert_eq!(ended.expect("nobody waits for the clock").unwrap().as_str(), "svc-b");
        assert_eq!(caller.unfit.len(), 1, "of no use for this caller");
        assert!(credentials.sightings().is_empty(), "no alarm");
        let other = Caller::new(&selector, "other".to_owned(), Scope::Repository(&key, &server));
        assert!(credentials.ruled_out(&other).is_empty(), "of use for others");
    }

    #[tokio::test]
    async fn a_caller_with_little_patience_does_not_wait_for_an_account_that_rests() {
        let (_home, state) = state().await;
        let clock = Arc::new(ManualClock::at(Timestamp::UNIX_EPOCH));
        let (credentials, server) = scene(state, clock, (&["svc"], 60, None), &CancellationToken::new()).await.unwrap();
        let (selector, key): (ProjectSelector, ProjectKey) = ("PAY".parse().unwrap(), "PAY".parse().unwrap());
        let mut caller = Caller::new(&selector, "task".to_owned(), Scope::Repository(&key, &server));
        caller.patience = Some(PACE);
        let limit = |voucher: Voucher| async move {
            assert!(voucher.departs().await.unwrap());
            let place = RequestPlace { address: "https://bb.example.com".into(), request_id: None };
            let retry_after = Some(Duration::from_mins(10));
            Err::<(), _>(BitbucketError::Http(HttpError::RateLimited { place, retry_after, raw: None }))
        };
        let ended = tokio::time::timeout(Duration::from_mins(1), credentials.send(&mut caller, limit)).await;
        assert!(matches!(ended, Ok(Err(TaskError::OutOfTime { .. }))), "{ended:?}");
    }
}
