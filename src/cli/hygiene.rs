//! What a process that opens secrets does first: nothing of its memory is for others.

use std::any::Any;
use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::{self, Write};

use rustix::process::{DumpableBehavior, Resource, Rlimit};

/// Makes what it writes readable for its user alone, keeps its memory out of core dumps and away from other processes
/// of the same user, and lets a defect tell where it is and no value.
pub fn begin() {
    // Whatever is made holds names of repositories at least. A file that is replaced keeps its mode.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    // A system that refuses one of them is no worse than before.
    let _refused = rustix::process::setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
    let _refused = rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable);
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map_or_else(|| "an unknown place".to_owned(), ToString::to_string);
        let mut words = words(&place, panic.payload());
        let trace = Backtrace::capture();
        if trace.status() == BacktraceStatus::Captured {
            words = format!("{words}{trace}\n");
        }
        let _reader_gone = io::stderr().lock().write_all(words.as_bytes());
    }));
}

/// What is told of a defect: the place, and the text if it stands in the program as it is. One that was put together
/// may hold anything.
fn words(place: &str, payload: &dyn Any) -> String {
    let text = payload.downcast_ref::<&'static str>();
    let text = text.map(|text| format!(": {text}")).unwrap_or_default();
    format!("a defect of xopero at {place}{text}; please report this line\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_defect_tells_what_stands_in_the_program_and_no_value() {
        let payload = |result: std::thread::Result<()>| result.unwrap_err();
        let fixed = payload(std::thread::spawn(|| panic!("no holder panics")).join());
        assert_eq!(
            words("src/x.rs:7:9", &*fixed),
            "a defect of xopero at src/x.rs:7:9: no holder panics; please report this line\n"
        );
        let value = String::from("s3cr3t");
        let made = payload(std::thread::spawn(move || panic!("cannot use {value:?}")).join());
        assert_eq!(words("src/x.rs:7:9", &*made), "a defect of xopero at src/x.rs:7:9; please report this line\n");
    }
}
