//! Named places at which a test lets the process die as a power cut would: at once, without destructors.
//!
//! Each stands beside a step that somebody could be killed before or after: a transaction, an object that is stored, a
//! file that is replaced. A test names one in `XOPERO_CRASH_AT`, and demands afterwards what must hold. A release build
//! has none of it; any other one compares a value that nobody set.
//!
//! Whoever adds a step that must not be half done adds its points here: the tests go through [`CrashPoint::ALL`], and
//! fail for one that nothing reaches.

use std::fmt;
use std::str::FromStr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// Declares the points, so that none is left out of the list.
macro_rules! points {
    ($($(#[doc = $doc:literal])+ $point:ident = $name:literal,)+) => {
        /// A place between two steps.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum CrashPoint {
            $($(#[doc = $doc])+ $point,)+
        }

        impl CrashPoint {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$point,)+];

            /// The name that a test asks for it by.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$point => $name,)+
                }
            }
        }
    };
}

points! {
    /// The directory of the state is there, and nothing in it.
    DirectoryMade = "state/directory-made",
    /// The file of the database is there, and empty.
    DatabaseMade = "state/database-made",
    /// The schema is written, and not committed.
    SchemaWritten = "state/schema-written",
    /// The schema is there.
    SchemaCommitted = "state/schema-committed",
    /// A generation is written, and not committed.
    GenerationWritten = "state/generation-written",
    /// A generation is in force.
    GenerationRecorded = "state/generation-recorded",
    /// A destination is bound to its identity.
    DestinationBound = "state/destination-bound",
    /// What was observed is written, and not committed.
    ObservationsWritten = "state/observations-written",
    /// What was observed is remembered.
    ObservationsRecorded = "state/observations-recorded",
    /// Conditions are written, and not committed.
    ConditionsWritten = "state/conditions-written",
    /// Conditions are remembered.
    ConditionsRecorded = "state/conditions-recorded",
    /// A listing is written, and not committed.
    ListingWritten = "state/listing-written",
    /// A listing is remembered.
    ListingRecorded = "state/listing-recorded",
    /// Runs of dead processes are marked.
    RunsAbandoned = "state/runs-abandoned",
    /// The start of a run is written, and not committed.
    RunStartWritten = "state/run-start-written",
    /// A run counts as under way.
    RunStarted = "state/run-started",
    /// The tasks of a run are in the queue.
    TasksEnqueued = "state/tasks-enqueued",
    /// Tasks are claimed.
    TasksClaimed = "state/tasks-claimed",
    /// Tasks are written, and not committed.
    TasksWritten = "state/tasks-written",
    /// Tasks are recorded, and nobody was told.
    TasksRecorded = "state/tasks-recorded",
    /// A snapshot and its chain are written, and not committed.
    SnapshotWritten = "state/snapshot-written",
    /// A snapshot is listed, and its chain has moved.
    SnapshotRecorded = "state/snapshot-recorded",
    /// The end of a run is written, and not committed.
    RunEndWritten = "state/run-end-written",
    /// A run is over.
    RunEnded = "state/run-ended",
    /// A scheduled time is dealt with.
    TimeDealtWith = "state/time-dealt-with",
    /// What is told and its messages are written, and not committed.
    AlertsWritten = "state/alerts-written",
    /// What is told counts as told, and its messages wait.
    AlertsRecorded = "state/alerts-recorded",
    /// A message was taken by its receiver, and still waits for all that is known.
    AlertSent = "alert/sent",
    /// A destination has its directory, and no marker.
    MarkerDue = "store/marker-due",
    /// A destination has its marker, and is not bound.
    MarkerStored = "store/marker-stored",
    /// What a killed run left in a destination is removed.
    DestinationSwept = "run/destination-swept",
    /// What an earlier run did counts for this one.
    RunCarried = "run/carried",
    /// A part of a pack is on its way to a destination.
    PackPartSent = "store/part-sent",
    /// All parts of a pack are at a destination, and it has no name there.
    PackDue = "store/pack-due",
    /// A pack is stored, and nothing names it.
    PackStored = "archive/pack-stored",
    /// The packs of a snapshot are unpacked in clear, and not judged.
    PacksUnpacked = "archive/packs-unpacked",
    /// The packs of a snapshot are stored, and its manifest is not.
    ManifestDue = "run/manifest-due",
    /// A manifest is stored, and the state does not know it.
    ManifestStored = "run/manifest-stored",
    /// The tasks of a run are done, and no report tells so.
    ReportDue = "run/report-due",
    /// A report is stored in one destination.
    ReportStored = "run/report-stored",
    /// A change is agreed to, and nothing is done.
    ChangeAgreed = "apply/change-agreed",
    /// Destinations are ready, and the generation is not in force.
    DestinationsReady = "apply/destinations-ready",
    /// A new file lies beside its place.
    FileStaged = "file/staged",
    /// A file has taken its place.
    FilePut = "file/put",
    /// A rotation has its journal, and nothing happened.
    RotationBegun = "rotate/begun",
    /// A token was made, and nobody remembers its secret.
    TokenMade = "rotate/token-made",
    /// The secret of a new token is safe.
    TokenSafe = "rotate/token-safe",
    /// A new token has proven itself.
    TokenProven = "rotate/token-proven",
    /// A new token stands in the files.
    TokenInstalled = "rotate/token-installed",
    /// An old token is about to go.
    TokenLeaves = "rotate/token-leaves",
    /// An old token is revoked.
    TokenRevoked = "rotate/token-revoked",
    /// A rotation is over.
    RotationForgotten = "rotate/forgotten",
    /// What was read is about to be activated.
    ActivationDue = "watch/activation-due",
    /// What was read is activated, and nobody was told.
    Activated = "watch/activated",
    /// A run that was cut off is about to go on.
    ResumeDue = "watch/resume-due",
    /// A scheduled run is handed over, and has not begun.
    RunHandedOver = "watch/run-handed-over",
    /// A run is over, and nobody was told.
    RunReturned = "watch/run-returned",
}

