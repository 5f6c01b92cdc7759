//! The only place that turns errors into messages, hints and exit codes.

use super::exit_code;
use crate::archive::ArchiveError;
use crate::config::{EditError, FormatError};
use crate::http::HttpError;
use crate::lsp::LspError;
use crate::reconcile::ReconcileError;
use crate::restore::RestoreError;
use crate::rotate::RotateError;
use crate::run::RunError;
use crate::secret::SecretError;
use crate::source::SourceError;
use crate::source::branch::ReadError;
use crate::state::StateError;
use crate::store::StoreError;
use crate::ui::Output;
use crate::web::WebError;

/// Why a command ends.
#[derive(Debug)]
pub struct CliError {
    code: u8,
    lines: Vec<String>,
    details: Vec<String>,
    hint: Option<String>,
    note: Option<String>,
}

impl CliError {
    /// A failure in the command's own words.
    pub fn new(code: u8, message: impl Into<String>) -> Self {
        Self { code, lines: vec![message.into()], details: Vec::new(), hint: None, note: None }
    }

    /// The command was used in a way that cannot work.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(exit_code::USAGE, message)
    }

    /// What happened, with its causes, on one line.
    pub fn message(&self) -> String {
        self.lines.join(": ")
    }

    /// What happened, with its causes, one line each.
    pub fn lines(&self) -> &[String] {
        &self.lines
    }

    /// What to do about it.
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// A failure that has been told already.
    pub const fn told(code: u8) -> Self {
        Self { code, lines: Vec::new(), details: Vec::new(), hint: None, note: None }
    }

    /// Adds what to do next.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds what is true in spite of it.
    #[must_use]
    pub fn with_note(mut self, note: impl Into<String>) -> Self {
        self.note = Some(note.into());
        self
    }

    /// Adds lines that belong to the message.
    #[must_use]
    pub fn with_details(mut self, details: Vec<String>) -> Self {
        self.details = details;
        self
    }

    /// The same failure with another exit code, where the usual one would mislead.
    #[must_use]
    pub fn with_code(self, code: u8) -> Self {
        Self { code, ..self }
    }

    fn from_error(code: u8, error: &dyn std::error::Error, hint: Option<String>) -> Self {
        let mut lines = vec![error.to_string()];
        let mut cause = error.source();
        while let Some(error) = cause {
            let line = error.to_string();
            if lines.last() != Some(&line) {
                lines.push(line);
            }
            cause = error.source();
        }
        Self { code, lines, details: Vec::new(), hint, note: None }
    }

    /// The exit code.
    pub const fn code(&self) -> u8 {
        self.code
    }

    /// The message with its causes, on one line.
    pub fn text(&self) -> String {
        self.lines.join(": ")
    }

    /// Tells the user, unless that was done already.
    pub fn tell(&self, output: Output) {
        if !self.lines.is_empty() {
            output.failure(self.code, &self.lines, &self.details, self.hint.as_deref());
        }
        if let Some(note) = &self.note {
            output.note(note);
        }
    }
}

impl From<SourceError> for CliError {
    fn from(error: SourceError) -> Self {
        let code = match error {
            SourceError::Missing { .. }
            | SourceError::NotAFile { .. }
            | SourceError::Linked { .. }
            | SourceError::Read { .. }
            | SourceError::TooLarge { .. }
            | SourceError::NotText { .. }
            | SourceError::Outside { .. }
            | SourceError::Twice { .. } => exit_code::INVALID_FILE,
            SourceError::Changed { .. } | SourceError::Write { .. } => exit_code::FAILED,
        };
        Self::from_error(code, &error, error.hint())
    }
}

impl From<WebError> for CliError {
    fn from(error: WebError) -> Self {
        let hint = error.hint();
        Self::from_error(exit_code::FAILED, &error, hint)
    }
}

impl From<LspError> for CliError {
    fn from(error: LspError) -> Self {
        Self::from_error(exit_code::FAILED, &error, error.hint())
    }
}

