//! One request and its answer, from the first look to the last byte.

use bytes::Bytes;
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, CONTENT_ENCODING, COOKIE, HeaderMap, USER_AGENT};
use hyper::{Request, Response};
use tokio::sync::mpsc;

use crate::account::Account;
use crate::body::{BrokenOff, Chunk, Meter, MeteredBody, Reply, Source};
use crate::fault::{Action, Asked};
use crate::git::{self, RequestBody};
use crate::log::{Entry, Kind, Progress};
use crate::options::Protocol;
use crate::packet::packet;
use crate::rest;
use crate::rewrite::{Rewrite, Then};
use crate::route::{GitCall, Route, encode};
use crate::server::Control;
use crate::socket::Line;

/// The page that a single sign-on shows instead of an answer.
const LOGIN_PAGE: &str = "<!DOCTYPE html><html><head><title>Log in - Bitbucket</title></head>\
    <body><form action=\"/j_atl_security_check\" method=\"post\"></form></body></html>";

/// Answers one request.
pub(crate) async fn answer(control: Control, line: Line, request: Request<Incoming>) -> Response<MeteredBody> {
    let sequence = control.shared.log.next_sequence();
    let (head, incoming) = request.into_parts();
    let log = control.shared.log.clone();
    let exchange = Exchange {
        route: Route::of(&control.shared.options.context_path, head.uri.path()),
        method: head.method.as_str().to_owned(),
        path: head.uri.path().to_owned(),
        query: head.uri.query().map(str::to_owned),
        headers: head.headers,
        version: format!("{:?}", head.version),
        sequence,
        control,
    };
    let (ticket, busy) = match exchange.control.shared.tickets.take(&exchange.route) {
        Ok(ticket) => (ticket, None),
        Err(busy) => (None, Some(busy)),
    };
    let body = RequestBody::new(incoming, log.clone(), sequence);
    let kind = exchange.route.kind();
    log.push(exchange.entry(kind));
    let meter = Meter { log: log.clone(), sequence, bytes: 0, over: false, ticket };
    let reply = exchange.run(kind, body, busy, &line).await;
    let status = reply.status;
    log.amend(sequence, |entry| {
        entry.status = Some(status);
        entry.progress = Progress::Answering;
    });
    reply.into_response(meter, line)
}

struct Exchange {
    control: Control,
    route: Route,
    method: String,
    path: String,
    query: Option<String>,
    headers: HeaderMap,
    version: String,
    sequence: u64,
}

impl Exchange {
    async fn run(self, kind: Kind, mut body: RequestBody, busy: Option<Reply>, line: &Line) -> Reply {
        let shared = &self.control.shared;
        let kind = self.look_into(kind, &mut body).await;
        let accounts = shared.accounts();
        let identity = shared.logins.identify(&self.headers, &accounts);
        let (account, by_token) = (identity.account, identity.by_token);
        let name = account.as_ref().map(|account| account.name.clone());
        let logged = name.clone();
        shared.log.amend(self.sequence, |entry| {
            entry.kind = kind;
            entry.account = logged;
        });
        let actions = self.due(kind, name.as_deref());
        let mut rewrites = Vec::new();
        for action in actions {
            match self.before(action).await {
                Before::Answer(reply) => return reply,
                Before::GoOn => {}
                Before::Change(action) => rewrites.push(action),
            }
        }
        let unavailable = shared.health().refusal().filter(|_| self.route != Route::Status);
        if let Some(refusal) = unavailable.or(busy) {
            return refusal;
        }
        let limited = !identity.by_cookie && self.route != Route::Status;
        let mut reply = match (identity.refusal, &name) {
            (Some(refusal), _) if self.route != Route::Status => refusal,
            (_, Some(name)) if limited => match shared.buckets.take(name) {
                Ok(()) => self.handle(account.as_ref(), by_token, body).await,
                Err(refusal) => refusal,
            },
            _ => self.handle(account.as_ref(), by_token, body).await,
        };
        reply = self.sign(reply, name.as_deref(), identity.by_cookie);
        for action in rewrites {
            reply = change(reply, action, line.clone());
        }
        reply
    }

