//! What a look remembers of passwords: those that were refused are left alone by runs, those that were accepted are not.

use std::collections::BTreeMap;

use super::Look;
use crate::model::{Address, CredentialRole, Declaration, Login, PasswordMark, RefusedLogin};
use crate::state::StateError;

/// Remembers what servers said to passwords. `refused` is what is known against them before and after it.
pub(super) async fn remember(
    look: &Look<'_>,
    said: BTreeMap<PasswordMark, Login>,
    refused: &mut BTreeMap<PasswordMark, RefusedLogin>,
) -> Result<(), StateError> {
    let now = look.clock.now();
    for (mark, login) in said {
        match login {
            Login::Refused { reason, why } => {
                let known = match look.state {
                    Some(state) => state.refuse_login_again(&mark, (reason, &why), now).await?,
                    None => RefusedLogin::after_another(refused.get(&mark), reason, &why, now),
                };
                refused.extend(known.map(|known| (mark, known)));
            }
            Login::Confirmed | Login::Other { .. } | Login::Nobody => {
                if refused.remove(&mark).is_some()
                    && let Some(state) = look.state
                {
                    state.accept_login(&mark).await?;
                }
            }
            Login::Sealed { .. } | Login::Unknown { .. } => {}
        }
    }
    Ok(())
}

/// What becomes of the credentials whose password was refused, by address.
pub(super) fn consequences(
    declaration: &Declaration,
    refused: &BTreeMap<PasswordMark, RefusedLogin>,
) -> BTreeMap<Address, String> {
    let mut all = BTreeMap::new();
    for (selector, project) in &declaration.projects {
        let url = &declaration.servers[&project.server].url;
        let names = project.additional.keys().cloned().map(CredentialRole::Additional);
        for role in std::iter::once(CredentialRole::Main).chain(names) {
            let mark = project.credential(&role).and_then(|credential| PasswordMark::of(url, credential));
            let Some(login) = mark.and_then(|mark| refused.get(&mark)) else { continue };
            let address = Address::credential(selector, &role);
            let consequence = login.consequence(&address);
            all.insert(address, consequence);
        }
    }
    all
}
