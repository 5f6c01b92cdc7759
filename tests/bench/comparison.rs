//! Two clients at the same work, and what was expected of it.

use std::fmt;

use crate::figures::{Run, median};

const MIB: f64 = 1024.0 * 1024.0;

/// The runs of both clients.
#[derive(Debug)]
pub struct Comparison {
    title: String,
    git_name: &'static str,
    /// Runs of stock git.
    pub git: Vec<Run>,
    /// Runs of xopero.
    pub xopero: Vec<Run>,
    expectations: Vec<Expectation>,
}

/// What is expected of xopero.
#[derive(Clone, Copy, Debug)]
pub enum Expectation {
    /// Of git's wall time.
    Wall { at_most: f64 },
    /// Of git's CPU time.
    Cpu { at_most: f64 },
    /// Whatever git uses.
    Memory { below_mib: f64 },
    /// Requests to git.
    GitRequests { exactly: usize },
}

/// A line of the table.
struct Line {
    name: &'static str,
    git: f64,
    xopero: f64,
    shown: fn(f64) -> String,
}

impl Comparison {
    /// Without runs yet; `git_name` is the command that xopero is compared with.
    pub fn new(title: String, git_name: &'static str) -> Self {
        Self { title, git_name, git: Vec::new(), xopero: Vec::new(), expectations: Vec::new() }
    }

    /// Adds an expectation.
    pub fn expect(&mut self, expectation: Expectation) {
        self.expectations.push(expectation);
    }

    fn line(&self, name: &'static str, shown: fn(f64) -> String, figure: fn(&Run) -> f64) -> Line {
        Line { name, git: median(&self.git, figure), xopero: median(&self.xopero, figure), shown }
    }

    fn lines(&self) -> [Line; 6] {
        [
            self.line("wall", |value| format!("{value:.2} s"), |run| run.cost.wall),
            self.line("client CPU", |value| format!("{value:.2} s"), |run| run.cost.cpu),
            self.line("peak memory", |value| format!("{:.0} MiB", value / MIB), |run| run.cost.memory),
            self.line("git requests", |value| format!("{value:.0}"), |run| count(run.traffic.git_requests)),
            self.line("REST requests", |value| format!("{value:.0}"), |run| count(run.traffic.rest_requests)),
            self.line("bytes", |value| format!("{:.1} MB", value / 1e6), |run| bytes(run.traffic.bytes)),
        ]
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.title)?;
        writeln!(f, "  {:<14}{:>18}{:>12}{:>8}   expected", "", self.git_name, "xopero", "ratio")?;
        for line in self.lines() {
            let Line { name, git, xopero, shown } = line;
            let ratio = if git > 0.0 { format!("{:.2}", xopero / git) } else { "-".into() };
            let verdict = self.expectations.iter().find_map(|expected| expected.verdict(&line)).unwrap_or_default();
            let row = format!("  {name:<14}{:>18}{:>12}{ratio:>8}   {verdict}", shown(git), shown(xopero));
            writeln!(f, "{}", row.trim_end())?;
        }
        Ok(())
    }
}

impl Expectation {
    /// The expectation and whether it is met, if it is one of this line.
    fn verdict(self, line: &Line) -> Option<String> {
        let ratio = line.xopero / line.git;
        let (name, text, met) = match self {
            Self::Wall { at_most } => ("wall", format!("<= {at_most:.2}"), ratio <= at_most),
            Self::Cpu { at_most } => ("client CPU", format!("<= {at_most:.2}"), ratio <= at_most),
            Self::Memory { below_mib } => {
                ("peak memory", format!("< {below_mib:.0} MiB"), line.xopero < below_mib * MIB)
            }
            Self::GitRequests { exactly } => {
                ("git requests", format!("= {exactly}"), line.xopero.total_cmp(&count(exactly)).is_eq())
            }
        };
        (line.name == name).then(|| format!("{text:<10}{}", if met { "met" } else { "MISSED" }))
    }
}

fn count(number: usize) -> f64 {
    f64::from(u32::try_from(number).unwrap_or(u32::MAX))
}

/// Megabytes are shown with one digit; a double holds every byte of 9 PB.
#[expect(clippy::cast_precision_loss, reason = "the figure is rounded to megabytes anyway")]
fn bytes(number: u64) -> f64 {
    number as f64
}
