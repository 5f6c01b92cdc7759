//! Looking at the outside world on behalf of a command.

use super::{CliError, Context, env};
use crate::change::ChangeSet;
use crate::model::{Applied, Declaration};
use crate::reconcile::observe::{self, Look, Looked, Part};
use crate::state::StateStore;

/// Looks at what a declaration uses, or at a part of it. Without an identity the servers are not asked, which is a
/// note, and no error.
pub(super) async fn look(
    context: &Context,
    declaration: &Declaration,
    state: Option<&StateStore>,
    applied: Option<&Applied>,
    part: Part,
) -> Result<Looked, CliError> {
    let identities = context.identities();
    let base = context.base();
    let proxies = env::proxies();
    let look = Look {
        declaration,
        base: &base,
        proxies: &proxies,
        state,
        applied,
        identities: identities.as_ref().map_err(CliError::message),
        clock: &context.clock,
        part,
    };
    Ok(observe::look(&look).await?)
}

/// Puts what a look found under the notes of a change set.
pub(super) fn annotate(changes: &mut ChangeSet, looked: &Looked) {
    changes.notes.extend(observe::notes(looked));
    changes.notes.sort_by(|one, other| (&one.address, one.kind).cmp(&(&other.address, other.kind)));
}
