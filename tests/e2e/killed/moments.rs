//! Random moments.

use std::fmt::Write as _;
use std::io::Write as _;
use std::time::Duration;

use xopero::clock::random_bits;

use super::companion::Help;
use super::dice::Dice;
use super::estate::Estate;
use super::keeping::{Keeping, end_all_leases};
use super::life::{End, Life, Moment};
use super::points;
use crate::support::{file_text, write_text};

/// Kills of the ordinary test.
const KILLS: u64 = 150;

/// The same on a server.
const KILLS_ON_A_SERVER: u64 = 40;

/// Kills in one home: its chains grow with every commit.
const OF_A_HOME: u64 = 150;

/// After so many kills everything must come to a good end.
const SETTLE: u64 = 10;

/// After so many of those a repository is restored and compared.
const PROVE: u64 = 3;

/// The longest delay after an event, in microseconds.
const DELAY: u64 = 30_000;

/// Says how to see it again, if the test ends in a panic.
struct Story {
    seed: u64,
    told: String,
}

impl Story {
    fn tell(&mut self, line: &str) {
        // Only the last chapters are of interest.
        if self.told.len() > 4_000 {
            let cut = self.told.find('\n').map_or(0, |end| end + 1);
            self.told.drain(..cut);
        }
        writeln!(self.told, "{line}").expect("strings take everything");
    }
}