    /// Finds the command of an upload-pack request.
    async fn look_into(&self, kind: Kind, body: &mut RequestBody) -> Kind {
        let Kind::GitUploadPack { .. } = kind else {
            return kind;
        };
        let encoding = self.headers.get(CONTENT_ENCODING);
        let gzip = encoding.is_some_and(|value| value.as_bytes().ends_with(b"gzip"));
        let found = body.peek(|bytes, whole| git::command_of(bytes, gzip, whole));
        match found.await {
            Some(command) => Kind::GitUploadPack { command },
            None => kind,
        }
    }

    fn due(&self, kind: Kind, account: Option<&str>) -> Vec<Action> {
        let query = self.query.as_deref();
        let target = query.map_or(self.path.clone(), |query| format!("{}?{query}", self.path));
        let asked = Asked { method: &self.method, target: &target, kind, account };
        self.control.shared.faults.due(&asked)
    }

    async fn before(&self, action: Action) -> Before {
        match action {
            Action::Answer { status, headers, body } => {
                Before::Answer(Reply { status, headers, source: Source::Ready(body) })
            }
            Action::LoginPage => Before::Answer(Reply::new(200).content("text/html;charset=UTF-8", LOGIN_PAGE)),
            Action::Redirect { status, location } => Before::Answer(Reply::new(status).header("Location", &location)),
            Action::Hang(gate) => {
                gate.pass().await;
                Before::GoOn
            }
            Action::Run(hook) => {
                let control = self.control.clone();
                let done = tokio::task::spawn_blocking(move || hook.call(&control)).await;
                match done {
                    Ok(()) => Before::GoOn,
                    Err(error) => Before::Answer(Reply::error(500, &error.to_string(), None)),
                }
            }
            Action::Hold { .. }
            | Action::CloseAfter(_)
            | Action::ResetAfter(_)
            | Action::TruncateAfter(_)
            | Action::FlipByte(_)
            | Action::ReplaceBody(_)
            | Action::SidebandError { .. }
            | Action::CorruptPackTrailer
            | Action::ShallowInfo(_)
            | Action::ErrPacket(_) => Before::Change(action),
        }
    }

    async fn handle(&self, account: Option<&Account>, by_token: bool, body: RequestBody) -> Reply {
        let query = self.query.as_deref();
        let shared = &self.control.shared;
        match &self.route {
            Route::Status => shared.health().status(),
            Route::Unknown => Reply::new(404).content("text/html", "<html>Not found</html>"),
            Route::Git { key, slug, call } => {
                let address = (key.as_str(), slug.as_str());
                match git::admit(shared, address, *call, query, account) {
                    Err(refusal) => refusal,
                    Ok(repository) => self.git(repository.id, *call, account, body).await,
                }
            }
            Route::AccessTokens { .. } | Route::AccessToken { .. } => {
                let call = rest::TokenCall {
                    method: &self.method,
                    checked: text(&self.headers, "x-atlassian-token").as_deref() == Some("no-check"),
                    by_token,
                    body: body.whole().await,
                };
                rest::answer_about_tokens(shared, &self.route, query, account, &call)
            }
            _ if self.method != "GET" => Reply::error(405, "Method Not Allowed", None),
            route => rest::answer(shared, route, query, account),
        }
    }

    async fn git(&self, repository: u64, call: GitCall, account: Option<&Account>, body: RequestBody) -> Reply {
        let asked = text(&self.headers, "git-protocol");
        let protocol = match self.control.shared.protocol() {
            Protocol::V2 => asked,
            Protocol::V1 => asked.map(|asked| asked.replace("version=2", "version=1")),
            Protocol::V0Only => None,
        };
        git::serve(git::Call {
            world: self.control.shared.world.clone(),
            repository,
            call,
            method: self.method.clone(),
            query: self.query.clone(),
            headers: self.headers.clone(),
            protocol,
            account: account.map_or(String::new(), |account| account.name.clone()),
            body,
        })
        .await
    }

