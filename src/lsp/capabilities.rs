//! What the server can do, and what the editor understands.

use lsp_types::{
    ClientCapabilities, CodeActionKind, CodeActionOptions, CodeActionProviderCapability, CompletionOptions,
    HoverProviderCapability, InitializeResult, MarkupKind, OneOf, PositionEncodingKind, SaveOptions,
    ServerCapabilities, ServerInfo, TextDocumentSyncCapability, TextDocumentSyncKind, TextDocumentSyncOptions,
    TextDocumentSyncSaveOptions,
};

/// What the server tells of itself.
pub(super) fn server() -> InitializeResult {
    let code_actions = CodeActionOptions {
        code_action_kinds: Some(vec![CodeActionKind::QUICKFIX, CodeActionKind::REFACTOR_REWRITE]),
        ..CodeActionOptions::default()
    };
    let sync = TextDocumentSyncOptions {
        open_close: Some(true),
        change: Some(TextDocumentSyncKind::INCREMENTAL),
        save: Some(TextDocumentSyncSaveOptions::SaveOptions(SaveOptions { include_text: Some(false) })),
        ..TextDocumentSyncOptions::default()
    };
    InitializeResult {
        capabilities: ServerCapabilities {
            position_encoding: Some(PositionEncodingKind::UTF16),
            text_document_sync: Some(TextDocumentSyncCapability::Options(sync)),
            hover_provider: Some(HoverProviderCapability::Simple(true)),
            completion_provider: Some(CompletionOptions {
                trigger_characters: Some(["\"", "=", " "].map(str::to_owned).to_vec()),
                ..CompletionOptions::default()
            }),
            definition_provider: Some(OneOf::Left(true)),
            document_symbol_provider: Some(OneOf::Left(true)),
            document_formatting_provider: Some(OneOf::Left(true)),
            code_action_provider: Some(CodeActionProviderCapability::Options(code_actions)),
            ..ServerCapabilities::default()
        },
        server_info: Some(ServerInfo {
            name: "xopero".to_owned(),
            version: Some(env!("CARGO_PKG_VERSION").to_owned()),
        }),
    }
}

/// What an editor understands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Editor {
    pub(super) markdown: bool,
    /// Whether it tells of files that change on the disk when it is asked to.
    pub(super) watches: bool,
}

impl Editor {
    pub(super) fn of(capabilities: &ClientCapabilities) -> Self {
        let hover = capabilities.text_document.as_ref().and_then(|document| document.hover.as_ref());
        let formats = hover.and_then(|hover| hover.content_format.as_deref()).unwrap_or_default();
        let watched = capabilities.workspace.as_ref().and_then(|workspace| workspace.did_change_watched_files.as_ref());
        Self {
            markdown: formats.contains(&MarkupKind::Markdown),
            watches: watched.and_then(|watched| watched.dynamic_registration).unwrap_or_default(),
        }
    }
}
