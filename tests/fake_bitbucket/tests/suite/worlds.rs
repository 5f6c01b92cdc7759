//! Worlds: what recipes make.

use fake_bitbucket::{World, judge};

#[test]
fn the_same_recipe_gives_the_same_objects() {
    let world = World::new();
    let recipe = |recipe: fake_bitbucket::Recipe| recipe.everything().seed(7);
    let first = world.project("A").repository("one", recipe);
    let second = world.project("B").repository("two", recipe);
    judge::compare(&first.path(), &second.path()).unwrap();
    judge::fsck(&first.path()).unwrap();
    let other = world.project("C").repository("three", |r| recipe(r).seed(8));
    let differences = judge::compare(&first.path(), &other.path()).unwrap_err();
    assert!(differences.to_string().contains("missing reference"), "{differences}");
    assert!(first.refs().len() > 25);
    assert_eq!(judge::all_objects(&first.path()).len(), judge::reachable_objects(&first.path()).len());
}

#[test]
fn many_repositories_are_made_by_copying() {
    let world = World::new();
    let many = world.project("PAY").many("service", 200);
    assert_eq!(many.len(), 200);
    judge::compare(&many[1].path(), &many[197].path()).unwrap();
    assert!(judge::compare(&many[0].path(), &many[1].path()).is_err());
    assert_eq!(many[199].clone_path(), "/scm/pay/service-0200.git");
}

#[test]
fn heads_can_be_detached_and_unborn() {
    let world = World::new();
    let pay = world.project("PAY");
    let detached = pay.repository("detached", |recipe| recipe.detached_head());
    assert_eq!(detached.head(), judge::Head::Detached(detached.oid("refs/heads/main")));
    let unborn = pay.repository("unborn", |recipe| recipe.unborn_head("nothing"));
    assert_eq!(unborn.head(), judge::Head::Symbolic("refs/heads/nothing".to_owned()));
    let without = judge::Judge::new().without_head();
    without.compare(&detached.path(), &unborn.path()).unwrap();
}
