//! The words of the domain as plain values.
//!
//! Nothing here reads a clock, a file or a socket. Every name and identifier is a type of its own that
//! cannot hold an invalid value, so that the rooms above never check twice:
//!
//! - [`names`]: what people write (project keys, slugs, the names of declared things);
//! - [`ids`]: what xopero mints (runs, snapshots, packs, lineages);
//! - [`git`]: object ids, reference names and the references of one repository at one time;
//! - [`declaration`]: the file after resolution;
//! - [`applied`]: the declaration that is in force, with the identities it was given;
//! - [`snapshot`]: what is known of one restorable snapshot;
//! - [`observation`]: what was seen of servers, credentials, projects and destinations;
//! - [`inventory`]: the repositories of a project as they were listed;
//! - [`condition`]: lasting facts that follow from what was seen;
//! - [`hidden`]: characters that must not reach a terminal.

pub mod address;
pub mod applied;
pub mod base_url;
pub mod condition;
pub mod declaration;
pub mod git;
pub mod hex;
pub mod hidden;
pub mod ids;
pub mod inventory;
pub mod names;
pub mod observation;
pub mod pattern;
pub mod sealed;
pub mod snapshot;

pub use address::Address;
pub use applied::{Applied, FileDigest, Generation, Source};
pub use base_url::BaseUrl;
pub use condition::{Condition, ConditionKind, ConditionStatus, Conditions, Seen, Sighting, Transition};
pub use declaration::{
    BackupPlan, Concurrency, Credential, CredentialRole, Cron, Declaration, Destination, KeepRules, Part, Place,
    PlanRetention, PlannedProject, Project, Recipient, Retention, Server,
};
pub use git::{Head, ObjectFormat, ObjectId, RefName, RefTip, References};
pub use hidden::is_hidden;
pub use ids::{DestinationId, Lineage, PackId, RunId, SnapshotId, Uid};
pub use inventory::{Inventory, ListedRepository, RepositoryState};
pub use names::{
    AccountName, CredentialName, DestinationName, InvalidName, PlanName, ProjectId, ProjectKey, PublicKey, RepoId,
    RepoSlug, RetentionName, ServerName,
};
pub use observation::{
    CredentialSeen, DestinationSeen, DestinationState, Limit, LimitSource, Login, LoginRefusal, Observations,
    ProjectSeen, RateLimit, Reach, ServerSeen, Sight,
};
pub use pattern::Pattern;
pub use sealed::{Sealed, SecretKind};
pub use snapshot::SnapshotRecord;
