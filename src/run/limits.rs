//! What servers allow, where nobody has asked them yet, or not for a long time.

use super::conclude::Whole;
use super::dispatch::{Context, Servers};
use super::error::lines;
use super::server::ServerContext;
use crate::bitbucket::Client;
use crate::http::{Authorization, HttpError};
use crate::model::{
    Applied, CredentialRole, Limit, LimitSource, Observations, ProjectSelector, RateLimit, Reach, ServerName,
    ServerSeen,
};
use crate::state::StateError;
use crate::throttle::Holder;

/// Asks each server of which it is not known what it allows its accounts. The answer is remembered, so that the runs to
/// come need not ask, also if it is that the server does not tell. Such a one is taken to have the usual limit: what is
/// wrong with that is learned on the way.
pub(super) async fn ask_limits(context: &Context, servers: &Servers, applied: &Applied, whole: &mut Whole) {
    for name in &context.unasked {
        let server = &servers[name];
        let Some(answer) = ask(context, server, applied, whole).await else { continue };
        if let Some(limit) = answer {
            for (_, _, authorization) in of_server(context, applied, name) {
                let holder = Holder::new(&server.url, authorization.account());
                context.credentials.turnstile.tell(holder, Limit { limit, source: LimitSource::Server });
            }
        }
        if let Err(error) = remember(context, server, answer).await {
            let why = lines(&error).join(": ");
            whole.warnings.push(format!("what server {name} allows is not remembered: {why}"));
        }
    }
}

/// The first credential that gets an answer asks. Nothing, if there is none; `Some(None)`, if the server does not tell.
async fn ask(
    context: &Context,
    server: &ServerContext,
    applied: &Applied,
    whole: &mut Whole,
) -> Option<Option<RateLimit>> {
    let client = &Client::new(server.http.clone());
    for (project, role, _) in of_server(context, applied, &server.name) {
        let request = |authorization: Authorization| async move { client.rate_limit(&authorization).await };
        let (credentials, of) = (&context.credentials, (project, role));
        let arrival = credentials.turnstile.arrive();
        match credentials.send_as(server, of, arrival, &mut whole.ledger, request).await {
            None => {}
            Some(Ok(answer)) => return Some(answer),
            // Tokens may be refused here that are good everywhere else.
            Some(Err(error)) if matches!(error.http(), Some(HttpError::Unauthorized { .. })) => return Some(None),
            Some(Err(_)) => return None,
        }
    }
    None
}

/// Puts an answer into the memory, beside what a look has seen of the server.
async fn remember(context: &Context, server: &ServerContext, answer: Option<RateLimit>) -> Result<(), StateError> {
    let asked = context.clock.now();
    let blank = || ServerSeen {
        observed_at: asked,
        reach: Reach::Answered,
        version: server.version.get().cloned(),
        limit: None,
        exceptions: std::collections::BTreeMap::new(),
        limits_asked: None,
    };
    let known = context.state.observations(None).await?.servers.remove(&server.name);
    let mut seen = known.unwrap_or_else(blank);
    // Another credential may have been told.
    seen.limit = answer.or(seen.limit);
    seen.limits_asked = Some(asked);
    let seen = Observations { servers: [(server.name.clone(), seen)].into(), ..Observations::default() };
    context.state.record_observations(&seen).await
}

fn of_server<'a>(
    context: &'a Context,
    applied: &'a Applied,
    name: &'a ServerName,
) -> impl Iterator<Item = (&'a ProjectSelector, &'a CredentialRole, &'a Authorization)> {
    let projects = &applied.declaration.projects;
    context.credentials.iter().filter(move |(project, ..)| projects[*project].server == *name)
}
