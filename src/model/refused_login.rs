//! Passwords that a server refused, and when they may be tried again. Pure.
//!
//! Bitbucket counts failed logins: after five of them (unless somebody changed that) the account has to solve a CAPTCHA,
//! and then its right password is refused as well. So a refused password is not sent again by every run. It is not given
//! up for good either, because a directory that is down makes right passwords look wrong: it is tried after an hour, then
//! after six, after a day, and then once a week. So the fifth attempt, the one that may lock the account, comes after more
//! than a week in which nobody did anything. An account that has to solve a CAPTCHA is asked once an hour whether it has:
//! what is refused for that is not counted.
//!
//! Tokens are not counted by the server, and lock nothing: they are shown in every run, which costs one request, and are
//! used again as soon as they are accepted.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::declaration::Credential;
use super::{Address, BaseUrl, CredentialKind, LoginRefusal, check_command};

const HOUR: Duration = Duration::from_hours(1);

/// What is refused within this time of the last refusal was under way together with it.
const TOGETHER: Duration = Duration::from_mins(1);

/// How long a password rests after it was found wrong for the first time, the second, and so on.
const RESTS: [Duration; 4] = [HOUR, Duration::from_hours(6), Duration::from_hours(24), Duration::from_hours(7 * 24)];

/// Which password of which account, told without it: by the ciphertext in the file. One that is sealed anew has another
/// mark, whatever is in it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PasswordMark(String);

impl PasswordMark {
    /// The mark of a credential for a server, if it is a password.
    pub fn of(server: &BaseUrl, credential: &Credential) -> Option<Self> {
        let Credential { account, kind, sealed, .. } = credential;
        match kind {
            CredentialKind::Token => None,
            CredentialKind::Password => {
                let account = account.as_str().to_lowercase();
                Some(Self(format!("{} {} {account}", sealed.full_digest(), server.origin())))
            }
        }
    }
}

impl fmt::Display for PasswordMark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What is known of a password that was refused, and not accepted since.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedLogin {
    /// When it was refused for the first time.
    pub since: Timestamp,
    /// When it was refused last.
    pub last: Timestamp,
    /// How often the server found it wrong.
    pub wrong: u32,
    /// Why it was refused, in one word.
    pub reason: LoginRefusal,
    /// What the server said.
    pub why: String,
}

impl RefusedLogin {
    /// What is known after one more refusal. Nothing, if to ask again does no harm.
    pub fn after(before: Option<&Self>, reason: LoginRefusal, why: &str, now: Timestamp) -> Option<Self> {
        let together = before.is_some_and(|before| before.is_just_refused(now));
        Self::counted(before, (reason, why), u32::from(!together), now)
    }

    /// The same of one that was sent by itself: it counts, however shortly it comes after another one.
    pub fn after_another(before: Option<&Self>, reason: LoginRefusal, why: &str, now: Timestamp) -> Option<Self> {
        Self::counted(before, (reason, why), 1, now)
    }

    fn counted(before: Option<&Self>, (reason, why): (LoginRefusal, &str), more: u32, now: Timestamp) -> Option<Self> {
        let wrong = before.map_or(0, |before| before.wrong);
        let wrong = match reason {
            LoginRefusal::WrongSecret => wrong.saturating_add(more),
            LoginRefusal::Captcha => wrong,
            LoginRefusal::NotAccepted | LoginRefusal::Unlicensed | LoginRefusal::BasicBlocked => return None,
        };
        let since = before.map_or(now, |before| before.since);
        Some(Self { since, last: now, wrong, reason, why: why.to_owned() })
    }

    /// When it may be tried again.
    pub fn until(&self) -> Timestamp {
        self.last.saturating_add(self.rest()).unwrap_or(Timestamp::MAX)
    }

    /// Whether it must not be sent at this moment. A clock that was set does not make it rest for longer.
    pub fn rests(&self, now: Timestamp) -> bool {
        now.duration_since(self.last).unsigned_abs() < self.rest()
    }

    /// What becomes of it, for people.
    pub fn consequence(&self, address: &Address) -> String {
        let minute = |at: Timestamp| at.strftime("%Y-%m-%d %H:%M");
        format!(
            "set aside since {} UTC so that the account is not locked; tried again after {} UTC, or at once when it is \
             sealed anew, or by `{}`",
            minute(self.since),
            minute(self.until()),
            check_command(address)
        )
    }

    fn is_just_refused(&self, now: Timestamp) -> bool {
        self.wrong > 0 && now.duration_since(self.last).unsigned_abs() < TOGETHER
    }

