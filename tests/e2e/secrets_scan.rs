//! Secrets in clear text: found before they are committed, and never repeated.

use fake_bitbucket::World;

use crate::proof::options;
use crate::support::Home;

/// A token's form without standing in this file as a whole.
fn planted() -> String {
    ["BBDC-", "MDEyMzQ1Njc4OTAxOvECp5kQVQH", "+PHeAEqpbbeMPkcTYabcd"].concat()
}

#[test]
fn a_planted_token_is_found_at_its_place_and_never_shown() {
    let home = Home::new(World::new(), options());
    let tree = home.path().join("tree");
    std::fs::create_dir_all(tree.join(".git")).unwrap();
    std::fs::write(tree.join("clean.kdl"), "url \"https://bb.example.com\"\n").unwrap();
    std::fs::write(tree.join(".git/config"), planted()).unwrap();
    home.xopero(&["secrets", "scan", "tree"]).success().says("No secret in clear text in 1 file");

    std::fs::write(tree.join("notes.txt"), format!("first\n  token: {}\n", planted())).unwrap();
    std::fs::copy(home.path().join("identity.txt"), tree.join("id.txt")).unwrap();
    let found = home.xopero(&["secrets", "scan", "tree"]).expect(7);
    let lines: Vec<&str> = found.stdout.lines().collect();
    assert_eq!(
        lines,
        ["tree/id.txt:3:1: an age identity (private key)", "tree/notes.txt:2:10: a Bitbucket access token"]
    );
    assert!(found.stderr.contains("revoke the token"), "{}", found.stderr);
    let json = home.xopero(&["secrets", "scan", "tree", "--json"]).expect(7);
    assert_eq!(json.line("scanned")["found"], 2);
    for ended in [&found, &json] {
        let all = format!("{}{}", ended.stdout, ended.stderr);
        assert!(!all.contains(&planted()[5..20]) && !all.contains("AGE-SECRET-KEY"), "{all}");
    }
    home.xopero(&["secrets", "scan", "tree/absent"]).expect(1).says("tree/absent");
}
