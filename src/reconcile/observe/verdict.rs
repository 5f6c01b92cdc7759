//! What the answer of a server means for a credential, for a project, for the server itself. Pure.

use crate::bitbucket::{BitbucketError, ServerState, ServerVersion};
use crate::git::GitError;
use crate::http::{HttpError, Refusal};
use crate::model::{AccountName, Login, LoginRefusal, Reach, Sight};

/// What a login says of the credential and of the server.
pub(super) struct Verdict {
    pub(super) login: Login,
    pub(super) reach: Reach,
}

/// What is said of an answer that did not come.
pub(super) const TOO_LATE: &str = "no answer in the time that a look may take";

/// Reads the answer to a login; `None` is one that did not come.
pub(super) fn verdict(said: Option<&Result<ServerVersion, BitbucketError>>, declared: &AccountName) -> Verdict {
    let unknown = |why: &str, reach| Verdict { login: Login::Unknown { why: why.to_owned() }, reach };
    match said {
        None => unknown(TOO_LATE, Reach::Unreachable { why: TOO_LATE.to_owned(), hint: None }),
        Some(Ok(version)) => {
            let login = match &version.account {
                Some(_) if version.confirms(declared) => Login::Confirmed,
                Some(account) => Login::Other { account: account.clone() },
                None => Login::Nobody,
            };
            Verdict { login, reach: Reach::Answered }
        }
        Some(Err(error)) => {
            let reach = reach(error);
            match login_refusal(error) {
                Some(reason) => Verdict { login: Login::Refused { reason, why: chain(error) }, reach },
                None if reach == Reach::Answered => unknown(&chain(error), reach),
                None => unknown("the server could not be asked", reach),
            }
        }
    }
}

/// Why the server refuses the credential altogether, if that is what the error says.
pub(super) fn login_refusal(error: &BitbucketError) -> Option<LoginRefusal> {
    let BitbucketError::Http(HttpError::Unauthorized { meaning, .. }) = error else { return None };
    meaning.of_login()
}

/// Whether the server itself can be asked, by an error that it gave.
fn reach(error: &BitbucketError) -> Reach {
    let elsewhere = || Reach::Unreachable { why: chain(error), hint: error.hint() };
    match error {
        BitbucketError::Http(error) => match error {
            HttpError::RateLimited { .. } | HttpError::Unauthorized { .. } | HttpError::UnusableSecret { .. } => {
                Reach::Answered
            }
            HttpError::Busy { .. } => Reach::Busy { why: chain(error) },
            HttpError::Setup { .. }
            | HttpError::CertificateFile
            | HttpError::ProxyAddress
            | HttpError::Foreign { .. }
            | HttpError::NotFound { .. }
            | HttpError::Conflict { .. }
            | HttpError::Redirected { .. }
            | HttpError::UnexpectedContent { .. }
            | HttpError::InvalidJson { .. }
            | HttpError::TooLarge { .. }
            | HttpError::Timeout { .. }
            | HttpError::Unreachable { .. }
            | HttpError::Interrupted { .. }
            | HttpError::Status { .. } => elsewhere(),
        },
        BitbucketError::Paging { .. } | BitbucketError::Endless { .. } | BitbucketError::Malformed { .. } => {
            elsewhere()
        }
    }
}

/// Says why a server is busy, by what it says of its state.
pub(super) fn busy(why: String, state: Option<ServerState>) -> Reach {
    match state {
        Some(ServerState::Maintenance) => Reach::Busy { why: "it is in maintenance".to_owned() },
        Some(ServerState::NotReady(word)) => Reach::Busy { why: format!("it is not ready: it says {word}") },
        Some(ServerState::Running) | None => Reach::Busy { why },
    }
}

/// Whether something can be seen, by the answer to the question; `None` is one that did not come.
pub(super) fn sight<T>(said: Option<&Result<T, BitbucketError>>) -> Sight {
    match said {
        Some(Ok(_)) => Sight::Visible,
        Some(Err(error)) => hidden(error),
        None => Sight::Unknown,
    }
}

fn hidden(error: &BitbucketError) -> Sight {
    match error {
        BitbucketError::Http(
            HttpError::NotFound { .. }
            | HttpError::Unauthorized { meaning: Refusal::NoPermission | Refusal::Unknown, .. },
        ) => Sight::Hidden { why: chain(error) },
        BitbucketError::Http(_)
        | BitbucketError::Paging { .. }
        | BitbucketError::Endless { .. }
        | BitbucketError::Malformed { .. } => Sight::Unknown,
    }
}

