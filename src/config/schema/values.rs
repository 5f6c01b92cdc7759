//! Arguments, properties and meanings that several nodes share.

use super::specs::{ValueKind, ValueSpec, Word, optional, planned_word, required, word};

pub(super) const ANY: usize = usize::MAX;
pub(super) const NO_VALUES: &[ValueSpec] = &[];
/// How many snapshots a rule keeps; more is a typing error.
const KEPT: ValueKind = ValueKind::Integer(1, 100_000);

pub(super) const NAME: &[ValueSpec] = &[required("name", ValueKind::Text)];
pub(super) const SEALED: &[ValueSpec] = &[required("sealed value", ValueKind::Sealed)];
/// A sealed value, or the file that holds it.
pub(super) const SEALED_OR_FILE: &[ValueSpec] = &[optional("sealed value", ValueKind::Sealed)];
const SEALED_FOR: ValueSpec = optional("sealed-for", ValueKind::Text);
pub(super) const FILE: &[ValueSpec] = &[optional("file", ValueKind::Text), SEALED_FOR];
pub(super) const KEY: &[ValueSpec] = &[SEALED_FOR];
pub(super) const GRACE: &[ValueSpec] = &[required("duration", ValueKind::Duration)];
pub(super) const KEEP: &[ValueSpec] = &[
    optional("last", KEPT),
    optional("hourly", KEPT),
    optional("daily", KEPT),
    optional("weekly", KEPT),
    optional("monthly", KEPT),
    optional("yearly", KEPT),
];
pub(super) const KEEP_DOCS: &str = "How many snapshots each rule keeps: the newest, and the newest of each hour, day, \
                                    week, month and year; a snapshot stays if one rule keeps it.";
pub(super) const GRACE_DOCS: &str =
    "How long a snapshot that no rule keeps stays all the same; 7 days if it is not said.";
pub(super) const CREDENTIAL: &[ValueSpec] =
    &[optional("account", ValueKind::Text), optional("same-as", ValueKind::Text)];
pub(super) const DAYS: ValueKind = ValueKind::Integer(1, 36_500);
/// Requests; more is a typing error.
pub(super) const REQUESTS: ValueKind = ValueKind::Integer(1, 100_000);
pub(super) const INTERVALS: &[Word] = &[word("daily"), word("weekly"), word("monthly")];
pub(super) const EXPIRES: &[ValueSpec] = &[required("date", ValueKind::Date)];
pub(super) const PARTS: &[Word] = &[
    word("git"),
    planned_word("lfs", "backups of Git LFS objects"),
    planned_word("pull-requests", "backups of pull requests and their comments"),
    planned_word("settings", "backups of project and repository settings"),
    planned_word("permissions", "backups of permissions"),
];

/// What somebody can be told of.
pub(super) const OCCASIONS: &[Word] = &[
    word("failed"),
    word("recovered"),
    word("throttled"),
    word("overdue"),
    word("suspect"),
    word("credential"),
    word("server"),
    word("destination"),
    word("approval"),
    word("source"),
];
/// Where something is sent, unless the address is sealed.
pub(super) const ALERT_URL: &[ValueSpec] = &[optional("address", ValueKind::Url)];
pub(super) const SEALED_ADDRESS_DOCS: &str =
    "The sealed address, in place of one in clear text: where it lets in whoever knows it.";

pub(super) const TOKEN_DOCS: &str = "A sealed HTTP access token, here or in a file of its own below this directory.";
pub(super) const PASSWORD_DOCS: &str = "A sealed password, here or in a file of its own below this directory.";
