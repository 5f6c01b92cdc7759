//! What is declared and not in force yet: what is seen of it says nothing about what is in force under the same name.
//! Pure.

use std::collections::BTreeSet;

use crate::change::resources;
use crate::model::{Address, Applied, CredentialRole, Declaration, ProjectSelector, Sighting};

/// Parts sightings into those that hold for what is in force, and those that wait until the declaration is.
pub(super) fn part(
    sightings: Vec<Sighting>,
    applied: Option<&Applied>,
    declaration: &Declaration,
) -> (Vec<Sighting>, Vec<Sighting>) {
    let Some(applied) = applied else { return (sightings, Vec::new()) };
    let differing = differing(&applied.declaration, declaration);
    sightings.into_iter().partition(|sighting| !differing.contains(&sighting.address))
}

/// The addresses in force that mean something else in the declaration: by themselves, or by what they stand on.
fn differing(in_force: &Declaration, declared: &Declaration) -> BTreeSet<Address> {
    let (before, after) = (resources(in_force), resources(declared));
    let differs = |address: &Address| before.get(address).is_some_and(|old| after.get(address) != Some(old));
    let mut all: BTreeSet<Address> = before.keys().filter(|address| differs(address)).cloned().collect();
    for (selector, project) in &in_force.projects {
        let (server, own) = (Address::server(&project.server), Address::project(selector));
        let moved = all.contains(&server);
        if moved {
            all.insert(own.clone());
        }
        for (address, credential) in credentials(in_force, selector) {
            if moved {
                all.insert(Address::account(&project.server, &credential.account));
            }
            if all.contains(&own) {
                all.insert(address);
            }
        }
    }
    all
}

fn credentials<'a>(
    declaration: &'a Declaration,
    selector: &ProjectSelector,
) -> impl Iterator<Item = (Address, &'a crate::model::Credential)> {
    let project = &declaration.projects[selector];
    let names = project.additional.keys().cloned().map(CredentialRole::Additional);
    let roles = std::iter::once(CredentialRole::Main).chain(names);
    let of = |role: CredentialRole| Some((Address::credential(selector, &role), project.credential(&role)?));
    roles.filter_map(of).collect::<Vec<_>>().into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change::sample;
    use crate::model::{BaseUrl, Sealed};

    fn changed(change: impl FnOnce(&mut Declaration)) -> Vec<String> {
        let in_force = sample::declaration();
        let mut declared = in_force.clone();
        change(&mut declared);
        differing(&in_force, &declared).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_means_the_same_holds_for_what_is_in_force() {
        assert_eq!(changed(|_| ()), [""; 0]);
        let added = changed(|declared| {
            let plan = declared.plans.values().next().unwrap().clone();
            declared.plans.insert("hot".parse().unwrap(), plan);
        });
        assert_eq!(added, [""; 0], "nothing in force has that name");
    }

    #[test]
    fn a_credential_that_is_sealed_anew_waits_alone() {
        let sealed = changed(|declared| {
            declared.projects.values_mut().next().unwrap().main.sealed = Sealed::new("another");
        });
        assert_eq!(sealed, ["credential/PAY/main"]);
    }

    #[test]
    fn what_is_on_a_server_waits_with_it() {
        let moved = changed(|declared| {
            declared.servers.values_mut().next().unwrap().url = BaseUrl::new("https://new.example.com").unwrap();
        });
        for address in ["server/bb", "project/PAY", "credential/PAY/main", "account/bb/svc-backup"] {
            assert!(moved.iter().any(|one| one == address), "{address} in {moved:?}");
        }
        assert!(!moved.iter().any(|one| one.starts_with("destination/") || one.starts_with("plan/")), "{moved:?}");
    }
}
