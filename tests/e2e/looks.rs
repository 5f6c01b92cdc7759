//! What a look at credentials leaves alone, keeps, and says of it.

use fake_bitbucket::{Account, Action, Allowance, When, World};
use serde_json::Value;

use crate::json_schema::demand_valid;
use crate::scene::readers;
use crate::support::{Ended, Home};

fn one() -> World {
    let world = World::new();
    world.project("PAY").repository("ledger", |recipe| recipe);
    world
}

/// The lines of a check, each of which fits the schema.
fn lines(ended: &Ended) -> Vec<Value> {
    let lines = ended.json();
    demand_valid("credential-check-output.schema.json", &lines);
    lines
}

#[test]
fn what_a_server_allows_is_known_until_it_says_something_else() {
    let usual = Allowance::Bucket { capacity: 60, per_second: 5.0 };
    let home = Home::new(one(), readers(&["main"]).allowance(usual));
    home.server.buckets().set_allowance("main", Allowance::Bucket { capacity: 500, per_second: 50.0 });
    home.apply_usual();
    let check = |code| {
        let ended = home.xopero(&["credential", "check", "PAY", "main", "--json"]).expect(code);
        lines(&ended);
        let server = ended.line("server");
        let (limit, own) = (&server["limit"]["bucket"]["burst"], &server["exceptions"]["main"]["bucket"]["burst"]);
        (server["version"].clone(), limit.clone(), own.clone(), server["limits_asked"].clone())
    };
    home.server.fault(When::any(), Action::status(429));
    let (_, limit, _, asked) = check(1);
    assert_eq!((limit, asked), (Value::Null, Value::Null));
    let blind = home.xopero(&["credential", "check", "PAY", "main"]).expect(1);
    assert!(!blind.stdout.contains("does not tell"), "nobody asked: {}", blind.stdout);
    home.server.clear_faults();

    let told = check(0);
    assert_eq!((&told.0, &told.1, &told.2), (&"9.4.18".into(), &60.into(), &500.into()));
    // Neither a refused credential, nor an account without budget, nor a server that is busy says otherwise.
    home.server.set_account(Account::reader("main", "another"));
    assert_eq!(check(7), told);
    home.server.fault(When::any(), Action::status(429));
    home.xopero(&["plan"]).success();
    assert_eq!(check(1), told);
    home.server.clear_faults();
    home.server.fault(When::any(), Action::status(503));
    assert_eq!(check(1), told);
}
