//! What coming into force settles by itself: nobody has to look for it.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::observe::{Part, expiries};
use crate::change::resources;
use crate::model::condition::holding;
use crate::model::{Address, Applied, ConditionKind, Conditions, Declaration, DestinationName, Seen, Sighting};
use crate::state::{StateError, StateStore};

/// Lets the conditions follow from what has come into force, with the destinations whose markers were seen to be ours.
pub(super) async fn settled(
    store: &StateStore,
    applied: &Applied,
    ours: &[DestinationName],
    now: Timestamp,
) -> Result<(), StateError> {
    let mut sightings = expiries(&applied.declaration, &Part::InUse, now);
    sightings.extend(ours.iter().map(|name| Sighting {
        address: Address::destination(name),
        kind: ConditionKind::DestinationForeign,
        seen: Seen::Not,
    }));
    sightings.extend(left(&store.conditions().await?, &applied.declaration));
    store.settle_conditions(&sightings, Some(applied.generation), now).await?;
    Ok(())
}

/// What holds of things that nothing declares: it is over, and does not come back with their names.
fn left(known: &Conditions, declaration: &Declaration) -> Vec<Sighting> {
    let declared: BTreeSet<Address> = resources(declaration).into_keys().collect();
    let has_left = |address: &Address| {
        ["server", "destination", "credential", "alerts"].contains(&address.kind()) && !declared.contains(address)
    };
    let left = holding(known).filter(|(address, _, _)| has_left(address));
    left.map(|(address, kind, _)| Sighting { address: address.clone(), kind, seen: Seen::Not }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change::sample;
    use crate::model::condition::settle;

    #[test]
    fn what_nothing_declares_is_over() {
        let sighting = |address: &str, kind| Sighting {
            address: Address::parse(address).unwrap(),
            kind,
            seen: Seen::Holds { reason: "Foreign", message: String::new() },
        };
        let seen = [
            sighting("destination/nas", ConditionKind::DestinationForeign),
            sighting("destination/old", ConditionKind::DestinationForeign),
            sighting("credential/PAY/main", ConditionKind::CredentialRejected),
            sighting("credential/PAY/old", ConditionKind::CredentialRejected),
            sighting("project/WEB-7", ConditionKind::ListingSuspect),
        ];
        let known = settle(&Conditions::new(), &seen, None, Timestamp::UNIX_EPOCH).0;
        let over = left(&known, &sample::declaration());
        let over: Vec<&str> = over.iter().map(|sighting| sighting.address.as_str()).collect();
        assert_eq!(
            over,
            ["credential/PAY/old", "destination/old"],
            "what a pattern takes in has no address in the file"
        );
    }
}