/// Whether git can be read, by the answer to the first request.
pub(super) fn git_sight<T>(said: Option<&Result<T, GitError>>) -> Sight {
    match said {
        Some(Ok(_)) => Sight::Visible,
        Some(Err(error @ GitError::Http(HttpError::NotFound { .. } | HttpError::Unauthorized { .. }))) => {
            Sight::Hidden { why: chain(error) }
        }
        Some(Err(_)) | None => Sight::Unknown,
    }
}

/// Whether the account has used up its budget.
pub(super) fn is_rate_limited(error: &BitbucketError) -> bool {
    matches!(error, BitbucketError::Http(HttpError::RateLimited { .. }))
}

/// An error and its causes on one line.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::RequestPlace;

    fn place() -> RequestPlace {
        RequestPlace { address: "https://bb.example.com/rest".into(), request_id: None }
    }

    fn said(error: HttpError) -> Verdict {
        verdict(Some(&Err(error.into())), &"svc".parse().unwrap())
    }

    fn refused(meaning: Refusal) -> Verdict {
        said(HttpError::Unauthorized { place: place(), meaning, message: String::new() })
    }

    #[test]
    fn a_login_is_confirmed_by_the_account_that_the_server_saw() {
        let login = |account: Option<&str>| {
            let account = account.map(|name| name.parse().unwrap());
            verdict(Some(&Ok(ServerVersion { version: "9".into(), account })), &"svc".parse().unwrap()).login
        };
        assert_eq!(login(Some("SVC")), Login::Confirmed);
        assert_eq!(login(Some("boss")), Login::Other { account: "boss".parse().unwrap() });
        assert_eq!(login(None), Login::Nobody);
    }

    #[test]
    fn a_refusal_is_about_the_credential_only_if_it_says_so() {
        for (meaning, expected) in [
            (Refusal::Rejected, LoginRefusal::WrongSecret),
            (Refusal::Anonymous, LoginRefusal::NotAccepted),
            (Refusal::Unlicensed, LoginRefusal::Unlicensed),
            (Refusal::Captcha, LoginRefusal::Captcha),
            (Refusal::BasicBlocked, LoginRefusal::BasicBlocked),
        ] {
            let Verdict { login: Login::Refused { reason, .. }, reach: Reach::Answered } = refused(meaning) else {
                panic!("{meaning:?}")
            };
            assert_eq!(reason, expected);
        }
        for meaning in [Refusal::NoPermission, Refusal::Forged, Refusal::Unknown] {
            assert!(matches!(refused(meaning), Verdict { login: Login::Unknown { .. }, reach: Reach::Answered }));
        }
    }

    #[test]
    fn quirk_09_a_busy_server_says_nothing_about_the_credential() {
        let busy = said(HttpError::Busy { place: place(), retry_after: None, message: "tickets".into() });
        assert!(matches!(busy, Verdict { login: Login::Unknown { .. }, reach: Reach::Busy { .. } }));
        let limited = said(HttpError::RateLimited { place: place(), retry_after: None, raw: None });
        assert!(matches!(limited, Verdict { login: Login::Unknown { .. }, reach: Reach::Answered }));
    }

    #[test]
    fn what_answers_in_place_of_the_server_is_not_the_server() {
        for error in [
            HttpError::Redirected { place: place(), to: "https://sso.example.com".into() },
            HttpError::UnexpectedContent { place: place(), content_type: "text/html".into(), expected: "json" },
            HttpError::Timeout { place: place() },
            HttpError::NotFound { place: place(), exception: None, message: String::new() },
        ] {
            let Verdict { login: Login::Unknown { .. }, reach: Reach::Unreachable { .. } } = said(error) else {
                panic!()
            };
        }
        assert!(matches!(verdict(None, &"svc".parse().unwrap()).reach, Reach::Unreachable { .. }));
    }

    #[test]
    fn what_a_server_does_not_show_is_told_from_what_it_did_not_answer() {
        let sight_of = |error: HttpError| sight::<()>(Some(&Err(error.into())));
        let hidden = HttpError::Unauthorized { place: place(), meaning: Refusal::NoPermission, message: String::new() };
        assert!(matches!(sight_of(hidden), Sight::Hidden { .. }));
        assert!(matches!(
            sight_of(HttpError::NotFound { place: place(), exception: None, message: String::new() }),
            Sight::Hidden { .. }
        ));
        assert_eq!(sight_of(HttpError::Timeout { place: place() }), Sight::Unknown);
        let dead = HttpError::Unauthorized { place: place(), meaning: Refusal::Rejected, message: String::new() };
        assert_eq!(sight_of(dead), Sight::Unknown);
        assert_eq!(sight::<()>(None), Sight::Unknown);
    }
}
