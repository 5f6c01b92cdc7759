//! Which of an account's tokens is the one in use, and what the one after it is to be. Pure.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use super::RotateError;
use crate::bitbucket::{AccessToken, TokenId};
use crate::model::{CredentialRole, ProjectSelector, Uid};

/// The prefix of newer tokens.
const PREFIX: &str = "BBDC-";

/// Digits of the number that a token carries.
const DIGITS: usize = 12;

/// The characters of a minted id that tell two tokens of one day apart.
const TELLING: usize = 6;

/// The token that `secret` belongs to: by the number in it, because it is the only one, or because somebody says so.
pub(super) fn in_use<'a>(
    tokens: &'a [AccessToken],
    all_legible: bool,
    secret: &SecretString,
    said: Option<&TokenId>,
) -> Result<&'a AccessToken, RotateError> {
    let find = |id: &TokenId| tokens.iter().find(|token| token.id == *id);
    let list = || tokens.iter().map(describe).collect();
    let own = number_in(secret).and_then(|id| find(&id));
    match (own, said) {
        (Some(own), Some(said)) if own.id != *said => {
            Err(RotateError::OtherToken { said: said.clone(), own: own.id.clone() })
        }
        (Some(own), _) => Ok(own),
        (None, Some(said)) => find(said).ok_or_else(|| RotateError::NoSuchToken { id: said.clone(), tokens: list() }),
        (None, None) => match tokens {
            [only] if all_legible => Ok(only),
            [] if all_legible => Err(RotateError::NoTokens),
            _ => Err(RotateError::SeveralTokens { tokens: list() }),
        },
    }
}

/// The server's number of a token, which is the beginning of what is encoded in it.
fn number_in(secret: &SecretString) -> Option<TokenId> {
    let text = secret.expose_secret();
    let bytes = Zeroizing::new(BASE64_STANDARD.decode(text.strip_prefix(PREFIX).unwrap_or(text)).ok()?);
    let (digits, rest) = bytes.split_at_checked(DIGITS)?;
    if rest.first() != Some(&b':') {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// A token on one line.
fn describe(token: &AccessToken) -> String {
    let permissions: Vec<&str> = token.permissions.iter().map(String::as_str).collect();
    let made = token.created.map(|at| format!(", made {}", at.strftime("%Y-%m-%d"))).unwrap_or_default();
    format!("{}: \"{}\", {}{made}", token.id, token.name, permissions.join(" "))
}

/// A name that people recognise and that no other token has.
pub(super) fn name(project: &ProjectSelector, role: &CredentialRole, now: Timestamp, id: Uid) -> String {
    let id = id.to_string();
    let telling = id.get(id.len().saturating_sub(TELLING)..).unwrap_or(&id);
    format!("xopero {project} {role} {} {telling}", now.strftime("%Y-%m-%d"))
}

/// How many days the new token lives: as many as were asked for, or as the old one, as far as that can be told.
pub(super) fn days(asked: Option<u32>, old: &AccessToken, declared: Option<Date>) -> Option<u32> {
    let by_the_file = || {
        let made = old.created?.to_zoned(TimeZone::UTC).date();
        u32::try_from(made.until(declared?).ok()?.get_days()).ok().filter(|days| *days > 0)
    };
    asked.or(old.expiry_days).or_else(by_the_file)
}

/// The last day of a token that lives so many days.
pub(super) fn last_day(made: Timestamp, days: u32) -> Option<Date> {
    let life = SignedDuration::from_hours(i64::from(days) * 24);
    Some(made.checked_add(life).ok()?.to_zoned(TimeZone::UTC).date())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(id: &str, days: Option<u32>) -> AccessToken {
        AccessToken {
            id: id.parse().unwrap(),
            name: format!("token {id}"),
            permissions: ["REPO_READ".to_owned()].into(),
            created: Some("2026-11-22T10:00:00Z".parse().unwrap()),
            expiry_days: days,
            owner: None,
        }
    }

    fn found(tokens: &[AccessToken], secret: &str, said: Option<&str>) -> Result<String, RotateError> {
        let said = said.map(|id| id.parse().unwrap());
        in_use(tokens, true, &SecretString::from(secret), said.as_ref()).map(|token| token.id.to_string())
    }

    #[test]
    fn a_token_is_known_by_the_number_in_it() {
        // The example of the documentation.
        let documented = "MjUyOTczNTE1MDY5On2rDbID2EgYpH8AVOECHv0saruQ";
        let tokens = [token("000000000001", None), token("252973515069", None)];
        assert_eq!(found(&tokens, documented, None).unwrap(), "252973515069");
        assert_eq!(found(&tokens, &format!("BBDC-{documented}"), None).unwrap(), "252973515069");
        assert!(matches!(found(&tokens, documented, Some("000000000001")), Err(RotateError::OtherToken { .. })));
        assert_eq!(found(&tokens[..1], documented, None).unwrap(), "000000000001", "the only one");
    }

    #[test]
    fn among_several_nobody_guesses() {
        let tokens = [token("1", None), token("2", None)];
        for opaque in ["opaque", "MjUyOTczNTE1", "BBDC-+/", "", "ÿ"] {
            let Err(RotateError::SeveralTokens { tokens }) = found(&tokens, opaque, None) else { panic!("{opaque}") };
            assert_eq!(tokens[0], "1: \"token 1\", REPO_READ, made 2026-11-22");
        }
        assert_eq!(found(&tokens, "opaque", Some("2")).unwrap(), "2");
        assert!(matches!(found(&tokens, "opaque", Some("3")), Err(RotateError::NoSuchToken { .. })));
        assert!(matches!(found(&[], "opaque", None), Err(RotateError::NoTokens)));
        let secret = SecretString::from("opaque");
        assert!(in_use(&tokens[..1], false, &secret, None).is_err(), "one that cannot be read may be it");
    }

    #[test]
    fn the_new_one_lives_as_long_as_the_old_one() {
        let declared = Some("2027-02-20".parse().unwrap());
        assert_eq!(days(None, &token("1", Some(30)), declared), Some(30));
        assert_eq!(days(Some(7), &token("1", Some(30)), declared), Some(7));
        assert_eq!(days(None, &token("1", None), declared), Some(90));
        assert_eq!(days(None, &token("1", None), None), None);
        assert_eq!(days(None, &token("1", None), Some("2026-01-01".parse().unwrap())), None);
        let made = "2026-11-22T23:30:00Z".parse().unwrap();
        assert_eq!(last_day(made, 90), Some("2027-02-20".parse().unwrap()));
        assert_eq!(last_day(made, u32::MAX), None);
    }

    #[test]
    fn names_are_recognised_and_unique() {
        let (project, now) = ("PAY".parse().unwrap(), "2026-11-22T23:30:00Z".parse().unwrap());
        let named = |random| name(&project, &CredentialRole::Main, now, Uid::from_parts(1, random));
        assert!(named(1).starts_with("xopero PAY main 2026-11-22 ") && named(1) != named(2), "{}", named(1));
    }
}
