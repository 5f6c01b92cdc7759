//! Identifiers that xopero mints. All are ULIDs: unique without a coordinator, and sorted by time.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use ulid::Ulid;

use crate::clock::{Clock, random_bits};

/// A text that is not an identifier of this kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} is 26 letters and digits")]
pub struct InvalidId(&'static str);

macro_rules! id {
    ($(#[$doc:meta])* $type:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $type(Ulid);

        impl $type {
            /// Makes the identifier of a time, in milliseconds since 1970, and 80 random bits.
            pub const fn from_parts(millis: u64, random: u128) -> Self {
                Self(Ulid::from_parts(millis, random))
            }

            /// Makes a new one.
            pub fn mint(clock: &dyn Clock) -> Self {
                let millis = clock.now().as_millisecond().max(0);
                Self::from_parts(millis.unsigned_abs(), random_bits())
            }

            /// The time at which it was minted, in milliseconds since 1970.
            pub const fn millis(self) -> u64 {
                self.0.timestamp_ms()
            }

            /// Its 80 random bits: what is drawn from them is the same whenever it is asked for.
            pub const fn random(self) -> u128 {
                self.0.random()
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $type {
            type Err = InvalidId;
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                Ulid::from_string(text).map(Self).map_err(|_| InvalidId($what))
            }
        }

        impl TryFrom<String> for $type {
            type Error = InvalidId;
            fn try_from(text: String) -> Result<Self, InvalidId> {
                text.parse()
            }
        }

        impl From<$type> for String {
            fn from(id: $type) -> String {
                id.to_string()
            }
        }
    };
}

id!(
    /// One execution of a backup plan.
    RunId, "a run id"
);
id!(
    /// One snapshot of one repository in one destination.
    SnapshotId, "a snapshot id"
);
id!(
    /// One stored pack, named before its stream begins.
    PackId, "a pack id"
);
id!(
    /// A destination's own identity, written in its marker at first use.
    DestinationId, "a destination id"
);
id!(
    /// The identity of one applied state. Two lineages never write to one destination.
    Lineage, "a lineage"
);
id!(
    /// The identity of a declared thing, minted when it is applied for the first time and kept through renames.
    Uid, "a uid"
);