impl fmt::Display for CrashPoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for CrashPoint {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.iter().copied().find(|point| point.as_str() == text);
        found.ok_or_else(|| format!("there is no crash point {text:?}"))
    }
}

/// The point that was asked for, and how often it is still passed.
static ARMED: OnceLock<(CrashPoint, AtomicU32)> = OnceLock::new();

/// Lets the process die at a point: `run/manifest-stored`, or the third time with `run/manifest-stored#3`.
pub fn arm(text: &str) -> Result<(), String> {
    let (name, number) = text.split_once('#').unwrap_or((text, "1"));
    let times: u32 = number.parse().map_err(|_| format!("{number:?} is no number of times"))?;
    if times == 0 {
        return Err("a crash point is reached once at least".to_owned());
    }
    // A second call in one process changes nothing.
    let _already_armed = ARMED.set((name.parse()?, AtomicU32::new(times)));
    Ok(())
}

/// A place between two steps: the process ends here, if that was asked for.
#[inline]
pub fn point(here: CrashPoint) {
    if cfg!(debug_assertions)
        && let Some((armed, left)) = ARMED.get()
        && *armed == here
        && left.fetch_sub(1, Ordering::Relaxed) == 1
    {
        die();
    }
}

/// Ends the process without a chance to tidy up.
#[cold]
fn die() -> ! {
    let _unheard = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    std::process::abort()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_point_is_found_by_a_name_of_its_own() {
        let names: BTreeSet<&str> = CrashPoint::ALL.iter().map(|point| point.as_str()).collect();
        assert_eq!(names.len(), CrashPoint::ALL.len());
        for point in CrashPoint::ALL {
            assert_eq!(point.as_str().parse(), Ok(*point));
        }
    }

    #[test]
    fn what_names_no_point_is_refused() {
        for wrong in ["", "run", "run/manifest-stored#", "run/manifest-stored#0", "run/manifest-stored#x"] {
            assert!(arm(wrong).is_err(), "{wrong}");
        }
    }
}
