//! What servers allow, where nobody has asked them yet.

use super::conclude::Whole;
use super::dispatch::{Context, Servers};
use super::sending::PACE;
use crate::bitbucket::Client;
use crate::http::Authorization;
use crate::model::{Applied, CredentialRole, Limit, LimitSource, ProjectSelector, RateLimit, ServerName};
use crate::throttle::Holder;

/// Asks each server that nobody has asked yet what it allows its accounts. One that does not tell is taken to have the usual
/// limit: what is wrong with that is learned on the way.
pub(super) async fn ask_limits(context: &Context, servers: &Servers, applied: &Applied, whole: &mut Whole) {
    for name in &context.unasked {
        if let Some(limit) = ask(context, servers, applied, name, whole).await {
            let url = &servers[name].url;
            for (_, _, authorization) in of_server(context, applied, name) {
                let holder = Holder::new(url, authorization.account());
                context.credentials.turnstile.tell(holder, Limit { limit, source: LimitSource::Server });
            }
        }
    }
}

/// The first credential that gets an answer asks.
async fn ask(
    context: &Context,
    servers: &Servers,
    applied: &Applied,
    name: &ServerName,
    whole: &mut Whole,
) -> Option<RateLimit> {
    let client = Client::new(servers[name].http.clone());
    for (project, role, _) in of_server(context, applied, name) {
        let request = async |authorization: &Authorization| client.rate_limit(authorization).await;
        if let Some(said) = context.credentials.send_as((project, role), PACE, &mut whole.ledger, request).await {
            return said.ok().flatten();
        }
    }
    None
}

fn of_server<'a>(
    context: &'a Context,
    applied: &'a Applied,
    name: &'a ServerName,
) -> impl Iterator<Item = (&'a ProjectSelector, &'a CredentialRole, &'a Authorization)> {
    let projects = &applied.declaration.projects;
    context.credentials.iter().filter(move |(project, ..)| projects[*project].server == *name)
}
