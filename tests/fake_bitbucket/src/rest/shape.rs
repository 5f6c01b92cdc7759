//! The JSON shapes of the answers.

use serde_json::{Value, json};

use crate::world::{ProjectRecord, RepositoryRecord};

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
    json!({
        "key": project.key,
        "id": project.id,
        "name": project.name,
        "public": false,
        "type": kind,
        "links": {"self": [{"href": page}]},
    })
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
    json!({
        "slug": slug,
        "id": repository.id,
        "name": slug,
        "hierarchyId": format!("{:020x}", repository.id + 0xfeed_0000),
        "scmId": "git",
        "state": "AVAILABLE",
        "statusMessage": "Available",
        "forkable": true,
        "project": project(links, owner),
        "public": false,
        "archived": repository.archived,
        "links": {"clone": clone, "self": [{"href": page}]},
    })
}

/// The slug of an account: its name in lower case, with `_` for what an address cannot have.
pub(super) fn slug(name: &str) -> String {
    name.to_lowercase().chars().map(|c| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '_' }).collect()
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
