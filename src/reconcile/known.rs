//! Finds out what a change set needs to say what it means.

use super::commits::look_back;
use crate::change::{Catalogue, Content, Known, Wanted};
use crate::model::{Applied, Declaration};
use crate::secret::{Identities, same_content};
use crate::source::Provenance;
use crate::state::{StateError, StateStore};

/// The most snapshots that are looked at. Of more, nothing is said.
const MOST_SNAPSHOTS: u32 = 200_000;

/// What the state remembers of the outside world, and of the repositories and snapshots that a change would touch; what
/// `identities`, if there are some, tell of sealed values that are exchanged; and what commits say that led to what is
/// declared. What is declared by no file has no `provenance`.
pub async fn known(
    store: &StateStore,
    applied: Option<&Applied>,
    declared: &Declaration,
    identities: Option<&Identities>,
    provenance: Option<&Provenance>,
) -> Result<Known, StateError> {
    let wanted = Wanted::between(applied, declared);
    let base = match applied {
        Some(applied) => store.source_base(applied).await?,
        None => None,
    };
    let looked = provenance.map(|provenance| look_back(applied, base.as_deref(), provenance));
    let (source, allowed) = looked.unwrap_or_default();
    let observations = store.observations(applied.filter(|_| wanted.listings)).await?;
    let mut known = Known { observations, source, allowed, ..Known::default() };
    if wanted.catalogue {
        let records = store.whole_catalogue(MOST_SNAPSHOTS).await?;
        known.catalogue = records.map(|records| {
            let mut catalogue = Catalogue::default();
            for (record, damaged) in &records {
                catalogue.add(record, *damaged);
            }
            catalogue
        });
    }
    if let Some(identities) = identities {
        for (before, after) in &wanted.secrets {
            let content = match same_content(before, after, identities) {
                Some(true) => Content::Same,
                Some(false) => Content::Other,
                None => Content::Unknown,
            };
            known.contents.learn(before, after, content);
        }
    }
    Ok(known)
}
