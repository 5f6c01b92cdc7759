//! What a look says of single credentials, in the words of the person who asked. Pure.

use jiff::civil::Date;

use super::{Looked, Power};
use crate::bitbucket::User;
use crate::model::condition::expiring;
use crate::model::{Address, CredentialRole, CredentialSeen, Declaration, Login, Seen, Sight};

/// A credential that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// Which one.
    pub address: Address,
    /// What was seen.
    pub seen: CredentialSeen,
    /// What it may do besides reading, as far as the server told.
    pub power: Option<Power>,
    /// What the server says of its account, if it does.
    pub user: Option<User>,
    /// Its last day, if it ends.
    pub expires: Option<Date>,
    /// What is to be said of that day, if it is near.
    pub ending: Option<String>,
    /// Whether its account was refused for want of budget: what was to be asked after that was not.
    pub limited: bool,
    /// Whether it was not shown to its server in this look: what is said of it was known before.
    pub left_alone: bool,
}

impl Checked {
    /// Whether nobody can use it: it cannot be opened, is not accepted, or is somebody else's.
    pub fn is_useless(&self) -> bool {
        match &self.seen.login {
            Login::Other { .. } | Login::Nobody | Login::Refused { .. } | Login::Sealed { .. } => true,
            Login::Confirmed | Login::Unknown { .. } => false,
        }
    }

    /// Whether it is accepted and can read what it is declared for, and was asked everything.
    pub fn is_good(&self) -> bool {
        let asked = !self.limited;
        asked
            && (&self.seen.login, &self.seen.project, &self.seen.repositories)
                == (&Login::Confirmed, &Sight::Visible, &Sight::Visible)
    }
}

/// The credentials that were looked at, in the order of their addresses, as they are on the day of `today`.
pub fn checked(declaration: &Declaration, looked: &Looked, today: Date) -> Vec<Checked> {
    let mut found = Vec::new();
    for (selector, project) in &declaration.projects {
        let names = project.additional.keys().cloned().map(CredentialRole::Additional);
        for role in std::iter::once(CredentialRole::Main).chain(names) {
            let address = Address::credential(selector, &role);
            let left_alone = looked.left_alone.get(&address);
            let seen = looked.seen.credentials.get(&address).or(left_alone);
            let (Some(seen), Some(credential)) = (seen, project.credential(&role)) else { continue };
            let ending = credential.expires.and_then(|day| match expiring(day, today) {
                Seen::Holds { message, .. } => Some(message),
                Seen::Not => None,
            });
            let power = looked.powers.get(&address).copied();
            let of = (seen.server.clone(), seen.account.clone());
            let user = looked.users.get(&of).cloned();
            let limited = looked.accounts.get(&of).copied().unwrap_or(false);
            let (seen, expires) = (seen.clone(), credential.expires);
            let left_alone = left_alone.is_some();
            found.push(Checked { address, seen, power, user, expires, ending, limited, left_alone });
        }
    }
    found
}
