//! `xopero fmt` and `xopero validate`, as people and programs see them.

use fake_bitbucket::World;

use crate::json_schema::demand_valid;
use crate::proof::{in_two_files, usual};

const SCHEMA: &str = "diagnostics.schema.json";

#[test]
fn a_file_is_laid_out_and_its_secrets_still_open() {
    let world = World::new();
    let ledger = world.project("PAY").repository("ledger", |recipe| recipe.commits(1));
    let (home, included) = in_two_files(world);
    let read = || std::fs::read_to_string(&included).unwrap();
    home.add_credential("PAY", None, "main");
    home.xopero(&["fmt"]).success();
    let neat = read();
    home.xopero(&["fmt", "--check"]).success();
    home.apply();

    // No indentation, other line ends, a comment and a value of its own form.
    let untidy: Vec<&str> = neat.lines().map(str::trim_start).collect();
    let untidy = untidy.join("\r\n") + "\r\n\r\n\r\n//  a comment\r\n/- plan   \"later\"";
    std::fs::write(&included, &untidy).unwrap();
    let checked = home.xopero(&["fmt", "--check"]).expect(2).says("teams/pay.kdl");
    assert!(checked.stdout.lines().any(|line| line.contains("/- plan \"later\"")), "{}", checked.stdout);
    assert_eq!(read(), untidy, "looking changes nothing");
    demand_valid(SCHEMA, &home.xopero(&["fmt", "--check", "--json"]).expect(2).json());

    home.xopero(&["fmt"]).success().says("Laid out teams/pay.kdl");
    assert_eq!(read(), format!("{neat}\n//  a comment\n/- plan \"later\"\n"));
    home.xopero(&["plan", "--detailed-exitcode"]).success();
    home.run("nightly");
    home.prove(&ledger);

    // What is wrong otherwise is laid out; what is not KDL is told, and nothing is written.
    std::fs::write(&included, untidy.replace("plan \"nightly\"", "plann \"nightly\"")).unwrap();
    home.xopero(&["fmt", "teams/pay.kdl"]).success();
    assert!(read().contains("    parts \"git\""));
    std::fs::write(&included, format!("  a 1\n{untidy} {{")).unwrap();
    home.xopero(&["fmt"]).expect(3).says("this block is not closed");
    assert!(read().starts_with("  a 1\n"));
}

#[test]
fn programs_get_every_problem_with_its_place() {
    let home = usual(World::new());
    let lines = home.xopero(&["validate", "--json"]).success().json();
    demand_valid(SCHEMA, &lines);
    assert_eq!(lines.last().unwrap()["type"], "valid");

    let path = home.path().join("xopero.kdl");
    let text = std::fs::read_to_string(&path).unwrap();
    let start = text.find("token (age)").unwrap();
    let end = start + text[start..].find("\"\"\"#").unwrap() + 4;
    // A token in the open, on a line with something of another width, and an error of syntax.
    let broken = format!("{}/* 😀 */ token \"BBDC-SECRET\"{}", &text[..start], &text[end..]);
    std::fs::write(&path, broken.replace("keep last=100", "keep last=100,")).unwrap();
    let ended = home.xopero(&["validate", "--json"]).expect(3);
    demand_valid(SCHEMA, &ended.json());
    let lines = ended.json();
    let codes: Vec<&str> = lines.iter().filter_map(|line| line["code"].as_str()).collect();
    assert_eq!(codes, ["xopero::syntax", "xopero::plaintext-secret"], "{lines:?}");
    let span = &lines[2]["spans"][0];
    assert_eq!(span["utf16"]["col"].as_u64().unwrap(), span["col"].as_u64().unwrap() + 1, "{span}");
    let plain = home.xopero(&["validate"]).expect(3);
    for text in [&ended.stdout, &ended.stderr, &plain.stdout, &plain.stderr] {
        assert!(!text.contains("SECRET"), "{text}");
    }
}

#[test]
fn warnings_matter_to_those_who_ask() {
    let home = usual(World::new());
    let path = home.path().join("xopero.kdl");
    let text = std::fs::read_to_string(&path).unwrap();
    let same = text.replace(&home.public_key("backup.txt"), &home.public_key("identity.txt"));
    std::fs::write(&path, same).unwrap();
    home.xopero(&["validate"]).success().says("xopero::same-recipients");
    home.xopero(&["validate", "--strict"]).expect(3).says("1 warning");
    demand_valid(SCHEMA, &home.xopero(&["validate", "--strict", "--json"]).expect(3).json());
    home.xopero(&["plan"]).success();
}
