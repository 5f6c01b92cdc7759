//! Access tokens by request: who may, what is refused, and that a token allows no more than it says.

use fake_bitbucket::{Account, Control, Options, Permission, World};
use serde_json::{Value, json};

use crate::client::{Response, basic, bearer, get_as, request, serve};

const PATH: &str = "/rest/access-tokens/latest/users/bob";

fn bob() -> Account {
    let bob = Account::new("bob").password("secret").everywhere(Permission::Write);
    bob.named_token("t", "first", &["PROJECT_READ", "REPO_READ"], Some(90))
}

fn write(server: &Control, method: &str, path: &str, body: &Value) -> Response {
    let headers = [basic("bob:secret"), "X-Atlassian-Token: no-check".to_owned()];
    request(server, method, path, &headers.each_ref().map(String::as_str), body.to_string().as_bytes())
}

#[test]
fn a_token_is_made_used_and_revoked() {
    let world = World::new();
    let _pay = world.project("PAY");
    let server = serve(&world, Options::new().account(bob()).most_tokens(2).longest_token_life(90));
    let wanted = |name: &str, days: u32| json!({"name": name, "permissions": ["REPO_READ"], "expiryDays": days});
    let made = write(&server, "PUT", PATH, &wanted("second", 30)).json();
    let token = made["token"].as_str().unwrap();
    assert_eq!(get_as(&server, "/rest/api/latest/projects", &[&bearer(token)]).headers["x-ausername"], "bob");
    assert_eq!(
        get_as(&server, "/rest/api/latest/projects/PAY", &[&bearer(token)]).status,
        401,
        "it has no PROJECT_READ"
    );
    let listed = get_as(&server, PATH, &[&basic("bob:secret")]).json();
    assert_eq!((&listed["values"][0]["expiryDays"], &listed["values"][1]["id"]), (&json!(90), &made["id"]));
    assert!(!listed.to_string().contains(token), "the secret is shown once");
    let refused = |body: &Value| write(&server, "PUT", PATH, body).status;
    assert_eq!((refused(&wanted("second", 30)), refused(&wanted("third", 30)), refused(&json!({}))), (409, 400, 400));
    let id = made["id"].as_str().unwrap();
    assert_eq!(write(&server, "DELETE", &format!("{PATH}/{id}"), &json!({})).status, 204);
    assert_eq!(write(&server, "DELETE", &format!("{PATH}/{id}"), &json!({})).status, 404);
    assert_eq!((refused(&wanted("long", 91)), server.token_names("bob")), (400, vec!["first".to_owned()]));
}

#[test]
fn tokens_manage_tokens_only_where_they_may() {
    let strict = serve(&World::new(), Options::new().account(bob()));
    let refused = get_as(&strict, PATH, &[&bearer("t")]);
    assert_eq!((refused.status, refused.exception().rsplit('.').next()), (401, Some("AuthorisationException")));
    let forged = request(&strict, "PUT", PATH, &[&basic("bob:secret")], b"{}");
    assert_eq!(forged.status, 403);
    let free = serve(&World::new(), Options::new().account(bob()).tokens_manage_tokens());
    assert_eq!(get_as(&free, PATH, &[&bearer("t")]).status, 200);
    assert_eq!(get_as(&free, "/rest/access-tokens/latest/users/alice", &[&bearer("t")]).status, 401);
}

#[test]
fn tokens_of_projects_and_repositories_are_managed_by_those_who_administer_them() {
    let world = World::new();
    world.project("PAY").repository("ledger", |recipe| recipe.empty());
    let service = |number: u32| Account::new(&format!("access-token-user/1/{number}"));
    let boss = Account::new("boss").password("secret").permission("PAY", Permission::Admin);
    let accounts =
        [bob(), boss, service(1).of_project("PAY").token("p"), service(2).of_repository("PAY", "ledger").token("r")];
    let server = serve(&world, accounts.into_iter().fold(Options::new(), Options::account));
    for (place, name) in [("PAY", "access-token-user/1/1"), ("PAY/repos/ledger", "access-token-user/1/2")] {
        let path = format!("/rest/access-tokens/latest/projects/{place}");
        for who in [basic("bob:secret"), bearer("p"), bearer("r")] {
            assert_eq!(get_as(&server, &path, &[&who]).status, 401, "{place}");
        }
        let listed = get_as(&server, &path, &[&basic("boss:secret")]).json();
        assert_eq!(listed["values"].as_array().unwrap().len(), 1, "{place}");
        let headers = [basic("boss:secret"), "X-Atlassian-Token: no-check".to_owned()];
        let headers = headers.each_ref().map(String::as_str);
        let wanted = json!({"name": "second", "permissions": ["REPO_READ"]}).to_string();
        let made = request(&server, "PUT", &path, &headers, wanted.as_bytes()).json();
        let id = made["id"].as_str().unwrap();
        assert_eq!(server.token_names(name).len(), 2, "{place}");
        assert_eq!(request(&server, "DELETE", &format!("{path}/{id}"), &headers, b"").status, 204, "{place}");
        assert_eq!(server.token_names(name).len(), 1, "{place}");
    }
}
