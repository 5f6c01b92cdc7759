//! HTTP access tokens of an account: listed, made, revoked. An account manages its own; an administrator those of all.

use serde::Deserialize;
use serde_json::{Value, json};

use super::page::PageRequest;
use crate::account::{Account, Permission};
use crate::auth::{anonymous, not_permitted};
use crate::body::Reply;
use crate::route::{Route, TokensOf};
use crate::server::Shared;
use crate::token::Token;

/// The permissions that a token can have.
const PERMISSIONS: [&str; 6] =
    ["PROJECT_READ", "PROJECT_WRITE", "PROJECT_ADMIN", "REPO_READ", "REPO_WRITE", "REPO_ADMIN"];

/// What a request brings besides its address.
pub(crate) struct TokenCall<'a> {
    pub(crate) method: &'a str,
    /// Whether it says that it was not forged.
    pub(crate) checked: bool,
    /// Whether it came with an access token.
    pub(crate) by_token: bool,
    pub(crate) body: Vec<u8>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wanted {
    name: Option<String>,
    permissions: Option<Vec<String>>,
    expiry_days: Option<u32>,
}

/// Answers a request about access tokens.
pub(crate) fn answer(
    shared: &Shared,
    route: &Route,
    query: Option<&str>,
    account: Option<&Account>,
    call: &TokenCall<'_>,
) -> Reply {
    let Some(account) = account else { return anonymous() };
    if call.method != "GET" && !call.checked {
        return Reply::error(403, "XSRF check failed", None);
    }
    let of = match route {
        Route::AccessTokens { of } | Route::AccessToken { of, .. } => of,
        _ => return Reply::error(404, "There is no such resource.", None),
    };
    if call.by_token && !shared.options.tokens.by_token {
        return not_permitted();
    }
    if !may_manage(account, of) {
        return not_permitted();
    }
    let Some(owner) = shared.accounts().into_iter().find(|found| owns(found, of)) else {
        return Reply::error(404, "There is no such user.", Some("com.atlassian.bitbucket.user.NoSuchUserException"));
    };
    match (call.method, route) {
        ("GET", Route::AccessTokens { .. }) => list(shared, query, &owner),
        ("PUT", Route::AccessTokens { .. }) => make(shared, &owner, &call.body),
        ("GET", Route::AccessToken { id, .. }) => match owner.tokens.iter().find(|token| token.id == *id) {
            Some(token) => Reply::json(200, &described(&owner, token)),
            None => no_such_token(),
        },
        ("DELETE", Route::AccessToken { id, .. }) => {
            let revoked = shared.with_account(&owner.name, |owner| {
                let before = owner.tokens.len();
                owner.tokens.retain(|token| token.id != *id);
                owner.tokens.len() < before
            });
            if revoked == Some(true) { Reply::new(204) } else { no_such_token() }
        }
        _ => Reply::error(405, "Method Not Allowed", None),
    }
}

/// Accounts manage their own tokens, an administrator those of all, and whoever administers a project or a repository
/// those of that.
fn may_manage(account: &Account, of: &TokensOf) -> bool {
    let permission = match of {
        TokensOf::User { slug } if account.address() == *slug => return true,
        TokensOf::User { .. } => account.in_project(""),
        TokensOf::Project { key, slug: None } => account.in_project(key),
        TokensOf::Project { key, slug: Some(slug) } => account.in_repository(key, slug),
    };
    permission >= Permission::Admin
}

fn owns(account: &Account, of: &TokensOf) -> bool {
    match (of, &account.service) {
        (TokensOf::User { slug }, None) => account.address() == *slug,
        (TokensOf::Project { key, slug }, Some((of, repository))) => {
            of.eq_ignore_ascii_case(key) && repository.as_deref() == slug.as_deref()
        }
        (TokensOf::User { .. }, Some(_)) | (TokensOf::Project { .. }, None) => false,
    }
}

fn list(shared: &Shared, query: Option<&str>, owner: &Account) -> Reply {
    match PageRequest::of(query, shared.page_cap()) {
        Ok(page) => page.answer(&owner.tokens, |_| true, |token| described(owner, token)),
        Err(refusal) => refusal,
    }
}

fn make(shared: &Shared, owner: &Account, body: &[u8]) -> Reply {
    let Ok(wanted) = serde_json::from_slice::<Wanted>(body) else { return invalid("The request cannot be read.") };
    let rules = shared.options.tokens;
    let Some(name) = wanted.name.filter(|name| !name.trim().is_empty()) else {
        return invalid("The request does not contain a token name.");
    };
    let permissions = wanted.permissions.unwrap_or_default();
    if permissions.is_empty() {
        return invalid("The request does not contain a list of permissions.");
    }
    if permissions.iter().any(|one| !PERMISSIONS.contains(&one.as_str())) {
        return invalid("One of the provided permission levels is unknown.");
    }
    if owner.tokens.iter().any(|token| token.name == name) {
        return Reply::error(409, "There is a token of that name.", Some("com.atlassian.bitbucket.IntegrityException"));
    }
    if owner.tokens.len() >= rules.most {
        return invalid("The user already has the maximum number of tokens.");
    }
    if rules.longest_life.is_some_and(|most| wanted.expiry_days.is_none_or(|days| days > most)) {
        return invalid("The token has to expire, and lives longer than the administrator allows.");
    }
    let token = Token::made(&name, permissions, wanted.expiry_days);
    let mut shown = described(owner, &token);
    shown["token"] = json!(token.value);
    shared.with_account(&owner.name, |owner| owner.tokens.push(token));
    Reply::json(200, &shown)
}

fn described(owner: &Account, token: &Token) -> Value {
    let mut shown = json!({
        "id": token.id,
        "createdDate": token.created,
        "name": token.name,
        "permissions": token.permissions,
        "user": {"name": owner.name, "slug": owner.address(), "active": true, "type": "NORMAL"},
    });
    if let Some(days) = token.expiry_days {
        shown["expiryDays"] = json!(days);
    }
    shown
}

fn invalid(message: &str) -> Reply {
    Reply::error(400, message, None)
}

fn no_such_token() -> Reply {
    Reply::error(404, "There is no such token.", Some("com.atlassian.bitbucket.NoSuchEntityException"))
}
