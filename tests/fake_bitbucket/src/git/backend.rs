//! Runs `git http-backend` as a CGI program and lets its answer flow.

use std::process::Stdio;

use bytes::{Bytes, BytesMut};
use hyper::HeaderMap;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::RequestBody;
use crate::body::{Chunk, Reply, Source};
use crate::route::GitCall;
use crate::stock_git::{environment, http_backend};
use crate::world::World;

/// How much is read at a time.
const CHUNK: usize = 1 << 16;

/// How much of CGI headers is accepted.
const LONGEST_HEAD: usize = 1 << 14;

/// A request for git.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) world: World,
    pub(crate) repository: u64,
    pub(crate) call: GitCall,
    pub(crate) method: String,
    pub(crate) query: Option<String>,
    pub(crate) headers: HeaderMap,
    /// What git is told about the protocol.
    pub(crate) protocol: Option<String>,
    pub(crate) account: String,
    pub(crate) body: RequestBody,
}

/// Starts git and gives its answer as soon as its headers are there.
pub(crate) async fn serve(call: Call) -> Reply {
    let mut child = match command(&call).spawn() {
        Ok(child) => child,
        Err(error) => return failed(&format!("git http-backend did not start: {error}")),
    };
    let stdin = child.stdin.take().expect("the standard input is a pipe");
    let mut stdout = child.stdout.take().expect("the standard output is a pipe");
    let feeder = tokio::spawn(feed(call.body, stdin));
    let group = Group { child, feeder };
    let mut buffer = BytesMut::new();
    let Some(mut reply) = read_head(&mut stdout, &mut buffer).await else {
        return failed("git http-backend gave no headers");
    };
    let (sender, receiver) = mpsc::channel(2);
    tokio::spawn(flow(group, stdout, buffer.freeze(), sender));
    reply.source = Source::Flowing(receiver);
    reply
}

fn command(call: &Call) -> Command {
    let path = format!("/{}.git/{}", call.repository, call.call.path());
    let header = |name: &str| {
        let value = call.headers.get(name)?;
        value.to_str().ok().map(str::to_owned)
    };
    let mut command = Command::new(http_backend());
    command
        .env_clear()
        .envs(environment())
        .env("HOME", call.world.home())
        .env("GIT_CONFIG_COUNT", "4")
        .env("GIT_CONFIG_KEY_2", "http.receivepack")
        .env("GIT_CONFIG_VALUE_2", "true")
        .env("GIT_CONFIG_KEY_3", "uploadpack.allowFilter")
        .env("GIT_CONFIG_VALUE_3", "true")
        .env("GIT_PROJECT_ROOT", call.world.repositories_folder())
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("GATEWAY_INTERFACE", "CGI/1.1")
        .env("SERVER_PROTOCOL", "HTTP/1.1")
        .env("REQUEST_METHOD", &call.method)
        .env("QUERY_STRING", call.query.as_deref().unwrap_or(""))
        .env("PATH_INFO", path)
        .env("REMOTE_USER", &call.account)
        .env("REMOTE_ADDR", "127.0.0.1");
    let optional = [
        ("CONTENT_TYPE", header("content-type")),
        ("CONTENT_LENGTH", header("content-length")),
        ("HTTP_CONTENT_ENCODING", header("content-encoding")),
        ("GIT_PROTOCOL", call.protocol.clone()),
    ];
    for (name, value) in optional {
        if let Some(value) = value {
            command.env(name, value);
        }
    }
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).process_group(0).kill_on_drop(true);
    command
}

/// Copies the request body to git. It ends early when git does not read on.
async fn feed(mut body: RequestBody, mut stdin: ChildStdin) {
    while let Some(bytes) = body.next().await {
        if stdin.write_all(&bytes).await.is_err() {
            return;
        }
    }
    // Dropping the pipe tells git that this was all.
}

/// Copies git's output to the response until the end, or until the client is gone.
async fn flow(mut group: Group, mut stdout: ChildStdout, first: Bytes, sender: mpsc::Sender<Chunk>) {
    if !first.is_empty() && sender.send(Ok(first)).await.is_err() {
        return;
    }
    loop {
        let mut buffer = BytesMut::with_capacity(CHUNK);
        let read = tokio::select! {
            biased;
            () = sender.closed() => return,
            read = stdout.read_buf(&mut buffer) => read,
        };
        match read {
            Ok(0) | Err(_) => break,
            Ok(_) if sender.send(Ok(buffer.freeze())).await.is_err() => return,
            Ok(_) => {}
        }
    }
    // An error of waiting leaves the child to the guard.
    let _ = group.child.wait().await;
}

async fn read_head(stdout: &mut ChildStdout, buffer: &mut BytesMut) -> Option<Reply> {
    loop {
        if let Some((head, body)) = split_head(buffer) {
            let reply = parse_head(&buffer[..head])?;
            let _ = buffer.split_to(body);
            return Some(reply);
        }
        let read = stdout.read_buf(buffer).await.ok()?;
        if read == 0 || buffer.len() > LONGEST_HEAD {
            return None;
        }
    }
}

/// Where the headers end and where the body begins.
fn split_head(buffer: &[u8]) -> Option<(usize, usize)> {
    let find = |mark: &[u8]| buffer.windows(mark.len()).position(|window| window == mark);
    let long = find(b"\r\n\r\n").map(|place| (place, place + 4));
    long.or_else(|| find(b"\n\n").map(|place| (place, place + 2)))
}

fn parse_head(head: &[u8]) -> Option<Reply> {
    let mut reply = Reply::new(200);
    for line in std::str::from_utf8(head).ok()?.lines() {
        let (name, value) = line.split_once(':')?;
        let value = value.trim();
        if name.eq_ignore_ascii_case("status") {
            reply.status = value.split(' ').next()?.parse().ok()?;
        } else {
            reply = reply.header(name, value);
        }
    }
    Some(reply)
}

fn failed(message: &str) -> Reply {
    Reply::error(500, message, None)
}

/// A git process with everything it started; kills them all when dropped before the end.
#[derive(Debug)]
struct Group {
    child: Child,
    feeder: JoinHandle<()>,
}

impl Drop for Group {
    fn drop(&mut self) {
        self.feeder.abort();
        let id = self.child.id().and_then(|id| i32::try_from(id).ok());
        if let Some(group) = id.and_then(Pid::from_raw) {
            // It may have ended by itself in this moment.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_head_of_an_answer_is_understood() {
        let bytes = b"Status: 404 Not Found\r\nContent-Type: text/plain\r\n\r\nbody";
        let (head, body) = split_head(bytes).unwrap();
        assert_eq!(&bytes[body..], b"body");
        let reply = parse_head(&bytes[..head]).unwrap();
        assert_eq!(reply.status, 404);
        let expected = ("Content-Type".to_owned(), "text/plain".to_owned());
        assert_eq!(reply.headers, [expected]);
    }
}
