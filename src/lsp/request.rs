//! Requests: from the protocol to a function of a text and a place, and back.

use jiff::Timestamp;
use lsp_server::{ErrorCode, Request, Response};
use lsp_types::{
    CodeAction, CodeActionKind, CodeActionParams, CompletionItem, CompletionItemKind, CompletionParams,
    CompletionTextEdit, DocumentFormattingParams, DocumentSymbol, DocumentSymbolParams, Documentation,
    GotoDefinitionParams, HoverContents, HoverParams, Location, MarkupContent, MarkupKind, Range, SymbolKind,
    TextDocumentPositionParams, TextEdit, Uri, WorkspaceEdit,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::action::{Action, Change, actions};
use super::capabilities::Editor;
use super::completion::{Item, ItemKind, completion};
use super::definition::{Destination, definition};
use super::diagnostic;
use super::hover::{Hover, hover};
use super::position::{edit, offset, range};
use super::symbol::{Symbol, symbols};
use super::target::Target;
use super::workspace::{View, Workspace};
use crate::config::{self, FileId, Sources, Span};
use crate::model::{CredentialName, PlanName, ProjectSelector};

/// The answer to a request.
pub(super) fn answer(request: Request, workspace: &mut Workspace, editor: Editor, now: Timestamp) -> Response {
    match request.method.as_str() {
        "textDocument/hover" => with(request, |asked: HoverParams| {
            let (view, file, at) = place(workspace, &asked.text_document_position_params)?;
            let found = hover(&view.names, file, at, now)?;
            Some(shown_hover(found, view.text(file), editor))
        }),
        "textDocument/completion" => with(request, |asked: CompletionParams| {
            let (view, file, at) = place(workspace, &asked.text_document_position)?;
            let found = completion(&view.names, file, at);
            let range = range(view.text(file), found.replaces);
            Some(found.items.into_iter().map(|item| shown_item(item, range)).collect::<Vec<_>>())
        }),
        "textDocument/definition" => with(request, |asked: GotoDefinitionParams| {
            let (view, file, at) = place(workspace, &asked.text_document_position_params)?;
            let found = definition(&view.names, file, at).into_iter();
            Some(found.filter_map(|found| location(found, &view, workspace)).collect::<Vec<_>>())
        }),
        "textDocument/documentSymbol" => with(request, |asked: DocumentSymbolParams| {
            let (view, file) = workspace.view(&asked.text_document.uri)?;
            let text = view.text(file);
            Some(symbols(&view.names, file).into_iter().map(|found| shown_symbol(found, text)).collect::<Vec<_>>())
        }),
        "textDocument/codeAction" => with(request, |asked: CodeActionParams| {
            let (view, file) = workspace.view(&asked.text_document.uri)?;
            let text = view.text(file);
            let place = Span::new(offset(text, asked.range.start), offset(text, asked.range.end)).of(file);
            let found = actions(&view.names, &view.found, file, place).into_iter();
            Some(found.filter_map(|action| shown_action(action, &view)).collect::<Vec<_>>())
        }),
        "textDocument/formatting" => with(request, |asked: DocumentFormattingParams| {
            let (view, file) = workspace.view(&asked.text_document.uri)?;
            // What cannot be laid out is broken, and its diagnostics say so already.
            let text = config::format(view.tree.sources().file(file)).ok()?;
            Some(edit(view.text(file), &text).into_iter().collect::<Vec<_>>())
        }),
        other => {
            let said = format!("xopero does not answer {}", other.chars().take(60).collect::<String>().escape_debug());
            Response::new_err(request.id, ErrorCode::MethodNotFound as i32, said)
        }
    }
}

/// Answers with what `find` finds, and with nothing if it finds nothing.
fn with<P: DeserializeOwned, R: Serialize>(request: Request, find: impl FnOnce(P) -> Option<R>) -> Response {
    match serde_json::from_value(request.params) {
        Ok(asked) => Response::new_ok(request.id, find(asked)),
        // The reason could repeat what the request says.
        Err(_) => Response::new_err(request.id, ErrorCode::InvalidParams as i32, "not understood".to_owned()),
    }
}

fn place(workspace: &mut Workspace, asked: &TextDocumentPositionParams) -> Option<(std::rc::Rc<View>, FileId, usize)> {
    let (view, file) = workspace.view(&asked.text_document.uri)?;
    let at = offset(view.text(file), asked.position);
    Some((view, file, at))
}

fn shown_hover(found: Hover, text: &str, editor: Editor) -> lsp_types::Hover {
    let (kind, value) = if editor.markdown {
        (MarkupKind::Markdown, found.text)
    } else {
        (MarkupKind::PlainText, found.text.replace("  \n", "\n").replace('`', ""))
    };
    let contents = HoverContents::Markup(MarkupContent { kind, value });
    lsp_types::Hover { contents, range: Some(range(text, found.span)) }
}

fn shown_item(item: Item, range: Range) -> CompletionItem {
    let kind = match item.kind {
        ItemKind::Node => CompletionItemKind::KEYWORD,
        ItemKind::Property => CompletionItemKind::PROPERTY,
        ItemKind::Word => CompletionItemKind::ENUM_MEMBER,
        ItemKind::Name => CompletionItemKind::REFERENCE,
    };
    CompletionItem {
        label: item.label,
        kind: Some(kind),
        detail: Some(item.detail),
        documentation: item.docs.map(Documentation::String),
        // Editors compare it with what is typed, and that may begin with a quote.
        filter_text: Some(item.text.clone()),
        text_edit: Some(CompletionTextEdit::Edit(TextEdit { range, new_text: item.text })),
        ..CompletionItem::default()
    }
}

fn location(found: Destination, view: &View, workspace: &Workspace) -> Option<Location> {
    match found {
        Destination::Place(span) => {
            Some(Location { uri: view.uris.get(&span.file)?.clone(), range: range(view.text(span.file), span) })
        }
        Destination::File(path) => {
            // Only a file of the declaration, not whatever a path may lead to.
            let uri = workspace.uri(&view.directory.join(path))?;
            view.uris.values().any(|known| *known == uri).then(|| Location { uri, range: Range::default() })
        }
    }
}

fn shown_symbol(found: Symbol, text: &str) -> DocumentSymbol {
    let kind = match found.kind {
        Target::Server(_) => SymbolKind::INTERFACE,
        Target::Destination(_) => SymbolKind::NAMESPACE,
        Target::Retention(_) => SymbolKind::CONSTANT,
        Target::Project(_) => SymbolKind::PACKAGE,
        Target::Plan(_) => SymbolKind::EVENT,
        Target::Alerts(_) => SymbolKind::FUNCTION,
        Target::Credential(..) => SymbolKind::KEY,
        Target::File(_) => SymbolKind::FILE,
    };
    let children: Vec<DocumentSymbol> = found.children.into_iter().map(|child| shown_symbol(child, text)).collect();
    #[expect(deprecated, reason = "the type has no constructor")]
    DocumentSymbol {
        name: found.name,
        detail: None,
        kind,
        tags: None,
        deprecated: None,
        range: range(text, found.span),
        selection_range: range(text, found.name_span),
        children: (!children.is_empty()).then_some(children),
    }
}

fn shown_action(action: Action, view: &View) -> Option<CodeAction> {
    let sources = view.tree.sources();
    let (kind, edits, diagnostics) = match action.change {
        Change::Replace { diagnostic, span, text } => {
            let uri = view.uris.get(&span.file)?.clone();
            let edit = TextEdit { range: range(view.text(span.file), span), new_text: text };
            let told = diagnostic::shown(view.found.get(diagnostic)?, span, sources, &view.uris);
            (CodeActionKind::QUICKFIX, vec![(uri, vec![edit])], Some(vec![told]))
        }
        Change::Enable { plan, project, credential } => {
            let (plan, project) = (PlanName::new(plan).ok()?, ProjectSelector::new(project).ok()?);
            let credential = CredentialName::new(credential).ok()?;
            let after = config::enable_credential(sources, &plan, &project, &credential).ok()?;
            (CodeActionKind::REFACTOR_REWRITE, edits(view, &after), None)
        }
    };
    Some(CodeAction {
        title: action.title,
        kind: Some(kind),
        is_preferred: diagnostics.as_ref().map(|_| true),
        diagnostics,
        edit: Some(WorkspaceEdit { changes: Some(edits.into_iter().collect()), ..WorkspaceEdit::default() }),
        ..CodeAction::default()
    })
}

/// What makes the files of a view into others.
fn edits(view: &View, after: &Sources) -> Vec<(Uri, Vec<TextEdit>)> {
    let files = after.files().filter_map(|(id, file)| {
        let edit = edit(view.text(id), &file.text)?;
        Some((view.uris.get(&id)?.clone(), vec![edit]))
    });
    files.collect()
}
