//! Which credentials are looked at, and in which order. Pure.

use std::collections::BTreeMap;

use super::Part;
use crate::model::{Address, Credential, CredentialRole, Declaration, Observations, ProjectSelector, ServerName};

/// A credential that may be looked at.
#[derive(Debug, Clone)]
pub(super) struct Candidate<'a> {
    pub(super) project: &'a ProjectSelector,
    pub(super) role: CredentialRole,
    pub(super) credential: &'a Credential,
}

impl Candidate<'_> {
    pub(super) fn address(&self) -> Address {
        Address::credential(self.project, &self.role)
    }
}

/// The credentials to look at, by server: what was not seen for the longest time comes first, so that looks which
/// cannot afford everything see everything in turn.
pub(super) fn candidates<'a>(
    declaration: &'a Declaration,
    part: &Part,
    known: &Observations,
) -> BTreeMap<&'a ServerName, Vec<Candidate<'a>>> {
    let mut by_server: BTreeMap<&ServerName, Vec<Candidate<'_>>> = BTreeMap::new();
    for (selector, project) in &declaration.projects {
        let names = project.additional.keys().cloned().map(CredentialRole::Additional);
        for role in std::iter::once(CredentialRole::Main).chain(names) {
            let Some(credential) = project.credential(&role) else { continue };
            let wanted = match part {
                Part::InUse => is_in_use(declaration, selector, &role),
                Part::Credentials(chosen) => chosen.contains(&(selector.clone(), role.clone())),
                Part::Named(project, named) => (project, named) == (selector, &role),
            };
            if wanted {
                by_server.entry(&project.server).or_default().push(Candidate { project: selector, role, credential });
            }
        }
    }
    for candidates in by_server.values_mut() {
        let seen_at = |one: &Candidate<'_>| known.credentials.get(&one.address()).map(|seen| seen.observed_at);
        candidates.sort_by_cached_key(seen_at);
    }
    by_server
}

/// Whether a plan uses the credential: the main one if it covers the project, an additional one if it enables it.
fn is_in_use(declaration: &Declaration, selector: &ProjectSelector, role: &CredentialRole) -> bool {
    let mut planned = declaration.plans.values().filter_map(|plan| plan.projects.get(selector));
    planned.any(|planned| match role {
        CredentialRole::Main => true,
        CredentialRole::Additional(name) => planned.enabled_credentials.contains(name),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change::sample;
    use crate::model::{CredentialSeen, Login, Sight};

    fn addresses(part: &Part, known: &Observations) -> Vec<String> {
        let declared = sample::declaration();
        let by_server = candidates(&declared, part, known);
        by_server.into_values().flatten().map(|candidate| candidate.address().to_string()).collect()
    }

    #[test]
    fn what_plans_use_is_looked_at_and_what_they_do_not_is_not() {
        let found = addresses(&Part::InUse, &Observations::default());
        assert_eq!(found, ["credential/PAY/main", "credential/PAY/extra-1"]);
        let chosen = [("PAY".parse().unwrap(), CredentialRole::Additional("extra-2".parse().unwrap()))];
        assert_eq!(addresses(&Part::Credentials(chosen.into()), &Observations::default()), ["credential/PAY/extra-2"]);
    }

    #[test]
    fn what_was_seen_last_comes_last() {
        let mut known = Observations::default();
        for (name, second) in [("main", 9), ("extra-1", 3)] {
            let role = match name {
                "main" => CredentialRole::Main,
                name => CredentialRole::Additional(name.parse().unwrap()),
            };
            let seen = CredentialSeen {
                observed_at: jiff::Timestamp::from_second(second).unwrap(),
                server: "bb".parse().unwrap(),
                account: "svc".parse().unwrap(),
                sealed: String::new(),
                login: Login::Confirmed,
                project: Sight::Visible,
                repositories: Sight::Visible,
            };
            known.credentials.insert(Address::credential(&"PAY".parse().unwrap(), &role), seen);
        }
        assert_eq!(addresses(&Part::InUse, &known), ["credential/PAY/extra-1", "credential/PAY/main"]);
    }
}
