//! Who is told when backups do not come, and when they come again.
//!
//! - a **trouble** is something that somebody should know, as it is now ([`troubles`], a function of [`Facts`] and of the
//!   time): a run that failed, a plan that is overdue although nothing ran, a condition, a change that waits;
//! - an **event** is a trouble that began, has another reason, or is over since it was told ([`decide()`]): each is told
//!   once, not again and again, and not more often than people read;
//! - a **letter** says events in plain words ([`Letter`]). It holds names, numbers and times, and neither logs nor what
//!   servers wrote into their answers nor anything sealed;
//! - the **outbox** in the state holds letters until they are sent. That something was told and its letters are recorded
//!   together; whoever is killed between that and the sending finds them again. A letter may come twice and has an
//!   identity by which receivers can tell.
//!
//! [`Alerter`] does one after the other: it reads the whole truth, decides, records, and sends what is due.

mod alerter;
mod courier;
mod decide;
mod error;
mod letter;
mod ping;
mod trouble;

pub use alerter::{Alerter, Heard};
pub use courier::{AllowExec, Courier, Receipt};
pub use decide::{Decision, decide};
pub use error::{DeliveryError, MailFault};
pub use letter::{Event, Letter, Phase};
pub use ping::{Ping, PingKind, pings};
pub use trouble::{Facts, PlanFacts, Trouble, troubles};
