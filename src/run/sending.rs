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
                // A credential leaves before its token can go to somebody else who would use it.
                Some(HttpError::Unauthorized { meaning, .. }) => {
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
