//! The way to one server: how many requests at once, and waiting together while it is busy.
//!
//! A request first takes its place in a lane, as declared, and then one under the server's [`Pressure`]. A 503 makes
//! everybody wait; when the rest is over one request asks for `/status`, which costs nobody's budget, and if the server
//! says that it runs, goes on as the probe. A server that answers nobody is waited for [`PATIENCE`]; after that
//! whatever needs it fails by a name of its own. Credentials are not exchanged: it is not about them.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::SemaphorePermit;
use tokio_util::sync::CancellationToken;

use super::deadline::Deadline;
use super::lanes::Lanes;
use super::summary::BusyServer;
use super::turnstile::Voucher;
use super::{Event, EventSink, TaskError};
use crate::bitbucket::{Client, ServerState};
use crate::clock::Clock;
use crate::http::{Authorization, HttpClient, HttpError};
use crate::model::ServerName;
use crate::throttle::{Admission, Admitted, PATIENCE, Pressure, Reply, Shift};

/// How often one request is refused before it fails, if the server serves others.
const ATTEMPTS: u32 = 5;

/// Which requests of a server wait for each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lane {
    /// Listings and REST calls.
    Listing,
    /// Packs.
    Packs,
}

/// The way to one server.
pub(super) struct Gate {
    server: ServerName,
    /// Shared with the other runs of this process.
    lanes: Arc<Lanes>,
    client: Client,
    record: Mutex<Record>,
    clock: Arc<dyn Clock>,
    events: Arc<dyn EventSink>,
    closing: CancellationToken,
    stop: CancellationToken,
}

/// What happened at the gate.
#[derive(Default)]
struct Record {
    busy: Option<BusyServer>,
    /// Since when the server serves nobody.
    since: Option<Instant>,
}

/// A place at the server, given back when it is dropped.
pub(super) struct Place<'a> {
    gate: &'a Gate,
    admitted: Admitted,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.gate.pressure().leave(self.admitted, self.gate.clock.monotonic());
        self.gate.lanes.changed.notify_waiters();
    }
}

/// The places that a request holds: a pack keeps them until it has streamed.
pub(super) type Places<'a> = (Place<'a>, SemaphorePermit<'a>);

impl Gate {
    /// A way to a server, by these lanes.
    pub(super) fn new(
        server: ServerName,
        lanes: Arc<Lanes>,
        http: HttpClient,
        clock: Arc<dyn Clock>,
        events: Arc<dyn EventSink>,
        deadline: &Deadline,
    ) -> Self {
        Self {
            server,
            lanes,
            client: Client::new(http),
            record: Mutex::default(),
            clock,
            events,
            closing: deadline.closing().clone(),
            stop: deadline.stop().clone(),
        }
    }

    /// Sends a listing or a REST call, as soon as there is a place.
    pub(super) async fn listing<T, E, F, R>(&self, voucher: Voucher, request: F) -> Result<T, TaskError>
    where
        F: Fn(Authorization) -> R,
        R: Future<Output = Result<T, E>>,
        E: Into<TaskError>,
    {
        self.send(Lane::Listing, voucher, request).await.map(|(value, _)| value)
    }

