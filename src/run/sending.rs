//! One request, whoever answers for it: passes, exchanges, waits.

use std::sync::Arc;
use std::time::Duration;

use super::caller::Caller;
use super::credentials::Credentials;
use super::permission::Scope;
use super::turnstile::{Entry, Pass, Place, Voucher};
use super::{Event, ExchangeReason, Refused, TaskError};
use crate::http::{HttpError, Refusal};
use crate::throttle::{Ask, Lease, Outcome};

/// A caller whose accounts have tokens within this time is paced; one whose accounts do not is throttled.
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
            let lease = self.go_on(caller, pass.lease());
            let authorization = self.authorizations[&(lease.project.clone(), lease.role.clone())].clone();
            let result = tokio::select! {
                biased;
                () = self.stop.cancelled() => {
                    caller.ledger.sent(&lease);
                    return Err(TaskError::Stopped);
                }
                result = attempt(Voucher::new(authorization, Arc::clone(&pass))) => result,
            };
            let error: TaskError = match result {
                Ok(value) => {
                    caller.ledger.sent(&lease);
                    pass.settle(Outcome::Answered);
                    return Ok(value);
                }
                Err(error) => error.into(),
            };
            if matches!(error, TaskError::Overtaken) {
                pass.settle(Outcome::Unsent);
                continue;
            }
            caller.ledger.sent(&lease);
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
                    self.unauthorized(caller, *meaning, &error).await?;
                    pass.settle(Outcome::Answered);
                }
                _ => {
                    pass.settle(Outcome::Answered);
                    return Err(error);
                }
            }
        }
    }

    /// Settles a request that was answered with 429. Those who use the account hear of it, here and elsewhere.
    pub(super) async fn settle_refusal(&self, pass: &Pass, retry_after: Option<Duration>) -> Result<(), TaskError> {
        let stake = pass.stake();
        let rests = pass.settle(Outcome::RateLimited { retry_after });
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

    /// A token for one request.
    async fn pass(&self, caller: &mut Caller<'_>) -> Result<Pass, TaskError> {
        if self.stop.is_cancelled() {
            return Err(TaskError::Stopped);
        }
        loop {
            match self.ask(caller) {
                Entry::Admitted(pass) => return Ok(pass),
                Entry::Exhausted => return Err(self.nobody(caller)),
                Entry::Queued(queued) => {
                    if let Some(pass) = self.turn(caller, queued).await? {
                        return Ok(pass);
                    }
                }
            }
        }
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

    /// Waits in the queue. A caller is throttled from when none of its accounts has a token within [`PACE`]: a task
    /// gives its slot to others then, and at the deadline it gives up.
    async fn turn(&self, caller: &mut Caller<'_>, mut place: Place) -> Result<Option<Pass>, TaskError> {
        let began = self.clock.monotonic();
        let (mut wait, mut parked) = (None, None);
        let served = loop {
            let prospect = place.prospect();
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

    /// Notes with which credential the caller goes on, and whether that is an exchange.
    fn go_on(&self, caller: &mut Caller<'_>, lease: &Lease) -> Lease {
        tracing::Span::current().record("account", tracing::field::display(&lease.account));
        let limited = std::mem::take(&mut caller.limited);
        if let Some(before) = caller.lease.replace(lease.clone())
            && before.account != lease.account
        {
            let reason = if limited { ExchangeReason::RateLimited } else { ExchangeReason::NoBudget };
            caller.ledger.exchange(&before.account, reason);
            self.events.emit(&Event::CredentialExchanged {
                subject: caller.subject.clone(),
                from: before.account,
                to: lease.account.clone(),
                reason,
            });
        }
        lease.clone()
    }

    /// The caller's credential was refused: for good, or for what the caller needs.
    async fn unauthorized(
        &self,
        caller: &mut Caller<'_>,
        meaning: Refusal,
        error: &TaskError,
    ) -> Result<(), TaskError> {
        let Some(lease) = caller.lease.take() else { return Ok(()) };
        let refused = Refused::new(&lease.project, lease.role.clone(), lease.account.clone(), error);
        if let Some(reason) = meaning.of_login() {
            return self.reject_login(&lease, reason, refused).await;
        }
        if meaning == Refusal::NoPermission {
            self.doubt(caller, &lease, &refused).await;
        }
        caller.refusals.push(refused);
        caller.unfit.insert(lease.role);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::net::TcpListener;
    use std::path::Path;

    use jiff::Timestamp;
    use secrecy::SecretString;
    use tokio::sync::Barrier;
    use tokio_util::sync::CancellationToken;

    use super::super::credentials::Opened;
    use super::super::deadline::Deadline;
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
        AccountName, BaseUrl, Concurrency, CredentialRole, Limit, LimitSource, ProjectKey, ProjectSelector, RateLimit,
        Server, Uid,
    };
    use crate::state::{StateLocation, StateStore};
    use crate::throttle::Holder;

    struct Silent;

    impl EventSink for Silent {
        fn emit(&self, _event: &Event) {}
    }

    /// The credentials of a project with one account, and its server, which nobody serves.
    async fn scene(state: Arc<StateStore>, clock: Arc<dyn Clock>) -> Result<(Credentials, ServerContext), RunError> {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let url = BaseUrl::new(&format!("http://127.0.0.1:{port}")).unwrap();
        let (project, account): (ProjectSelector, AccountName) = ("PAY".parse().unwrap(), "svc".parse().unwrap());
        let (role, events): (_, Arc<dyn EventSink>) = (CredentialRole::Main, Arc::new(Silent));
        let never = CancellationToken::new();
        let deadline = Deadline::start(None, (&never, &never), &clock, &events);
        let turnstile = Turnstile::new(Arc::clone(&clock));
        let (timeout, concurrency) = (Duration::from_secs(5), Concurrency::default());
        let declared = Server { url: url.clone(), ca_file: None, timeout, concurrency, rate_limit: None };
        let around = (&clock, &events, &deadline, turnstile.roads());
        let (proxies, tally) = (Proxies::new(None, None), Tally::default());
        let (name, uid) = ("bb".parse().unwrap(), Uid::from_parts(1, 1));
        let server =
            ServerContext::open(name, uid, &declared, Path::new("."), (&proxies, &tally), &state, around).await?;
        let holder = Holder::new(&url, &account);
        let limit = RateLimit::Bucket { burst: 60, refill_per_second: 5 };
        turnstile.tell(holder.clone(), Limit { limit, source: LimitSource::File });
        let authorization = Authorization::bearer(account.clone(), &SecretString::from("token")).unwrap();
        let opened = Opened {
            rotations: [(project.clone(), vec![(role.clone(), account, holder)])].into(),
            authorizations: [((project.clone(), role), authorization)].into(),
            servers: [(project, server.name.clone())].into(),
            passwords: Passwords::new(Arc::clone(&state), BTreeMap::new()),
        };
        let journal = Arc::new(Journal::open(state, Arc::clone(&events)));
        Ok((Credentials::new(turnstile, opened, journal, clock, events, &deadline), server))
    }

    #[tokio::test]
    async fn those_without_permission_do_not_wait_for_each_other() {
        let home = tempfile::tempdir().unwrap();
        let state = StateStore::open(&StateLocation::beside(home.path()), &SystemClock).await.unwrap();
        // No time passes, so whoever waits for time waits for ever.
        let clock = Arc::new(ManualClock::at(Timestamp::UNIX_EPOCH));
        let (credentials, server) = scene(Arc::new(state), clock).await.unwrap();
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
}
