//! A password that is wrong is not sent by every run: after a few of them the server would lock the account.

use fake_bitbucket::{Account, Options, Permission, World};

use crate::file;
use crate::scene::{run, run_for_people, summary, tidy};
use crate::support::{Ended, Home};

fn account(password: &str) -> Account {
    Account::new("main").password(password).everywhere(Permission::Read)
}

/// A plan whose account logs in by a password that is not `right`.
fn wrong() -> Home {
    let world = World::new();
    world.project("PAY").repository("ledger", |recipe| recipe.commits(1));
    let home = Home::new(world, Options::new().account(account("right")));
    home.write_file(&["nas"], &[file::project("PAY"), file::plan("nightly", "PAY", "", &["nas"])].concat());
    seal(&home, "wrong");
    home
}

fn seal(home: &Home, password: &str) {
    let add = ["credential", "add", "PAY", "--account", "main", "--password"];
    home.xopero_with_input(&add, password).success();
    home.apply();
}

/// How often the server was shown a password that it refused.
fn refused(home: &Home) -> usize {
    home.server.log().count(|entry| matches!(entry.status, Some(401 | 403)))
}

fn words(ended: &Ended) -> String {
    (ended.stdout.clone() + &ended.stderr).split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn three_runs_send_a_wrong_password_once_and_a_new_one_is_sent_at_once() {
    let home = wrong();
    assert!(words(&run_for_people(&home, 1)).contains("the password or token is wrong"));
    assert_eq!(refused(&home), 1);
    let requests = home.server.log().len();
    for _ in 0..2 {
        let told = words(&run_for_people(&home, 1));
        for text in ["set aside since", "xopero credential check PAY main", "xopero credential add PAY --account main"]
        {
            assert!(told.contains(text), "{text}: {told}");
        }
    }
    // Neither does a look before a change.
    let plan = home.xopero(&["plan"]);
    tidy(&home, &plan);
    assert!(words(&plan.success()).contains("set aside since"));
    assert_eq!(home.server.log().len(), requests, "nothing was sent in its name");
    let status = home.xopero(&["status"]);
    tidy(&home, &status);
    assert!(words(&status).contains("set aside since"), "{}", status.stdout);

    seal(&home, "also wrong");
    run(&home, 1);
    assert_eq!(refused(&home), 2, "one that was sealed anew is another one");
    seal(&home, "right");
    assert_eq!(summary(&run(&home, 0))["totals"]["new"], 1);
    let status = home.xopero(&["status"]).success();
    assert!(!words(&status).contains("set aside"), "{}", status.stdout);
}

#[test]
fn a_check_shows_a_password_that_is_set_aside_and_lets_runs_use_it_again() {
    let home = wrong();
    run(&home, 1);
    let check = ["credential", "check", "PAY", "main"];
    let checked = home.xopero(&check);
    tidy(&home, &checked);
    assert!(words(&checked.expect(7)).contains("set aside since"));
    assert_eq!(refused(&home), 2);
    home.server.set_account(account("wrong"));
    run(&home, 1);
    assert_eq!(refused(&home), 2, "no run tries it before its time");
    home.xopero(&check).success();
    assert_eq!(summary(&run(&home, 0))["totals"]["new"], 1);
}
