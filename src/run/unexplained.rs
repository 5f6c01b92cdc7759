//! Passwords that are refused without a reason: whether one is wrong is asked, before it has locked its account.
//!
//! A proxy, or the git side of a server, answers 401 with a page that does not tell a wrong password from a missing
//! permission. If it was the password, every further request with it brings the account closer to a CAPTCHA.

use super::caller::Caller;
use super::credentials::Credentials;
use super::passwords::{Turn, login_refusal};
use super::{Refused, TaskError};
use crate::bitbucket::Client;
use crate::http::{Authorization, HttpError, Refusal};
use crate::model::{Address, LoginRefusal, check_command};
use crate::throttle::Lease;

/// So many refusals without a reason in a row are one of the password, where nobody tells whether it logs in.
const MOST: u32 = 2;

/// What is known of a login.
enum Login {
    Accepted,
    Refused(LoginRefusal, TaskError),
    /// There is no answer, or none that says anything about it.
    Unknown,
}

impl Credentials {
    /// Finds out whether a password that was refused without a reason logs in. One that does not leaves all pools. Tokens
    /// lock nothing.
    pub(super) async fn explain(
        &self,
        caller: &mut Caller<'_>,
        lease: &Lease,
        error: &TaskError,
        turn: Option<Turn>,
    ) -> Result<(), TaskError> {
        let of = (&lease.project, &lease.role);
        let Some(mark) = self.passwords.mark(of.0, of.1) else { return Ok(()) };
        let _turn = match turn {
            Some(turn) => turn,
            None => self.turn_with(mark).await?,
        };
        let is_rejected = self.keys.rejected().contains_key(&(lease.project.clone(), lease.role.clone()));
        if is_rejected || self.passwords.is_vouched_for(mark, self.clock.monotonic()) {
            return Ok(());
        }
        match self.ask_login(caller, lease).await {
            Login::Accepted => self.passwords.vouch_for(mark, self.clock.monotonic()),
            Login::Refused(reason, said) => drop(self.reject_login(of, reason, &said).await?),
            Login::Unknown => {
                if self.passwords.doubt(mark) >= MOST {
                    self.reject_login(of, LoginRefusal::WrongSecret, error).await?;
                }
            }
        }
        Ok(())
    }

    async fn ask_login(&self, caller: &mut Caller<'_>, lease: &Lease) -> Login {
        let Some(server) = self.servers.get(&lease.project).and_then(|name| self.contexts.get(name)) else {
            return Login::Unknown;
        };
        let client = &Client::new(server.http.clone());
        let request = |authorization: Authorization| async move { client.application_properties(&authorization).await };
        let arrival = *caller.arrival.get_or_insert_with(|| self.turnstile.arrive());
        let of = (&lease.project, &lease.role);
        match self.send_in_turn(server, of, arrival, &mut caller.ledger, request).await {
            None => Login::Unknown,
            Some(Ok(properties)) if properties.confirms(&lease.account) => Login::Accepted,
            Some(Ok(properties)) => {
                let error = TaskError::OtherAccount {
                    project: lease.project.clone(),
                    credential: lease.role.clone(),
                    declared: lease.account.clone(),
                    actual: properties.account,
                };
                Login::Refused(LoginRefusal::WrongSecret, error)
            }
            Some(Err(error)) => match error.http() {
                // Nobody needs a permission for this.
                Some(HttpError::Unauthorized { meaning: Refusal::Unknown, .. }) => {
                    Login::Refused(LoginRefusal::WrongSecret, error)
                }
                http => match login_refusal(http) {
                    Some(reason) => Login::Refused(reason, error),
                    None => Login::Unknown,
                },
            },
        }
    }

    /// What the summary says of credentials that were lost on the way, and of those that served for nothing.
    pub(super) fn lost_on_the_way(&self) -> Vec<String> {
        let told = |of: &(_, _), refused: &Refused| {
            let (address, Refused { account, why, .. }) = (Address::credential(&of.0, &of.1), refused);
            format!("{address} (account {account}) was refused on the way, and is not used: {why}")
        };
        let mut lines: Vec<String> = self.keys.untold().iter().map(|(of, refused)| told(of, refused)).collect();
        for (of, refused, why) in self.keys.useless() {
            let (address, account) = (Address::credential(&of.0, &of.1), self.keys.get(&of).account().clone());
            let many = if refused == 1 { "the only request".to_owned() } else { format!("all {refused} requests") };
            lines.push(format!(
                "{address} (account {account}) was of no use for any repository: {many} with it were refused, the last \
                 one by {why}; `{}` tells what it may do",
                check_command(&address)
            ));
        }
        lines
    }
}
