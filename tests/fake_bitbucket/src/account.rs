//! Accounts: who may log in, how, and what they see.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::limit::Allowance;
use crate::token::Token;

/// What an account may do in a project.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Permission {
    /// Nothing; the project is not listed either.
    #[default]
    None,
    /// Read and fetch.
    Read,
    /// Push as well.
    Write,
    /// Everything.
    Admin,
}

/// An account with its credentials and permissions.
#[derive(Clone)]
pub struct Account {
    pub(crate) name: String,
    pub(crate) tokens: Vec<Token>,
    pub(crate) password: Option<String>,
    pub(crate) allowance: Option<Allowance>,
    pub(crate) display_name: Option<String>,
    pub(crate) active: bool,
    slug: Option<String>,
    /// The project, and perhaps the repository, whose access tokens this account stands behind.
    pub(crate) service: Option<(String, Option<String>)>,
    default: Permission,
    projects: BTreeMap<String, Permission>,
    hidden: BTreeSet<(String, String)>,
    /// What the token in use allows at most: in projects and in repositories.
    cap: (Permission, Permission),
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Account").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Account {
    /// An account without credentials and permissions.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            tokens: Vec::new(),
            password: None,
            allowance: None,
            display_name: None,
            active: true,
            slug: None,
            service: None,
            default: Permission::None,
            projects: BTreeMap::new(),
            hidden: BTreeSet::new(),
            cap: (Permission::Admin, Permission::Admin),
        }
    }

    /// An account with a token that may read everything.
    #[must_use]
    pub fn reader(name: &str, token: &str) -> Self {
        Self::new(name).token(token).everywhere(Permission::Read)
    }

    /// An account with a token that may do everything.
    #[must_use]
    pub fn admin(name: &str, token: &str) -> Self {
        Self::new(name).token(token).everywhere(Permission::Admin)
    }

    /// Adds an HTTP access token that may do whatever the account may; there may be several, all with one rate limit.
    #[must_use]
    pub fn token(self, token: &str) -> Self {
        let name = format!("token {}", self.tokens.len() + 1);
        self.named_token(token, &name, &["PROJECT_ADMIN", "REPO_ADMIN"], None)
    }

    /// Adds an HTTP access token with a name, permissions such as `REPO_READ`, and the days after which it ends.
    #[must_use]
    pub fn named_token(mut self, token: &str, name: &str, permissions: &[&str], expiry_days: Option<u32>) -> Self {
        self.tokens.push(Token::known(token, name, permissions, expiry_days));
        self
    }

    /// Sets the password.
    #[must_use]
    pub fn password(mut self, password: &str) -> Self {
        self.password = Some(password.to_owned());
        self
    }

    /// The permission in every project that is not named by [`Account::permission`].
    #[must_use]
    pub fn everywhere(mut self, permission: Permission) -> Self {
        self.default = permission;
        self
    }

    /// The permission in one project.
    #[must_use]
    pub fn permission(mut self, project: &str, permission: Permission) -> Self {
        self.projects.insert(project.to_lowercase(), permission);
        self
    }

    /// Makes one repository invisible to this account.
    #[must_use]
    pub fn hide(mut self, project: &str, slug: &str) -> Self {
        self.hidden.insert((project.to_lowercase(), slug.to_lowercase()));
        self
    }

    /// A rate limit of its own instead of the server's.
    #[must_use]
    pub fn allowance(mut self, allowance: Allowance) -> Self {
        self.allowance = Some(allowance);
        self
    }

    /// The name for people, in place of the name itself.
    #[must_use]
    pub fn display_name(mut self, name: &str) -> Self {
        self.display_name = Some(name.to_owned());
        self
    }

    /// What addresses call it, in place of the name in lower case.
    #[must_use]
    pub fn slug(mut self, slug: &str) -> Self {
        self.slug = Some(slug.to_owned());
        self
    }

    /// Stands behind the access tokens of a project: it is on no list of users, and has no password.
    #[must_use]
    pub fn of_project(mut self, key: &str) -> Self {
        self.service = Some((key.to_owned(), None));
        self
    }

    /// The same of a repository.
    #[must_use]
    pub fn of_repository(mut self, key: &str, slug: &str) -> Self {
        self.service = Some((key.to_owned(), Some(slug.to_owned())));
        self
    }

    /// Says of the account that it has left. Its tokens go on working here.
    #[must_use]
    pub fn inactive(mut self) -> Self {
        self.active = false;
        self
    }

    /// What addresses call it: its name in lower case, with `_` for what an address cannot have, unless it has a slug
    /// of its own.
    pub(crate) fn address(&self) -> String {
        self.slug.clone().unwrap_or_else(|| slug(&self.name))
    }

    pub(crate) fn in_project(&self, key: &str) -> Permission {
        self.in_project_uncapped(key).min(self.cap.0)
    }

    fn in_project_uncapped(&self, key: &str) -> Permission {
        let own = self.projects.get(&key.to_lowercase());
        own.copied().unwrap_or(self.default)
    }

    /// The account as it is with a token: the token allows no more than the account may do, and perhaps less.
    pub(crate) fn with_token(&self, token: &Token) -> Self {
        Self { cap: token.cap(), ..self.clone() }
    }

    pub(crate) fn in_repository(&self, key: &str, slug: &str) -> Permission {
        let hidden = (key.to_lowercase(), slug.to_lowercase());
        if self.hidden.contains(&hidden) { Permission::None } else { self.in_project_uncapped(key).min(self.cap.1) }
    }
}

/// The slug that a name usually has.
pub(crate) fn slug(name: &str) -> String {
    name.to_lowercase().chars().map(|c| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '_' }).collect()
}