    fn rest(&self) -> Duration {
        match self.reason {
            LoginRefusal::Captcha => HOUR,
            LoginRefusal::WrongSecret
            | LoginRefusal::NotAccepted
            | LoginRefusal::Unlicensed
            | LoginRefusal::BasicBlocked => {
                let times = usize::try_from(self.wrong.max(1)).unwrap_or(usize::MAX).min(RESTS.len());
                RESTS[times - 1]
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Sealed;

    fn at(hour: i64) -> Timestamp {
        Timestamp::from_second(hour * 3600).unwrap()
    }

    fn credential(kind: CredentialKind, account: &str, sealed: &str) -> Credential {
        let (account, sealed) = (account.parse().unwrap(), Sealed::new(sealed));
        Credential { account, kind, sealed, expires: None, same_as: None }
    }

    #[test]
    fn a_wrong_password_is_sent_four_times_in_the_first_week_by_an_hourly_plan() {
        let mut known: Option<RefusedLogin> = None;
        let mut sent = Vec::new();
        for hour in 0..24 * 16 {
            if known.as_ref().is_none_or(|known| !known.rests(at(hour))) {
                sent.push(hour);
                known = RefusedLogin::after(known.as_ref(), LoginRefusal::WrongSecret, "no", at(hour));
            }
        }
        assert_eq!(sent, [0, 1, 7, 31, 31 + 168, 31 + 336]);
        assert_eq!(known.unwrap().since, at(0));
    }

    #[test]
    fn requests_that_were_under_way_together_are_one_attempt() {
        let first = RefusedLogin::after(None, LoginRefusal::WrongSecret, "no", at(0)).unwrap();
        let together = at(0).saturating_add(Duration::from_secs(59)).unwrap();
        let second = RefusedLogin::after(Some(&first), LoginRefusal::WrongSecret, "no", together).unwrap();
        assert_eq!((second.wrong, second.last), (1, together));
        let later = RefusedLogin::after(Some(&second), LoginRefusal::WrongSecret, "no", at(1)).unwrap();
        assert_eq!(later.wrong, 2);
        let alone = RefusedLogin::after_another(Some(&first), LoginRefusal::WrongSecret, "no", together).unwrap();
        assert_eq!((alone.wrong, alone.until()), (2, together.saturating_add(Duration::from_hours(6)).unwrap()));
    }

    #[test]
    fn a_captcha_is_asked_for_each_hour_and_is_not_counted() {
        let wrong = RefusedLogin::after(None, LoginRefusal::WrongSecret, "no", at(0)).unwrap();
        let captcha = RefusedLogin::after(Some(&wrong), LoginRefusal::Captcha, "no", at(1)).unwrap();
        assert_eq!((captcha.wrong, captcha.until(), captcha.since), (1, at(2), at(0)));
        let again = RefusedLogin::after(Some(&captcha), LoginRefusal::WrongSecret, "no", at(2)).unwrap();
        assert_eq!((again.wrong, again.until()), (2, at(8)));
    }

    #[test]
    fn what_locks_nothing_is_not_remembered() {
        for reason in [LoginRefusal::NotAccepted, LoginRefusal::Unlicensed, LoginRefusal::BasicBlocked] {
            assert_eq!(RefusedLogin::after(None, reason, "no", at(0)), None);
        }
        let server = BaseUrl::new("https://bb.example.com").unwrap();
        assert_eq!(PasswordMark::of(&server, &credential(CredentialKind::Token, "svc", "a")), None);
    }

    #[test]
    fn a_clock_that_was_set_back_does_not_make_it_rest_for_ever() {
        let known = RefusedLogin::after(None, LoginRefusal::WrongSecret, "no", at(1_000_000)).unwrap();
        assert!(known.rests(at(1_000_000)) && !known.rests(at(1_000_001)) && !known.rests(at(10)));
    }

    #[test]
    fn a_mark_is_of_one_ciphertext_for_one_account_of_one_server() {
        let server = BaseUrl::new("https://bb.example.com").unwrap();
        let mark = |account, sealed| PasswordMark::of(&server, &credential(CredentialKind::Password, account, sealed));
        assert_eq!(mark("Svc", "a"), mark("svc", " a\n"), "accounts are not told apart by case");
        assert_ne!(mark("svc", "a"), mark("svc", "b"));
        assert_ne!(mark("svc", "a"), mark("other", "a"));
        let other = BaseUrl::new("https://other.example.com").unwrap();
        let there = PasswordMark::of(&other, &credential(CredentialKind::Password, "svc", "a"));
        assert_ne!(mark("svc", "a"), there);
    }
}
