//! REST resources, accounts and the rate limit.

use fake_bitbucket::{Account, Allowance, Kind, Options, Permission, Refusal, RefusalBody, RetryAfter, World};

use crate::client::{TOKEN, basic, bearer, get, get_as, serve};

fn world(count: usize) -> World {
    let world = World::new();
    let pay = world.project("PAY");
    let first = pay.repository("ledger-0", |recipe| recipe.empty());
    for number in 1..count {
        pay.copy(&format!("ledger-{number}"), &first);
    }
    world
}

/// All slugs, page by page, and the positions the server gave.
fn walk(server: &fake_bitbucket::Control, path: &str, header: &str) -> (Vec<String>, Vec<u64>) {
    let (mut slugs, mut positions, mut start) = (Vec::new(), Vec::new(), 0);
    loop {
        let target = format!("{path}?limit=1000&start={start}");
        let page = get_as(server, &target, &[header]).json();
        let values = page["values"].as_array().unwrap();
        assert_eq!(page["size"], values.len());
        slugs.extend(values.iter().map(|v| v["slug"].as_str().unwrap().to_owned()));
        if page["isLastPage"].as_bool().unwrap() {
            assert!(page["nextPageStart"].is_null());
            return (slugs, positions);
        }
        start = page["nextPageStart"].as_u64().unwrap();
        positions.push(start);
    }
}

#[test]
fn paging_is_clamped_and_counts_over_invisible_repositories() {
    let world = world(60);
    let mut bob = Account::reader("bob", "token-of-bob");
    for number in (0..60).filter(|number| number % 3 == 1) {
        bob = bob.hide("PAY", &format!("ledger-{number}"));
    }
    let server = serve(&world, Options::new().context_path("/bitbucket").page_cap(7).account(bob));
    let path = "/rest/api/latest/projects/PAY/repos";
    let (slugs, positions) = walk(&server, path, &bearer(TOKEN));
    assert_eq!(slugs.len(), 60);
    assert_eq!(positions, [7, 14, 21, 28, 35, 42, 49, 56]);
    let (slugs, positions) = walk(&server, path, &bearer("token-of-bob"));
    assert_eq!(slugs.len(), 40);
    assert_eq!(positions, [10, 21, 31, 42, 52]);
    let page = get(&server, &format!("{path}?limit=1000")).json();
    assert_eq!(page["limit"], 7);
    server.set_page_cap(1000);
    assert_eq!(get(&server, path).json()["size"], 25);
}

#[test]
fn archived_repositories_hide_in_one_listing_only() {
    let world = world(3);
    world.find("PAY", "ledger-1").unwrap().archive();
    let server = serve(&world, Options::new());
    let size = |path: &str| get(&server, path).json()["size"].as_u64().unwrap();
    assert_eq!(size("/rest/api/1.0/projects/PAY/repos"), 3);
    assert_eq!(size("/rest/api/1.0/repos"), 2);
    assert_eq!(size("/rest/api/1.0/repos?archived=ALL"), 3);
    assert_eq!(size("/rest/api/1.0/repos?archived=ARCHIVED"), 1);
}

#[test]
fn a_repository_has_the_documented_shape() {
    let world = world(2);
    let options = Options::new().context_path("bitbucket").user_in_links();
    let server = serve(&world, options);
    let repository = get(&server, "/rest/api/latest/projects/pay/repos/ledger-0").json();
    assert_eq!(repository["id"], 1);
    assert_eq!(repository["project"]["key"], "PAY");
    let links = repository["links"]["clone"].as_array().unwrap();
    let http = links.iter().find(|link| link["name"] == "http").unwrap();
    let expected = format!("http://alice@{}/bitbucket/scm/pay/ledger-0.git", server.address());
    assert_eq!(http["href"], expected);
    let other = get(&server, "/rest/api/latest/projects/PAY/repos/ledger-1").json();
    assert_ne!(other["links"]["clone"][0]["name"], links[0]["name"]);
    let branch = get(&server, "/rest/api/latest/projects/PAY/repos/ledger-0/default-branch");
    assert_eq!(branch.json()["id"], "refs/heads/main");
    assert_eq!(get(&server, "/status").json()["state"], "RUNNING");
}

