//! What can keep a token from being replaced. Whatever it is, everything that works goes on working.

use std::io;
use std::path::PathBuf;

use super::Stuck;
use crate::bitbucket::{BitbucketError, TokenId, TokenOwner};
use crate::config::EditError;
use crate::http::HttpError;
use crate::model::{AccountName, Address, CredentialReference, ProjectSelector, rotate_command};
use crate::secret::SecretError;
use crate::source::SourceError;

/// Why a rotation did not go on.
#[derive(Debug, thiserror::Error)]
pub enum RotateError {
    /// The credential is not declared.
    #[error("the file declares no {address}")]
    NotDeclared {
        /// The credential.
        address: Address,
    },
    /// The credential is a password.
    #[error("{address} is a password, which no program can change")]
    Password {
        /// The credential.
        address: Address,
    },
    /// The credential takes its value from another one.
    #[error("{address} is the same as {of}: its value stands there")]
    SameAs {
        /// The credential.
        address: Address,
        /// The one with the value.
        of: CredentialReference,
    },
    /// The token belongs to a project or a repository, and a pattern does not say to which.
    #[error("the token is one of a project or a repository, and {project} does not say of which")]
    OfAPattern {
        /// What declares the credential.
        project: ProjectSelector,
    },
    /// Nobody who could manage the tokens of a project or a repository is named.
    #[error("the account behind the tokens of {owner} has no password")]
    NobodyToManage {
        /// Whose tokens.
        owner: TokenOwner,
    },
    /// A sealed value could not be opened, or a new one not be sealed.
    #[error("{address} cannot be opened or sealed")]
    Secret {
        /// The credential.
        address: Address,
        /// Why.
        #[source]
        source: SecretError,
    },
    /// The server does not accept the token that is to be replaced.
    #[error("the server does not accept the token of {address}: {why}")]
    NotAccepted {
        /// The credential.
        address: Address,
        /// What it said.
        why: String,
    },
    /// The server does not let the token manage tokens.
    #[error("the server does not let this token manage the tokens of {owner}")]
    MayNotManage {
        /// Whose tokens.
        owner: TokenOwner,
        /// What it said.
        #[source]
        source: BitbucketError,
    },
    /// The server does not let the one whose password was given manage the tokens.
    #[error("the server does not let {account} manage the tokens of {owner}")]
    ManagerMayNot {
        /// Who asked.
        account: AccountName,
        /// Whose tokens.
        owner: TokenOwner,
        /// What it said.
        #[source]
        source: BitbucketError,
    },
    /// The server does not accept the password that was given.
    #[error("the server does not accept the password of {account}")]
    WrongPassword {
        /// The account.
        account: AccountName,
        /// What it said.
        #[source]
        source: BitbucketError,
    },
    /// Nobody can tell which token is in use.
    #[error("the account has several tokens, and nothing tells which of them is in use")]
    SeveralTokens {
        /// Them, one on a line.
        tokens: Vec<String>,
    },
    /// The server lists no token of the account.
    #[error("the server lists no token of the account")]
    NoTokens,
    /// There is no token of that number.
    #[error("the account has no token {id}")]
    NoSuchToken {
        /// What was asked for.
        id: TokenId,
        /// What there is, one on a line.
        tokens: Vec<String>,
    },
    /// The token in use has another number.
    #[error("the token in use is {own}, not {said}")]
    OtherToken {
        /// What was asked for.
        said: TokenId,
        /// What the token itself says.
        own: TokenId,
    },
    /// The server does not tell what the token may do.
    #[error("the server does not tell what token {id} may do")]
    NoPermissions {
        /// The token.
        id: TokenId,
    },
    /// The server did not make a token.
    #[error("the server made no token \"{name}\"")]
    Make {
        /// Its name.
        name: String,
        /// Why.
        #[source]
        source: BitbucketError,
    },
    /// The server was asked to make a token, and nobody knows whether it did.
    #[error("the answer of the server, which was asked to make token \"{name}\", is missing")]
    MakeUnanswered {
        /// Its name.
        name: String,
        /// What came instead.
        #[source]
        source: BitbucketError,
    },
    /// The new token does not do what the old one does.
    #[error("the new token cannot take the place of the old one: {why}")]
    NotProven {
        /// Why not.
        why: String,
    },
    /// Something else could not be asked.
    #[error("{attempt} failed")]
    Ask {
        /// What was asked.
        attempt: &'static str,
        /// What came of it.
        #[source]
        source: BitbucketError,
    },
    /// Somebody has to decide.
    #[error("the rotation of {address} cannot go on: {}", stuck(*why))]
    Stuck {
        /// The credential.
        address: Address,
        /// What is in the way.
        why: Stuck,
    },
    /// The file declares no server at that address any more.
    #[error("the file declares no server {origin}, where the token is from")]
    NoServer {
        /// The address.
        origin: String,
    },
    /// The server cannot be talked to.
    #[error("cannot set up the connection to {origin}")]
    Setup {
        /// The server.
        origin: String,
        /// Why.
        #[source]
        source: HttpError,
    },
    /// The additional certificates cannot be read.
    #[error("cannot read the certificates in {path}")]
    CaFile {
        /// The file, as it is declared.
        path: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A journal could not be written or removed.
    #[error("cannot write the journal {}", path.display())]
    WriteJournal {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A journal could not be read.
    #[error("cannot read the journal {}", path.display())]
    ReadJournal {
        /// The file or its directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A journal is not one of this version.
    #[error("the journal {} is not one that this version understands", path.display())]
    UnreadableJournal {
        /// The file.
        path: PathBuf,
    },
    /// The files could not be read or replaced.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The new value does not fit into the files.
    #[error(transparent)]
    Edit(#[from] EditError),
}

const fn stuck(why: Stuck) -> &'static str {
    match why {
        Stuck::NewIsGone => "the file holds the new token, and the server does not know it any more",
        Stuck::Superseded => "the file holds neither the old token nor the new one",
        Stuck::Unreadable => "a value of the account in the file cannot be opened",
    }
}

impl RotateError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        let text = match self {
            Self::NotDeclared { .. } => "`xopero credential list` shows what there is",
            Self::Password { .. } => {
                "change it where the account is managed, then seal the new one: xopero secrets set PROJECT[/NAME]; an \
                 HTTP access token in its place can be rotated"
            }
            Self::SameAs { of, .. } => {
                let (project, role) = (&of.project, &of.role);
                return Some(format!("{}; whoever is the same as it follows", rotate_command(project, role)));
            }
            Self::OfAPattern { .. } => {
                "make a new one in Bitbucket (the settings of the project or repository, HTTP access tokens), seal it \
                 with `xopero secrets set PROJECT[/NAME]`, apply, and revoke the old one there"
            }
            Self::NobodyToManage { .. }
            | Self::MayNotManage { owner: TokenOwner::Project(_) | TokenOwner::Repository(..), .. } => {
                "Bitbucket lets no token make another. Name an account that administers the project or the repository, \
                 and give its password: --managed-by ACCOUNT --with-password"
            }
            Self::ManagerMayNot { owner: TokenOwner::Project(_) | TokenOwner::Repository(..), .. } => {
                "name an account that administers the project or the repository: --managed-by ACCOUNT"
            }
            Self::ManagerMayNot { owner: TokenOwner::User(_), .. } => {
                "the tokens of an account are managed by the account itself, or by an administrator of the server"
            }
            Self::Secret { source, .. } => return source.hint(),
            Self::NotAccepted { .. } => {
                "make a new one in Bitbucket and seal it with `xopero secrets set PROJECT[/NAME]`, or let xopero make \
                 it with the account's password: --with-password"
            }
            Self::MayNotManage { owner: TokenOwner::User(_), .. } => {
                "Bitbucket lets an account do that with its password alone: add --with-password, which asks for it or \
                 reads standard input. An account without a password makes a token in the browser (Manage account, \
                 HTTP access tokens); seal it with `xopero secrets set PROJECT[/NAME]`"
            }
            Self::WrongPassword { .. } => {
                "give the password that the account logs in with, and run the same command again: it goes on where it \
                 stopped. Repeated failures make Bitbucket ask for a CAPTCHA in the browser"
            }
            Self::SeveralTokens { .. } | Self::NoSuchToken { .. } => "name the one in use: --token-id ID",
            Self::OtherToken { .. } => "leave --token-id out: the token says its own number",
            Self::NoTokens | Self::NoPermissions { .. } => {
                "make a new one in Bitbucket and seal it with `xopero secrets set PROJECT[/NAME]`"
            }
            Self::Make { source, .. } => {
                let more = "nothing was changed; a server may limit how many tokens an account has (revoke one that \
                            nobody needs) and how long they live (--expires-in DAYS)";
                return Some(source.hint().map_or_else(|| more.to_owned(), |hint| format!("{hint}; {more}")));
            }
            Self::MakeUnanswered { .. } => {
                "run the same command again: a token that was made all the same is found by its name and revoked"
            }
            Self::NotProven { .. } => "the new one was revoked, the old one stays in use; nothing was changed",
            Self::Ask { source, .. } => {
                let again = "run the same command again: it goes on where it stopped";
                return Some(source.hint().map_or_else(|| again.to_owned(), |hint| format!("{hint}; {again}")));
            }
            Self::Stuck { why: Stuck::NewIsGone, .. } => {
                "put the old value back from version control if it still works, or seal a new one; then forget this \
                 rotation with --keep-old"
            }
            Self::Stuck { why: Stuck::Superseded, .. } => {
                "--revoke-now revokes the old token; --keep-old leaves it and forgets this rotation"
            }
            Self::Stuck { why: Stuck::Unreadable, .. } => {
                "use --identity with an identity that opens it, or seal it anew: xopero secrets set"
            }
            Self::NoServer { .. } => "declare it again, or remove the journal if its tokens are gone with it",
            Self::CaFile { .. } => "ca-file is relative to xopero.kdl",
            Self::Setup { source, .. } => return source.hint(),
            Self::WriteJournal { .. } => "check that there is space and that this user may write there",
            Self::ReadJournal { .. } => "let this user read it",
            Self::UnreadableJournal { .. } => {
                "use the version that wrote it; without it, look at the tokens of the account in Bitbucket and remove \
                 the file"
            }
            Self::Source(error) => return error.hint(),
            Self::Edit(error) => return error.hint(),
        };
        Some(text.to_owned())
    }

    /// Lines that belong to the message: the tokens to choose from.
    pub fn details(&self) -> Vec<String> {
        match self {
            Self::SeveralTokens { tokens } | Self::NoSuchToken { tokens, .. } => tokens.clone(),
            _ => Vec::new(),
        }
    }
}
