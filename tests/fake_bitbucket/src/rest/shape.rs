//! The JSON shapes of the answers.

use serde_json::{Value, json};

use crate::account::{Account, slug};
use crate::world::{Owner, ProjectRecord, RepositoryRecord};

/// How links are written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Links<'a> {
    /// The base URL with the context path.
    pub(super) base: &'a str,
    /// The user name inside of http links.
    pub(super) user: Option<&'a String>,
    /// Whether there are ssh links.
    pub(super) ssh: bool,
}

pub(super) fn application_properties(version: &str) -> Value {
    json!({
        "version": version,
        "buildNumber": "9004018",
        "buildDate": "1737433200000",
        "displayName": "Bitbucket",
    })
}

pub(super) fn project(links: &Links<'_>, project: &ProjectRecord) -> Value {
    let page = format!("{}{}", links.base, project_page(&project.key));
    let kind = if project.is_personal() { "PERSONAL" } else { "NORMAL" };
    let mut shape = json!({
        "key": project.key,
        "id": project.id,
        "name": project.name,
        "public": false,
        "type": kind,
        "links": {"self": [{"href": page}]},
    });
    if let Some(user) = project.key.strip_prefix('~') {
        shape["owner"] = owner(user, project.owner);
    }
    shape
}

/// The user to whom a personal project belongs.
fn owner(name: &str, owner: Owner) -> Value {
    let active = owner == Owner::Active;
    let mut user = json!({"name": name, "active": active, "displayName": name, "slug": slug(name), "type": "NORMAL"});
    if active {
        user["id"] = json!(101);
        user["emailAddress"] = json!(format!("{name}@example.com"));
    }
    user
}

/// A user, as lists and single answers show it.
pub(super) fn user(account: &Account) -> Value {
    let mut user = json!({
        "name": account.name,
        "active": account.active,
        "displayName": account.display_name.as_ref().unwrap_or(&account.name),
        "id": 7000 + account.name.len(),
        "slug": account.address(),
        "type": if account.service.is_some() { "SERVICE" } else { "NORMAL" },
        "links": {"self": []},
    });
    if account.active {
        user["emailAddress"] = json!(format!("{}@example.com", account.name));
    }
    user
}

pub(super) fn repository(links: &Links<'_>, repository: &RepositoryRecord, owner: &ProjectRecord) -> Value {
    let slug = &repository.slug;
    let key = owner.key.to_lowercase();
    let page = format!("{}{}/repos/{slug}/browse", links.base, project_page(&owner.key));
    let mut clone = vec![json!({"href": http_link(links, &key, slug), "name": "http"})];
    if links.ssh {
        let host = host(links.base);
        let href = format!("ssh://git@{host}:7999/{key}/{slug}.git");
        let place = usize::from(repository.id.is_multiple_of(2));
        clone.insert(place, json!({"href": href, "name": "ssh"}));
    }
    let (state, message) = repository.state.words();
    json!({
        "slug": slug,
        "id": repository.id,
        "name": slug,
        "hierarchyId": format!("{:020x}", repository.id + 0xfeed_0000),
        "scmId": "git",
        "state": state,
        "statusMessage": message,
        "forkable": true,
        "project": project(links, owner),
        "public": false,
        "archived": repository.archived,
        "links": {"clone": clone, "self": [{"href": page}]},
    })
}

/// The settings of a rate limit. Bitbucket has whole tokens a second only: a part of one is told as one.
pub(super) fn bucket(capacity: u32, per_second: f64) -> Value {
    let fill_rate: u32 = format!("{:.0}", per_second.ceil()).parse().unwrap_or(u32::MAX);
    json!({"capacity": capacity, "fillRate": fill_rate})
}

fn project_page(key: &str) -> String {
    match key.strip_prefix('~') {
        Some(user) => format!("/users/{}", user.to_lowercase()),
        None => format!("/projects/{key}"),
    }
}

fn http_link(links: &Links<'_>, key: &str, slug: &str) -> String {
    let (scheme, rest) = links.base.split_once("://").unwrap_or(("http", links.base));
    let user = links.user.map_or(String::new(), |user| format!("{user}@"));
    format!("{scheme}://{user}{rest}/scm/{key}/{slug}.git")
}

/// The host without the port.
fn host(base: &str) -> &str {
    let rest = base.split_once("://").map_or(base, |(_, rest)| rest);
    let end = rest.find([':', '/']).unwrap_or(rest.len());
    &rest[..end]
}
