//! The loop: one message after the other, and what is wrong with the files whenever there is nothing else to do.

use std::collections::BTreeMap;
use std::io::{BufReader, Read, Write};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::thread;

use lsp_server::{ErrorCode, Message, Notification, Request, RequestId, Response};
use lsp_types::{
    DidChangeTextDocumentParams, DidChangeWatchedFilesRegistrationOptions, DidCloseTextDocumentParams,
    DidOpenTextDocumentParams, FileSystemWatcher, GlobPattern, InitializeParams, PublishDiagnosticsParams,
    Registration, RegistrationParams, TextDocumentContentChangeEvent, Uri,
};
use serde::de::DeserializeOwned;

use super::LspError;
use super::capabilities::{self, Editor};
use super::diagnostic::by_file;
use super::position::offset;
use super::request;
use super::transport;
use super::workspace::Workspace;
use crate::clock::Clock;
use crate::source::SourceError;

/// So many messages may wait. An editor that sends more waits for us.
const WAITING: usize = 64;

/// Serves an editor until it says that it is done. Whether it said goodbye in the order of the protocol.
///
/// `main_name` is what the main file of a declaration is called.
pub fn serve(
    input: impl Read + Send + 'static,
    output: impl Write,
    main_name: &str,
    clock: &dyn Clock,
) -> Result<bool, LspError> {
    let (sender, receiver) = sync_channel(WAITING);
    // It ends with the input, or with the first message that nobody takes.
    thread::spawn(move || read_all(input, &sender));
    let server = Server {
        output,
        clock,
        workspace: Workspace::new(main_name),
        stage: Stage::New,
        editor: Editor::default(),
        published: BTreeMap::new(),
    };
    server.run(&receiver)
}

type Incoming = Result<Message, LspError>;

fn read_all(input: impl Read, sender: &SyncSender<Incoming>) {
    let mut input = BufReader::new(input);
    while let Some(message) = transport::read(&mut input).transpose() {
        let is_last = message.is_err();
        if sender.send(message).is_err() || is_last {
            return;
        }
    }
}

/// How far the conversation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    New,
    Ready,
    ShutDown,
}

struct Server<'a, W> {
    output: W,
    clock: &'a dyn Clock,
    workspace: Workspace,
    stage: Stage,
    editor: Editor,
    published: BTreeMap<PathBuf, Told>,
}