impl Drop for Story {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let _reader_gone = writeln!(std::io::stderr(), "{}seed: XOPERO_KILLS_SEED={}", self.told, self.seed);
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a test is told how long to go on by its environment")]
fn asked(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

#[test]
fn killed_anywhere() {
    go_on(KILLS, || Keeping::File, |_| {});
}

#[test]
fn killed_anywhere_on_a_server() {
    if let Some(first) = Keeping::server() {
        drop(first);
        go_on(KILLS_ON_A_SERVER, on_a_server, |_| {});
    }
}

#[test]
#[ignore = "takes as long as it is told to: XOPERO_KILLS=10000"]
fn killed_anywhere_for_long() {
    go_on(asked("XOPERO_KILLS").unwrap_or(10_000), || Keeping::File, tell);
}

#[test]
#[ignore = "takes as long as it is told to: XOPERO_KILLS=1000"]
fn killed_anywhere_on_a_server_for_long() {
    go_on(asked("XOPERO_KILLS").unwrap_or(1_000), on_a_server, tell);
}

/// Says it while it goes on.
fn tell(line: &str) {
    writeln!(std::io::stderr(), "{line}").expect("it can be told");
}

fn on_a_server() -> Keeping {
    Keeping::server().expect("XOPERO_TEST_POSTGRES names a server")
}

fn go_on(kills: u64, keeping: impl Fn() -> Keeping, tell: impl Fn(&str)) {
    let seed = asked("XOPERO_KILLS_SEED").unwrap_or_else(|| u64::try_from(random_bits() >> 96).expect("32 bits"));
    let mut story = Story { seed, told: String::new() };
    let mut dice = Dice::new(seed);
    let (mut killed, mut lives, mut workers) = (0, 0, 0);
    while killed < kills {
        let mut estate = Estate::applied(&keeping());
        let mut is_crowded = false;
        let until = (killed + OF_A_HOME).min(kills);
        while killed < until {
            lives += 1;
            let end = one_life(&mut estate, &mut dice, &mut story, lives, is_crowded);
            killed += u64::from(end.was_killed() || end.lost_help);
            workers += u64::from(end.lost_help);
            // Now and then the next one begins while a server is not done with the dead.
            is_crowded = estate.is_shared() && dice.once_in(4);
            if !is_crowded {
                estate.inquest();
            }
            if lives % SETTLE == 0 {
                story.tell("everything comes to its end");
                estate.settle();
                is_crowded = false;
                if (lives / SETTLE).is_multiple_of(PROVE) {
                    estate.prove(lives / SETTLE);
                }
            }
        }
        estate.settle();
        let snapshots = estate.memory.snapshots();
        let line = format!("{killed} kills in {lives} lives, {workers} of them of a worker, {snapshots} snapshots");
        tell(&format!("{line}, XOPERO_KILLS_SEED={seed}"));
        story.tell(&line);
    }
}

fn moment(dice: &mut Dice) -> Moment {
    match dice.below(3) {
        0 => Moment::Asked(1 + dice.below(30)),
        1 => Moment::Said(1 + dice.below(25)),
        _ => Moment::Perhaps(format!("{}#{}", dice.one_of(&points::of_backups()), 1 + dice.below(4))),
    }
}

fn help(dice: &mut Dice) -> Help {
    let outlives = Duration::from_micros(if dice.once_in(2) { 0 } else { dice.below(DELAY) });
    Help { until: 1 + dice.below(40), outlives, shares: dice.once_in(4) }
}

fn one_life(estate: &mut Estate, dice: &mut Dice, story: &mut Story, number: u64, is_crowded: bool) -> End {
    let stirred = estate.stir(dice);
    let (arguments, watches): (&[&str], bool) = match dice.below(10) {
        0..=5 => (&["watch", "--json"], true),
        6 | 7 => (&["run", "nightly", "--json"], false),
        8 => (&["run", "hot", "--json"], false),
        _ => (&["apply", "--auto-approve", "--json"], false),
    };
    if watches && !dice.once_in(3) {
        estate.miss();
    }
    let applies = arguments[0] == "apply";
    if applies {
        estate.change_file();
    }
    let help = (!applies && dice.once_in(3)).then(|| help(dice));
    // Sometimes only the worker is killed, and whom it helped comes to a good end.
    let goes_on = !watches && help.as_ref().is_some_and(|help| help.shares) && dice.once_in(2);
    let moment = if goes_on { Moment::Never } else { moment(dice) };
    let delay = Duration::from_micros(if dice.once_in(3) { 0 } else { dice.below(DELAY) });
    let change = (watches && dice.once_in(2)).then(|| 1 + dice.below(12));
    let torn = dice.once_in(3);
    let elsewhere = !watches && !applies && dice.once_in(3);
    story.tell(&format!(
        "life {number}{}{stirred}: {}{}, {moment:?} and {delay:?} later{}{}",
        if is_crowded { ", at once" } else { "" },
        arguments.join(" "),
        if elsewhere { " elsewhere" } else { "" },
        change.map(|at| format!(", a change at {at}{}", if torn { " in two writes" } else { "" })).unwrap_or_default(),
        help.as_ref().map(|help| format!(", {help:?}")).unwrap_or_default(),
    ));
    let text = change.is_some().then(|| estate.next_version());
    let before = file_text(&estate.home);
    let command = if elsewhere { estate.command_elsewhere(arguments) } else { estate.command(arguments) };
    let is_helped = help.is_some();
    let end = Life::begin(estate, command, moment, help).live(delay, |deed| {
        if let Some(text) = text.as_ref().filter(|_| Some(deed) == change) {
            if torn {
                write_text(&estate.home, &text[..text.len() / 2]);
            }
            write_text(&estate.home, text);
        }
    });
    if text.is_some() {
        // What was not written, because the life was short, is written for the next one.
        let text = text.filter(|_| file_text(&estate.home) == before);
        if let Some(text) = text {
            write_text(&estate.home, &text);
        }
        estate.know_version();
    }
    if is_helped {
        end_all_leases(&estate.home);
    }
    // The lock of the one before may be held for a moment longer.
    let is_shut_out = is_crowded && end.code == 6;
    let may_end = if end.was_killed() { !goes_on } else { !watches && end.code == 0 || is_shut_out };
    assert!(may_end, "it ended with {}: {}\n{}", end.code, end.stderr, end.lines.join("\n"));
    end
}
