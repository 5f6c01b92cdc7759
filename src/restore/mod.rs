//! Getting a snapshot back: to a bare repository, or to a bundle file.
//!
//! A restore never overwrites: the target must not exist, or be an empty directory. It is built beside its final
//! place and moved there when every object is proven to be present, so an interrupted restore leaves nothing that
//! looks finished; what a killed one leaves is removed by the next one for the same target. Nothing in a snapshot
//! chooses a path: references go into `packed-refs`, packs are named by their checksum.

mod bare;
mod bundle;
mod damage;
mod error;
mod partial;

pub use bare::{Restored, restore};
pub use bundle::{Exported, export};
pub use damage::record_verification;
pub use error::RestoreError;
