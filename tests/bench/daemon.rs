//! `cargo bench --bench daemon`: what `xopero watch` costs while nothing happens, how soon a file that was saved is in
//! force, and what a night costs in which nothing changed.
//!
//! The watch follows 500 plans over a project of 10,000 repositories, each with a snapshot, and none of the plans is
//! due. The night is one plan over 1,000 repositories of a fake server that runs in this process. A measurement is not a
//! test: a missed expectation is printed and fails nothing.

#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

mod estate;
mod home;
mod measure;
mod watching;

use std::io::{self, Write};
use std::time::{Duration, Instant};

use clap::{Parser, ValueEnum};
use estate::Edit;
use fake_bitbucket::{Account, Entry, FakeBitbucket, Kind, Options, World};
use home::{XoperoHome, token};
use measure::Work;
use watching::Watching;

const PROJECT: &str = "BENCH";
const ACCOUNT: &str = "bench";

/// Listings and packs under way at a time.
const CONCURRENCY: usize = 8;

/// What an idle watch may take: a share of one core, and resident memory.
const IDLE: (f64, f64) = (0.005, 80.0);

/// How soon what was saved is in force.
const SOON: Duration = Duration::from_millis(500);

/// Measure a watch and an uneventful night
#[derive(Debug, Parser)]
struct Arguments {
    /// For how long the idle watch is looked at, in seconds
    #[arg(long, value_name = "S", default_value_t = 130)]
    idle: u64,
    /// How often the file is saved
    #[arg(long, value_name = "N", default_value_t = 50)]
    saves: u32,
    /// Repositories of the night
    #[arg(long, value_name = "N", default_value_t = 1000)]
    repositories: usize,
    /// Only one part
    #[arg(long)]
    only: Option<Part>,
    /// Given by cargo
    #[arg(long, hide = true)]
    bench: bool,
    /// Be the process that runs clients and measures them
    #[arg(long, hide = true)]
    measure: bool,
}

/// A part of the measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Nothing happens.
    Idle,
    /// The file is saved.
    Saves,
    /// Nothing changed.
    Night,
}

fn main() {
    let arguments = Arguments::parse();
    if arguments.measure {
        return measure::serve();
    }
    let wants = |part| arguments.only.is_none_or(|only| only == part);
    if wants(Part::Idle) || wants(Part::Saves) {
        let home = estate::large(PROJECT, ACCOUNT);
        let mut watch = Watching::start(&home);
        if wants(Part::Idle) {
            idle(&watch, arguments.idle);
        }
        if wants(Part::Saves) {
            saves(&home, &mut watch, Edit::OnePlan, arguments.saves);
            saves(&home, &mut watch, Edit::AllPlans, arguments.saves.div_ceil(5));
        }
    }
    if wants(Part::Night) {
        night(arguments.repositories);
    }
}

/// What the process takes while it waits.
fn idle(watch: &Watching, seconds: u64) {
    let before = watch.cpu();
    let began = Instant::now();
    // Waiting is what is measured.
    watch.wait(Duration::from_secs(seconds));
    let share = (watch.cpu() - before) / began.elapsed().as_secs_f64();
    let (resident, peak) = watch.memory();
    let (most, memory) = IDLE;
    say(&format!("idle watch over {} plans, {} repositories known, {seconds} s", estate::PLANS, estate::REPOSITORIES));
    say(&format!(
        "  CPU       {:>7.3} % of a core  ({})",
        share * 100.0,
        verdict(share < most, &format!("{} %", most * 100.0))
    ));
    say(&format!("  resident  {resident:>7.1} MiB        ({})", verdict(resident < memory, &format!("{memory} MiB"))));
    say(&format!("  peak      {peak:>7.1} MiB"));
}

/// From the end of the write to the line that tells of the new generation.
fn saves(home: &XoperoHome, watch: &mut Watching, edit: Edit, count: u32) {
    let mut times = Vec::new();
    for number in 1..=count {
        estate::save(home, edit, number);
        let began = Instant::now();
        watch.applied();
        times.push(began.elapsed());
    }
    times.sort_unstable();
    let (median, last) = (times[times.len() / 2], times[times.len() - 1]);
    let what = match edit {
        Edit::OnePlan => "the schedule of one",
        Edit::AllPlans => "the retention of all",
    };
    say(&format!("file saved to generation applied, {count} times: {what} of {} plans", estate::PLANS));
    let expected = match edit {
        Edit::OnePlan => format!("({})", verdict(median < SOON, "500 ms")),
        Edit::AllPlans => String::new(),
    };
    say(&format!("  median    {:>7} ms           {expected}", median.as_millis()));
    say(&format!("  longest   {:>7} ms", last.as_millis()));
}

/// A run over repositories of which none changed.
fn night(repositories: usize) {
    let world = World::new();
    world.project(PROJECT).many("small", repositories);
    let server =
        FakeBitbucket::start_blocking(world, Options::new().account(Account::reader(ACCOUNT, &token(ACCOUNT))));
    let home = XoperoHome::new(server.url(), PROJECT, CONCURRENCY, &[ACCOUNT]);
    home.xopero(&["run", "bench", "--json"], "");
    server.log().clear();
    let words = [env!("CARGO_BIN_EXE_xopero"), "run", "bench", "--json"].map(str::to_owned).to_vec();
    let work =
        Work { concurrency: 1, folder: home.folder(), environment: home.environment(), commands: [words].into() };
    let cost = work.measure();
    let git = server.log().count(|entry: &Entry| !matches!(entry.kind, Kind::Rest | Kind::Other));
    say(&format!("a run over {repositories} unchanged repositories, {CONCURRENCY} at a time"));
    say(&format!(
        "  requests  {:>7} (git {git}; {})",
        server.log().len(),
        verdict(git == repositories, "one for each")
    ));
    say(&format!("  wall      {:>7.2} s", cost.wall));
    say(&format!("  CPU       {:>7.2} s", cost.cpu));
    say(&format!("  peak      {:>7.1} MiB", cost.memory / f64::from(1 << 20)));
}

fn verdict(is_met: bool, expected: &str) -> String {
    let word = if is_met { "as expected" } else { "MISSED" };
    format!("{word}: {expected}")
}

fn say(line: &str) {
    writeln!(io::stdout().lock(), "{line}").expect("standard output is open");
}
