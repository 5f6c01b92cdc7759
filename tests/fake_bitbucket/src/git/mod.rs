//! Git over HTTP: permissions here, the work in the stock `git http-backend`.

mod backend;
mod peek;
mod request_body;

pub(crate) use backend::{Call, serve};
pub(crate) use peek::command_of;
pub(crate) use request_body::RequestBody;

use crate::account::{Account, Permission};
use crate::auth::{anonymous, not_permitted};
use crate::body::Reply;
use crate::rest::find_repository;
use crate::route::{GitCall, parameter};
use crate::server::Shared;
use crate::world::RepositoryRecord;

/// Whether a call is allowed; gives the repository.
pub(crate) fn admit(
    shared: &Shared,
    address: (&str, &str),
    call: GitCall,
    query: Option<&str>,
    account: Option<&Account>,
) -> Result<RepositoryRecord, Reply> {
    let account = account.ok_or_else(anonymous)?;
    let (key, slug) = address;
    let (repository, permission) = find_repository(shared, key, slug, account)?;
    let service = parameter(query, "service");
    let writes = call == GitCall::ReceivePack || service.as_deref() == Some("git-receive-pack");
    if writes && permission < Permission::Write {
        return Err(not_permitted());
    }
    if writes && (repository.archived || repository.foreign) {
        return Err(Reply::error(403, "The repository is read-only.", None));
    }
    Ok(repository)
}