impl From<StateError> for CliError {
    fn from(error: StateError) -> Self {
        let code = match error {
            StateError::Locked { .. } => exit_code::LOCKED,
            StateError::NotEmpty { .. } => exit_code::REFUSED,
            StateError::PasswordTyped | StateError::Address { .. } | StateError::Unsupported { .. } => exit_code::USAGE,
            StateError::CreateDirectory { .. }
            | StateError::CreateDatabase { .. }
            | StateError::Open { .. }
            | StateError::Newer { .. }
            | StateError::Migrate { .. }
            | StateError::Access { .. }
            | StateError::Damaged { .. }
            | StateError::Moved { .. }
            | StateError::OtherLineage { .. }
            | StateError::NothingApplied { .. }
            | StateError::LockLost { .. }
            | StateError::Fenced { .. }
            | StateError::Lock { .. }
            | StateError::UnknownSnapshot { .. }
            | StateError::UnknownRun { .. }
            | StateError::AmbiguousRun { .. }
            | StateError::AmbiguousSnapshot { .. }
            | StateError::Unconfirmed { .. } => exit_code::FAILED,
        };
        Self::from_error(code, &error, error.hint())
    }
}

impl From<SecretError> for CliError {
    fn from(error: SecretError) -> Self {
        Self::from_error(exit_code::SECRETS, &error, error.hint())
    }
}

impl From<ReadError> for CliError {
    fn from(error: ReadError) -> Self {
        let code = match error {
            ReadError::Branch(_) => exit_code::FAILED,
            ReadError::Flawed { .. } => exit_code::INVALID_FILE,
            ReadError::Unsigned { .. } => exit_code::SIGNATURE,
        };
        Self::from_error(code, &error, error.hint())
    }
}

impl From<HttpError> for CliError {
    fn from(error: HttpError) -> Self {
        Self::from_error(exit_code::FAILED, &error, error.hint())
    }
}

impl From<StoreError> for CliError {
    fn from(error: StoreError) -> Self {
        Self::from_error(exit_code::FAILED, &error, error.hint())
    }
}

impl From<ReconcileError> for CliError {
    fn from(error: ReconcileError) -> Self {
        let (hint, details) = (error.hint(), error.details());
        let code = match error {
            ReconcileError::State(error) => return error.into(),
            ReconcileError::Store(error) => return error.into(),
            ReconcileError::SamePlace { .. } => exit_code::INVALID_FILE,
            ReconcileError::Stale { .. } | ReconcileError::PlanOfAnother { .. } => exit_code::STALE_PLAN,
            ReconcileError::RefusedByRail { .. } | ReconcileError::Refused { .. } => exit_code::REFUSED,
            ReconcileError::WritePlan { .. }
            | ReconcileError::ReadPlan { .. }
            | ReconcileError::UnreadablePlan { .. } => exit_code::FAILED,
        };
        Self::from_error(code, &error, hint).with_details(details)
    }
}

impl From<RunError> for CliError {
    fn from(error: RunError) -> Self {
        let hint = error.hint();
        match error {
            RunError::State(error) => error.into(),
            RunError::Credential { .. } => Self::from_error(exit_code::SECRETS, &error, hint),
            RunError::UnknownPlan { .. }
            | RunError::UnknownRepository { .. }
            | RunError::Unbound { .. }
            | RunError::CaFile { .. }
            | RunError::Client { .. }
            | RunError::Recipients { .. }
            | RunError::NeverRan { .. }
            | RunError::OtherPlan { .. }
            | RunError::OneRepository { .. }
            | RunError::TooOld { .. }
            | RunError::OtherWork { .. }
            | RunError::ForeignTask { .. }
            | RunError::Store(_) => Self::from_error(exit_code::FAILED, &error, hint),
        }
    }
}

