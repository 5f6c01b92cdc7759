//! Who sends a request: cookies, tokens, passwords, and the CAPTCHA after too many wrong ones.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::HeaderMap;
use hyper::header::{AUTHORIZATION, COOKIE};

use crate::account::Account;
use crate::body::Reply;

/// The name of the login cookie.
const COOKIE_NAME: &str = "BITBUCKETSESSIONID";

/// Wrong passwords after which an account needs a CAPTCHA.
const CAPTCHA_AFTER: u32 = 5;

/// The outcome of looking at a request's credentials.
#[derive(Debug)]
pub(crate) struct Identity {
    /// The account, when the credentials are good.
    pub(crate) account: Option<Account>,
    /// The answer, when there are credentials and they are not good.
    pub(crate) refusal: Option<Reply>,
    /// Whether a cookie decided; such requests are not rate limited.
    pub(crate) by_cookie: bool,
    /// Whether an access token decided.
    pub(crate) by_token: bool,
}

/// An account, and whether it came with an access token.
type Found = (Account, bool);

/// Logins that happened and logins that failed.
#[derive(Debug, Default)]
pub(crate) struct Logins {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    cookies: BTreeMap<String, String>,
    failures: BTreeMap<String, u32>,
}

impl Logins {
    /// Finds out who it is. A known cookie wins over the `Authorization` header, as it does on the real server.
    pub(crate) fn identify(&self, headers: &HeaderMap, accounts: &[Account]) -> Identity {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let name = cookie(headers).and_then(|value| state.cookies.get(&value));
        if let Some(account) = accounts.iter().find(|a| Some(&a.name) == name) {
            return Identity { account: Some(account.clone()), refusal: None, by_cookie: true, by_token: false };
        }
        let (account, refusal) = match headers.get(AUTHORIZATION) {
            None => (None, None),
            Some(value) => {
                let value = value.to_str().unwrap_or("");
                match state.authenticate(value, accounts) {
                    Ok(found) => (Some(found), None),
                    Err(reply) => (None, Some(reply)),
                }
            }
        };
        let by_token = account.as_ref().is_some_and(|(_, by_token)| *by_token);
        Identity { account: account.map(|(account, _)| account), refusal, by_cookie: false, by_token }
    }

    /// Makes a login cookie for an account; gives the `Set-Cookie` header.
    pub(crate) fn login(&self, account: &str) -> String {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let value = format!("{:016X}", state.cookies.len() + 0xC00C1E);
        let header = format!("{COOKIE_NAME}={value}; Path=/; HttpOnly");
        state.cookies.insert(value, account.to_owned());
        header
    }

    /// Lets a locked account log in again, as an administrator would.
    pub(crate) fn clear_captcha(&self, account: &str) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.failures.remove(account);
    }
}

impl State {
    fn authenticate(&mut self, header: &str, accounts: &[Account]) -> Result<Found, Reply> {
        let (scheme, rest) = header.split_once(' ').unwrap_or((header, ""));
        match scheme.to_ascii_lowercase().as_str() {
            "bearer" => by_token(accounts, rest.trim()).ok_or_else(incorrect),
            "basic" => {
                let decoded = STANDARD.decode(rest.trim()).map_err(|_| incorrect())?;
                let pair = String::from_utf8(decoded).map_err(|_| incorrect())?;
                let (name, secret) = pair.split_once(':').ok_or_else(incorrect)?;
                self.basic(accounts, name, secret)
            }
            _ => Err(incorrect()),
        }
    }

    fn basic(&mut self, accounts: &[Account], name: &str, secret: &str) -> Result<Found, Reply> {
        if name == "x-token-auth" {
            return by_token(accounts, secret).ok_or_else(incorrect);
        }
        let account = accounts.iter().find(|account| account.name == name);
        let account = account.ok_or_else(incorrect)?;
        if let Some(token) = account.tokens.iter().find(|token| token.value == secret) {
            return Ok((account.with_token(token), true));
        }
        let failures = self.failures.entry(name.to_owned()).or_insert(0);
        if *failures >= CAPTCHA_AFTER {
            return Err(captcha());
        }
        if account.password.as_deref() == Some(secret) {
            *failures = 0;
            return Ok((account.clone(), false));
        }
        *failures += 1;
        Err(incorrect())
    }
}

/// The answer to somebody without credentials.
pub(crate) fn anonymous() -> Reply {
    let class = "com.atlassian.plugins.rest.api.security.exception.AuthenticationRequiredException";
    let message = "You are not permitted to access this resource";
    challenge(Reply::error(401, message, Some(class)))
}

/// The answer to somebody who may not.
pub(crate) fn not_permitted() -> Reply {
    let class = "com.atlassian.bitbucket.AuthorisationException";
    let message = "You are not permitted to access this resource";
    Reply::error(401, message, Some(class))
}

fn incorrect() -> Reply {
    let class = "com.atlassian.bitbucket.auth.IncorrectPasswordAuthenticationException";
    let message = "Authentication failed. Please check your credentials and try again.";
    challenge(Reply::error(401, message, Some(class)))
}

fn captcha() -> Reply {
    let class = "com.atlassian.bitbucket.auth.CaptchaRequiredAuthenticationException";
    let message = "CAPTCHA required. Your Bitbucket account has been locked.";
    Reply::error(403, message, Some(class))
}

/// Without this header git does not ask for a password.
fn challenge(reply: Reply) -> Reply {
    reply.header("WWW-Authenticate", "Basic realm=\"Atlassian Bitbucket\"")
}

fn by_token(accounts: &[Account], value: &str) -> Option<Found> {
    accounts.iter().find_map(|account| {
        let token = account.tokens.iter().find(|token| token.value == value)?;
        Some((account.with_token(token), true))
    })
}

fn cookie(headers: &HeaderMap) -> Option<String> {
    let values = headers.get_all(COOKIE).iter();
    let texts = values.filter_map(|value| value.to_str().ok());
    let mut pairs = texts.flat_map(|text| text.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let found = pairs.find(|(name, _)| *name == COOKIE_NAME);
    found.map(|(_, value)| value.to_owned())
}
