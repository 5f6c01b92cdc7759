//! The words of the domain as plain values.
//!
//! Nothing here reads a clock, a file or a socket. Every name and identifier is a type of its own that
//! cannot hold an invalid value, so that the rooms above never check twice:
//!
//! - [`names`]: what people write (project keys, slugs, the names of declared things);
//! - [`ids`]: what xopero mints (runs, snapshots, packs, lineages);
//! - [`git`]: object ids, reference names and the references of one repository at one time;
//! - [`declaration`], with [`backup_plan`], [`timetable`], [`destination`], [`retention`] and [`alerts`]: the file after
//!   resolution;
//! - [`applied`]: the declaration that is in force, with the identities it was given;
//! - [`task_state`]: how far a task is that has not ended;
//! - [`snapshot`]: what is known of one restorable snapshot;
//! - [`observation`]: what was seen of servers, credentials, projects and destinations;
//! - [`refused_login`]: passwords that were refused, and when they may be tried again;
//! - [`inventory`]: the repositories of a project as they were listed;
//! - [`condition`]: lasting facts that follow from what was seen;
//! - [`command_line`]: commands that people are told to type;
//! - [`hidden`]: characters that must not reach a terminal.

pub mod address;
pub mod alert_url;
pub mod alerts;
pub mod applied;
pub mod backup_plan;
pub mod base_url;
pub mod command_line;
pub mod condition;
pub mod declaration;
pub mod destination;
mod file_place;
mod followed;
pub mod git;
pub mod hex;
pub mod hidden;
pub mod ids;
pub mod inventory;
pub mod mail;
pub mod names;
pub mod observation;
pub mod pattern;
pub mod percent;
pub mod recipients_mark;
pub mod refused_login;
pub mod retention;
pub mod sealed;
pub mod selector;
pub mod snapshot;
pub mod task_state;
pub mod timetable;

pub use address::{Address, InvalidAddress};
pub use alert_url::{AlertUrl, InvalidAlertUrl};
pub use alerts::{AlertAddress, Alerts, Channel, Email, Ntfy, Occasion, UnknownChannel, Webhook};
pub use applied::{AllowedBy, Applied, FileDigest, Generation, Source};
pub use backup_plan::{BackupPlan, Guard, Interval, Part, Pause, PlanRetention, PlannedProject, Verification};
pub use base_url::BaseUrl;
pub use command_line::{add_command, check_command, command_with, rotate_command, shell_word};
pub use condition::{Condition, ConditionKind, ConditionStatus, Conditions, Seen, Sighting, Transition};
pub use declaration::{
    Concurrency, Credential, CredentialReference, CredentialRole, Declaration, Project, Recipient, Server, TokenBucket,
};
pub use destination::{Destination, Place, S3Place};
pub use file_place::FilePlace;
pub use followed::{Followed, FollowedBranch, FollowedCommit};
pub use git::{Head, ObjectFormat, ObjectId, RefName, RefTip, References};
pub use hidden::is_hidden;
pub use ids::{DestinationId, Lineage, PackId, RunId, SnapshotId, Uid};
pub use inventory::{Comparison, Inventory, ListedRepository, Remembered, RepositoryName, RepositoryState};
pub use mail::{InvalidMailAddress, InvalidMailServer, MailAddress, MailSecurity, MailServer};
pub use names::{
    AccountName, AlertsName, BucketName, CredentialName, DestinationName, InvalidName, KeyPrefix, PlanName, ProjectId,
    ProjectKey, PublicKey, Region, RepoId, RepoSlug, RetentionName, ServerName,
};
pub use observation::{
    CredentialSeen, DestinationSeen, DestinationState, Inventories, Limit, LimitSource, Login, LoginRefusal,
    Observations, ProjectSeen, RateLimit, Reach, ServerSeen, Sight,
};
pub use pattern::Pattern;
pub use percent::{InvalidPercent, Percent};
pub use recipients_mark::RecipientsMark;
pub use refused_login::{PasswordMark, RefusedLogin};
pub use retention::{KeepRules, Retention};
pub use sealed::{CredentialKind, Sealed, SecretKind};
pub use selector::ProjectSelector;
pub use snapshot::SnapshotRecord;
pub use task_state::{TaskState, Waiting};
pub use timetable::{Cron, Missed, Overlap, Timetable, Window};
