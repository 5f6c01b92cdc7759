//! HTTP access tokens: what one is, and what the administrator allows.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::account::Permission;

/// An HTTP access token of an account.
#[derive(Clone)]
pub(crate) struct Token {
    /// Twelve digits, perhaps with zeros in front: a string.
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) permissions: Vec<String>,
    /// Milliseconds since 1970.
    pub(crate) created: u64,
    pub(crate) expiry_days: Option<u32>,
    /// What is sent. Shown once, when it is made.
    pub(crate) value: String,
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({})", self.id)
    }
}

/// What the administrator allows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TokenRules {
    /// Whether a token may manage tokens.
    pub(crate) by_token: bool,
    pub(crate) most: usize,
    pub(crate) longest_life: Option<u32>,
}

impl Default for TokenRules {
    fn default() -> Self {
        Self { by_token: false, most: 100, longest_life: None }
    }
}

impl Token {
    /// A token whose value a test knows.
    pub(crate) fn known(value: &str, name: &str, permissions: &[&str], expiry_days: Option<u32>) -> Self {
        Self {
            id: next_id(),
            name: name.to_owned(),
            permissions: permissions.iter().map(|text| (*text).to_owned()).collect(),
            created: now(),
            expiry_days,
            value: value.to_owned(),
        }
    }

    /// A token that is made by request: its value is base64 of its number and of something random.
    pub(crate) fn made(name: &str, permissions: Vec<String>, expiry_days: Option<u32>) -> Self {
        let id = next_id();
        let mut noise = std::hash::DefaultHasher::new();
        std::hash::Hash::hash(&(std::process::id(), now(), &id), &mut noise);
        let noise = std::hash::Hasher::finish(&noise);
        let value = STANDARD.encode(format!("{id}:{noise:020}"));
        Self { id, name: name.to_owned(), permissions, created: now(), expiry_days, value }
    }

    /// What it allows at most, in projects and in repositories.
    pub(crate) fn cap(&self) -> (Permission, Permission) {
        let most = |prefix: &str| {
            let mut found = Permission::None;
            for permission in self.permissions.iter().filter_map(|text| text.strip_prefix(prefix)) {
                found = found.max(match permission {
                    "_READ" => Permission::Read,
                    "_WRITE" => Permission::Write,
                    "_ADMIN" => Permission::Admin,
                    _ => Permission::None,
                });
            }
            found
        };
        (most("PROJECT"), most("REPO"))
    }
}

fn next_id() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(25_297_351_506);
    format!("{:012}", NEXT.fetch_add(1, Ordering::SeqCst))
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is later than 1970");
    u64::try_from(since.as_millis()).expect("the number is small")
}
