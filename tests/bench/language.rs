//! `cargo bench --bench language`: how long a large declaration takes from text to values.
//!
//! A file of 200 KB with 500 plans is what a shop with hundreds of projects would write. The figure is the median of
//! several readings in this process, printed with the peak of memory. A measurement is not a test: a missed
//! expectation is printed and fails nothing.

#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::time::{Duration, Instant};

use xopero::config::{SourceFile, Sources, decode, format};

const PLANS: usize = 500;
const READINGS: usize = 9;
const EXPECTED: Duration = Duration::from_millis(150);

fn main() {
    let file = SourceFile { name: "xopero.kdl".into(), text: declaration() };
    let read = median(|| {
        let decoded = decode(&Sources::alone(file.clone())).unwrap_or_else(|invalid| panic!("{invalid:?}"));
        assert_eq!(decoded.declaration.plans.len(), PLANS);
    });
    let laid_out = median(|| assert!(format(&file).is_ok()));
    let verdict = if read < EXPECTED { "as expected" } else { "MORE than expected" };
    say(&format!("{} KB, {PLANS} plans", file.text.len() / 1000));
    say(&format!("validate: {} ms ({verdict}: less than {} ms)", read.as_millis(), EXPECTED.as_millis()));
    say(&format!("fmt:      {} ms", laid_out.as_millis()));
    say(&format!("peak of memory: {}", peak()));
}

fn median(work: impl Fn()) -> Duration {
    let mut times: Vec<Duration> = (0..READINGS)
        .map(|_| {
            let begin = Instant::now();
            work();
            begin.elapsed()
        })
        .collect();
    times.sort_unstable();
    times[READINGS / 2]
}

/// The complete example, with plans of other names until it is large enough.
fn declaration() -> String {
    let mut text = include_str!("../../examples/complete.kdl").to_owned();
    let written = decode(&Sources::alone(SourceFile { name: "complete.kdl".into(), text: text.clone() }))
        .unwrap_or_else(|invalid| panic!("{invalid:?}"));
    for number in written.declaration.plans.len()..PLANS {
        write!(
            text,
            "\n// The backups of team {number}, every night.\nplan \"team-{number:03}\" {{\n    project \"PAY\" {{\n        \
             repositories include=\"team-{number:03}-*\" exclude=\"*-sandbox\"\n        \
             enable-credentials \"extra-1\" \"extra-2\"\n    }}\n    parts \"git\"\n    destination \"nas\"\n    \
             retention \"gfs\"\n    verify \"weekly\" sample=\"5%\"\n    guard max-repositories-removed=\"20%\"\n    schedule \"{} {} * * *\" tz=\"Europe/Warsaw\"\n}}\n",
            number % 60,
            number % 24,
        )
        .expect("strings take everything");
    }
    text
}

fn peak() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.map_or_else(|| "not known here".to_owned(), |kilobytes| kilobytes.trim().to_owned())
}

fn say(text: &str) {
    let _reader_gone = writeln!(io::stdout(), "{text}");
}