#[test]
fn errors_carry_the_names_of_exceptions() {
    let world = world(1);
    let carol = Account::new("carol").token("c").password("secret");
    let carol = carol.permission("NONE", Permission::Read);
    let server = serve(&world, Options::new().account(carol));
    let path = "/rest/api/latest/projects/PAY/repos/ledger-0";
    let names = [
        (get_as(&server, path, &[]), 401, "AuthenticationRequiredException"),
        (get_as(&server, path, &[&bearer("x")]), 401, "IncorrectPasswordAuthenticationException"),
        (get_as(&server, path, &[&bearer("c")]), 401, "AuthorisationException"),
        (get(&server, "/rest/api/latest/projects/NO"), 404, "NoSuchProjectException"),
        (get(&server, "/rest/api/latest/projects/PAY/repos/x"), 404, "NoSuchRepositoryException"),
    ];
    for (response, status, name) in names {
        assert_eq!(response.status, status, "{name}");
        assert_eq!(response.exception().rsplit('.').next(), Some(name));
    }
    let properties = "/rest/api/1.0/application-properties";
    assert_eq!(get_as(&server, properties, &[]).status, 200);
    assert_eq!(get_as(&server, properties, &[&bearer("x")]).status, 401);
    let named = get_as(&server, properties, &[&basic("carol:secret")]);
    assert_eq!(named.headers["x-ausername"], "carol");
}

#[test]
fn five_wrong_passwords_need_a_captcha_and_tokens_do_not() {
    let world = world(1);
    let carol = Account::reader("carol", "c").password("secret");
    let server = serve(&world, Options::new().account(carol));
    let status = |pair: &str| get_as(&server, "/rest/api/1.0/projects", &[&basic(pair)]).status;
    for _ in 0..5 {
        assert_eq!(status("carol:wrong"), 401);
    }
    assert_eq!(status("carol:secret"), 403);
    assert_eq!(status("carol:c"), 200);
    server.clear_captcha("carol");
    assert_eq!(status("carol:secret"), 200);
}

#[test]
fn a_returned_cookie_wins_over_the_header() {
    let world = world(1);
    let server = serve(&world, Options::new().account(Account::reader("bob", "b")));
    let path = "/rest/api/1.0/projects";
    let cookie = get(&server, path).headers["set-cookie"].clone();
    let cookie = format!("Cookie: {}", cookie.split(';').next().unwrap());
    let response = get_as(&server, path, &[&bearer("b"), &cookie]);
    assert_eq!(response.headers["x-ausername"], "alice");
    let last = server.log().snapshot().pop().unwrap();
    assert!(last.had_cookie);
    assert_eq!(last.account.as_deref(), Some("alice"));
}

#[test]
fn the_rate_limit_is_by_account_and_refilled_by_hand() {
    let world = world(1);
    let bucket = Allowance::Bucket { capacity: 2, per_second: 5.0 };
    let alice_too = Account::reader("bob", "b1").token("b2");
    let server = serve(&world, Options::new().allowance(bucket).account(alice_too));
    server.buckets().manual_refill();
    let ask = |token: &str| get_as(&server, "/rest/api/1.0/projects", &[&bearer(token)]);
    assert_eq!(ask("b1").status, 200);
    assert_eq!(ask("b2").status, 200);
    let refused = ask("b1");
    assert_eq!(refused.status, 429);
    assert_eq!(refused.headers["retry-after"], "1");
    assert_eq!(ask(TOKEN).status, 200);
    server.buckets().refill("bob", 1);
    assert_eq!(ask("b1").status, 200);
    assert_eq!(server.buckets().tokens("bob"), Some(0));
    let styles = [
        (RetryAfter::Absent, RefusalBody::Html, None),
        (RetryAfter::Seconds(7), RefusalBody::Empty, Some("7")),
        (RetryAfter::Raw("9223372036854775807".into()), RefusalBody::BrokenJson, Some("9223372036854775807")),
    ];
    for (retry_after, body, expected) in styles {
        server.buckets().set_refusal(Refusal { retry_after, body });
        let refused = ask("b1");
        assert_eq!(refused.status, 429);
        assert_eq!(refused.headers.get("retry-after").map(String::as_str), expected);
    }
    assert_eq!(server.buckets().refused("bob"), 4);
    let settings = get(&server, "/rest/api/latest/admin/rate-limit/settings").json();
    assert_eq!(settings["defaultSettings"]["capacity"], 2);
}

