//! `cargo bench --bench throttle`: how near a run comes to what the rate limit of its accounts allows.
//!
//! The fake server gives each account a bucket of 60 tokens and 5 more each second, and enforces it strictly. A full
//! backup of many small repositories is taken with one account, then with more. No run can be faster than the bound:
//! what the full buckets do not cover, at the rate of all accounts together. The server counts what it had to refuse,
//! and requests of accounts that it had told to wait. A measurement is not a test: a missed expectation is printed
//! and fails nothing.

#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

mod home;

use std::io::{self, Write};
use std::time::Instant;

use clap::Parser;
use fake_bitbucket::{Account, Allowance, FakeBitbucket, Options, World};
use home::{XoperoHome, token};
use serde_json::Value;

/// Tokens of a full bucket, and those that come back each second.
const BURST: u32 = 60;
const RATE: u32 = 5;

/// Listings and packs under way at a time.
const CONCURRENCY: usize = 8;

/// What the wall time may be, as a multiple of the bound.
const AT_MOST: f64 = 1.15;

const PROJECT: &str = "SMALL";

/// Compare runs with rate-limited accounts with what the limits allow
#[derive(Debug, Parser)]
struct Arguments {
    /// Number of repositories
    #[arg(long, value_name = "N", default_value_t = 400)]
    repositories: usize,
    /// Numbers of accounts
    #[arg(long, value_name = "N,..", value_delimiter = ',', default_value = "1,2,4,8")]
    accounts: Vec<usize>,
    /// Given by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

/// What one run came to.
struct Measured {
    accounts: usize,
    requests: u32,
    wall: f64,
    failed: u64,
    refused: u64,
    violations: u64,
}

impl Measured {
    /// Seconds that the limits take at least.
    fn bound(&self) -> f64 {
        let accounts = u32::try_from(self.accounts).expect("a few accounts");
        f64::from(self.requests.saturating_sub(accounts * BURST)) / f64::from(accounts * RATE)
    }
}

fn main() {
    let arguments = Arguments::parse();
    let world = World::new();
    world.project(PROJECT).many("small", arguments.repositories);
    say(&format!(
        "{} repositories, {BURST} requests at once and {RATE} per second for each account",
        arguments.repositories
    ));
    say("accounts  requests     wall    bound  ratio  failed  429s  while told to wait");
    for count in arguments.accounts {
        let measured = measure(&world, count);
        let bound = measured.bound();
        let Measured { accounts, requests, wall, failed, refused, violations } = measured;
        let ratio = wall / bound.max(f64::MIN_POSITIVE);
        say(&format!(
            "{accounts:>8}  {requests:>8}  {wall:>5.1} s  {bound:>5.1} s  {ratio:>5.2}  {failed:>6}  {refused:>4}  \
             {violations:>18}"
        ));
        if ratio > AT_MOST || failed + violations > 0 {
            say(&format!(
                "  MISSED: expected a ratio of at most {AT_MOST}, nothing failed, nobody asked while told to wait"
            ));
        }
    }
}

fn measure(world: &World, count: usize) -> Measured {
    let names: Vec<String> = (1..=count).map(|number| format!("bench-{number}")).collect();
    let bucket = Allowance::Bucket { capacity: BURST, per_second: f64::from(RATE) };
    let options = names
        .iter()
        .fold(Options::new().allowance(bucket), |options, name| options.account(Account::reader(name, &token(name))));
    let server = FakeBitbucket::start_blocking(world.clone(), options);
    let accounts: Vec<&str> = names.iter().map(String::as_str).collect();
    let home = XoperoHome::new(server.url(), PROJECT, CONCURRENCY, &accounts);
    for name in &accounts {
        server.buckets().refill(name, BURST);
    }
    server.log().clear();
    let began = Instant::now();
    let output = home.xopero(&["run", "bench", "--json"], "");
    let wall = began.elapsed().as_secs_f64();
    let of_all = |figure: &dyn Fn(&str) -> u64| accounts.iter().map(|name| figure(name)).sum();
    Measured {
        accounts: count,
        requests: u32::try_from(server.log().len()).expect("a few thousand requests"),
        wall,
        failed: failed(&output.stdout),
        refused: of_all(&|name| server.buckets().refused(name)),
        violations: of_all(&|name| server.buckets().violations(name)),
    }
}

/// The failed tasks that a run tells of.
fn failed(lines: &[u8]) -> u64 {
    let lines = lines.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice::<Value>(line).ok());
    let mut ends = lines.filter(|line| line["type"] == "run_finished");
    ends.next().and_then(|line| line["summary"]["totals"]["failed"].as_u64()).expect("a run tells its totals")
}

fn say(line: &str) {
    writeln!(io::stdout().lock(), "{line}").expect("standard output is open");
}