impl<W: Write> Server<'_, W> {
    fn run(mut self, incoming: &Receiver<Incoming>) -> Result<bool, LspError> {
        loop {
            let message = match incoming.try_recv() {
                Ok(message) => message?,
                Err(TryRecvError::Empty) => {
                    self.publish()?;
                    match incoming.recv() {
                        Ok(message) => message?,
                        Err(_) => return Ok(false),
                    }
                }
                Err(TryRecvError::Disconnected) => return Ok(false),
            };
            match message {
                Message::Request(request) => self.request(request)?,
                Message::Notification(found) if found.method == "exit" => return Ok(self.stage == Stage::ShutDown),
                Message::Notification(found) => self.notification(found)?,
                // To the one request that we make; a refusal changes nothing.
                Message::Response(_) => {}
            }
        }
    }

    fn send(&mut self, message: impl Into<Message>) -> Result<(), LspError> {
        message.into().write(&mut self.output).map_err(|source| LspError::Write { source })
    }

    fn request(&mut self, request: Request) -> Result<(), LspError> {
        let refused = |id: RequestId, code: ErrorCode, why: &str| Response::new_err(id, code as i32, why.to_owned());
        let response = match (self.stage, request.method.as_str()) {
            (Stage::New, "initialize") => match serde_json::from_value::<InitializeParams>(request.params) {
                Ok(asked) => {
                    self.editor = Editor::of(&asked.capabilities);
                    self.stage = Stage::Ready;
                    Response::new_ok(request.id, capabilities::server())
                }
                Err(_) => refused(request.id, ErrorCode::InvalidParams, "not understood"),
            },
            (Stage::New, _) => refused(request.id, ErrorCode::ServerNotInitialized, "`initialize` comes first"),
            (Stage::Ready, "initialize") => refused(request.id, ErrorCode::InvalidRequest, "`initialize` comes once"),
            (Stage::Ready, "shutdown") => {
                self.stage = Stage::ShutDown;
                Response::new_ok(request.id, ())
            }
            (Stage::Ready, _) => request::answer(request, &mut self.workspace, self.editor, self.clock.now()),
            (Stage::ShutDown, _) => refused(request.id, ErrorCode::InvalidRequest, "`exit` comes after `shutdown`"),
        };
        self.send(response)
    }

    fn notification(&mut self, found: Notification) -> Result<(), LspError> {
        if self.stage != Stage::Ready {
            return Ok(());
        }
        match found.method.as_str() {
            "initialized" if self.editor.watches => self.ask_for_changes()?,
            "textDocument/didOpen" => {
                if let Some(told) = understood::<DidOpenTextDocumentParams>(found) {
                    self.workspace.set(&told.text_document.uri, told.text_document.text);
                }
            }
            "textDocument/didChange" => {
                if let Some(told) = understood::<DidChangeTextDocumentParams>(found) {
                    let uri = told.text_document.uri;
                    if let Some(text) = self.workspace.open_text(&uri) {
                        let text = changed(text, told.content_changes);
                        self.workspace.set(&uri, text);
                    }
                }
            }
            "textDocument/didClose" => {
                if let Some(told) = understood::<DidCloseTextDocumentParams>(found) {
                    self.workspace.close(&told.text_document.uri);
                }
            }
            "textDocument/didSave" | "workspace/didChangeWatchedFiles" => self.workspace.changed(),
            // Notes that ask for nothing.
            _ => {}
        }
        Ok(())
    }

    /// Asks to be told of files that change on the disk: an included file need not be open.
    fn ask_for_changes(&mut self) -> Result<(), LspError> {
        let watcher = FileSystemWatcher { glob_pattern: GlobPattern::String("**/*.kdl".to_owned()), kind: None };
        let options = DidChangeWatchedFilesRegistrationOptions { watchers: vec![watcher] };
        let registration = Registration {
            id: "files".to_owned(),
            method: "workspace/didChangeWatchedFiles".to_owned(),
            register_options: serde_json::to_value(options).ok(),
        };
        let asked = RegistrationParams { registrations: vec![registration] };
        self.send(Request::new(RequestId::from(1), "client/registerCapability".to_owned(), asked))
    }

    /// Tells what is wrong with the files of all declarations that an open file belongs to, where that has changed.
    fn publish(&mut self) -> Result<(), LspError> {
        if self.stage != Stage::Ready {
            return Ok(());
        }
        let mut all: BTreeMap<PathBuf, Told> = BTreeMap::new();
        for (main, read) in self.workspace.declarations() {
            match read {
                Ok(view) => {
                    for (file, found) in by_file(view.tree.sources(), &view.found, &view.uris) {
                        if let (Some(path), Some(uri)) = (view.paths.get(&file), view.uris.get(&file)) {
                            let told = all.entry(path.clone()).or_insert_with(|| Told::nothing(uri));
                            told.found.extend(found);
                        }
                    }
                }
                Err(error) => {
                    if let Some(uri) = self.workspace.uri(&main) {
                        let found = vec![unreadable(&error)];
                        all.insert(main, Told { uri, found });
                    }
                }
            }
        }
        for (path, told) in &self.published {
            all.entry(path.clone()).or_insert_with(|| Told::nothing(&told.uri));
        }
        for (path, told) in &all {
            if self.published.get(path) != Some(told) {
                let what = PublishDiagnosticsParams::new(told.uri.clone(), told.found.clone(), None);
                let note = Notification::new("textDocument/publishDiagnostics".to_owned(), what);
                self.send(note)?;
            }
        }
        all.retain(|_, told| !told.found.is_empty());
        self.published = all;
        Ok(())
    }
}

/// What an editor was told of a file.
#[derive(Debug, Clone, PartialEq)]
struct Told {
    uri: Uri,
    found: Vec<lsp_types::Diagnostic>,
}

impl Told {
    fn nothing(uri: &Uri) -> Self {
        Self { uri: uri.clone(), found: Vec::new() }
    }
}

/// A main file that cannot be read.
fn unreadable(error: &SourceError) -> lsp_types::Diagnostic {
    lsp_types::Diagnostic {
        severity: Some(lsp_types::DiagnosticSeverity::ERROR),
        source: Some("xopero".to_owned()),
        message: error.to_string(),
        ..lsp_types::Diagnostic::default()
    }
}

fn understood<P: DeserializeOwned>(found: Notification) -> Option<P> {
    let read = serde_json::from_value(found.params).ok();
    if read.is_none() {
        tracing::warn!("a note of the editor is not understood");
    }
    read
}

/// A text with the changes of an editor, one after the other.
fn changed(text: &str, changes: Vec<TextDocumentContentChangeEvent>) -> String {
    let mut text = text.to_owned();
    for change in changes {
        match change.range {
            None => text = change.text,
            Some(range) => {
                let start = offset(&text, range.start);
                let end = offset(&text, range.end).max(start);
                text.replace_range(start..end, &change.text);
            }
        }
    }
    text
}
