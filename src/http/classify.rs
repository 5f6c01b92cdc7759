//! From a refused request to its meaning. Pure: status, headers and the beginning of the body go in.

use reqwest::header::{DATE, HeaderMap, HeaderName, LOCATION, RETRY_AFTER};
use serde::Deserialize;
use url::Url;

use super::error::{HttpError, Refusal, RequestPlace};
use super::retry_after::{refill, retry_after};

/// Characters of server text that are kept.
const LONGEST_MESSAGE: usize = 300;

/// The error document of Bitbucket, that of the Atlassian platform (`message` alone), and that of a server which is
/// not ready (`state` alone).
#[derive(Deserialize, Default)]
struct ErrorDocument {
    #[serde(default)]
    errors: Vec<ErrorEntry>,
    message: Option<String>,
    state: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ErrorEntry {
    message: Option<String>,
    exception_name: Option<String>,
}

impl ErrorDocument {
    /// Plain text, as git's own server answers, is a message; a page of HTML is none.
    fn read(body: &[u8]) -> Self {
        serde_json::from_slice(body).unwrap_or_else(|_| {
            let text = std::str::from_utf8(body).ok().filter(|text| !text.contains('<'));
            Self { message: text.map(str::to_owned), ..Self::default() }
        })
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.errors.iter().filter_map(|entry| entry.exception_name.as_deref()).filter(|name| !name.is_empty())
    }

    /// The first exception, without its package.
    fn exception(&self) -> Option<String> {
        self.names().next().map(|name| shorten(name.rsplit('.').next().unwrap_or(name)))
    }

    /// Whether one of the messages has all of these words.
    fn mentions(&self, words: &[&str]) -> bool {
        let entries = self.errors.iter().filter_map(|entry| entry.message.as_deref());
        let mut texts = entries.chain(self.message.as_deref()).map(str::to_lowercase);
        texts.any(|text| words.iter().all(|word| text.contains(word)))
    }