#[test]
fn the_log_knows_requests_and_no_secret() {
    let world = world(1);
    let server = serve(&world, Options::new());
    get(&server, "/rest/api/1.0/projects?limit=3");
    get_as(&server, "/rest/api/1.0/projects", &[&basic("alice:wrong-secret")]);
    get_as(&server, "/rest/api/1.0/projects", &[&format!("Authorization: {TOKEN}")]);
    let entries = server.log().snapshot();
    assert_eq!(entries.len(), 3);
    assert_eq!(entries[0].query.as_deref(), Some("limit=3"));
    assert_eq!(entries[0].authorization_scheme.as_deref(), Some("bearer"));
    assert_eq!(entries[1].account, None);
    assert_eq!(entries[1].status, Some(401));
    assert_eq!(server.log().count_kind(Kind::Rest), 3);
    assert_eq!(server.log().count_account("alice"), 1);
    let text = serde_json::to_string(&entries).unwrap() + &format!("{entries:?}");
    assert!(!text.contains(TOKEN) && !text.contains("wrong-secret"));
    server.log().clear();
    assert!(server.log().is_empty());
}

#[test]
fn users_are_found_by_a_part_of_their_name_and_addressed_by_slug() {
    let robot = Account::reader("Robot@corp", "r").slug("robot_7").display_name("Backup");
    let service = Account::reader("access-token-user/1/7", "s").of_project("PAY");
    let server = serve(&World::new(), Options::new().account(robot).account(service).page_cap(1));
    let found = |filter: &str| {
        let page = get(&server, &format!("/rest/api/latest/users?filter={filter}")).json();
        let slugs = page["values"].as_array().unwrap().iter().map(|user| user["slug"].as_str().unwrap().to_owned());
        slugs.collect::<Vec<_>>()
    };
    assert_eq!(
        (found("BACKUP"), found("robot%40"), found("access-token")),
        (vec!["robot_7".into()], vec!["robot_7".into()], vec![])
    );
    let user = get(&server, "/rest/api/latest/users/robot_7").json();
    assert_eq!((user["name"].as_str(), user["active"].as_bool()), (Some("Robot@corp"), Some(true)));
    assert_eq!(get(&server, "/rest/api/latest/users/Robot@corp").status, 404);
    let nobody = get_as(&server, "/rest/api/latest/users", &[]);
    assert_eq!(nobody.status, 401);
}

#[test]
fn pull_requests_are_open_ones_unless_others_are_asked_for() {
    let world = World::new();
    let ledger = world.project("PAY").repository("ledger", |recipe| recipe.pull_request(1).pull_request(2));
    let hidden = ledger.close_pull_request(2);
    let server = serve(&world, Options::new());
    let found = |query: &str| {
        let page = get(&server, &format!("/rest/api/latest/projects/PAY/repos/ledger/pull-requests{query}")).json();
        let all = page["values"]
            .as_array()
            .unwrap()
            .iter()
            .map(|pull| (pull["id"].as_u64().unwrap(), pull["state"].as_str().unwrap().to_owned()));
        (all.collect::<Vec<_>>(), page["values"][0]["fromRef"]["latestCommit"].as_str().map(str::to_owned))
    };
    assert_eq!(found("").0, [(1, "OPEN".to_owned())]);
    assert_eq!(found("?state=all"), (vec![(2, "MERGED".into()), (1, "OPEN".into())], Some(hidden)));
    assert_eq!(found("?state=ALL&direction=OUTGOING").0, []);
    assert_eq!(get(&server, "/rest/api/latest/projects/PAY/repos/ledger/pull-requests?state=x").status, 400);
}
