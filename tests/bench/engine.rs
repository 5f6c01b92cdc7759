//! `cargo bench --bench engine`: xopero side by side with stock git, in one run, printed as ratios.
//!
//! The fake server runs in a process of its own, so that what the clients cost is theirs alone. Both clients take
//! turns at the same work: a full backup of one large repository (`git clone --mirror`), a full backup of many small
//! ones, and a second look at them when nothing changed (`git fetch`). The figures are medians. A measurement is not
//! a test: a missed expectation is printed and fails nothing.

mod arguments;
mod client;
mod comparison;
mod figures;
mod home;
mod measure;
mod server;

use std::io::{self, Write};

use arguments::{Arguments, Part};
use clap::Parser;
use client::GitHome;
use comparison::{Comparison, Expectation};
use figures::Run;
use home::XoperoHome;
use server::Served;

/// How many repositories each client works on at a time.
const CONCURRENCY: usize = 4;

fn main() {
    let arguments = Arguments::parse();
    if arguments.serve {
        server::serve(&arguments);
    } else if arguments.measure {
        measure::serve();
    } else {
        compare(&arguments);
    }
}

fn compare(arguments: &Arguments) {
    say("the fake server makes its repositories");
    let mut served = Served::start(arguments);
    let mut comparisons = Vec::new();
    if arguments.wants(Part::Full) {
        comparisons.push(large(arguments, &mut served));
    }
    if arguments.wants(Part::Small) || arguments.wants(Part::Unchanged) {
        comparisons.extend(small(arguments, &mut served));
    }
    let mut out = io::stdout().lock();
    writeln!(out, "\nmedians of {} runs, concurrency {CONCURRENCY}, server on the same machine", arguments.runs)
        .expect("standard output is open");
    for comparison in comparisons {
        writeln!(out, "\n{comparison}").expect("standard output is open");
    }
}

fn large(arguments: &Arguments, served: &mut Served) -> Comparison {
    let title = format!("full backup of one large repository ({})", served.large);
    let mut comparison = Comparison::new(title, "git clone --mirror");
    for run in 1..=arguments.runs {
        say(&format!("one large repository, run {run} of {}", arguments.runs));
        let git = GitHome::new(served, server::LARGE);
        comparison.git.push(served.observe(|| git.clone_all()));
        let xopero = XoperoHome::new(&served.url, server::LARGE, CONCURRENCY, &[server::ACCOUNT]);
        comparison.xopero.push(served.observe(|| client::run(&xopero)));
    }
    comparison.expect(Expectation::Wall { at_most: 0.4 });
    comparison.expect(Expectation::Cpu { at_most: 0.1 });
    comparison.expect(Expectation::Memory { below_mib: 64.0 });
    comparison
}

fn small(arguments: &Arguments, served: &mut Served) -> Vec<Comparison> {
    let count = arguments.small;
    let mut full = Comparison::new(format!("full backup of {count} small repositories"), "git clone --mirror");
    let mut unchanged = Comparison::new(format!("{count} unchanged repositories"), "git fetch");
    for run in 1..=arguments.runs {
        say(&format!("{count} small repositories, run {run} of {}", arguments.runs));
        let git = GitHome::new(served, server::SMALL);
        full.git.push(served.observe(|| git.clone_all()));
        let xopero = XoperoHome::new(&served.url, server::SMALL, CONCURRENCY, &[server::ACCOUNT]);
        full.xopero.push(served.observe(|| client::run(&xopero)));
        if arguments.wants(Part::Unchanged) {
            unchanged.git.push(served.observe(|| git.fetch_all()));
            unchanged.xopero.push(served.observe(|| client::run(&xopero)));
        }
    }
    full.expect(Expectation::Memory { below_mib: 64.0 });
    unchanged.expect(Expectation::Wall { at_most: 0.2 });
    unchanged.expect(Expectation::GitRequests { exactly: count });
    unchanged.expect(Expectation::Memory { below_mib: 64.0 });
    [(Part::Small, full), (Part::Unchanged, unchanged)]
        .into_iter()
        .filter_map(|(part, comparison)| arguments.wants(part).then_some(comparison))
        .collect()
}

/// What happens, for whoever waits.
fn say(what: &str) {
    writeln!(io::stderr(), "{what} ...").expect("standard error is open");
}