    /// Adds the headers of the real server.
    fn sign(&self, reply: Reply, account: Option<&str>, by_cookie: bool) -> Reply {
        let id = format!("@FAKE0x{}x0", self.sequence);
        let mut reply =
            reply.header("X-AREQUESTID", &id).header("Vary", "x-ausername,x-auserid,cookie,accept-encoding");
        if let Some(name) = account {
            reply = reply.header("X-AUSERNAME", &encode(name));
            if !by_cookie {
                let cookie = self.control.shared.logins.login(name);
                reply = reply.header("Set-Cookie", &cookie);
            }
        }
        reply
    }

    fn entry(&self, kind: Kind) -> Entry {
        let scheme = self.headers.get(AUTHORIZATION).map(|value| {
            let value = value.to_str().unwrap_or("");
            match value.split_once(' ') {
                Some((scheme, _)) => scheme.to_ascii_lowercase(),
                None => "malformed".to_owned(),
            }
        });
        Entry {
            sequence: self.sequence,
            method: self.method.clone(),
            path: self.path.clone(),
            query: self.query.clone(),
            account: None,
            kind,
            status: None,
            request_bytes: 0,
            response_bytes: 0,
            had_cookie: self.headers.contains_key(COOKIE),
            authorization_scheme: scheme,
            git_protocol: text(&self.headers, "git-protocol"),
            content_encoding: text(&self.headers, CONTENT_ENCODING.as_str()),
            user_agent: text(&self.headers, USER_AGENT.as_str()),
            version: self.version.clone(),
            progress: Progress::Received,
        }
    }
}

enum Before {
    Answer(Reply),
    GoOn,
    Change(Action),
}

fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    let value = headers.get(name)?;
    Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
}

/// Applies an action to the body of a reply.
fn change(mut reply: Reply, action: Action, line: Line) -> Reply {
    match action {
        Action::ReplaceBody(bytes) => reply.source = Source::Ready(bytes),
        Action::ErrPacket(text) => {
            let bytes = packet(&[b"ERR ".as_slice(), &text].concat());
            reply.source = Source::Ready(bytes.into());
        }
        other => {
            if let Some(rewrite) = Rewrite::new(other) {
                let (sender, receiver) = mpsc::channel(2);
                let source = std::mem::replace(&mut reply.source, Source::Flowing(receiver));
                tokio::spawn(pump(rewrite, source, sender, line));
            }
        }
    }
    reply
}

/// Moves a body through a rewrite until one of the ends is gone.
async fn pump(mut rewrite: Rewrite, mut source: Source, sender: mpsc::Sender<Chunk>, line: Line) {
    loop {
        let next = tokio::select! {
            biased;
            () = sender.closed() => return,
            next = next_chunk(&mut source) => next,
        };
        let (bytes, then) = match next {
            None => rewrite.finish(),
            Some(Ok(bytes)) => rewrite.step(bytes),
            Some(Err(BrokenOff)) => (Bytes::new(), Then::Break),
        };
        if !bytes.is_empty() && sender.send(Ok(bytes)).await.is_err() {
            return;
        }
        match then {
            Then::Go => {}
            Then::End => return,
            Then::Break => {
                if rewrite.resets() {
                    line.reset();
                }
                let _ = sender.send(Err(BrokenOff)).await;
                return;
            }
            Then::Hold(gate, rest) => {
                tokio::select! {
                    () = sender.closed() => return,
                    () = gate.pass() => {}
                }
                if !rest.is_empty() && sender.send(Ok(rest)).await.is_err() {
                    return;
                }
            }
        }
    }
}

async fn next_chunk(source: &mut Source) -> Option<Chunk> {
    match source {
        Source::Ready(bytes) => {
            let bytes = std::mem::take(bytes);
            (!bytes.is_empty()).then_some(Ok(bytes))
        }
        Source::Flowing(receiver) => receiver.recv().await,
    }
}