    /// Sends a request as soon as there is a place in its lane and at the server, and again while the server is busy.
    pub(super) async fn send<T, E, F, R>(
        &self,
        lane: Lane,
        voucher: Voucher,
        request: F,
    ) -> Result<(T, Places<'_>), TaskError>
    where
        F: Fn(Authorization) -> R,
        R: Future<Output = Result<T, E>>,
        E: Into<TaskError>,
    {
        let lane = match lane {
            Lane::Listing => &self.lanes.listing,
            Lane::Packs => &self.lanes.packs,
        };
        let permit = lane.acquire().await.expect("never closed");
        let (mut refused, mut served_before) = (0, None);
        loop {
            let place = self.enter().await?;
            if !voucher.departs().await? {
                return Err(TaskError::Overtaken);
            }
            let error: TaskError = match request(voucher.authorization.clone()).await {
                Ok(value) => {
                    self.settle(&place, Reply::Served, "");
                    return Ok((value, (place, permit)));
                }
                Err(error) => error.into(),
            };
            match error.http() {
                Some(HttpError::Busy { retry_after, .. }) => {
                    self.settle(&place, Reply::Busy { retry_after: *retry_after }, &error.to_string());
                    refused += 1;
                    let served = self.pressure().answered();
                    let others = served > *served_before.get_or_insert(served);
                    if refused >= ATTEMPTS && others {
                        return Err(error);
                    }
                    voucher.waits_again();
                }
                // Silence says nothing about how busy it is.
                Some(HttpError::Timeout { .. } | HttpError::Unreachable { .. } | HttpError::Interrupted { .. }) => {
                    return Err(error);
                }
                _ => {
                    self.settle(&place, Reply::Served, "");
                    return Err(error);
                }
            }
        }
    }

    /// Waits for a place. The one who is to probe asks the server first whether it runs.
    async fn enter(&self) -> Result<Place<'_>, TaskError> {
        loop {
            let changed = self.lanes.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let now = self.clock.monotonic();
            let admission = self.pressure().admit(now);
            let rest = match admission {
                Admission::Go(admitted) => {
                    let place = Place { gate: self, admitted };
                    let why = if admitted.is_probe() { self.not_ready().await? } else { None };
                    let Some(why) = why else {
                        // That the server serves again may have been another run's to find.
                        self.end_rest(now);
                        return Ok(place);
                    };
                    self.settle(&place, Reply::Busy { retry_after: None }, &why);
                    continue;
                }
                Admission::Full => None,
                Admission::Rests { until } => Some(until.saturating_duration_since(now)),
                Admission::GivenUp => return Err(self.given_up()),
            };
            let wait = rest.unwrap_or(Duration::MAX);
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return Err(TaskError::Stopped),
                // At the deadline whoever would only wait gives up.
                () = self.closing.cancelled(), if rest.is_some() => return Err(TaskError::Stopped),
                () = changed => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// Why the server does not run, if it says so.
    async fn not_ready(&self) -> Result<Option<String>, TaskError> {
        let said = tokio::select! {
            biased;
            () = self.stop.cancelled() => return Err(TaskError::Stopped),
            said = self.client.server_state() => said,
        };
        Ok(match said {
            Ok(ServerState::Maintenance) => Some("it is in maintenance".to_owned()),
            Ok(ServerState::NotReady(word)) => Some(format!("it is not ready: it says {word}")),
            // A proxy may not let it through: then the request itself finds out.
            Ok(ServerState::Running) | Err(_) => None,
        })
    }

    fn settle(&self, place: &Place<'_>, reply: Reply, why: &str) {
        let now = self.clock.monotonic();
        let shift = self.pressure().settle(place.admitted, reply, now);
        match shift {
            None => {}
            Some(Shift::Rests { until, limit }) => {
                self.note(why, limit, now);
                let wait = until.saturating_duration_since(now);
                let until = self.clock.now().saturating_add(wait).unwrap_or(Timestamp::MAX);
                let (server, why) = (self.server.clone(), why.to_owned());
                self.events.emit(&Event::ServerBusy { server, until, limit, why });
            }
            Some(Shift::Serves { limit }) => {
                self.end_rest(now);
                self.events.emit(&Event::ServerServes { server: self.server.clone(), limit });
            }
            Some(Shift::GivenUp) => {
                self.note(why, 1, now);
                self.end_rest(now);
            }
        }
        self.lanes.changed.notify_waiters();
    }

    fn note(&self, why: &str, limit: u32, now: Instant) {
        let mut record = self.record();
        record.since.get_or_insert(now);
        let server = self.server.clone();
        let blank = BusyServer { server, rests: 0, waited_millis: 0, lowest: limit, why: String::new() };
        let busy = record.busy.get_or_insert(blank);
        busy.rests += 1;
        busy.lowest = busy.lowest.min(limit);
        why.clone_into(&mut busy.why);
    }

    fn end_rest(&self, now: Instant) {
        let mut record = self.record();
        let waited = record.since.take().map_or(0, |since| now.saturating_duration_since(since).as_millis());
        if let Some(busy) = &mut record.busy {
            busy.waited_millis = busy.waited_millis.saturating_add(u64::try_from(waited).unwrap_or(u64::MAX));
        }
    }

    /// What there is to tell at the end: how busy the server was.
    pub(super) fn told(&self) -> Option<BusyServer> {
        self.end_rest(self.clock.monotonic());
        self.record().busy.clone()
    }

    fn given_up(&self) -> TaskError {
        let why = self.record().busy.as_ref().map(|busy| busy.why.clone()).unwrap_or_default();
        TaskError::NotServing { server: self.server.clone(), minutes: PATIENCE.as_secs() / 60, why }
    }

    fn pressure(&self) -> MutexGuard<'_, Pressure> {
        self.lanes.pressure()
    }

    fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().expect("no holder panics")
    }
}
