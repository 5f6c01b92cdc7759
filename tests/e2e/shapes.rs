//! Every shape that a repository can have comes back as it was.

use fake_bitbucket::{Account, Action, FakeBitbucket, Kind, Options, Recipe, Repository, When, World};

use crate::file;
use crate::proof::{options, usual};
use crate::support::{Home, token_of};

type Shape = (&'static str, fn(Recipe) -> Recipe);

const SHAPES: [Shape; 18] = [
    ("plain", |recipe| recipe),
    ("one-commit", |recipe| recipe.commits(1).files(1)),
    ("merges", |recipe| recipe.merges(4).branches(6)),
    ("tags", |recipe| recipe.tag("v1").lightweight_tag("light").nested_tag("nested").blob_tag("blob").tree_tag("tree")),
    ("pull-requests", |recipe| recipe.pull_request(1).pull_request_with_merge(2)),
    ("namespaces", |recipe| recipe.unusual_namespaces()),
    ("odd-names", |recipe| recipe.odd_names()),
    ("binary", |recipe| recipe.binary_files().special_files().bulk(20, 400_000)),
    ("empty", |recipe| recipe.empty()),
    ("empty-trunk", |recipe| recipe.empty().default_branch("trunk/of-all")),
    ("unborn", |recipe| recipe.unborn_head("not-yet").branches(2)),
    ("detached", |recipe| recipe.detached_head()),
    ("archived", |recipe| recipe.archived().tag("last")),
    ("everything", |recipe| recipe.everything()),
    ("sha256", |recipe| recipe.sha256().everything()),
    ("sha256-empty", |recipe| recipe.sha256().empty()),
    ("sha256-detached", |recipe| recipe.sha256().detached_head()),
    ("Upper.And_dots-", |recipe| recipe.default_branch("trunk")),
];

#[test]
fn every_shape_is_restored_equal_and_then_unchanged() {
    let world = World::new();
    let project = world.project("PAY");
    let made: Vec<Repository> = SHAPES.iter().map(|(slug, shape)| project.repository(slug, shape)).collect();
    let home = usual(world);
    let first = home.run("nightly");
    assert_eq!(first["totals"]["new"], SHAPES.len(), "{first}");
    for repository in &made {
        home.prove(repository);
    }
    home.server.log().clear();
    let again = home.run("nightly");
    assert_eq!(again["totals"]["unchanged"], SHAPES.len(), "{again}");
    for repository in &made {
        assert_eq!(home.git_requests(repository), 1, "{}", repository.slug());
    }
}

#[test]
fn every_shape_survives_a_second_pack() {
    let world = World::new();
    let project = world.project("PAY");
    let made: Vec<Repository> = SHAPES.iter().map(|(slug, shape)| project.repository(slug, shape)).collect();
    let home = usual(world);
    home.run("nightly");
    for repository in &made {
        repository.commit("main");
        repository.commit("later/on");
    }
    let second = home.run("nightly");
    assert_eq!(second["totals"]["changed"], SHAPES.len(), "{second}");
    for repository in &made {
        home.prove(repository);
    }
}

#[test]
fn a_commit_that_only_a_detached_head_holds_is_kept() {
    let world = World::new();
    let ledger = world.project("PAY").repository("ledger", |recipe| recipe);
    ledger.commit("side");
    ledger.detach_head("refs/heads/side");
    ledger.delete_ref("refs/heads/side");
    let home = usual(world);
    home.run("nightly");
    home.prove(&ledger);
}

#[test]
fn a_repository_that_is_renamed_and_moved_keeps_its_chain() {
    let world = World::new();
    let ledger = world.project("PAY").repository("ledger", |recipe| recipe.tag("v1"));
    let home = Home::new(world, options());
    let plans = file::plan("nightly", "PAY", "", &["nas"]) + &file::plan("ops", "OPS", "", &["nas"]);
    home.write_file(&["nas"], &(file::project("PAY") + &file::project("OPS") + &plans));
    home.add_credential("PAY", None, "main");
    home.add_credential("OPS", None, "main");
    home.apply();
    home.run("nightly");
    let before = home.moment(&ledger);

    ledger.rename("big-book");
    ledger.commit("main");
    let reports = home.reports("nightly");
    assert_eq!(reports["PAY/big-book"]["result"], "changed", "{reports:?}");
    home.prove(&ledger);
    let renamed = home.newest(&ledger);
    assert_eq!(home.manifest("nas", &renamed)["git"]["packs"].as_array().expect("it is a list").len(), 2);

    ledger.move_to("OPS");
    home.server.log().clear();
    let reports = home.reports("ops");
    assert_eq!(reports["OPS/big-book"]["received"], 0, "its objects are stored: {reports:?}");
    assert_eq!(home.git_requests(&ledger), 1);
    home.prove(&ledger);
    let moved = home.manifest("nas", &home.newest(&ledger));
    assert_eq!(moved["git"]["packs"].as_array().expect("it is a list").len(), 2);
    assert_eq!((&moved["project"]["key"], &moved["repository"]["slug"]), (&"OPS".into(), &"big-book".into()));
    home.prove_moment(&before);
}

#[test]
fn a_renamed_repository_gets_a_snapshot_with_its_new_name_and_no_new_pack() {
    let world = World::new();
    let ledger = world.project("PAY").repository("ledger", |recipe| recipe);
    let home = usual(world);
    home.run("nightly");
    ledger.rename("big-book");
    let reports = home.reports("nightly");
    assert_eq!(reports["PAY/big-book"]["result"], "changed", "{reports:?}");
    assert_eq!(home.stored_packs("nas"), 1);
    home.prove(&ledger);
}

#[test]
fn quirk_18_a_merge_reference_that_comes_moves_and_goes_never_keeps_a_backup_from_its_end() {
    let merge = "refs/pull-requests/2/merge";
    let world = World::new();
    let ledger = world.project("PAY").repository("ledger", |recipe| recipe.pull_request_with_merge(2));
    let home = usual(world);
    home.run("nightly");
    home.prove(&ledger);
    let first = home.moment(&ledger);

    // Somebody looks at the pull request while it is read: the server makes the merge anew and drops the old one.
    ledger.commit("main");
    let (looked_at, parent) = (ledger.clone(), ledger.oid("refs/heads/main"));
    let anew = Action::run(move |_| {
        looked_at.commit_to(merge, Some(&parent));
        looked_at.gc();
    });
    home.server.fault(When::kind(Kind::FETCH).first(1), anew);
    assert_eq!(home.reports("nightly")["PAY/ledger"]["result"], "changed");
    home.run("nightly");
    home.prove(&ledger);
    assert_eq!(home.run("nightly")["totals"]["unchanged"], 1);
    let second = home.moment(&ledger);

    // The pull request is closed: what the server hides is left out, what was saved stays.
    ledger.close_pull_request(2);
    ledger.delete_ref(merge);
    ledger.gc();
    assert_eq!(home.reports("nightly")["PAY/ledger"]["received"], 0);
    home.prove(&ledger);
    assert_eq!(home.run("nightly")["totals"]["unchanged"], 1);
    for moment in [&first, &second] {
        home.prove_moment(moment);
    }
}

#[test]
fn quirk_22_tags_are_what_git_says_whatever_they_are_called() {
    let special = ["a/b#c", "what-100%", "%2e%2e", "say-\"hi\"", "special-\"$;><&#_=@!|.,/test", "q=1&r=2", "v1/%2F/x"];
    let world = World::new();
    let ledger = world.project("PAY").repository("ledger", |recipe| {
        let named = special.iter().fold(recipe, |recipe, name| recipe.lightweight_tag(name).branch(name));
        named.tag("annotated/100%#").nested_tag("nested").default_branch("trunk/50%#\"x\"")
    });
    let home = usual(world);
    home.run("nightly");
    home.prove(&ledger);
    let manifest = home.manifest("nas", &home.newest(&ledger));
    let tips = manifest["git"]["references"]["tips"].as_array().expect("it is a list").clone();
    let peeled = |name: &str| {
        let tip = tips.iter().find(|tip| tip["name"] == format!("refs/tags/{name}"));
        let tip = tip.unwrap_or_else(|| panic!("{name} is not in {tips:?}"));
        assert_eq!(tip["oid"], ledger.oid(&format!("refs/tags/{name}")), "{name}");
        tip["peeled"].as_str().map(str::to_owned)
    };
    for name in special {
        assert_eq!(peeled(name), None, "a lightweight tag is no object: {name}");
    }
    for name in ["annotated/100%#", "nested"] {
        assert_eq!(peeled(name), Some(ledger.oid(&format!("refs/tags/{name}^{{}}"))), "{name}");
    }
    // A tag that is made anew as an annotated one of the same commit is another tag.
    ledger.tag("later", "refs/heads/trunk/50%#\"x\"");
    ledger.delete_ref("refs/tags/what-100%");
    assert_eq!(home.run("nightly")["totals"]["changed"], 1);
    home.prove(&ledger);
    home.server.log().clear();
    assert_eq!(home.run("nightly")["totals"]["unchanged"], 1);
    let asked = home.server.log().count(|entry| entry.path.contains("/tags") || entry.path.contains("/branches"));
    assert_eq!(asked, 0, "git tells all of it");
}

#[test]
fn quirk_21_a_personal_project_is_a_project() {
    let world = World::new();
    let notes = world.project("~jdoe").repository("notes", |recipe| recipe.everything());
    let home = Home::new(world, options());
    home.write_file(&["nas"], &(file::project("~jdoe") + &file::plan("mine", "~jdoe", "", &["nas"])));
    home.add_credential("~jdoe", None, "main");
    home.apply();
    home.run("mine");
    home.prove(&notes);
}

#[test]
fn addresses_of_all_kinds_lead_to_the_declared_server() {
    let other = FakeBitbucket::start_blocking(World::new(), Options::new());
    let account = || Options::new().account(Account::reader("main", &token_of("main")));
    let kinds = [
        account().context_path("/bitbucket"),
        account().context_path("/a/b").user_in_links(),
        account().user_in_links().without_ssh_links(),
        account().link_base(other.url()),
        account().context_path("/bitbucket").link_base("https://bitbucket.internal:7990/bitbucket"),
    ];
    for options in kinds {
        let world = World::new();
        let ledger = world.project("PAY").repository("ledger", |recipe| recipe.commits(2));
        let described = format!("{options:?}");
        let home = Home::new(world, options);
        home.apply_usual();
        let summary = home.run("nightly");
        assert_eq!(summary["totals"]["new"], 1, "{described}: {summary}");
        home.prove(&ledger);
        ledger.commit("main");
        assert_eq!(home.run("nightly")["totals"]["changed"], 1);
        home.prove(&ledger);
    }
    assert!(other.log().is_empty(), "nothing is sent to a host that only a link names");
}