    fn message(&self) -> String {
        let own = [self.message.as_deref(), self.state.as_deref()];
        let mut texts = self.errors.iter().map(|entry| entry.message.as_deref()).chain(own);
        let text = texts.find_map(|text| text.filter(|text| !text.trim().is_empty()));
        shorten(text.unwrap_or_default())
    }
}

/// Which error a status other than 2xx is. `body` is the beginning of the answer.
pub(super) fn classify(place: RequestPlace, status: u16, headers: &HeaderMap, body: &[u8]) -> HttpError {
    let document = ErrorDocument::read(body);
    let header_named = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let header = |name: HeaderName| header_named(name.as_str());
    let asked = || retry_after(header(RETRY_AFTER), header(DATE));
    let refill = || refill(header_named("x-ratelimit-interval-seconds"), header_named("x-ratelimit-fillrate"));
    match status {
        300..=399 => HttpError::Redirected { place, to: host_of(header(LOCATION)) },
        401 | 403 => {
            let captcha = headers
                .get("x-authentication-denied-reason")
                .is_some_and(|reason| reason.as_bytes().starts_with(b"CAPTCHA"));
            let meaning = if captcha { Refusal::Captcha } else { refusal(status, &document) };
            HttpError::Unauthorized { place, meaning, message: document.message() }
        }
        404 => HttpError::NotFound { place, exception: document.exception(), message: document.message() },
        409 => HttpError::Conflict { place, exception: document.exception(), message: document.message() },
        429 => {
            let raw = header(RETRY_AFTER).map(shorten);
            HttpError::RateLimited { place, retry_after: asked().or_else(refill), raw }
        }
        503 => HttpError::Busy { place, retry_after: asked(), message: document.message() },
        _ => HttpError::Status { place, status, message: document.message() },
    }
}

/// The decisive entry may stand anywhere in the list, so the gravest meaning of all entries wins.
fn refusal(status: u16, document: &ErrorDocument) -> Refusal {
    let meanings = [
        ("CaptchaRequiredAuthenticationException", Refusal::Captcha),
        ("IncorrectPasswordAuthenticationException", Refusal::Rejected),
        ("NoAccessAuthenticationException", Refusal::Unlicensed),
        ("AuthenticationRequiredException", Refusal::Anonymous),
        ("AuthorisationException", Refusal::NoPermission),
    ];
    let named = |suffix: &str| document.names().any(|name| name.rsplit('.').next() == Some(suffix));
    if let Some((_, meaning)) = meanings.into_iter().find(|(suffix, _)| named(suffix)) {
        return meaning;
    }
    if document.mentions(&["basic auth", "disabled"]) || document.mentions(&["basic auth", "blocked"]) {
        return Refusal::BasicBlocked;
    }
    if document.mentions(&["xsrf", "failed"]) {
        return Refusal::Forged;
    }
    if status == 403 { Refusal::NoPermission } else { Refusal::Unknown }
}

/// The scheme and host of a redirect: never its path or query, which may hold a session.
fn host_of(location: Option<&str>) -> String {
    let Some(location) = location else { return "no address".into() };
    match Url::parse(location) {
        Ok(url) => shorten(&url.origin().ascii_serialization()),
        Err(_) => "an address on the same host".into(),
    }
}

/// At most [`LONGEST_MESSAGE`] characters on one line.
pub(super) fn shorten(text: &str) -> String {
    let line = text.trim().chars().map(|c| if c.is_control() { ' ' } else { c });
    let mut short: String = line.take(LONGEST_MESSAGE + 1).collect();
    if let Some((end, _)) = short.char_indices().nth(LONGEST_MESSAGE) {
        short.truncate(end);
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use reqwest::header::HeaderValue;

    use super::*;
    use crate::http::Retry;

    fn place() -> RequestPlace {
        RequestPlace { address: "https://bb.example.com/rest".into(), request_id: None }
    }

    fn meaning(status: u16, body: &str) -> Refusal {
        let error = classify(place(), status, &HeaderMap::new(), body.as_bytes());
        let HttpError::Unauthorized { meaning, .. } = error else { panic!("{error:?}") };
        meaning
    }

    #[test]
    fn quirk_04_a_401_is_read_by_its_exception() {
        let one = |name: &str| format!(r#"{{"errors":[{{"context":null,"message":"m","exceptionName":"{name}"}}]}}"#);
        let auth = "com.atlassian.bitbucket.auth.";
        assert_eq!(meaning(401, &one(&format!("{auth}IncorrectPasswordAuthenticationException"))), Refusal::Rejected);
        assert_eq!(meaning(401, &one("com.atlassian.bitbucket.AuthorisationException")), Refusal::NoPermission);
        let required = "com.atlassian.bitbucket.rest.api.security.exception.AuthenticationRequiredException";
        assert_eq!(meaning(401, &one(required)), Refusal::Anonymous);
        assert_eq!(meaning(401, &one(&format!("{auth}NoAccessAuthenticationException"))), Refusal::Unlicensed);
        assert_eq!(meaning(403, "<html>no</html>"), Refusal::NoPermission);
        assert_eq!(meaning(401, "<html>no</html>"), Refusal::Unknown);
    }

    #[test]
    fn what_has_no_exception_is_read_by_its_words() {
        let one = |message: &str| format!(r#"{{"errors":[{{"message":"{message}","exceptionName":null}}]}}"#);
        assert_eq!(meaning(403, &one("XSRF check failed")), Refusal::Forged);
        assert_eq!(meaning(403, "XSRF check failed"), Refusal::Forged);
        let blocked = "Basic Authentication has been disabled on this instance.";
        assert_eq!(meaning(403, &format!(r#"{{"message":"{blocked}"}}"#)), Refusal::BasicBlocked);
        assert_eq!(meaning(403, &one("Basic auth is blocked")), Refusal::BasicBlocked);
        assert_eq!(meaning(403, &one("You may not archive it")), Refusal::NoPermission);
        let mut headers = HeaderMap::new();
        let denied = HeaderValue::from_static("CAPTCHA_CHALLENGE; login-url=https://bb.example.com/login");
        headers.insert("x-authentication-denied-reason", denied);
        let error = classify(place(), 403, &headers, b"");
        assert!(matches!(error, HttpError::Unauthorized { meaning: Refusal::Captcha, .. }), "{error:?}");
    }

    #[test]
    fn a_conflict_keeps_its_exception() {
        let body = br#"{"errors":[{"message":"m","exceptionName":"com.atlassian.bitbucket.repository.RepositoryArchivedException"}]}"#;
        let error = classify(place(), 409, &HeaderMap::new(), body);
        assert_eq!(error.retry(), Retry::Never);
        let HttpError::Conflict { exception, .. } = error else { panic!("{error:?}") };
        assert_eq!(exception.as_deref(), Some("RepositoryArchivedException"));
    }

    #[test]
    fn quirk_29_the_decisive_entry_may_be_the_second() {
        let body = r#"{"errors":[{"message":"XSRF check failed","exceptionName":null},{"message":"x","exceptionName":""},
            {"message":"y","exceptionName":"com.atlassian.bitbucket.auth.CaptchaRequiredAuthenticationException"}]}"#;
        assert_eq!(meaning(403, body), Refusal::Captcha);
    }

    #[test]
    fn quirk_08_a_rate_limit_needs_no_header_and_no_json() {
        let error = classify(place(), 429, &HeaderMap::new(), b"\xff<html>");
        assert_eq!(error.retry(), Retry::Backoff);
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, HeaderValue::from_static("12"));
        assert_eq!(classify(place(), 429, &headers, b"").retry(), Retry::After(Duration::from_secs(12)));
        let busy = classify(place(), 503, &headers, b"");
        assert!(matches!(busy, HttpError::Busy { .. }), "quirk 9: it is not about the account: {busy:?}");
        assert_eq!(busy.retry(), Retry::After(Duration::from_secs(12)));
        let mut refill = HeaderMap::new();
        refill.insert("X-RateLimit-Interval-Seconds", HeaderValue::from_static("60"));
        refill.insert("X-RateLimit-FillRate", HeaderValue::from_static("5"));
        assert_eq!(classify(place(), 429, &refill, b"").retry(), Retry::After(Duration::from_secs(12)));
    }

    #[test]
    fn plain_text_is_a_message_and_a_page_is_none() {
        let shown = |body: &str| classify(place(), 404, &HeaderMap::new(), body.as_bytes()).to_string();
        assert!(shown("Repository not found\n").ends_with(": not found: \"Repository not found\""));
        assert!(shown("<html><body>x</body></html>").ends_with(": not found"));
    }

    #[test]
    fn a_redirect_shows_the_host_alone() {
        let mut headers = HeaderMap::new();
        let location = "https://user:pw@sso.example.com/login?session=abc";
        headers.insert(LOCATION, HeaderValue::from_static(location));
        let error = classify(place(), 302, &headers, b"").to_string();
        assert!(error.ends_with("redirected to https://sso.example.com"), "{error}");
    }

    #[test]
    fn server_text_is_short_and_on_one_line() {
        let text = format!("a\nb\x1b[2J{}", "é".repeat(1000));
        let short = shorten(&text);
        assert_eq!(short.chars().count(), LONGEST_MESSAGE + 1);
        assert!(!short.contains(char::is_control));
    }
}
