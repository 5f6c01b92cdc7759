//! What an earlier generation declares, as something that comes after the one in force.

use crate::model::{Address, Applied, Declaration};

/// The declaration of an `earlier` generation, which is to be in force again after `applied`.
///
/// What has another name than it had then is the same thing, because identities tell: it goes back to its old name and
/// keeps its backups. The moves that the earlier file asked for led to that name, not away from it.
pub fn taken_back(earlier: &Applied, applied: Option<&Applied>) -> Declaration {
    let mut declaration = earlier.declaration.clone();
    let Some(applied) = applied else { return declaration };
    let is_identified = |address: &Address| matches!(address.kind(), "plan" | "server");
    declaration.moved.retain(|from, _| !is_identified(from));
    for (name, uid) in &earlier.uids {
        let mut others = applied.uids.iter().filter(|(other, known)| *known == uid && *other != name);
        if let Some((other, _)) = others.next().filter(|_| !applied.uids.contains_key(name)) {
            declaration.moved.insert(other.clone(), name.clone());
        }
    }
    declaration
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change::{Action, Counts, Known, change_set, sample};
    use crate::model::Generation;

    #[test]
    fn what_was_renamed_since_goes_back_to_its_old_name() {
        let earlier = sample::applied(sample::declaration());
        let mut applied = earlier.clone();
        applied.generation = Generation(42);
        for (old, new) in [("plan/nightly", "plan/hourly"), ("server/bb", "server/new")] {
            let (old, new) = (Address::parse(old).unwrap(), Address::parse(new).unwrap());
            let uid = applied.uids.remove(&old).unwrap();
            applied.uids.insert(new.clone(), uid);
            applied.declaration.moved.insert(old, new);
        }
        let declared = &mut applied.declaration;
        let plan = declared.plans.remove(&"nightly".parse().unwrap()).unwrap();
        declared.plans.insert("hourly".parse().unwrap(), plan);
        let server = declared.servers.remove(&"bb".parse().unwrap()).unwrap();
        declared.servers.insert("new".parse().unwrap(), server);
        for project in declared.projects.values_mut() {
            project.server = "new".parse().unwrap();
        }
        let to = |declaration: &Declaration| {
            change_set(Some(&applied), declaration, &Known::default(), jiff::Timestamp::UNIX_EPOCH)
        };
        let back = to(&taken_back(&earlier, Some(&applied)));
        assert_eq!(back.counts(), Counts { moved: 2, ..Counts::default() });
        assert!(back.rails.is_empty(), "{:?}", back.rails);
        assert!(back.changes.iter().all(|change| change.action != Action::Retire));

        assert_eq!(taken_back(&earlier, Some(&earlier)), earlier.declaration);
        assert_eq!(taken_back(&earlier, None), earlier.declaration);
    }
}