impl From<ArchiveError> for CliError {
    fn from(error: ArchiveError) -> Self {
        let code = match &error {
            ArchiveError::Open { .. } => exit_code::SECRETS,
            ArchiveError::Store(_)
            | ArchiveError::Encrypt { .. }
            | ArchiveError::Damaged { .. }
            | ArchiveError::NewerFormat { .. }
            | ArchiveError::Pack(_)
            | ArchiveError::Index(_)
            | ArchiveError::Connectivity(_)
            | ArchiveError::Scratch { .. } => {
                if error.is_damage() {
                    exit_code::DAMAGE
                } else {
                    exit_code::FAILED
                }
            }
        };
        Self::from_error(code, &error, error.hint())
    }
}

impl From<RestoreError> for CliError {
    fn from(error: RestoreError) -> Self {
        let hint = error.hint();
        match error {
            RestoreError::Archive(error) => error.into(),
            RestoreError::State(error) => error.into(),
            RestoreError::Stopped => Self::from_error(exit_code::INTERRUPTED, &error, hint),
            RestoreError::Damaged { .. } => Self::from_error(exit_code::DAMAGE, &error, hint),
            RestoreError::Occupied { .. } | RestoreError::Write { .. } | RestoreError::Bundle(_) => {
                Self::from_error(exit_code::FAILED, &error, hint)
            }
        }
    }
}

impl From<RotateError> for CliError {
    fn from(error: RotateError) -> Self {
        let (hint, details) = (error.hint(), error.details());
        let code = match error {
            RotateError::Source(error) => return error.into(),
            RotateError::Edit(error) => return error.into(),
            RotateError::Secret { .. } | RotateError::NotAccepted { .. } | RotateError::WrongPassword { .. } => {
                exit_code::SECRETS
            }
            RotateError::NotDeclared { .. } | RotateError::NoServer { .. } => exit_code::INVALID_FILE,
            RotateError::SeveralTokens { .. } | RotateError::NoSuchToken { .. } | RotateError::OtherToken { .. } => {
                exit_code::USAGE
            }
            RotateError::Password { .. }
            | RotateError::SameAs { .. }
            | RotateError::OfAPattern { .. }
            | RotateError::NobodyToManage { .. }
            | RotateError::ManagerMayNot { .. }
            | RotateError::MayNotManage { .. }
            | RotateError::NoTokens
            | RotateError::NoPermissions { .. }
            | RotateError::Make { .. }
            | RotateError::MakeUnanswered { .. }
            | RotateError::NotProven { .. }
            | RotateError::Ask { .. }
            | RotateError::Stuck { .. }
            | RotateError::Setup { .. }
            | RotateError::CaFile { .. }
            | RotateError::WriteJournal { .. }
            | RotateError::ReadJournal { .. }
            | RotateError::UnreadableJournal { .. } => exit_code::FAILED,
        };
        Self::from_error(code, &error, hint).with_details(details)
    }
}

impl From<FormatError> for CliError {
    fn from(error: FormatError) -> Self {
        let code = match error {
            FormatError::Syntax { .. } => exit_code::INVALID_FILE,
            FormatError::Changes { .. } => exit_code::FAILED,
        };
        Self::from_error(code, &error, error.hint())
    }
}

impl From<EditError> for CliError {
    fn from(error: EditError) -> Self {
        let code = match error {
            EditError::Enabled { .. } | EditError::LastRecipient { .. } => exit_code::REFUSED,
            EditError::NotAKey { .. } => exit_code::USAGE,
            EditError::Invalid { .. }
            | EditError::WouldNotValidate { .. }
            | EditError::NotDeclared { .. }
            | EditError::NotPlanned { .. }
            | EditError::Ambiguous { .. }
            | EditError::NoSecret { .. }
            | EditError::NoBucket { .. }
            | EditError::NoChannel { .. }
            | EditError::NoAlertAddress { .. }
            | EditError::NoRecipient { .. }
            | EditError::SeveralRecipients { .. }
            | EditError::DoesNotFit { .. } => exit_code::INVALID_FILE,
        };
        Self::from_error(code, &error, error.hint())
    }
}
